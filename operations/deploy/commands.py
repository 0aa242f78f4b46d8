"""Running `aws`, `chalice` and `pip`: none outlives this process, and an interrupt can be made to wait for one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from operations import environment


class DeployError(Exception):
    """A step failed; the message says which one and what to do."""


# With this variable, `chalice` makes functions for this architecture, whatever the stage's configuration says.
ARCHITECTURE = "CHALICE_ARCHITECTURE"

# Each command is a module that this interpreter runs. The scripts in .venv/bin have its path in their first line, which
# can neither be long nor have a space in it. `-P` keeps the project's folders from being taken for a command's modules.
COMMANDS: dict[str, tuple[str, ...]] = {
    "aws": (sys.executable, "-P", "-m", "awscli"),
    "chalice": (sys.executable, "-P", str(Path(__file__).with_name("chalice_command.py"))),
    "pip": (sys.executable, "-P", "-m", "pip"),
}
_MODULES = {"aws": "awscli", "chalice": "chalice", "pip": "pip"}

# Runs a command. Kills it, and everything that it started, when the file that is named first ends.
_ENDING_WITH_US = '(cat "$0"; kill -KILL 0) >/dev/null 2>&1 & exec "$@"'

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(command: str, *arguments: str, env: Mapping[str, str], cwd: Path | None = None) -> str:
    """Run `aws`, `chalice` or `pip` of this interpreter's environment and return what it printed.

    The command gets `env` as `for_tools` makes it. Raises DeployError with the command and its output if it fails.
    """
    if command in _MODULES and not importlib.util.find_spec(_MODULES[command]):
        raise DeployError(f"{command} is not installed for {sys.executable}; `make` installs it into .venv")
    ours, alive = os.pipe()  # `ours` ends when this process does, however it does
    process = subprocess.Popen(
        ["/bin/sh", "-c", _ENDING_WITH_US, f"/dev/fd/{ours}", *COMMANDS[command], *arguments],
        env=environment.for_tools(env),
        cwd=cwd,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(ours,),
        # So that an interrupt can end it together with what it started (pip). In another group of our session, a
        # command that asks for an MFA code on the terminal would hang for ever; in its own session it fails instead.
        start_new_session=True,
    )
    os.close(ours)
    try:
        said, _ = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        os.close(alive)
    if process.returncode != 0:
        raise DeployError(f"`{shlex.join([command, *arguments])}` failed:\n{said.strip()}")
    return said


@contextlib.contextmanager
def interrupts_wait(tell: Callable[[], None]) -> Iterator[None]:
    """Hold interrupts back until the block has ended, then raise KeyboardInterrupt. The first one calls `tell`.

    An exception that leaves the block takes precedence over the interrupt.
    """
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)
        if len(held) == 1:
            with contextlib.suppress(OSError):  # the terminal may be gone
                tell()

    to_hold = [number for number in _INTERRUPTS if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, hold) for number in to_hold}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt
