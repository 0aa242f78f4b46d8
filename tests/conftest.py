"""What every suite shares: nothing that touches AWS settings, for the e2e suite brings its own."""

import io
import logging
from collections.abc import Iterator

import pytest

from chalicelib.telemetry import logger

pytest.register_assert_rewrite("tests.contracts.dragon_repository")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service logs, a JSON object a line. pytest's own capture misses it: the logger keeps its stream."""
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    captured = io.StringIO()
    stream = handler.setStream(captured)
    yield captured
    handler.setStream(stream)
