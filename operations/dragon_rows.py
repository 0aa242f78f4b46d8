"""Rows of the table of dragons, as the operators' commands read and write them: wherever the registry is now.

Two runs that move the registry must not both write. So the fences, which say where it is, name the run that closed
them, too; the first fence goes first and decides. Each transaction of a run checks any one fence for its name, and is
refused once another run has closed it. There is no lease, and nobody has to wait for one: whoever comes later takes
over at once. Nor is there one row that all check: transactions that have an item in common refuse each other.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from chalicelib.dragons.dynamodb import (
    ATTEMPTS_MAX,
    COUNT,
    DRAGONS,
    ENTRY,
    FAMILIES,
    FENCE,
    HERE,
    PART,
    REGISTRY_IS_IN,
    SORT_KEY,
    SPELLING,
    WAIT_MAX_S,
    Action,
    Row,
    addition,
    counts_prefix,
    family_part,
    fences,
    in_table,
    removal,
)
from chalicelib.dragons.model import Dragon

MOVED_BY = "moved_by"  # of a fence: the run that closed it
_REFUSED = "ConditionalCheckFailed"
# Others hinder a transaction that fails for these reasons, or it has no fault of its own.
_MAY_PASS = frozenset({"None", "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"})


class RowForeign(Exception):
    """A row of the table that the service has not written. Nothing was changed because of it."""

    def __init__(self, part: str, key: str) -> None:
        super().__init__(f"the item ({part}, {key}) of the table of dragons belongs to no dragon: repair or delete it")


class TakenOver(Exception):
    """Another run moves the registry, or has moved it."""

    def __init__(self) -> None:
        super().__init__(
            "another run moves the registry, or has just moved it, and this one was stopped. If the other was "
            "interrupted, run this again: it takes over at once"
        )


class Outcome(StrEnum):
    """What became of an entry."""

    ADDED = "added"
    SAME = "same"
    DIFFERING = "differing"


@dataclass
class Holding:
    """What a table holds: entries by their keys, the families' copies by part and key, and how many dragons have each
    spelling of a family.
    """

    dragons: dict[str, bytes] = field(default_factory=dict)
    copies: dict[tuple[str, str], bytes] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of_entries(cls, entries: Mapping[str, bytes]) -> Holding:
        """Return what a table has to hold that has these entries."""
        holding = cls()
        for key, entry in entries.items():
            family = msgspec.json.decode(entry, type=Dragon).family_str
            holding.dragons[key] = holding.copies[family_part(family), key] = entry
            holding.counts[family] += 1
        return holding

    @classmethod
    def of_table(cls, dynamodb: Any, table: str) -> Holding:
        """Read a whole table. Raises RowForeign."""
        pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return cls.of_rows(row for page in pages for row in page["Items"])

    @classmethod
    def of_rows(cls, rows: Iterable[Row]) -> Holding:
        """Return what these rows hold. Raises RowForeign."""
        holding = cls()
        for row in rows:
            holding._take(row)
        return holding

    def exchange(self, going: Holding, coming: Holding) -> None:
        """Take out what goes, which it has to hold, and take in what comes."""
        for key in going.dragons:
            del self.dragons[key]
        for place in going.copies:
            del self.copies[place]
        self.dragons |= coming.dragons
        self.copies |= coming.copies
        self.counts.subtract(going.counts)
        self.counts.update(coming.counts)

    def about(self, *others: Holding) -> Holding:
        """Return the part of it that is about what others hold: the same keys, and the same spellings."""
        part = Holding()
        for other in others:
            part.dragons |= {key: self.dragons[key] for key in other.dragons if key in self.dragons}
            part.copies |= {place: self.copies[place] for place in other.copies if place in self.copies}
            part.counts |= Counter({family: self.counts[family] for family in other.counts})
        return part

    def _take(self, row: Row) -> None:
        part, key = row[PART]["S"], row[SORT_KEY]["S"]
        if part == DRAGONS:
            self.dragons[key] = _entry(row)
        elif part == FAMILIES:
            if COUNT not in row:
                raise RowForeign(part, key)
            self.counts[row.get(SPELLING, {}).get("S", key)] += int(row[COUNT]["N"])
        elif key != FENCE:
            self.copies[part, key] = _entry(row)


def dragons(dynamodb: Any, table: str) -> dict[str, bytes]:
    """Return the entries of a table by their keys, whatever they hold."""
    return {row[SORT_KEY]["S"]: row[ENTRY]["S"].encode() for row in _rows_of_dragons(dynamodb, table)}


def sound_dragons(dynamodb: Any, table: str) -> Iterator[tuple[str, bytes]]:
    """Yield each key of a table and its entry. Raises RowForeign if a row is no dragon, or another one."""
    return ((row[SORT_KEY]["S"], _entry(row)) for row in _rows_of_dragons(dynamodb, table))


def _rows_of_dragons(dynamodb: Any, table: str) -> Iterator[Row]:
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression=f"{PART} = :dragons",
        ExpressionAttributeValues={":dragons": {"S": DRAGONS}},
        ConsistentRead=True,
    )
    return (row for page in pages for row in page["Items"])


def _entry(row: Row) -> bytes:
    """Return a row's entry. Raises RowForeign if it has none, or that of a dragon with another key."""
    part, key = row[PART]["S"], row[SORT_KEY]["S"]
    try:
        entry = str(row[ENTRY]["S"])
        if msgspec.json.decode(entry, type=Dragon).key == key:
            return entry.encode()
    except (KeyError, msgspec.DecodeError, RecursionError):
        pass
    raise RowForeign(part, key)


def row_at(dynamodb: Any, table: str, part: str, key: str) -> list[Row]:
    """Return the row with this key, or nothing. Raises ClientError."""
    where = {PART: {"S": part}, SORT_KEY: {"S": key}}
    answer = dynamodb.get_item(TableName=table, Key=where, ConsistentRead=True)
    return [answer["Item"]] if "Item" in answer else []


def rows_counting(dynamodb: Any, table: str, family: str) -> list[Row]:
    """Return the rows that count the dragons whose family is written so: a few. Raises ClientError."""
    answer = dynamodb.query(
        TableName=table,
        KeyConditionExpression=f"{PART} = :families AND begins_with({SORT_KEY}, :spelling)",
        ExpressionAttributeValues={":families": {"S": FAMILIES}, ":spelling": {"S": counts_prefix(family)}},
        ConsistentRead=True,
    )
    rows: list[Row] = answer["Items"]
    return rows


def add(dynamodb: Any, table: str, entry: bytes, run: str | None = None) -> Outcome:
    """Add an entry of the registry to a table, unless a dragon of that name stands there.

    `run` moves the registry, if one does. Raises ClientError, and TakenOver if it is another.
    """
    added = addition(msgspec.json.decode(entry, type=Dragon), entry)
    standing = _transact(dynamodb, table, added, run)
    if standing is None:
        return Outcome.ADDED
    return Outcome.SAME if standing.get("Item", {}).get(ENTRY) == {"S": entry.decode()} else Outcome.DIFFERING


def remove(dynamodb: Any, table: str, key: str, run: str) -> None:
    """Remove the dragon with this key from a table, if it has one. Raises ClientError, and TakenOver."""
    for row in row_at(dynamodb, table, DRAGONS, key):
        _transact(dynamodb, table, removal(row, msgspec.json.decode(row[ENTRY]["S"], type=Dragon)), run)


def first_fence(dynamodb: Any, table: str) -> tuple[str, str]:
    """Return where the registry is, as a table says, and which run closed it last (or ""). Raises ClientError."""
    key = _key_of(fences("")[0])
    found = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
    place, run = (found.get(name, {}).get("S", "") for name in (REGISTRY_IS_IN, MOVED_BY))
    return place, run


def close_fences(dynamodb: Any, table: str, place: str, run: str, *, unless_open: bool) -> None:
    """Say in every fence that the registry is in another place, and that this run moves it.

    From then on, no other run can write, nor open the table. Raises ClientError, and TakenOver if the table is open
    and must not be, or if yet another run began to close it meanwhile.
    """
    first, *others = ({**fence, MOVED_BY: {"S": run}} for fence in fences(place))
    is_closed = f"attribute_not_exists({REGISTRY_IS_IN}) OR {REGISTRY_IS_IN} <> :value"
    _put(dynamodb, table, first, _provided(is_closed, HERE) if unless_open else {})
    for fence in others:
        _put(dynamodb, table, fence, {}, _check(first, f"{MOVED_BY} = :value", run))


def open_fences(dynamodb: Any, table: str, run: str | None) -> None:
    """Say in every fence that the registry is in the table, or, without a run, go on with that.

    Raises ClientError, and TakenOver if another run has closed the table.
    """
    first, *others = fences(HERE)
    if run is not None:
        _put(dynamodb, table, first, _provided(f"{MOVED_BY} = :value", run))
    for fence in others:
        _put(dynamodb, table, fence, {}, _check(first, f"{REGISTRY_IS_IN} = :value", HERE))


def _put(dynamodb: Any, table: str, row: Row, condition: Row, *checks: Action) -> None:
    if _refusals(dynamodb, in_table(table, [{"Put": {"Item": row, **condition}}, *checks])) is not None:
        raise TakenOver


def _check(row: Row, condition: str, value: str) -> Action:
    return {"ConditionCheck": {"Key": _key_of(row), **_provided(condition, value)}}


def _provided(condition: str, value: str) -> Row:
    return {"ConditionExpression": condition, "ExpressionAttributeValues": {":value": {"S": value}}}


def _key_of(row: Row) -> Row:
    return {name: row[name] for name in (PART, SORT_KEY)}


def _transact(dynamodb: Any, table: str, actions: list[Action], run: str | None) -> Row | None:
    """Carry out a transaction, if this run moves the registry. Raises ClientError, and TakenOver if it does not.

    Returns None if it is carried out, and otherwise why its first action was refused.
    """
    fence = random.choice(fences(""))  # noqa: S311 - no secret
    checks = [] if run is None else [_check(fence, f"{MOVED_BY} = :value", run)]
    refusals = _refusals(dynamodb, in_table(table, [*actions, *checks]))
    if refusals is None:
        return None
    if checks and refusals[-1]["Code"] == _REFUSED:
        raise TakenOver
    return refusals[0]


def _refusals(dynamodb: Any, actions: list[Any]) -> list[Row] | None:
    """Carry out a transaction, however often others hinder it. Raises ClientError.

    Returns None if it is carried out, and what became of each action if a condition was not met.
    """
    for pause_s in (*_pauses(), None):
        try:
            dynamodb.transact_write_items(TransactItems=actions)
        except dynamodb.exceptions.TransactionCanceledException as cancelled:
            reasons: list[Row] = cancelled.response["CancellationReasons"]
            codes = {reason["Code"] for reason in reasons}
            if _REFUSED in codes:
                return reasons
            if pause_s is None or not codes <= _MAY_PASS:
                raise
            time.sleep(pause_s)
        else:
            break
    return None


def _pauses() -> Iterator[float]:
    """Yield for how many seconds to wait after each attempt but the last, as the service does."""
    for attempt in range(ATTEMPTS_MAX):
        yield random.uniform(0, min(WAIT_MAX_S, 0.02 * 2**attempt))  # noqa: S311 - jitter, no secret
