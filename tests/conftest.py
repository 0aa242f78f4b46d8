"""What all suites share. Nothing here touches AWS settings, because the e2e suite has its own."""

import gc
import importlib
import io
import pkgutil
import re
import signal
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest
from pytest_cov.engine import CovController
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import NodeManager

import chalicelib
from chalicelib.telemetry import handler
from tests import network
from tests.people import verified_stage
from tests.turns import turn

pytest.register_assert_rewrite("tests.protocols.dragon_repository")

# Coverage measures the unit tests of what it measures, and of the integration tests these. Elsewhere, the service runs
# in other processes. Tracing takes as long again as the tests, so whatever adds no line goes without it: the other
# tests, those that try very many values, and collecting.
MEASURED = re.compile(r"test_(\w+_routes?|dead_letters|message_list|readiness|trace)\.py")

# The tests of each of these folders share a devstack, so one worker runs them all. They take longest. These of their
# files take half of that, on another worker's devstack.
SHARE_A_DEVSTACK = {"e2e", "proof"}
SHARE_ANOTHER = {"test_browser.py", "test_devstack.py"}

# A worker that has to end waits 5 s for its test, then interrupts it, and has 10 s to end what the test started.
NodeManager.EXIT_TIMEOUT = 20


class ByFolder(LoadScopeScheduling):
    """Gives each worker whole files, or whole folders if their tests share a devstack."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        if file.parent.name not in SHARE_A_DEVSTACK:
            return str(file)
        return f"{file.parent}, another devstack" if file.name in SHARE_ANOTHER else str(file.parent)


def pytest_configure(config: pytest.Config) -> None:
    """Guard the network, and make SIGTERM end a run as Ctrl-C does: everything the tests started ends with it."""
    config.pluginmanager.register(network)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if _is_worker(config):  # it is interrupted by SIGINT, which a shell makes its background jobs ignore
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_keyboard_interrupt() -> None:
    """End the devstacks at once: a worker has no time to wait until each has saved its state."""
    if running := sys.modules.get("tests.e2e.running"):
        for stack in running.Devstack.of_this_run:
            stack.kill()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFolder:
    """Distribute the tests of `pytest -n 2` in the order in which they were collected."""
    config.option.loadscopereorder = False
    return ByFolder(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests of each folder in order, and the folders for workers.

    The proving ground starts while tests run that do without it, so its own come after them. Files with tests that run
    alone come late: the other workers are at quick tests then, for which nobody waits long. Tests that look back on a
    whole run come last. Workers begin with the folders that take longest, then deploy; the quick tests fill the rest.
    """
    if verified_stage():
        _leave_out(items)
    folders = list(dict.fromkeys(item.path.parent for item in items))
    if _is_worker(config):
        folders.sort(key=lambda folder: (folder.name not in SHARE_A_DEVSTACK, folder.name != "deploy"))

    late = {item.path for item in items if item.get_closest_marker("alone")}

    def place(item: pytest.Item) -> tuple[int, bool, bool, bool]:
        on_proving_ground = "proving_ground" in getattr(item, "fixturenames", ())
        looks_back = bool(item.get_closest_marker("looks_back"))
        return folders.index(item.path.parent), looks_back, item.path in late, on_proving_ground

    items.sort(key=place)


def _is_measured(item: pytest.Item) -> bool:
    """Tell whether coverage counts what a test runs."""
    if item.get_closest_marker("slow"):
        return False
    if item.path.parent.name == "integration":
        return MEASURED.fullmatch(item.path.name) is not None
    return item.path.parent.name == "unit" and _imports_the_service(item.path)


@cache
def _imports_the_service(file: Path) -> bool:
    return re.search(r"^(from|import) (app|chalicelib)\b", file.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _leave_out(items: list[pytest.Item]) -> None:
    """Skip the tests that a deployed stage is not for, each with its reason."""
    for item in items:
        if marker := item.get_closest_marker("devstack_only"):
            item.add_marker(pytest.mark.skip(reason=marker.args[0]))


def pytest_collection_finish() -> None:
    """Leave out of garbage collection what is there by now. It is a million objects, and all of them stay."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Import what coverage measures, and let it rest while tests are collected."""
    with ExitStack() as rest:
        if _coverage(session.config):
            for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib."):
                importlib.import_module(module.name)
            rest.enter_context(_unmeasured(session.config))
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that is marked `alone` run while the other workers rest."""
    with ExitStack() as stack:
        if not _is_measured(item):
            stack.enter_context(_unmeasured(item.config))
        if _is_worker(item.config):
            folder, alone = Path(item.config.option.basetemp).parent, bool(item.get_closest_marker("alone"))
            stack.enter_context(turn(folder, alone=alone))
        return (yield)


def _coverage(config: pytest.Config) -> CovController | None:
    plugin = config.pluginmanager.getplugin("_cov")
    controller: CovController | None = plugin and plugin.cov_controller
    return controller


@contextmanager
def _unmeasured(config: pytest.Config) -> Iterator[None]:
    """Let coverage rest. The plugin has a marker for that, but it does not count for what fixtures do."""
    coverage = _coverage(config)
    if coverage:
        coverage.pause()
    try:
        yield
    finally:
        if coverage:
            coverage.resume()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many seconds each folder's tests took. CONTRIBUTING.md says what the whole gate may take."""
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[Path(report.fspath).parent.name] += report.duration
    if seconds:
        terminalreporter.section("seconds")
        terminalreporter.write_line(", ".join(f"{folder} {taken:.0f}" for folder, taken in seconds.most_common()))


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service logs, one JSON object per line. pytest's own capture misses it: the logger keeps its stream."""
    captured = io.StringIO()
    stream = handler.setStream(captured)
    yield captured
    handler.setStream(stream)
