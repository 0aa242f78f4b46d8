"""The part of DynamoDB that the registry uses: one table in memory, and botocore's errors."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from tests.fakes.aws_errors import client_error

Item = Mapping[str, Any]


class FakeDynamoDB:
    """A table with the keys `part` and `sort_key`. Its operations are atomic.

    It knows the conditions that an attribute has a value, and that there is no item.
    """

    def __init__(self, table: str, items: Iterable[Item]) -> None:
        self.table = table
        self.items: dict[tuple[str, str], Item] = {_place(item): item for item in items}
        self._lock = threading.Lock()

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool) -> dict[str, Any]:  # noqa: N803
        assert (TableName, ConsistentRead) == (self.table, True)
        with self._lock:
            found = self.items.get(_place(Key))
        return {} if found is None else {"Item": found}

    def query(
        self,
        *,
        TableName: str,  # noqa: N803
        KeyConditionExpression: str,  # noqa: N803
        ExpressionAttributeValues: Item,  # noqa: N803
        ProjectionExpression: str,  # noqa: N803
        ConsistentRead: bool,  # noqa: N803
        Limit: int,  # noqa: N803
        ExclusiveStartKey: Item | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        assert (TableName, ConsistentRead) == (self.table, True)
        assert KeyConditionExpression in (
            "part = :part",
            "part = :part AND sort_key > :after",
            "part = :part AND begins_with(sort_key, :prefix)",
        )
        prefix = ExpressionAttributeValues.get(":prefix", {}).get("S", "")
        after = ExclusiveStartKey["sort_key"] if ExclusiveStartKey else ExpressionAttributeValues.get(":after", {})
        assert not ExclusiveStartKey or after["S"].startswith(prefix), "AWS: outside the query's boundaries"
        with self._lock:
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.CoreComponents.html: in the
            # order of their UTF-8 bytes
            found = sorted(
                (item for item in self.items.values() if item["part"] == ExpressionAttributeValues[":part"]),
                key=lambda item: item["sort_key"]["S"].encode(),
            )
        begin = after.get("S", "").encode()
        beginning = [item for item in found if item["sort_key"]["S"].startswith(prefix)]
        shown = [item for item in beginning if item["sort_key"]["S"].encode() > begin][:Limit]
        names = ProjectionExpression.split(", ")
        last = {"LastEvaluatedKey": _key(shown[-1])} if len(shown) == Limit else {}
        return {"Items": [{name: item[name] for name in names} for item in shown], **last}

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        actions = [(kind, what) for action in TransactItems for kind, what in action.items()]
        places = [_place(what.get("Item") or what["Key"]) for _, what in actions]
        assert len(set(places)) == len(places) <= 100, "one item has several actions, or there are too many"
        assert {what["TableName"] for _, what in actions} == {self.table}
        with self._lock:
            reasons = [_reason(what, self.items.get(place)) for (_, what), place in zip(actions, places, strict=True)]
            if any(reason["Code"] != "None" for reason in reasons):
                raise client_error("TransactionCanceledException", CancellationReasons=reasons)
            for (kind, what), place in zip(actions, places, strict=True):
                self._carry_out(kind, what, place)
        return {}

    def _carry_out(self, kind: str, what: Mapping[str, Any], place: tuple[str, str]) -> None:
        if kind == "Put":
            self.items[place] = what["Item"]
        elif kind == "Delete":
            self.items.pop(place, None)
        elif kind == "Update":
            verbs_set, written, equals, text, verb, name, value = what["UpdateExpression"].split()
            assert (verbs_set, equals, verb) == ("SET", "=", "ADD")
            values = what["ExpressionAttributeValues"]
            present = self.items.get(place, what["Key"])
            number = int(present.get(name, {"N": "0"})["N"]) + int(values[value]["N"])
            self.items[place] = {**present, written: values[text], name: {"N": str(number)}}
        else:
            assert kind == "ConditionCheck"


def _reason(what: Mapping[str, Any], present: Item | None) -> dict[str, Any]:
    if _is_met(what, present):
        return {"Code": "None"}
    told = what.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and present is not None
    return {"Code": "ConditionalCheckFailed", **({"Item": present} if told else {})}


def _is_met(what: Mapping[str, Any], present: Item | None) -> bool:
    condition = what.get("ConditionExpression")
    if condition is None:
        return True
    if condition == "attribute_not_exists(part)":
        return present is None
    name, equals, value = condition.split()
    assert equals == "="
    return present is not None and present.get(name) == what["ExpressionAttributeValues"][value]


def _place(item: Item) -> tuple[str, str]:
    return item["part"]["S"], item["sort_key"]["S"]


def _key(item: Item) -> Item:
    return {name: item[name] for name in ("part", "sort_key")}
