"""Rows of the table of dragons, as the operators' commands read and write them: wherever the registry is now."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
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
    PART,
    REGISTRY_IS_IN,
    SORT_KEY,
    SPELLING,
    WAIT_MAX_S,
    Row,
    addition,
    family_part,
    fences,
    in_table,
    removal,
)
from chalicelib.dragons.model import Dragon

# Others hinder a transaction that fails for these reasons, or it has no fault of its own.
_MAY_PASS = frozenset({"None", "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"})


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
        """Read a whole table."""
        holding = cls()
        for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            for row in page["Items"]:
                holding._take(row)
        return holding

    def _take(self, row: Row) -> None:
        part, key = row[PART]["S"], row[SORT_KEY]["S"]
        if part == DRAGONS:
            self.dragons[key] = row[ENTRY]["S"].encode()
        elif part == FAMILIES:
            self.counts[row.get(SPELLING, {}).get("S", key)] += int(row[COUNT]["N"])
        elif key != FENCE:
            self.copies[part, key] = row[ENTRY]["S"].encode()


def dragons(dynamodb: Any, table: str) -> dict[str, bytes]:
    """Return the entries of a table by their keys."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression=f"{PART} = :dragons",
        ExpressionAttributeValues={":dragons": {"S": DRAGONS}},
        ConsistentRead=True,
    )
    return {row[SORT_KEY]["S"]: row[ENTRY]["S"].encode() for page in pages for row in page["Items"]}


def add(dynamodb: Any, table: str, entry: bytes) -> Outcome:
    """Add an entry of the registry to a table, unless a dragon of that name stands there. Raises ClientError."""
    standing = _transact(dynamodb, in_table(table, addition(msgspec.json.decode(entry, type=Dragon), entry)))
    if standing is None:
        return Outcome.ADDED
    return Outcome.SAME if standing == {"S": entry.decode()} else Outcome.DIFFERING


def remove(dynamodb: Any, table: str, key: str) -> None:
    """Remove the dragon with this key from a table, if it has one. Raises ClientError."""
    where = {PART: {"S": DRAGONS}, SORT_KEY: {"S": key}}
    row = dynamodb.get_item(TableName=table, Key=where, ConsistentRead=True).get("Item")
    if row is not None:
        _transact(dynamodb, in_table(table, removal(row, msgspec.json.decode(row[ENTRY]["S"], type=Dragon))))


def fences_say(dynamodb: Any, table: str) -> set[str]:
    """Return where the registry is, as each fence of a table says (nothing if it is missing). Raises ClientError."""
    asked = [{name: fence[name] for name in (PART, SORT_KEY)} for fence in fences("")]
    found = [dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {}) for key in asked]
    return {fence.get(REGISTRY_IS_IN, {}).get("S", "") for fence in found}


def set_fences(dynamodb: Any, table: str, place: str) -> None:
    """Say in every fence of a table that the registry is in a place. Raises ClientError."""
    for fence in fences(place):
        for pause_s in (*_pauses(), None):
            try:
                dynamodb.put_item(TableName=table, Item=fence)
                break
            except dynamodb.exceptions.TransactionConflictException:
                if pause_s is None:
                    raise
                time.sleep(pause_s)


def _transact(dynamodb: Any, actions: list[Any]) -> Any:
    """Carry out a transaction, however often others hinder it. Raises ClientError.

    Returns None if it is carried out, and otherwise the entry that stands in the way of its first action, if it asked
    for that.
    """
    for pause_s in (*_pauses(), None):
        try:
            dynamodb.transact_write_items(TransactItems=actions)
        except dynamodb.exceptions.TransactionCanceledException as cancelled:
            first, *others = cancelled.response["CancellationReasons"]
            if first["Code"] == "ConditionalCheckFailed":
                return first.get("Item", {}).get(ENTRY, {})
            if pause_s is None or not {reason["Code"] for reason in (first, *others)} <= _MAY_PASS:
                raise
            time.sleep(pause_s)
        else:
            break
    return None


def _pauses() -> Iterator[float]:
    """Yield for how many seconds to wait after each attempt but the last, as the service does."""
    for attempt in range(ATTEMPTS_MAX):
        yield random.uniform(0, min(WAIT_MAX_S, 0.02 * 2**attempt))  # noqa: S311 - jitter, no secret
