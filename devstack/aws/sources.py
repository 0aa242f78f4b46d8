"""What the deployed stacks are made from, as a digest that tells whether it has changed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

from operations import PROJECT

_APP_FILES = (
    "app.py",
    "requirements.txt",
    "requirements-vendor.txt",
    ".chalice/config.json",
    "infrastructure/app-overrides.json",
)
_RESOURCES = ("resources.yaml", "dragons.asl.json")
_TOOLS = ("chalice", "ministack", "aws-sam-translator", "awscli")


def resources_fingerprint() -> str:
    """Return a digest of everything the resources stack is made from."""
    return _digest(PROJECT / "infrastructure" / name for name in _RESOURCES)


def app_fingerprint(*made_with: str) -> str:
    """Return a digest of everything the packaged app is made from, `made_with` included."""
    policies = sorted((PROJECT / ".chalice").glob("*.json"))
    code = [*_files_below(PROJECT / "chalicelib"), *_files_below(PROJECT / "operations" / "vendor")]
    return _digest([*(PROJECT / name for name in _APP_FILES), *policies, *code], *made_with)


def _files_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _digest(paths: Iterable[Path], *made_with: str) -> str:
    digest = hashlib.sha256()
    versions = (f"{tool} {importlib.metadata.version(tool)}" for tool in _TOOLS)
    for text in (platform.python_version(), *versions, *made_with):
        digest.update(text.encode() + b"\0")
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError:  # an editor may be replacing it
            continue
        digest.update(f"{path.relative_to(PROJECT)} {len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
