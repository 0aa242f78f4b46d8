"""What requirements*.txt pin: names, versions and hashes."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.utils import canonicalize_name

from operations import PROJECT

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)([^\n\\]*(?:\\\n[^\n\\]*)*)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?![0-9a-f])")

OF_THE_PACKAGE = (PROJECT / "requirements.txt", PROJECT / "requirements-vendor.txt")


def locked(*files: Path) -> dict[str, str]:
    """Return the version of each requirement of these files, by its name."""
    pins = (pin for file in files for pin in _PIN.finditer(file.read_text(encoding="utf-8")))
    return {canonicalize_name(pin[1]): pin[2] for pin in pins}


def hashes(file: Path) -> list[tuple[str, int]]:
    """Return each pin of a file, and how many hashes it has. A package may have several, for different machines."""
    pins = _PIN.finditer(file.read_text(encoding="utf-8"))
    return [(f"{pin[1]}=={pin[2]}", len(_HASH.findall(pin[3]))) for pin in pins]


# What `make install` installs, and so what the tests run on.
INSTALLED = locked(*(PROJECT / f"requirements{what}.txt" for what in ("", "-run", "-dev", "-uv")))
