"""What the proof suites share: the seed, the scale, the report, and a devstack that only they use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from random import Random
from typing import Any

import pytest

from operations import PROJECT
from tests.e2e.running import TARGETS, Api, Devstack, Served, free_ports
from tests.e2e.stage import Stage
from tests.people import verified_stage
from tests.proof import report as reports
from tests.proof.logs import News, listening
from tests.proof.report import Report, Row, Scale

_REPORT = reports.from_environment()
_ROWS = "proof_rows"  # by this name a worker hands over its part of the report


def pytest_report_header() -> str:
    """Say how to repeat this run."""
    return f"proof: PROOF_SEED={_REPORT.seed} PROOF_SCALE={_REPORT.scale.name}"


def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of `pytest -n 2` has added to its report."""
    _REPORT.rows += [Row(**row) for row in getattr(node, "workeroutput", {}).get(_ROWS, [])]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures, and write them to the file that `PROOF_REPORT` names."""
    if not _REPORT.rows:
        return
    terminalreporter.section("proof")
    terminalreporter.write(_REPORT.as_markdown())
    if path := reports.place():
        path.write_text(_REPORT.as_markdown(), encoding="utf-8")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run if anything was lost, even if every test passed."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_ROWS] = [asdict(row) for row in _REPORT.rows]
    if _REPORT.lost and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def report() -> Report:
    """The run's report. Every suite adds its figures to it."""
    return _REPORT


@pytest.fixture(scope="session")
def scale() -> Scale:
    """How hard to try."""
    return _REPORT.scale


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> Random:
    """A random generator for this test. The same seed gives the same choices."""
    return _REPORT.random(request.node.nodeid)


@pytest.fixture(scope="session", autouse=True)
def _starting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devstack | None]:
    """The proving ground, still starting, if any test needs it. Tests that do not need it run first."""
    needed = any("proving_ground" in getattr(item, "fixturenames", ()) for item in request.session.items)
    if not needed or verified_stage():
        yield None
        return
    stack = Devstack(PROJECT, tmp_path_factory.mktemp("proof") / "state", free_ports())
    try:
        yield stack
    finally:
        stack.kill()


@pytest.fixture(scope="session")
def proving_ground(_starting: Devstack) -> Iterator[Served]:
    """A devstack for the proof suites alone, which they may mistreat. At the end it leaves nothing behind.

    `make verify` has some of them look at a deployed stage instead.
    """
    if verified := verified_stage():
        yield Stage(verified)
        return
    yield _starting.until_ready()
    assert _starting.end() == 0, _starting.output
    _starting.assert_nothing_left()


@pytest.fixture(scope="session")
def all_news(proving_ground: Devstack) -> Iterator[News]:
    """Everything that the proving ground publishes to the dragons' topic."""
    with listening(proving_ground) as news:
        yield news


@pytest.fixture(scope="session")
def proving_apis(proving_ground: Devstack, all_news: News) -> dict[str, Api]:
    """A client for each target of the proving ground. A listener is subscribed before any of them reports a dragon."""
    tokens: dict[str, str] = {}
    return {target: Api(proving_ground, target, _tokens=tokens) for target in TARGETS}
