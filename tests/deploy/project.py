"""A copy of the project to deploy from, so that Chalice's build output and state stay out of the working tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from operations import PROJECT
from operations.deploy.commands import COMMANDS

RUNS_WITHIN_S = 300

# What Chalice reads and what is generated from, and also what must not get into the package.
_COPIED = (
    *("app.py", "chalicelib", ".chalice", "requirements.txt", "requirements-vendor.txt", "infrastructure"),
    *("devstack", "operations", "benchmarks", "tests", "vendor", "docs", "pyproject.toml"),
)
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "deployed", "deployments", "venv")


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Return what is not copied of a folder. Of vendor/, it is our own bytecode, which another worker may be making."""
    vendor = PROJECT / "vendor"
    if Path(folder) in {vendor, vendor / "__pycache__"}:
        return {name for name in names if name == "chalicelib" or name.startswith("app.")}
    return set() if vendor in Path(folder).parents else _LEFT_OUT(folder, names)


def copy_of_project(to: Path) -> Path:
    """Copy the project to this new folder, and return it."""
    to.mkdir()
    for name in _COPIED:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, to / name, ignore=_left_out)
        else:
            shutil.copy(PROJECT / name, to)
    return to


def without_aws_settings() -> dict[str, str]:
    """Return this process's environment without anything that could lead to a real account."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "DRAGONPOST_"))}
    return kept | {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def chalice(project: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the `chalice` of this interpreter's environment in the project; stderr comes with stdout."""
    return subprocess.run(
        [*COMMANDS["chalice"], *arguments],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUNS_WITHIN_S,
        check=False,
    )
