"""Noticing changes to the files that the service is made from."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import watchfiles

from operations import PROJECT

SETTLES_WITHIN_MS = 400
_FOLDERS = ("chalicelib", ".chalice", "infrastructure")


def watch(tell: Callable[[], None]) -> None:
    """Call `tell` from another thread after every change in the project that may matter."""
    threading.Thread(target=_watch, args=(tell, [PROJECT], False), daemon=True).start()  # app.py, requirements.txt
    threading.Thread(target=_watch, args=(tell, [PROJECT / name for name in _FOLDERS], True), daemon=True).start()


def _watch(tell: Callable[[], None], paths: list[Path], recursive: bool) -> None:
    try:
        for _ in watchfiles.watch(
            *paths,
            recursive=recursive,
            debounce=SETTLES_WITHIN_MS,
            step=100,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            tell()
    except (OSError, RuntimeError) as error:
        print(f"changes are no longer noticed ({error}); restart after a change", file=sys.stderr, flush=True)
