"""Child processes that end when their parent does, in order, and with everything they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from operations import PROJECT


class Child:
    """A Python module run as the leader of its own session.

    A terminal's Ctrl-C therefore reaches the parent alone. The child must end when its stdin does, which also
    happens when the parent is killed: see `end_with_parent`.
    """

    def __init__(
        self,
        module: str,
        *,
        environment: Mapping[str, str],
        log: Path,
        pass_fds: Sequence[int] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=PROJECT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        self.log = log

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def how_it_ended(self) -> str:
        """The signal that killed it, or the status with which it ended, in words; empty while it runs."""
        status = self.status
        if status is None:
            return ""
        return f"was killed ({signal.Signals(-status).name})" if status < 0 else f"ended with status {status}"

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; return whether it came in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def on_end(self, tell: Callable[[], None]) -> None:
        """Call `tell` from another thread once the process has ended."""

        def wait_and_tell() -> None:
            self.wait()
            tell()

        threading.Thread(target=wait_and_tell, daemon=True).start()

    def end(self, grace_s: float) -> bool:
        """End the process and its group; return whether it ended by itself in time."""
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        went = self.wait(grace_s)
        end_group(self.pid, 1 if went else 0)
        self.wait()
        return went

    def last_lines(self, count: int = 15) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def end_group(group: int, grace_s: float) -> None:
    """Wait for a process group to become empty, then kill what is left of it."""
    deadline = time.monotonic() + grace_s
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.02)  # the members are not our children, so nothing tells us when they end
        os.killpg(group, signal.SIGKILL)


def end_with_parent() -> None:
    """In a child: send SIGTERM to this process when its stdin ends."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()
