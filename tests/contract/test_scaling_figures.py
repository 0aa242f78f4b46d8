"""docs/scaling.md repeats figures of benchmarks/GROWTH.md, rounded: they have to be those of its last measurement."""

from __future__ import annotations

import re

import pytest

from operations import PROJECT

SIZES = ("1,000", "10,000", "100,000", "1,000,000")
# A row of the page, the rows of GROWTH.md that it is from, what its unit is there, and how far rounding may lead away.
ROWS = [
    ("S3: CPU of a new function's first page", ["the first page of 100, S3: CPU"], 1_000, 0.05),
    ("S3: its memory, of 1,024 MB", ["the first page of 100, S3: memory, of 1,024"], 1, 0),
    ("S3: CPU of the next addition", ["adding a dragon"], 1, 0.5),
    ("S3: memory of a new function that adds, of 512 MB", ["adding a dragon, S3: memory, of 512"], 1, 0),
    (
        "DynamoDB: CPU of a new function, whatever it is asked",
        ["the first page of 100, DynamoDB: CPU", "adding a dragon, DynamoDB: CPU"],
        1_000,
        0.06,
    ),
    (
        "DynamoDB: its memory",
        ["the first page of 100, DynamoDB: memory, of 1,024", "adding a dragon, DynamoDB: memory, of 512"],
        1,
        0,
    ),
]


def figures(text: str, row: str) -> dict[str, float]:
    """Return the first row of this title in a table by sizes. Quartiles are left out."""
    sizes: list[str] = []
    for line in text.splitlines():
        title, *cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if cells and cells[-1] == SIZES[-1]:
            sizes = line.strip("| ").split(" | ")[-len(cells) :] if title == "dragons" else [title, *cells]
        elif title == row and sizes:
            numbers = [float(re.sub(r"\[.*\]|[^0-9.]", "", cell)) for cell in cells]
            return dict(zip(sizes, numbers, strict=True))
    raise AssertionError(f"no row {row}")


@pytest.mark.parametrize(("row", "sources", "unit", "rounded"), ROWS, ids=[row for row, *_ in ROWS])
def test_a_figure_of_the_page_is_the_measured_one(row: str, sources: list[str], unit: int, rounded: float) -> None:
    shown = figures((PROJECT / "docs" / "scaling.md").read_text(encoding="utf-8"), row)
    growth = (PROJECT / "benchmarks" / "GROWTH.md").read_text(encoding="utf-8")

    for source in sources:
        measured = figures(growth, source)
        for size in SIZES:
            assert shown[size] == pytest.approx(measured[size] / unit, rel=0.05, abs=rounded), (source, size)
