"""RESULTS.md and its plots: what was measured, against the aims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import plot
from benchmarks.peer import OURS, PEERS, POWERTOOLS, RAW
from benchmarks.rounds import Effort
from benchmarks.rows import (
    APP,
    COLD,
    LATENCY_S,
    PACKAGE,
    SERVED,
    SERVER,
    STOCK,
    WAITING,
    WITH_SDK,
    Aim,
    Limit,
    Row,
)
from benchmarks.spread import Samples, Spread

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
PLOTS = RESULTS.parent / "plots"

TITLES = {peer.name: peer.title for peer in PEERS} | {SERVER: f"**{SERVER}**", STOCK: STOCK}


@dataclass(frozen=True)
class Table:
    """A part of the results: what it is about, its rows, and its columns (whose figures they are)."""

    name: str
    title: str
    about: str
    rows: Sequence[Row]
    columns: Sequence[str]
    ours: str = OURS.name
    beside: Sequence[str] = (RAW.name, POWERTOOLS.name)
    plotted: bool = True


_NAMES = [peer.name for peer in PEERS]
_WAIT_MS = round(LATENCY_S * 1e3)

TABLES = [
    Table(
        "warm",
        "Warm: what the app itself costs",
        "CPU of one call. The calls to AWS are answered in place of the SDK, whose own work is the same for all and "
        "would hide the rest.",
        [each.row for each in APP],
        _NAMES,
    ),
    Table(
        "with-sdk",
        "Warm, with the SDK's work",
        "CPU of one call, with botocore's own work up to where it would send: validating, signing, parsing.",
        [each.row for each in WITH_SDK],
        _NAMES,
        plotted=False,
    ),
    Table(
        "waiting",
        "Waiting for AWS",
        f"Time, not CPU, if each call to AWS takes {_WAIT_MS} ms. The peers make their 31 calls in turn.",
        [each.row for each in WAITING],
        _NAMES,
        plotted=False,
    ),
    Table(
        "cold",
        "Cold",
        "CPU from the import to the first answer in a fresh process, unless a row says time or memory. AWS is a stub "
        f"behind TLS that takes {_WAIT_MS} ms for an answer.",
        [each.row for each in COLD],
        _NAMES,
    ),
    Table(
        "package",
        "Package",
        "The zip that is deployed. The peers use Lambda's SDK; ours carries its own.",
        [PACKAGE],
        _NAMES,
        beside=(),
        plotted=False,
    ),
    Table(
        "local-server",
        "The local server",
        "Answers of `GET /health` in a second; each connection waits for an answer before it asks again.",
        list(SERVED.values()),
        [SERVER, STOCK],
        ours=SERVER,
        beside=[STOCK],
    ),
]


def write(
    samples: Samples, effort: Effort, took_s: float, began: Sequence[str], versions: Sequence[tuple[str, str]]
) -> None:
    """Write RESULTS.md and the plots.

    Takes what `machine.description` said before anything was measured, and `machine.versions`.
    """
    PLOTS.mkdir(exist_ok=True)
    for table in TABLES:
        if table.plotted:
            (PLOTS / f"{table.name}.svg").write_text(_plot(table, samples), encoding="utf-8")
    lines = [*_head(effort, took_s, began), "", *_aims(samples)]
    for table in TABLES:
        lines += ["", *_table(table, samples)]
    RESULTS.write_text("\n".join([*lines, "", *_versions(versions)]) + "\n", encoding="utf-8")


def _head(effort: Effort, took_s: float, began: Sequence[str]) -> Iterator[str]:
    yield "# Results"
    yield ""
    yield f"`make bench` wrote this page on {datetime.now(UTC):%Y-%m-%d}, in {took_s / 60:.1f} minutes, on:"
    yield ""
    yield from (f"- {line}" for line in began)
    yield ""
    yield (
        "Every figure is a median, with its quartiles in brackets: "
        f"{effort.sittings * effort.rounds} rounds of warm calls ({effort.sittings} times new processes), "
        f"{effort.cold_rounds} of cold starts, {effort.load_rounds} of load. In each round everybody has one turn. A "
        "ratio is taken within each round; the median of the ratios is shown. [README.md](README.md) says how it is "
        "measured, and what the peers are."
    )


def _aims(samples: Samples) -> Iterator[str]:
    yield "## Aims"
    yield ""
    yield "| | is | aim | |"
    yield "| --- | ---: | ---: | --- |"
    for table in TABLES:
        for row in table.rows:
            for aim in row.aims:
                yield _aim(table, row, aim, samples)


def _aim(table: Table, row: Row, aim: Aim | Limit, samples: Samples) -> str:
    title = f"{table.name}: {row.title}"
    if isinstance(aim, Limit):
        value = samples.row(row.name)[table.ours].median
        met, found, wanted = value <= aim.value, _shown(value, row), f"≤ {_shown(aim.value, row)}"
    else:
        ratio = samples.ratio(row.name, table.ours, aim.against, aim.of)
        assert ratio is not None  # noqa: S101 - aims are for rows that both have
        met = ratio.median >= aim.times if row.rate else ratio.median <= aim.times
        found = f"{_ratio(ratio.median)} [{_ratio(ratio.low)}–{_ratio(ratio.high)}]"
        anew = ", document new" if aim.of else ""
        wanted = f"{'≥' if row.rate else '≤'} {aim.times:g} × {TITLES[aim.against]}{anew}"
    return f"| {title} | {found} | {wanted} | {'met' if met else '**missed**'} |"


def _table(table: Table, samples: Samples) -> Iterator[str]:
    yield f"## {table.title}"
    yield ""
    yield table.about
    if table.plotted:
        yield ""
        yield f"![{table.title}](plots/{table.name}.svg)"
    beside = [f"{TITLES[table.ours]} ÷ {TITLES[other]}" for other in table.beside]
    yield ""
    yield f"| | {' | '.join([*(TITLES[name] for name in table.columns), *beside])} |"
    yield f"| --- |{' ---: |' * (len(table.columns) + len(beside))}"
    for row in table.rows:
        spreads = samples.row(row.name)
        cells = [_cell(spreads.get(name), row) for name in table.columns]
        ratios = [samples.ratio(row.name, table.ours, other) for other in table.beside]
        cells += [_ratio(ratio.median) if ratio else "–" for ratio in ratios]
        yield f"| {row.title}, {row.unit} | {' | '.join(cells)} |"


def _cell(spread: Spread | None, row: Row) -> str:
    if spread is None:
        return "–"
    median, low, high = (_number(value * row.scale) for value in (spread.median, spread.low, spread.high))
    return median if low == high else f"{median} [{low}–{high}]"


def _shown(value: float, row: Row) -> str:
    return f"{_number(value * row.scale)} {row.unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


def _ratio(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _plot(table: Table, samples: Samples) -> str:
    panels = []
    for row in table.rows:
        spreads = samples.row(row.name)
        bars = [
            plot.Bar(
                _plain(TITLES[name]),
                spread.median,
                spread.low,
                spread.high,
                _shown(spread.median, row),
                name == table.ours,
            )
            for name in table.columns
            if (spread := spreads.get(name))
        ]
        panels.append(plot.Panel(_plain(row.title), bars))
    longer = any(row.rate for row in table.rows)
    return plot.drawn(f"{table.title} ({'longer' if longer else 'shorter'} is better)", panels)


def _plain(text: str) -> str:
    return text.replace("`", "").replace("*", "")


def _versions(versions: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "## Versions"
    yield ""
    for title, what in versions:
        yield f"- {title}: {what}"
