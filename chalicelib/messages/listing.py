"""How a company's messages are listed, newest first: by when the queue accepted them. Nothing here talks to AWS.

The table has an index for it. An item's key there is (`company_part`, `accepted_at_id`): the company and one of eight
parts, by a hash of the message's id, and the time with the id. One part takes a thousand writes a second, so a company
may send eight thousand messages a second
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-sharding.html). A page reads every
part, and its cursor is the key of its last message.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

import msgspec

from chalicelib import exact_json
from chalicelib.checked import Timestamp
from chalicelib.messages.stored import NotARow

# The index (infrastructure/resources.yaml), and its keys.
INDEX = "by-acceptance"
COMPANY_PART, ACCEPTED_AT_ID = "company_part", "accepted_at_id"
PARTS = 8

# No time begins with a character before the first or after the second.
_BEFORE_ALL, _AFTER_ALL = "0", ":"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# Compiled when a request has what they describe.
_SORT_KEY = r"[0-9T:.Z-]{24}#[0-9a-f-]{36}"
_PARTS_OF_TIME = r"(.{10}T.{5}:)([0-9]{2})(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"


def keys(company_id: str, message_id: str, accepted_ms: int) -> dict[str, str]:
    """Return the attributes under which a message is listed, given when it was accepted (ms since 1970)."""
    part = hashlib.sha256(message_id.encode()).digest()[0] % PARTS
    return {COMPANY_PART: f"{company_id}#{part}", ACCEPTED_AT_ID: f"{_moment(accepted_ms)}#{message_id}"}


def parts(company_id: str) -> list[str]:
    """Return the parts in which a company's messages are listed."""
    return [f"{company_id}#{part}" for part in range(PARTS)]


def is_sort_key(text: str) -> bool:
    """Tell whether a message may be listed under this key."""
    return re.fullmatch(_SORT_KEY, text) is not None


def bound(text: str) -> str:
    """Return a time (RFC 3339) as sort keys have times: the first millisecond that is not before it.

    Raises `ValueError` with a sentence for the client.
    """
    written = re.fullmatch(_PARTS_OF_TIME, Timestamp.parse(text).upper())
    assert written is not None  # noqa: S101 - it is a time
    minute, second, fraction, sign, hours, minutes = written.groups()
    since = datetime.fromisoformat(f"{minute}00+00:00") - _EPOCH
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    beyond_ms = (fraction or "").ljust(3, "0")
    rounded_up = 1 if beyond_ms[3:].strip("0") else 0
    return _moment((since - offset) // timedelta(milliseconds=1) + int(second) * 1000 + int(beyond_ms[:3]) + rounded_up)


class MessageQuery(msgspec.Struct, frozen=True):
    """Which messages a page shows: a company's, from one time on and before another, and before a sort key.

    Times are as `bound` returns them.
    """

    company_id: str
    since: str | None = None
    until: str | None = None
    before: str | None = None
    limit: int = 100

    @property
    def range(self) -> tuple[str, str]:
        """The lowest and the highest sort key that a message of the page may have; the key `before` is not one.

        A sort key is a time and more, so none is equal to a time, and those of that time are after it.
        """
        return self.since or _BEFORE_ALL, min(self.until or _AFTER_ALL, self.before or _AFTER_ALL)


class ListedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of a message: ids, times and amount, and never its `data`."""

    message_id: str
    company_id: str
    message_time: str
    accepted_at: str
    order_id: str
    order_time: str
    order_amount: Decimal

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """Make it from an item of the index. Raises `NotARow` for one that somebody else wrote."""
        names = ("message_id", "company_id", "message_time", "order_id", "order_time")
        try:
            accepted_at, _, _ = item[ACCEPTED_AT_ID]["S"].partition("#")
            texts = {name: item[name]["S"] for name in names}
            return cls(accepted_at=accepted_at, order_amount=Decimal(item["order_amount"]["N"]), **texts)
        except KeyError as error:
            raise NotARow from error

    def as_members(self) -> dict[str, Any]:
        """Return the members of its JSON object, the amount by value: in full, unless that has too many zeros."""
        amount = exact_json.canonical_number(self.order_amount)
        written = f"{amount:f}" if -7 <= amount.adjusted() < 21 else str(amount)
        return {**msgspec.structs.asdict(self), "order_amount": msgspec.Raw(written.encode())}


class MessagePage(msgspec.Struct, frozen=True):
    """A company's messages, newest first; `next_before` is the last one's sort key if older ones follow."""

    messages: list[ListedMessage]
    next_before: str | None

    def as_json(self) -> bytes:
        """Return the page as clients get it."""
        return exact_json.encode([message.as_members() for message in self.messages])


def _moment(ms: int) -> str:
    """Return a time in ms since 1970, in RFC 3339 form with as many characters as any other."""
    since = timedelta(milliseconds=ms)
    moment = _EPOCH + min(max(since, _FIRST - _EPOCH), _LAST - _EPOCH)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
