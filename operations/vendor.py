"""Fill vendor/, which Chalice copies into the package as it is: `python -m operations.vendor`.

What requirements-vendor.txt pins is installed without dependencies and only if vendor/ is not complete already.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
INSTALLS_WITHIN_S = 120

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s]+)", re.MULTILINE)


class VendorError(Exception):
    """vendor/ could not be filled; the message says why and what to do."""


def main() -> int:
    """Run the command line; returns the exit status."""
    try:
        fill(PROJECT, os.environ)
    except VendorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def fill(project: Path, environment: Mapping[str, str]) -> None:
    """Make the project's vendor/ hold exactly what its requirements-vendor.txt pins. Raises VendorError."""
    requirements = project / "requirements-vendor.txt"
    if not missing(project):
        return
    with tempfile.TemporaryDirectory(dir=project, prefix=".vendor-") as folder:
        fresh, old = Path(folder, "fresh"), Path(folder, "old")
        _install(requirements, fresh, environment)
        # Swapped in whole: a package is never made of a half-filled folder.
        if (project / "vendor").exists():
            (project / "vendor").rename(old)
        fresh.rename(project / "vendor")
    if left := missing(project):
        raise VendorError(f"vendor/ still lacks {', '.join(left)} after pip has filled it from {requirements.name}.")


def missing(project: Path) -> list[str]:
    """Return what vendor/ lacks of the pinned packages, or has too much: an empty list means that it is complete."""
    pinned = {f"{_normal(name)}=={version}" for name, version in _PIN.findall(_text(project))}
    found = {f"{_normal(item.name)}=={item.version}": item for item in distributions(path=[str(project / "vendor")])}
    complete = {name for name, item in found.items() if _is_complete(item)}
    return sorted((pinned - complete) | (found.keys() - pinned))


def _install(requirements: Path, target: Path, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    options = ["--no-deps", "--only-binary", ":all:", "--target", str(target), "-r", str(requirements)]
    done = subprocess.run(
        [*command, *options],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALLS_WITHIN_S,
        check=False,
    )
    if done.returncode != 0:
        raise VendorError(f"pip could not install what {requirements.name} names:\n{done.stderr.strip()}")


def _is_complete(distribution: Distribution) -> bool:
    """Tell whether every file of the package is there, in the size that its RECORD has.

    Reads RECORD itself: `Distribution.files` leaves out what is missing from Python 3.12 on.
    https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file
    """
    rows = list(csv.reader((distribution.read_text("RECORD") or "").splitlines()))
    for path, _hash, size in rows:
        try:
            found = Path(str(distribution.locate_file(path))).stat().st_size
        except OSError:
            return False
        if size and found != int(size):
            return False
    return bool(rows)


def _text(project: Path) -> str:
    return (project / "requirements-vendor.txt").read_text(encoding="utf-8")


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


if __name__ == "__main__":
    sys.exit(main())
