"""Bars and curves as SVG, which a page can show on a light ground and on a dark one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _NAMES, _VALUES = 760, 170, 150
_AXIS = 60
_BAR, _STEP, _TITLE, _GAP, _TOP = 14, 19, 22, 14, 44
_STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-weight:600}.value{fill:#59636e}
.line,.line.ours{fill:none;stroke-width:2;stroke:#8c959f}.line.ours{stroke:#0969da}.grid{stroke:#d1d9e0}
.bar{fill:#8c959f}.ours{fill:#0969da}.spread{stroke:#1f2328;stroke-width:1.5}
@media(prefers-color-scheme:dark){
text{fill:#f0f6fc}.value{fill:#9198a1}.line{stroke:#656c76}.line.ours{stroke:#4493f8}.grid{stroke:#3d444d}
.bar{fill:#656c76}.ours{fill:#4493f8}.spread{stroke:#f0f6fc}}
"""


@dataclass(frozen=True)
class Bar:
    """One bar: whose it is, its length with its quartiles, and the text beside it."""

    name: str
    value: float
    low: float
    high: float
    text: str
    ours: bool = False


@dataclass(frozen=True)
class Panel:
    """Bars that are compared with each other, and with no other panel's."""

    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Curve:
    """One curve: its name, and its points, none of whose numbers is 0 or less."""

    name: str
    points: Sequence[tuple[float, float]]
    ours: bool = False


def curves(title: str, shown: Sequence[Curve]) -> str:
    """Return an SVG of the curves in one system of axes, both logarithmic. Each has its name at its end."""
    right, bottom = _WIDTH - 230, 360
    points = [point for curve in shown for point in curve.points]
    (left_at, right_at), (low, high) = (_decades([point[axis] for point in points]) for axis in (0, 1))

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (math.log10(x) - left_at) / (right_at - left_at), (math.log10(y) - low) / (high - low)
        return round(_AXIS + across * (right - _AXIS), 1), round(bottom - up * (bottom - _TOP), 1)

    parts = []
    for decade in range(left_at, right_at + 1):
        x, _ = place(10**decade, 10**low)
        parts += [
            f'<path class="grid" d="M{x} {_TOP}V{bottom}"/>',
            _text(x, bottom + 18, f"{10**decade:,}", "value", "middle"),
        ]
    for decade in range(low, high + 1):
        _, y = place(10**left_at, 10**decade)
        parts += [
            f'<path class="grid" d="M{_AXIS} {y}H{right}"/>',
            _text(_AXIS - 6, y + 4, f"{10**decade:,}", "value", "end"),
        ]
    labels = _apart([place(*curve.points[-1])[1] for curve in shown])
    for curve, label in zip(shown, labels, strict=True):
        path = "L".join(f"{x} {y}" for x, y in (place(*point) for point in curve.points))
        parts.append(f'<path class="line{" ours" if curve.ours else ""}" d="M{path}"/>')
        parts.append(_text(right + 8, label + 4, curve.name, "name"))
    return _svg(title, bottom + 30, parts)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Return the powers of ten between which the values are."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _apart(places: Sequence[float]) -> Sequence[float]:
    """Return places in the same order, none of which is nearer to another than a line of text."""
    moved: dict[int, float] = {}
    last = -math.inf
    for number in sorted(range(len(places)), key=places.__getitem__):
        last = moved[number] = max(places[number], last + 16)
    return [moved[number] for number in range(len(places))]


def drawn(title: str, panels: Sequence[Panel]) -> str:
    """Return an SVG of the panels, one below the other."""
    parts, y = [], _TOP
    for panel in panels:
        parts.append(_text(0, y, panel.title, "title"))
        y += _TITLE
        longest = max(bar.high for bar in panel.bars)
        for bar in panel.bars:
            parts += _bar(bar, y, (_WIDTH - _NAMES - _VALUES) / longest)
            y += _STEP
        y += _GAP
    return _svg(title, y, parts)


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">'
    )
    lines = [head, f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>", _text(0, 16, title, "title"), *parts]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(bar: Bar, y: int, scale: float) -> list[str]:
    begin, middle = _NAMES + 8, y - 5
    kind, width = "ours" if bar.ours else "bar", round(bar.value * scale, 1)
    ends = [round(begin + value * scale, 1) for value in (bar.value, bar.low, bar.high)]
    return [
        _text(_NAMES, y, bar.name, "name", "end"),
        f'<rect class="{kind}" x="{begin}" y="{y - _BAR + 2}" width="{width}" height="{_BAR}" rx="2"/>',
        f'<path class="spread" d="M{ends[1]} {middle}H{ends[2]}"/>',
        _text(max(ends) + 6, y, bar.text, "value"),
    ]


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{round(x, 1)}" y="{round(y, 1)}" text-anchor="{anchor}">{escape(text)}</text>'
