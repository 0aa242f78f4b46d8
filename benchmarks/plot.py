"""Bars as SVG, which a page can show on a light ground and on a dark one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _NAMES, _VALUES = 760, 170, 150
_BAR, _STEP, _TITLE, _GAP, _TOP = 14, 19, 22, 14, 44
_STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-weight:600}.value{fill:#59636e}
.bar{fill:#8c959f}.ours{fill:#0969da}.spread{stroke:#1f2328;stroke-width:1.5}
@media(prefers-color-scheme:dark){
text{fill:#f0f6fc}.value{fill:#9198a1}.bar{fill:#656c76}.ours{fill:#4493f8}.spread{stroke:#f0f6fc}}
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
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img" aria-label="{escape(title)}">'
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


def _text(x: float, y: int, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{round(x, 1)}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
