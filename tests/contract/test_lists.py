"""Lists of the pages are lists on the site as well, whose Markdown is stricter than GitHub's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from operations import PROJECT

DOCS = PROJECT / "docs"
BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", sorted(path.relative_to(DOCS) for path in DOCS.rglob("*.md")), ids=str)
def test_an_item_of_several_paragraphs_is_one_and_the_next_one_follows_it(page: Path) -> None:
    """A further paragraph takes four spaces, and an empty line after it. Else the next item's number is text."""
    text = BLOCK.sub("", (DOCS / page).read_text(encoding="utf-8"))

    assert re.findall(r"\n\n {1,3}(\S.*)", text) == []
    assert re.findall(r"\n {4}.+\n((?:-|\d+\.) .+)", text) == []
