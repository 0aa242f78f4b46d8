"""Errors that MiniStack only logs. The devstack judges by them whether data counts as saved."""

from __future__ import annotations

import logging

import pytest

from devstack.aws.child import DISK_FULL, STATE_NOT_SAVED, _PersistenceFailures


def _told(level: int, message: str) -> _PersistenceFailures:
    failures = _PersistenceFailures()
    logger = logging.Logger("of this test")
    logger.addHandler(failures)
    logger.log(level, message)
    return failures


@pytest.mark.parametrize(
    ("level", "message", "status"),
    [
        (logging.ERROR, "Persistence: failed to save sqs: [Errno 28] No space left on device", DISK_FULL),
        (logging.ERROR, "Persistence: error getting state for lambda: [Errno 28] No space left on device", DISK_FULL),
        (logging.ERROR, "Persistence: failed to save sqs: Object of type X is not serializable", STATE_NOT_SAVED),
        (logging.WARNING, "Failed to persist S3 object bucket/key: [Errno 28] No space left on device", DISK_FULL),
        (logging.WARNING, "Failed to persist S3 object bucket/key: [Errno 5] Input/output error", STATE_NOT_SAVED),
    ],
)
def test_data_that_could_not_be_written_does_not_count_as_saved(level: int, message: str, status: int) -> None:
    assert _told(level, message).not_saved == status


def test_a_service_that_cannot_be_imported_does_not_count_as_lost_data() -> None:
    assert not _told(logging.WARNING, "Service module failed to load: pgproxy - no module").not_saved
