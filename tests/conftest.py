"""What every suite shares: nothing that touches AWS settings, for the e2e suite brings its own."""

import io
import logging
import signal
from collections.abc import Iterator

import pytest

from chalicelib.telemetry import logger

pytest.register_assert_rewrite("tests.contracts.dragon_repository")

# Coverage is that of the quick tests. In these folders most of the service runs in other processes, which it does not
# see, and where the service runs here, tracing makes threads that race for a document three times as slow.
NOT_MEASURED = {"deploy", "e2e", "proof"}


def pytest_configure() -> None:
    """Have SIGTERM end a run as Ctrl-C does: what the tests have started ends with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that look back on a whole run at the end of their folder, and the proving ground's behind others.

    It starts while those run. Those of the slow folders are marked as not to be measured.
    """
    folders = list(dict.fromkeys(item.path.parent for item in items))

    def place(item: pytest.Item) -> tuple[int, bool, bool]:
        on_proving_ground = "proving_ground" in getattr(item, "fixturenames", ())
        return folders.index(item.path.parent), bool(item.get_closest_marker("looks_back")), on_proving_ground

    items.sort(key=place)
    for item in items:
        if item.path.parent.name in NOT_MEASURED:
            item.add_marker("no_cover")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service logs, a JSON object a line. pytest's own capture misses it: the logger keeps its stream."""
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    captured = io.StringIO()
    stream = handler.setStream(captured)
    yield captured
    handler.setStream(stream)
