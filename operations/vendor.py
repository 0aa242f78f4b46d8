"""Fill vendor/, which Chalice copies into the package as it is: `.venv/bin/python -m operations.vendor`.

pip installs what requirements-vendor.txt pins, without dependencies, unless the stamp in vendor/ says that it is
installed already. The stamp is a digest of the requirements and of every file that was installed.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from operations import PROJECT
from operations.deploy import commands

STAMP = "vendor.sha256"


def fill(project: Path, environment: Mapping[str, str]) -> None:
    """Make the project's vendor/ hold exactly what its requirements-vendor.txt pins. Raises DeployError."""
    requirements, vendor = project / "requirements-vendor.txt", project / "vendor"
    stamp = vendor / STAMP
    if stamp.exists() and stamp.read_text(encoding="utf-8") == _digest(requirements, vendor):
        return
    with tempfile.TemporaryDirectory(dir=project, prefix=".vendor-") as folder:
        fresh, old = Path(folder, "fresh"), Path(folder, "old")
        fresh.mkdir()
        options = ("--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps", "--only-binary", ":all:")
        commands.run("pip", "install", *options, "--target", str(fresh), "-r", str(requirements), env=environment)
        (fresh / STAMP).write_text(_digest(requirements, fresh), encoding="utf-8")
        # The folder is swapped as a whole, so a package is never made from a half-filled one.
        if vendor.exists():
            vendor.rename(old)
        fresh.rename(vendor)


def _digest(requirements: Path, folder: Path) -> str:
    digest = hashlib.sha256(requirements.read_bytes())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != STAMP:
            digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    try:
        fill(PROJECT, os.environ)
    except commands.DeployError as error:
        sys.exit(f"error: {error}")
