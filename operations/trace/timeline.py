"""What is found of an id: moments, put in order, with words for an operator. Nothing here talks to AWS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from operations.terminal import printable

TEXT_CHARACTERS_MAX = 500

Item = TypeVar("Item")

# A number as the API accepts it (E.164), except those that are too short to be anybody's. None is logged on purpose;
# reasons and errors may quote what somebody sent.
_PHONE = re.compile(r"(?<!\w)(?:\+|%2[Bb]|\\u002[Bb])[1-9]\d{7,14}(?!\d)")
HIDDEN = "(phone number)"


@dataclass(frozen=True)
class Moment:
    """One thing that happened: when, where that is written down, and what, in words.

    Of what is known `to_the_second`, nobody knows when within the second it was. A request causes others.
    """

    at: datetime
    source: str
    what: str
    to_the_second: bool = False
    is_request: bool = False

    def placed(self, requests: Sequence[datetime]) -> tuple[datetime, bool]:
        """Return where it comes in the order. What has no fractions comes after the requests of its second."""
        if not self.to_the_second:
            return self.at, False
        ends = self.at + timedelta(seconds=1)
        return max([self.at, *(at for at in requests if at < ends)]), True


@dataclass
class Findings:
    """All that is found of an id.

    `answers` say what it is, and how it stands; `next` are commands that go on from there; `limits` say what was not
    looked at; `places` are where it was looked for, each with how long things are kept there.
    """

    moments: list[Moment] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether anything is known of the id."""
        return bool(self.moments or self.answers)


def told(findings: Findings, wanted: str, stage: str) -> Iterator[str]:
    """Yield the lines that an operator reads: the answer first, then the timeline, then what it leaves open."""
    if not findings.anything:
        yield f"stage {stage} knows nothing of {_safe(wanted)}. Looked for it in:"
        yield from (f"  {place}: {kept}" for place, kept in findings.places.items())
    yield from (_safe(answer) for answer in _once(findings.answers))
    if findings.moments:
        yield ""
        yield from timeline(findings.moments)
    endings = [*(f"! {limit}" for limit in findings.limits), *(f"next: {command}" for command in findings.next)]
    if endings:
        yield ""
        yield from (_safe(ending) for ending in _once(endings))


def timeline(moments: Sequence[Moment]) -> Iterator[str]:
    """Yield a line for each moment by time (UTC), with the time since the first one, and where it is written down."""
    requests = [moment.at for moment in moments if moment.is_request]
    ordered = sorted(_once(moments), key=lambda moment: moment.placed(requests))
    first = min(moment.at for moment in ordered)
    width = max(len(moment.source) for moment in ordered)
    for moment in ordered:
        yield _safe(f"{_time(moment)}  {_offset(moment, first):>10}  {moment.source:{width}}  {moment.what}")


def one_line(text: str) -> str:
    """Return a text in one line, cut if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_CHARACTERS_MAX else line[: TEXT_CHARACTERS_MAX - 1] + "…"


def masked(text: str) -> str:
    """Return a text without phone numbers."""
    return _PHONE.sub(HIDDEN, text)


def _once(items: Iterable[Item]) -> list[Item]:
    return list(dict.fromkeys(items))


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
