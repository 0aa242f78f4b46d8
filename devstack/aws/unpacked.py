"""The functions' code, unpacked once for all of their workers.

MiniStack unpacks a function's zip anew for every worker that it starts. That takes 0.3 s of CPU, more than the function
needs to start and to answer, and 11 MB of disk, hundreds of times in a burst.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_lock = threading.Lock()


def share() -> None:
    """Let workers of the same code share one folder, from now on in this process."""
    from ministack.core import lambda_runtime  # type: ignore[import-untyped]  # noqa: PLC0415 - in the child alone

    lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": _Shared})


class _Shared(zipfile.ZipFile):
    """A zip that is extracted once. Whoever extracts it (`Worker._spawn`, 1.5.33) gets a link in place of a folder."""

    def extractall(self, path: Any = None, *_: Any) -> None:
        """Replace the folder, which exists and is empty, with a link to the zip's content; delete the zip."""
        packed = Path(str(self.filename))
        digest = hashlib.sha256(packed.read_bytes()).hexdigest()
        with _lock:
            content = _folder() / digest
            if not content.exists():
                _remove_unused()
                draft = content.with_suffix(".draft")
                super().extractall(draft)
                draft.rename(content)
            Path(path).rmdir()
            Path(path).symlink_to(content, target_is_directory=True)
        packed.unlink()  # each worker has a copy of its own, and never reads it again


def _folder() -> Path:
    return Path(tempfile.gettempdir(), "unpacked")


def _remove_unused() -> None:
    """Remove the code that no worker has a link to any more."""
    used = {link.resolve() for link in Path(tempfile.gettempdir()).glob("*/*") if link.is_symlink()}
    for content in _folder().glob("*"):
        if content.resolve() not in used:
            shutil.rmtree(content)
