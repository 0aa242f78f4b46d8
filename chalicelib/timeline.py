"""What is found of an id: moments, put in order, and what they add up to. Nothing here talks to AWS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from chalicelib.checked import Uuid

TEXT_CHARACTERS_MAX = 500
ID_CHARACTERS_MAX = 200

Item = TypeVar("Item")

# A number as the API accepts it (E.164), except those that are too short to be anybody's. None is stored in a reason on
# purpose; reasons and errors may quote what somebody sent.
_PHONE = re.compile(r"(?<!\w)(?:\+|%2[Bb]|\\u002[Bb])[1-9]\d{7,14}(?!\d)")
HIDDEN = "(phone number)"


class Moment(msgspec.Struct, frozen=True):
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


class Findings(msgspec.Struct):
    """All that is found of an id.

    `answers` say what it is, and how it stands; `next` are commands that go on from there; `limits` say what was not
    looked at; `places` are where it was looked for, each with how long things are kept there.
    """

    moments: list[Moment] = msgspec.field(default_factory=list)
    answers: list[str] = msgspec.field(default_factory=list)
    next: list[str] = msgspec.field(default_factory=list)
    limits: list[str] = msgspec.field(default_factory=list)
    places: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether anything is known of the id."""
        return bool(self.moments or self.answers)


class Linked(msgspec.Struct):
    """The ids that belong together, as letters, executions and lines of logs name them."""

    correlations: set[str] = msgspec.field(default_factory=set)
    messages: set[str] = msgspec.field(default_factory=set)
    submissions: set[str] = msgspec.field(default_factory=set)
    companies: set[str] = msgspec.field(default_factory=set)
    letters: set[str] = msgspec.field(default_factory=set)


def ordered(moments: Iterable[Moment]) -> list[Moment]:
    """Return each moment once, by time."""
    distinct = once(moments)
    requests = [moment.at for moment in distinct if moment.is_request]
    return sorted(distinct, key=lambda moment: moment.placed(requests))


def once(items: Iterable[Item]) -> list[Item]:
    """Return each item once, in the order in which they came."""
    return list(dict.fromkeys(items))


def one_line(text: str) -> str:
    """Return a text in one line, cut if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_CHARACTERS_MAX else line[: TEXT_CHARACTERS_MAX - 1] + "…"


def masked(text: str) -> str:
    """Return a text without phone numbers."""
    return _PHONE.sub(HIDDEN, text)


def uuid_of(text: str) -> str | None:
    """Return a UUID as the index has it, or None if the text is none."""
    try:
        return str(Uuid.parse(text))
    except ValueError:
        return None


def utc(moment: datetime) -> str:
    """Return a time in RFC 3339 form, in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
