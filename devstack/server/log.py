"""The lines that the local server itself writes to api.log, beside the app's."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile("[^ -~]")


def write(text: str) -> None:
    """Write one line of printable ASCII, at once. Nothing that a client sends can end the line or move a cursor."""
    line = _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    print(f"{line}\n", end="", flush=True)
