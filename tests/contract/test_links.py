"""Links between the pages lead somewhere: on GitHub, and on the site that is made of docs/."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from operations import PROJECT

DOCS = PROJECT / "docs"
PAGES = sorted(
    path.relative_to(PROJECT)
    for found in (
        PROJECT.glob("*.md"),
        PROJECT.glob("llms.txt"),
        DOCS.rglob("*.md"),
        *((PROJECT / each).glob("*.md") for each in ("benchmarks", "postman")),
    )
    for path in found
)
SPEAKING = [
    path
    for folder in (".github", "chalicelib", "devstack", "infrastructure", "operations")
    for path in sorted((PROJECT / folder).rglob("*"))
    if path.suffix in {".json", ".py", ".toml", ".yaml", ".yml"}
]
NAMED = re.compile(r"\b(docs/[\w/-]+\.md)(?:#([\w-]+\w)|, ([A-Z][^().]+)\))")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    """Return the page's links to files and sections of the project."""
    text = CODE.sub("", (PROJECT / page).read_text(encoding="utf-8"))
    found = [match.strip() for match in re.findall(r"\]\(([^)]+)\)", text)]
    return [link for link in found if not re.match(r"\w+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the names of a page's sections, as GitHub and the site make them of the headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def anchor(heading: str) -> str:
    """Return the name of a section."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def whole_strings(path: Path) -> str:
    """Return a file's text, with the strings joined that are written as several."""
    return re.sub(r'"\n\s*f?"|\n\s*#?\s*', lambda between: "" if '"' in between[0] else " ", path.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_to_a_file_and_a_section_that_exist(page: Path) -> None:
    broken = []
    for link in links(page):
        name, _, section = link.partition("#")
        target = (PROJECT / page).parent / name if name else PROJECT / page
        if not target.exists() or (section and section not in anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parts[0] == "docs"], ids=str)
def test_a_page_of_the_site_links_to_nothing_that_the_site_lacks(page: Path) -> None:
    """Zensical says so of pages, but not of pictures and other files."""
    outside = [
        link
        for link in links(page)
        if not ((PROJECT / page).parent / link.partition("#")[0]).resolve().is_relative_to(DOCS)
    ]

    assert outside == []


def test_a_section_that_a_message_names_exists() -> None:
    """As in `docs/operations.md#alarms`, or `(docs/data.md, Bringing back the dragon document)`."""
    named = [found for path in SPEAKING for found in NAMED.findall(whole_strings(path))]

    assert len(named) > 20
    assert {page for page, *_ in named} >= {"docs/operations.md", "docs/deploying.md", "docs/data.md"}
    assert [each for each in named if (each[1] or anchor(each[2])) not in anchors(PROJECT / each[0])] == []


def test_the_site_has_every_page_in_the_order_of_the_index() -> None:
    nav = tomllib.loads((PROJECT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    in_nav = list(pages_of(nav))

    listed = [link for name in ("index.md", "decisions/index.md") for link in listed_in(name)]
    assert in_nav == ["index.md", *listed]
    assert sorted(in_nav) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def listed_in(index: str) -> list[str]:
    """Return the pages that a page lists, by their paths in docs/."""
    text = (DOCS / index).read_text(encoding="utf-8")
    return [(Path(index).parent / name).as_posix() for name in re.findall(r"^- \[.+?\]\((.+?)\)", text, re.MULTILINE)]


def pages_of(nav: Any) -> list[str]:
    """Return the pages of a part of the navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in pages_of(part)]
