"""Printing what strangers wrote."""

from __future__ import annotations

import json


def printable(text: str, besides: str = "") -> str:
    """Escape characters that control a terminal (ESC, C1, bidirectional overrides), as JSON does."""
    return "".join(c if c.isprintable() or c in besides else json.dumps(c)[1:-1] for c in text)
