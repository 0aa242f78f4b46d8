"""A timeline as an operator reads it. Nothing here talks to AWS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from chalicelib.timeline import Findings, Moment, masked, once, ordered
from operations.terminal import printable


def told(findings: Findings, wanted: str, stage: str) -> Iterator[str]:
    """Yield the lines that an operator reads: the answer first, then the timeline, then what it leaves open."""
    if not findings.anything:
        yield f"stage {stage} knows nothing of {_safe(wanted)}. Looked for it in:"
        yield from (f"  {place}: {kept}" for place, kept in findings.places.items())
    yield from (_safe(answer) for answer in once(findings.answers))
    if findings.moments:
        yield ""
        yield from timeline(findings.moments)
    endings = [*(f"! {limit}" for limit in findings.limits), *(f"next: {command}" for command in findings.next)]
    if endings:
        yield ""
        yield from (_safe(ending) for ending in once(endings))


def timeline(moments: Sequence[Moment]) -> Iterator[str]:
    """Yield a line for each moment by time (UTC), with the time since the first one, and where it is written down."""
    in_order = ordered(moments)
    first = min(moment.at for moment in in_order)
    width = max(len(moment.source) for moment in in_order)
    for moment in in_order:
        yield _safe(f"{_time(moment)}  {_offset(moment, first):>10}  {moment.source:{width}}  {moment.what}")


def _safe(text: str) -> str:
    return printable(masked(text))


def _time(moment: Moment) -> str:
    at = moment.at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}" + ("    Z" if moment.to_the_second else f".{at.microsecond // 1000:03}Z")


def _offset(moment: Moment, first: datetime) -> str:
    """Return how long after the first moment it was, in seconds; from an hour on, in hours and minutes."""
    seconds = max((moment.at - first).total_seconds(), 0)
    if seconds >= 3600:
        return f"+{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    return f"+{seconds:.0f} s" if moment.to_the_second else f"+{seconds:.3f} s"
