"""The operators' commands on an account of which the devstack's embedded AWS is the one."""

from __future__ import annotations

import os
import subprocess
import sys

from operations import PROJECT
from tests.e2e.running import Devstack


def environment(devstack: Devstack) -> dict[str, str]:
    """Return this process's environment with an account's settings."""
    account = {
        "AWS_ENDPOINT_URL": devstack.running["aws_url"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | account


def run(devstack: Devstack, module: str, stage: str, *arguments: str, typed: str = "", succeeds: bool = True) -> str:
    """Run a command on a stage that is not `make run`'s, with an account's settings; return what it said on stderr."""
    ran = subprocess.run(
        [sys.executable, "-m", module, "--stage", stage, *arguments],
        cwd=PROJECT,
        env=environment(devstack),
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode == 0) == succeeds, ran.stdout + ran.stderr
    return ran.stderr
