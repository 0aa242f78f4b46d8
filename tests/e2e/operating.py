"""The operators' commands, run as people run them."""

from __future__ import annotations

import subprocess
import sys

from operations import PROJECT
from tests.e2e.running import Devstack

ENDS_WITHIN_S = 120


def asked(devstack: Devstack, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `operations` on the devstack's stage, however it ends."""
    return subprocess.run(
        [sys.executable, "-m", f"operations.{command}", "--stage", "local", *arguments],
        cwd=PROJECT,
        env=devstack.environment,
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )


def run(devstack: Devstack, command: str, *arguments: str) -> str:
    """Run a command of `operations` that has to succeed; return what it printed."""
    ran = asked(devstack, command, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
