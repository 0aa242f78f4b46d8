"""The screen of `make status` that docs/operations.md shows is one that the program prints."""

from __future__ import annotations

import re
from datetime import datetime

from operations import PROJECT
from operations.status import Finding, How, _long, told

_SCREEN = re.compile(r"^\$ make status STAGE=prod\n(.+?)\n```", re.DOTALL | re.MULTILINE)
_FOUND = re.compile(r"^(ok |ILL|\?  )  (.{12})  (.+)(?:\n {19}next: (.+))?", re.MULTILINE)
_SINCE = re.compile(r"([\d-]{10} [\d:]{8}Z) \((.+?) ago\)")


def test_the_pages_screen_is_one_that_the_program_prints() -> None:
    shown = _shown()
    findings = [
        Finding(How(how.strip()), what.strip(), found, after) for how, what, found, after in _FOUND.findall(shown)
    ]

    assert "\n".join(told("prod", _at(shown), findings)) == shown


def test_the_pages_screen_says_how_long_ago_as_the_program_does() -> None:
    shown = _shown()
    since = _SINCE.findall(shown)

    assert since
    for then, ago in since:
        assert ago == _long((_at(shown) - datetime.fromisoformat(then)).total_seconds()), then


def _shown() -> str:
    found = _SCREEN.search((PROJECT / "docs" / "operations.md").read_text(encoding="utf-8"))
    assert found
    return found[1]


def _at(shown: str) -> datetime:
    """Return when the screen was made, which its first line says."""
    return datetime.fromisoformat(shown.split(" at ", 1)[1].split(": ", 1)[0])
