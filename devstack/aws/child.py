"""The emulator's process: MiniStack, and a file that tells whether its data is safe.

MiniStack keeps everything but S3 in memory, and saves it when it gets SIGTERM. The file named by DEVSTACK_UNSAVED
exists for as long as a kill would lose something.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
from pathlib import Path

from devstack.aws import unpacked
from devstack.processes import end_with_parent

WORKERS_END_WITHIN_S = 2
STATE_UNREADABLE = 4
STATE_NOT_SAVED = 5
DISK_FULL = 6

# ministack/core/persistence.py and _load_persisted_state in ministack/app.py, 1.5.33
_CANNOT_READ = ("failed to load", "refusing to load", "Failed to restore persisted state")
_CANNOT_WRITE = ("failed to save", "error getting state", "Failed to persist S3")  # the last: ministack/services/s3.py
_NO_ROOM = os.strerror(errno.ENOSPC)


class _PersistenceFailures(logging.Handler):
    """Acts on what MiniStack only logs: a state file that it cannot read or write.

    An object that S3 could not write is a warning there: it was answered with 200, and is in memory only.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.not_saved = 0

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.ERROR and any(words in message for words in _CANNOT_READ):
            # Going on would overwrite the file at the next stop. Nothing has changed yet, so this loses nothing.
            print(message, file=sys.stderr, flush=True)
            Path(os.environ["DEVSTACK_UNSAVED"]).unlink(missing_ok=True)
            os._exit(STATE_UNREADABLE)
        if any(words in message for words in _CANNOT_WRITE):
            self.not_saved = DISK_FULL if _NO_ROOM in message else self.not_saved or STATE_NOT_SAVED


def main() -> int:
    """Run MiniStack until SIGTERM or the end of stdin; returns the exit status."""
    unsaved = Path(os.environ["DEVSTACK_UNSAVED"])
    failures = _PersistenceFailures()
    for name in ("persistence", "ministack", "s3"):
        logging.getLogger(name).addHandler(failures)
    _end_without_a_trace(unsaved)
    unsaved.touch()
    end_with_parent()
    from ministack import app as ministack  # type: ignore[import-untyped]  # noqa: PLC0415 - it starts on import

    from devstack.aws import shims  # noqa: PLC0415 - it imports MiniStack, too

    unpacked.share()
    shims.apply(ministack)
    sys.argv = ["ministack"]
    with contextlib.suppress(SystemExit):
        ministack.main()
    if failures.not_saved:
        return failures.not_saved
    unsaved.unlink(missing_ok=True)
    return 0


def _end_without_a_trace(unsaved: Path) -> None:
    """End at once on SIGTERM, until MiniStack sets its own handler, which it does before it loads anything."""

    def end(*_: object) -> None:
        unsaved.unlink(missing_ok=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)


def _end_workers() -> None:
    """End the Lambda workers, which are in this process's group, and wait for them."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(WORKERS_END_WITHIN_S)
    os.killpg(0, signal.SIGTERM)
    with contextlib.suppress(ChildProcessError, TimeoutError):
        while True:
            os.waitpid(-1, 0)


if __name__ == "__main__":
    status = main()
    _end_workers()
    sys.exit(status)
