"""Dragons in DynamoDB: one table, whose items are ordered by the dragons' keys.

An item's key is (`part`, `sort_key`):

- (`dragon`, key): the dragon, and a version that each change replaces. Its `entry` is what the document in S3 would
  hold, to the byte: the submission's id and members that are not ours included.
- (`family#<family>`, key): a copy of the entry, for pages of one family.
- (`families`, `<family>`, a tab, `<spelling><number>`): a part of how many dragons have their family written so. The
  spelling is an attribute, and the key has a hash of it, so that it is never too long. A tab comes before whatever a
  family may be written with, so the rows of a family are together, and families are in their order.
- (`fence#<number>`, `fence`): where the registry is.

Each write is one transaction, so the copy and the count are never behind the dragon. There is no index of the table's
own: those are eventually consistent, and every later read has to show what was written.

Every write checks a fence, and so does every read, because a function that is warm may not know yet that the registry
was moved. There are many fences, and each use takes any of them, because transactions that have an item in common
refuse each other, even if none of them changes it
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling).
The counts are spread for the same reason. To move the registry, somebody writes every fence.

All dragons are in one ordered part, which takes 1,000 write units a second. A transaction uses two of them for each
kilobyte, so some 500 small dragons can be added a second
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html). A page is read in up to
a few queries, none of which waits for the others: it may show a dragon that was added meanwhile, and not one that was
added before it. Nothing is kept between calls.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from chalicelib import aws
from chalicelib.dragons.document import Entry, changed_entry, entry_of
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.repository import (
    Addition,
    Change,
    CountedFamily,
    DragonPage,
    DragonQuery,
    FamilyPage,
    RegistryMoved,
    counted_family,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Attributes, and values of the first two.
PART, SORT_KEY = "part", "sort_key"
ENTRY = "entry"
VERSION = "entry_version"
COUNT = "dragons"
SPELLING = "family_written"
REGISTRY_IS_IN = "registry_is_in"

DRAGONS = "dragon"
FAMILIES = "families"
FENCE = "fence"
HERE = "dynamodb"

FENCES = 64
COUNTS_OF_A_FAMILY = 16
_BEFORE_A_SPELLING, _AFTER_A_FAMILY = "\t", "\n"  # neighbours: what begins with the first ends before the second

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (partition keys and sort keys)
PART_BYTES_MAX = 2048
SORT_KEY_BYTES_MAX = 1024

ATTEMPTS_MAX = 30
WAIT_MAX_S = 0.8

_REFUSED_FOR_NOW = frozenset({"TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"})
_UNMET, _NO_FAULT = "ConditionalCheckFailed", "None"
_TELL = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}

Row = Mapping[str, Any]
Action = dict[str, Any]
Decoded = TypeVar("Decoded")


class TableContended(aws.DependencyUnavailable):
    """Other writers were faster every time. Nothing was written, and a later attempt may succeed."""

    def __init__(self) -> None:
        super().__init__("The dragon table", "too many writers at once")


class TableClosed(Exception):
    """The registry was never moved to this table. A person has to correct the parameters, or to move it."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"The table {table} holds no registry of dragons, and none was made. If it is in S3, correct the parameter "
            "dragon_store. If it is in another table, correct dragon_table_name."
        )


class RowCorrupt(Exception):
    """An item of the table does not hold a dragon. It is left as it is, for a person to look at."""

    def __init__(self, table: str, row: Row) -> None:
        key = ", ".join(str(row.get(name, {}).get("S")) for name in (PART, SORT_KEY))
        super().__init__(
            f"The item ({key}) of the table {table} holds no dragon. Nothing was changed. Repair it by hand."
        )


class Table(Protocol):
    """Which table holds the dragons."""

    @property
    def dragon_table_name(self) -> str:
        """The table's name."""
        ...


class DynamoDBDragonRepository:
    """A `DragonRepository` in one DynamoDB table. Safe to share between threads.

    Every method raises `RegistryMoved`, `TableClosed`, `RowCorrupt`, and `aws.calling`'s errors.
    """

    def __init__(
        self,
        table: Table,
        dynamodb: Callable[[], DynamoDBClient] = aws.dynamodb,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the table's name (read before each use), a function that returns the client, and a sleep."""
        self._table = table
        self._dynamodb = dynamodb
        self._sleep = sleep

    def page(self, query: DragonQuery) -> DragonPage:
        """See `DragonRepository.page`."""
        self._check_is_here()
        part = DRAGONS if query.family is None else family_part(query.family)
        rows = self._ordered(part, query) if query.name is None else self._named(part, query.name, query)
        shown = rows[: query.limit]
        more = len(rows) > query.limit
        return DragonPage([self._decoded(row, Dragon) for row in shown], shown[-1][SORT_KEY]["S"] if more else None)

    def families(self, after: str | None, limit: int) -> FamilyPage:
        """See `DragonRepository.families`. What is added or removed meanwhile may or may not be counted."""
        self._check_is_here()
        asked = _begins_after(FAMILIES, None if after is None else after + _AFTER_A_FAMILY)
        asked |= {"ProjectionExpression": ", ".join((PART, SORT_KEY, SPELLING, COUNT))}
        asked |= {"Limit": (limit + 1) * COUNTS_OF_A_FAMILY + 1}  # the next family's first row ends the last one
        shown: dict[str, CountedFamily] = {}
        for name, rows in groupby(chain.from_iterable(self._queried(asked)), self._family_of):
            if len(shown) > limit:
                break
            if (family := counted_family(_summed(rows))) is not None:
                shown[name] = family
        names = list(shown)[:limit]
        return FamilyPage([shown[name] for name in names], names[-1] if len(shown) > limit else None)

    def get(self, name: str) -> Dragon | None:
        """See `DragonRepository.get`."""
        self._check_is_here()
        row = self._row(DRAGONS, normalised_name(name))
        return None if row is None else self._decoded(row, Dragon)

    def add(self, dragon: Dragon, submission_id: str) -> Addition:
        """See `DragonRepository.add`. Raises `TableContended` after `ATTEMPTS_MAX` lost races."""
        for attempt in range(ATTEMPTS_MAX):
            refusal = self._transact(addition(dragon, entry_of(dragon, submission_id)))
            if refusal is None:
                return Addition.ADDED
            if (present := refusal[0].get("Item")) is not None:
                holder = self._decoded(present, Entry).submission_id
                return Addition.ADDED if holder == submission_id else Addition.DUPLICATE
            self._pause(attempt)
        raise TableContended

    def replace(self, dragon: Dragon, unchanged: Callable[[Dragon], bool]) -> Change:
        """See `DragonRepository.replace`. Raises `TableContended` after `ATTEMPTS_MAX` lost races."""
        return self._change(dragon.key, unchanged, dragon)

    def remove(self, name: str, unchanged: Callable[[Dragon], bool]) -> Change:
        """See `DragonRepository.remove`. Raises `TableContended` after `ATTEMPTS_MAX` lost races."""
        return self._change(normalised_name(name), unchanged, None)

    def _change(self, key: str, unchanged: Callable[[Dragon], bool], wanted: Dragon | None) -> Change:
        """Put the wanted dragon in the place of the one with this key, or none.

        If the answer to a transaction is lost, the SDK sends it again with the same token, and DynamoDB does not carry
        it out again:
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-apis-txwriteitems
        """
        for attempt in range(ATTEMPTS_MAX):
            row = self._row(DRAGONS, key)
            present = None if row is None else self._decoded(row, Dragon)
            if row is None or present is None or not unchanged(present):
                self._check_is_here()  # where something is written, the transaction does
                return Change.ABSENT if row is None else Change.CHANGED
            actions = removal(row, present) if wanted is None else _replacement(row, present, wanted)
            if self._transact(actions) is None:
                return Change.DONE
            self._pause(attempt)
        raise TableContended

    def _pause(self, attempt: int) -> None:
        """Let other writers go first, for a random time that grows with each attempt."""
        self._sleep(random.uniform(0, min(WAIT_MAX_S, 0.02 * 2**attempt)))  # noqa: S311 - jitter, no secret

    def _check_is_here(self) -> None:
        """Raise `RegistryMoved` or `TableClosed` if the registry is not in this table."""
        _check_fence(self._table.dragon_table_name, self._item(_any_fence()))

    def _row(self, part: str, key: str) -> Row | None:
        """Return an item, or None if there is none. There is none with a key that DynamoDB does not take."""
        if not key or _bytes(key) > SORT_KEY_BYTES_MAX or _bytes(part) > PART_BYTES_MAX:
            return None
        return self._item(_key(part, key))

    def _item(self, key: Row) -> Row | None:
        with aws.calling("DynamoDB"):
            answer = self._dynamodb().get_item(TableName=self._table.dragon_table_name, Key=key, ConsistentRead=True)
        return answer.get("Item")

    def _named(self, part: str, key: str, query: DragonQuery) -> list[Row]:
        is_before = query.after is not None and key <= query.after
        row = None if is_before or not query.begins(key) else self._row(part, key)
        return [] if row is None else [row]

    def _ordered(self, part: str, query: DragonQuery) -> list[Row]:
        """Return a page's items and the one after them, in the order of their keys."""
        asked = (
            _begins_after(part, query.after) if query.prefix is None else _begins_so(part, query.prefix, query.after)
        )
        if asked is None or _bytes(part) > PART_BYTES_MAX:
            return []
        asked |= {"ProjectionExpression": ", ".join((PART, SORT_KEY, ENTRY)), "Limit": query.limit + 1}
        rows: list[Row] = []
        for found in self._queried(asked):
            rows += found
            asked["Limit"] = query.limit + 1 - len(rows)
            if not asked["Limit"]:
                break
        return rows

    def _queried(self, asked: dict[str, Any]) -> Iterator[Sequence[Row]]:
        """Yield what is found, a query after the other: each ends after a megabyte, or at its limit.

        `asked` has the members of a Query, and is what the next one is made of.
        """
        while True:
            with aws.calling("DynamoDB"):
                answer = self._dynamodb().query(TableName=self._table.dragon_table_name, ConsistentRead=True, **asked)
            yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _family_of(self, row: Row) -> str:
        """Return the normalised name of the family that a row counts."""
        if SPELLING not in row:
            raise RowCorrupt(self._table.dragon_table_name, row)
        return normalised_name(row[SPELLING]["S"])

    def _transact(self, actions: Sequence[Action]) -> list[Row] | None:
        """Carry out all of these if the registry is here, or nothing.

        Returns None if they are carried out. Otherwise they may be tried again; it returns what is known of each: the
        `Item` that did not meet its condition, if it asked for that. Raises `RegistryMoved` and `TableClosed`.
        """
        name = self._table.dragon_table_name
        try:
            with aws.calling("DynamoDB"):
                self._dynamodb().transact_write_items(TransactItems=in_table(name, [_check_of_a_fence(), *actions]))
        except aws.DependencyFault as refused:
            fence, *reasons = _reasons(refused)
            if fence["Code"] == _UNMET:
                _check_fence(name, fence.get("Item"))
            # Where the fence was not looked at, nobody knows whether the others are about the registry.
            return reasons if fence["Code"] == _NO_FAULT else [{} for _ in actions]
        return None

    def _decoded(self, row: Row, kind: type[Decoded]) -> Decoded:
        try:
            return msgspec.json.decode(row[ENTRY]["S"], type=kind)
        except (KeyError, msgspec.DecodeError, RecursionError) as error:
            raise RowCorrupt(self._table.dragon_table_name, row) from error


def family_part(family: str) -> str:
    """Return the part with the copies of a family's dragons."""
    return f"family#{normalised_name(family)}"


def counts_prefix(family: str) -> str:
    """Return how the sort keys of the items begin that count the dragons whose family is written so."""
    spelling = hashlib.sha256(family.encode()).hexdigest()[:16]
    return f"{normalised_name(family)}{_BEFORE_A_SPELLING}{spelling}"


def fences(place: str) -> list[Row]:
    """Return the items that say that the registry is in a place: `HERE`, or another value of `dragon_store`."""
    return [{**_fence(number), REGISTRY_IS_IN: {"S": place}} for number in range(FENCES)]


def in_table(table: str, actions: Sequence[Action]) -> list[Any]:
    """Return the actions of a transaction, all of them in this table."""
    return [{kind: {"TableName": table, **what} for kind, what in action.items()} for action in actions]


def addition(dragon: Dragon, entry: bytes) -> list[Action]:
    """Return what a transaction does that adds a dragon, given its entry. The first action fails if there is one."""
    row = _row_of(dragon.key, entry)
    free = {"ConditionExpression": f"attribute_not_exists({PART})", **_TELL}
    return [{"Put": {"Item": row, **free}}, _copied(row, dragon), _counted(dragon, 1)]


def removal(row: Row, present: Dragon) -> list[Action]:
    """Return what a transaction does that removes a dragon, given its item. The first action fails if it changed."""
    return [{"Delete": {"Key": _key_of(row), **_unless_changed(row)}}, _uncopied(row, present), _counted(present, -1)]


def _replacement(row: Row, present: Dragon, wanted: Dragon) -> list[Action]:
    changed = _row_of(row[SORT_KEY]["S"], changed_entry(row[ENTRY]["S"].encode(), wanted))
    actions = [{"Put": {"Item": changed, **_unless_changed(row)}}, _copied(changed, wanted)]
    if present.family_str != wanted.family_str:
        actions += [_counted(present, -1), _counted(wanted, 1)]
    if family_part(present.family_str) != family_part(wanted.family_str):
        actions += [_uncopied(row, present)]
    return actions


def _row_of(key: str, entry: bytes) -> Row:
    """Return a dragon's item, in a version that nobody has seen."""
    return {**_key(DRAGONS, key), ENTRY: {"S": entry.decode()}, VERSION: {"S": os.urandom(12).hex()}}


def _copied(row: Row, dragon: Dragon) -> Action:
    return {"Put": {"Item": {**row, PART: {"S": family_part(dragon.family_str)}}}}


def _uncopied(row: Row, dragon: Dragon) -> Action:
    return {"Delete": {"Key": _key(family_part(dragon.family_str), row[SORT_KEY]["S"])}}


def _counted(dragon: Dragon, change: int) -> Action:
    number = random.randrange(COUNTS_OF_A_FAMILY)  # noqa: S311 - no secret
    return {
        "Update": {
            "Key": _key(FAMILIES, f"{counts_prefix(dragon.family_str)}{number:02}"),
            "UpdateExpression": f"SET {SPELLING} = :spelling ADD {COUNT} :change",
            "ExpressionAttributeValues": {":spelling": {"S": dragon.family_str}, ":change": {"N": str(change)}},
        }
    }


def _unless_changed(row: Row) -> Row:
    return {
        "ConditionExpression": f"{VERSION} = :version",
        "ExpressionAttributeValues": {":version": row[VERSION]},
    }


def _check_of_a_fence() -> Action:
    return {
        "ConditionCheck": {
            "Key": _any_fence(),
            "ConditionExpression": f"{REGISTRY_IS_IN} = :here",
            "ExpressionAttributeValues": {":here": {"S": HERE}},
            **_TELL,
        }
    }


def _check_fence(table: str, fence: Row | None) -> None:
    """Raise `RegistryMoved` or `TableClosed` if this fence says so."""
    if fence is None:
        raise TableClosed(table)
    place = fence[REGISTRY_IS_IN]["S"]
    if place != HERE:
        raise RegistryMoved(place)


def _reasons(refused: aws.DependencyFault) -> list[Row]:
    """Return the reason for each action of a transaction that was cancelled, if it may be tried again.

    Raises the error if not.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html (CancellationReasons)
    """
    reasons: list[Row] = refused.answer.get("CancellationReasons", [])
    if not reasons or not {reason["Code"] for reason in reasons} <= {_NO_FAULT, _UNMET} | _REFUSED_FOR_NOW:
        raise refused
    return reasons


def _begins_after(part: str, after: str | None) -> dict[str, Any]:
    """Return the members of a Query for what a part has after a key. DynamoDB takes no key that is empty or longer."""
    beginning = _as_sort_key(after or "")
    if not beginning:
        return {"KeyConditionExpression": f"{PART} = :part", "ExpressionAttributeValues": {":part": {"S": part}}}
    return {
        "KeyConditionExpression": f"{PART} = :part AND {SORT_KEY} > :after",
        "ExpressionAttributeValues": {":part": {"S": part}, ":after": {"S": beginning}},
    }


def _begins_so(part: str, prefix: str, after: str | None) -> dict[str, Any] | None:
    """Return the members of a Query for the items of a part whose keys begin so, those after a key.

    Returns None if there can be none. A Query takes one condition on the sort key, so it starts after an item; there
    need not be one, but its key has to begin so, too.
    """
    if _bytes(prefix) > SORT_KEY_BYTES_MAX or (after is not None and after > prefix and not after.startswith(prefix)):
        return None
    asked: dict[str, Any] = {
        "KeyConditionExpression": f"{PART} = :part AND begins_with({SORT_KEY}, :prefix)",
        "ExpressionAttributeValues": {":part": {"S": part}, ":prefix": {"S": prefix}},
    }
    if after is not None and after.startswith(prefix):
        asked["ExclusiveStartKey"] = _key(part, _as_sort_key(after))
    return asked


def _as_sort_key(key: str) -> str:
    """Return a key as long as DynamoDB takes it."""
    return key.encode()[:SORT_KEY_BYTES_MAX].decode(errors="ignore")


def _summed(rows: Iterable[Row]) -> Counter[str]:
    """Return how many dragons have each spelling of their family, given the rows that count them."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[SPELLING]["S"]] += int(row[COUNT]["N"])
    return counts


def _any_fence() -> Row:
    return _fence(random.randrange(FENCES))  # noqa: S311 - no secret


def _fence(number: int) -> Row:
    return _key(f"fence#{number:02}", FENCE)


def _key(part: str, sort_key: str) -> Row:
    return {PART: {"S": part}, SORT_KEY: {"S": sort_key}}


def _key_of(row: Row) -> Row:
    return {name: row[name] for name in (PART, SORT_KEY)}


def _bytes(text: str) -> int:
    return len(text.encode())
