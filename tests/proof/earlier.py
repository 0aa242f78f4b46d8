"""The version that an upgrade begins from, out of the history of this repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from operations import PROJECT

# The last commit before submissions had a table, each queue a policy, the functions another processor and the package
# its own SDK: no upgrade changes more. It stays the beginning until a release takes its place.
COMMIT = "48523cb834496e2859519ab2fa92e134d19d33ce"


def tree(to: Path) -> Path:
    """Write the files of `COMMIT` into this new folder, and return it. Skips the test if the history is not there."""
    to.mkdir()
    try:
        packed = subprocess.run(["git", "archive", COMMIT], cwd=PROJECT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode(errors="replace").strip() or error
        pytest.skip(
            f"the upgrade begins from commit {COMMIT}, which git does not find here ({said}). In a shallow clone, run "
            "`git fetch --unshallow`; in a folder without .git, clone the repository instead."
        )
    subprocess.run(["tar", "-x", "-C", str(to)], input=packed, check=True)
    return to
