"""Waiting for a condition rather than for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

WITHIN_S = 30


def until(look: Callable[[], Found | None], within_s: float = WITHIN_S) -> Found:
    """Call `look` until it returns something true, and return that. Fail after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"it did not happen within {within_s} s")
