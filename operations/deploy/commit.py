"""The commit that a package is made of, as `GET /health` says it.

It is a variable of the function's environment and no part of the package, so that two builds of one commit have the
same hash, and so that functions whose code has not changed get no new version with every commit.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def commit_of(project: Path) -> str:
    """Return the project's commit (40 hex digits), with `-dirty` if the files differ from it. Never raises.

    Outside a repository, and without Git, it is `unknown`.
    """
    command = ("git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    # Git's variables are about another repository, or change what it prints.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return ran.stdout.strip()
