"""The pages name every room, every module and every setting, so that a stranger finds a thing in one guess."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chalicelib.settings import Settings, Source
from operations import PROJECT

PAGE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([\w./-]+)/` \| (.+) \|$", PAGE, re.MULTILINE))

MODULES = [
    path.relative_to(PROJECT)
    for room in ("chalicelib", "devstack", "operations")
    for path in sorted((PROJECT / room).rglob("*.py"))
    if not path.name.startswith("__")
]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_is_in_the_row_of_its_room(module: Path) -> None:
    assert f"`{module.stem}`" in ROWS[str(module.parent)]


@pytest.mark.parametrize("room", ROWS)
def test_every_room_on_the_page_exists_with_its_modules(room: str) -> None:
    assert (PROJECT / room).is_dir()
    if room.startswith(("chalicelib", "devstack", "operations")):
        named = re.findall(r"`(\w+)`", ROWS[room])
        assert [name for name in named if not (PROJECT / room / f"{name}.py").is_file()] == []


def test_every_place_to_change_exists() -> None:
    table = PAGE.partition("## Where to change what")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.py)`", table)

    assert len(named) >= 6
    assert [path for path in named if not (PROJECT / path).is_file()] == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source.ENVIRONMENT, "the environment alone"),
        (Source.STACK, "the environment, or else Parameter Store"),
        (Source.PARAMETER_STORE, "Parameter Store alone"),
    ],
)
def test_every_setting_is_in_the_row_of_its_source(source: Source, said: str) -> None:
    page = (PROJECT / "docs" / "configuring.md").read_text(encoding="utf-8")
    ((names, _),) = [row for row in re.findall(r"^\| (.+) \| (.+) \|$", page, re.MULTILINE) if row[1].startswith(said)]

    assert set(re.findall(r"`(\w+)`", names)) == {
        setting.name for setting in Settings.table().values() if setting.source is source
    }
