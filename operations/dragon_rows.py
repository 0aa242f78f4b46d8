"""Rows of the table of dragons, as the operators' commands add them: wherever the registry is now."""

from __future__ import annotations

import random
import time
from enum import StrEnum
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from chalicelib.dragons.dynamodb import ATTEMPTS_MAX, ENTRY, WAIT_MAX_S, addition, in_table
from chalicelib.dragons.model import Dragon

# Others hinder a transaction that fails for these reasons, or it has no fault of its own.
_MAY_PASS = frozenset({"None", "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"})


class Outcome(StrEnum):
    """What became of an entry."""

    ADDED = "added"
    SAME = "same"
    DIFFERING = "differing"


def add(dynamodb: Any, table: str, entry: bytes) -> Outcome:
    """Add an entry of the registry to a table, unless a dragon of that name stands there. Raises ClientError."""
    actions = in_table(table, addition(msgspec.json.decode(entry, type=Dragon), entry))
    for attempt in range(ATTEMPTS_MAX):
        try:
            dynamodb.transact_write_items(TransactItems=actions)
        except dynamodb.exceptions.TransactionCanceledException as cancelled:
            standing = _standing(cancelled)
            if standing is not None:
                return Outcome.SAME if standing == entry else Outcome.DIFFERING
            if attempt == ATTEMPTS_MAX - 1:
                raise
            time.sleep(random.uniform(0, min(WAIT_MAX_S, 0.02 * 2**attempt)))  # noqa: S311 - jitter, no secret
        else:
            return Outcome.ADDED
    raise AssertionError("unreachable")


def _standing(cancelled: ClientError) -> bytes | None:
    """Return the entry that stands in the way of a transaction, or None if others hindered it. Raises the error."""
    answer: Any = cancelled.response
    first, *others = answer["CancellationReasons"]
    if first["Code"] == "ConditionalCheckFailed":
        entry: str = first["Item"][ENTRY]["S"]
        return entry.encode()
    if not {reason["Code"] for reason in (first, *others)} <= _MAY_PASS:
        raise cancelled
    return None
