"""GROWTH.md and its plot: what the service costs as the registry grows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks import plot
from benchmarks.cases import ADDER, API
from benchmarks.grown_aws import DYNAMODB, HOMES, S3, Registry
from benchmarks.package import FUNCTIONS
from benchmarks.report import RESULTS
from benchmarks.spread import Samples, Spread
from operations import PROJECT
from operations.functions import LIMITS

GROWTH = RESULTS.parent / "GROWTH.md"
PLOT = PROJECT / "docs" / "images" / "growth.svg"  # docs/scaling.md shows it, too

TITLES = {
    "add": "adding a dragon",
    "get": "one dragon",
    "first page": "the first page of 100",
    "page 1,000": "page 1,000, or the last but one",
    "family": "the first page of a family",
}
NEW = {"first page": API, "add": ADDER}  # what new functions are asked, and which they are
HOME_TITLES = {S3: "S3", DYNAMODB: "DynamoDB"}

FLAT_WITHIN = 1.2
FULL_PAGES_FROM = 1_000  # dragons: with fewer, a page of a family is not full
MB_OF_A_PROCESSOR = 1_769  # https://docs.aws.amazon.com/lambda/latest/dg/resource-model.html
MIB = 2**20

Counts = Mapping[tuple[Registry, str], "Count"]


@dataclass(frozen=True)
class Count:
    """What an operation asks of AWS, and how many items DynamoDB reads or writes for it."""

    calls: Sequence[str]
    items: int


@dataclass(frozen=True)
class Effort:
    """How many dragons there are, and how many rounds of warm calls and of new functions."""

    sizes: Sequence[int]
    rounds: int
    cold_rounds: int


def row_of(registry: Registry, name: str) -> str:
    """Return the row that an operation has in the samples; its columns are sizes."""
    return f"{registry[0]}, {name}"


def write(samples: Samples, counts: Counts, effort: Effort, began: Sequence[str], took_s: float) -> None:
    """Write GROWTH.md and the plot. Takes what `machine.description` said before anything was measured."""
    PLOT.write_text(_plot(samples, effort.sizes), encoding="utf-8")
    parts = [_head(effort, began, took_s), _flat(samples, counts, effort.sizes)]
    parts += [_warm(home, samples, effort.sizes) for home in HOMES]
    parts.append(_new(samples, effort.sizes))
    GROWTH.write_text("\n".join("\n".join([*part, ""]) for part in parts), encoding="utf-8")


def _head(effort: Effort, began: Sequence[str], took_s: float) -> Iterator[str]:
    yield "# Growth"
    yield ""
    yield (
        f"`make bench-growth` wrote this page on {datetime.now(UTC):%Y-%m-%d}, in {took_s / 60:.1f} minutes, with what "
        "`make deploy` ships, on:"
    )
    yield ""
    yield from (f"- {line}" for line in began)
    yield ""
    yield (
        "Figures are medians, with quartiles in brackets where they differ: "
        f"{effort.rounds} rounds of warm calls, in each of which every size has a turn, and {effort.cold_rounds} "
        "times a new function of each kind and size. Nothing here ran on AWS. "
        "[docs/scaling.md](../docs/scaling.md) says what follows from this, [README.md](README.md) how it is measured."
    )


def _flat(samples: Samples, counts: Counts, sizes: Sequence[int]) -> Iterator[str]:
    yield "## In DynamoDB: flat?"
    yield ""
    yield (
        "Calls, and items that are read, checked or written, of a function that has read its settings "
        "(`tests/integration/test_growth.py` asserts that they are the same for every size). CPU: the largest median "
        f"divided by the smallest, from {FULL_PAGES_FROM:,} dragons on, where every page is full. The aim is at most "
        f"{FLAT_WITHIN}."
    )
    yield ""
    yield "| | calls | items | the same for all sizes | CPU, largest ÷ smallest | |"
    yield "| --- | --- | ---: | --- | ---: | --- |"
    full = [size for size in sizes if size >= FULL_PAGES_FROM]
    for name, title in TITLES.items():
        of_sizes = [counts[(DYNAMODB, size), name] for size in full]
        same = all(count == of_sizes[0] for count in of_sizes)
        medians = [samples.row(row_of((DYNAMODB, size), name))[str(size)].median for size in full]
        ratio = max(medians) / min(medians)
        met = "met" if same and ratio <= FLAT_WITHIN else "**missed**"
        calls = ", ".join(of_sizes[0].calls)
        yield f"| {title} | {calls} | {of_sizes[0].items} | {'yes' if same else '**no**'} | {ratio:.2f} | {met} |"


def _warm(home: str, samples: Samples, sizes: Sequence[int]) -> Iterator[str]:
    yield f"## {HOME_TITLES[home]}: functions that have answered before"
    yield ""
    yield "CPU of one operation in ms, with the calls to AWS answered in place of the SDK."
    if home == S3:
        yield (
            "The document is known (a 304), but for adding: each addition reads what the one before wrote, and writes "
            "the whole document. Sending and receiving it is not in these figures."
        )
    yield ""
    yield from _table_head(sizes)
    for name, title in TITLES.items():
        cells = [_ms(samples.row(row_of((home, size), name))[str(size)]) for size in sizes]
        yield f"| {title} | {' | '.join(cells)} |"


def _new(samples: Samples, sizes: Sequence[int]) -> Iterator[str]:
    yield "## New functions"
    yield ""
    yield "![CPU of a new function, by dragons](../docs/images/growth.svg)"
    yield ""
    yield (
        "From the import to the first answer, with AWS behind TLS on this machine, so that the document is sent and "
        "received in full: CPU in ms, and the most memory in MiB. What is set in bold does not fit: it has more memory "
        "than the function, or would take longer than the function's time limit with the share of a processor that its "
        f"memory gives it (a whole one for {MB_OF_A_PROCESSOR:,} MB)."
    )
    yield ""
    yield from _table_head(sizes)
    for name, function in NEW.items():
        limits = LIMITS[FUNCTIONS[function]]
        limit_s = limits.timeout_s * min(1, limits.memory_mb / MB_OF_A_PROCESSOR)
        for home in HOMES:
            title = f"{TITLES[name]}, {HOME_TITLES[home]}"
            cpu = [samples.row(row_of((home, size), f"{name}, cpu"))[str(size)] for size in sizes]
            memory = [samples.row(row_of((home, size), f"{name}, memory"))[str(size)] for size in sizes]
            yield _row(f"{title}: CPU", [_marked(_ms(each), each.median > limit_s) for each in cpu])
            too_much = [_marked(f"{each.median / MIB:,.0f}", each.median > limits.memory_mb * MIB) for each in memory]
            yield _row(f"{title}: memory, of {limits.memory_mb:,}", too_much)


def _table_head(sizes: Sequence[int]) -> Iterator[str]:
    yield _row("dragons", [f"{size:,}" for size in sizes])
    yield f"| --- |{' ---: |' * len(sizes)}"


def _row(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def _marked(text: str, marked: bool) -> str:
    return f"**{text}**" if marked else text


def _ms(spread: Spread) -> str:
    median, low, high = (_number(value * 1e3) for value in (spread.median, spread.low, spread.high))
    return median if low == high else f"{median} [{low}–{high}]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}" if value >= 2 else f"{value:.3f}"


def _plot(samples: Samples, sizes: Sequence[int]) -> str:
    curves = []
    for name in NEW:
        for home in HOMES:
            spreads = [samples.row(row_of((home, size), f"{name}, cpu"))[str(size)] for size in sizes]
            points = [(size, spread.median * 1e3) for size, spread in zip(sizes, spreads, strict=True)]
            curves.append(plot.Curve(f"{TITLES[name]}, {HOME_TITLES[home]}", points, home == DYNAMODB))
    return plot.curves("CPU of a new function's first answer, ms, by the number of dragons", curves)
