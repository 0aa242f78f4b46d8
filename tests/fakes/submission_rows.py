"""The table of submissions, written with the arguments of the workflow's own states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jsonata

from operations import PROJECT
from tests.fakes.step_functions import FINISHED_AT, STARTED_AT, STATE_MACHINE_ARN

STATES: dict[str, Any] = json.loads(
    (PROJECT / "infrastructure" / "dragons.asl.json").read_text(encoding="utf-8")
)["States"]  # fmt: skip


def as_text(moment: datetime) -> str:
    """Return a moment as Step Functions has it in the context object."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def arguments(
    state: str,
    given: Mapping[str, Any],
    *,
    name: str | None = None,
    started: str = as_text(STARTED_AT),
    entered: str = as_text(FINISHED_AT),
) -> dict[str, Any]:
    """Return the arguments that a JSONata state of the definition calls DynamoDB with.

    `given` is the state's input, `name` the execution's name (as a rule its submission's id), `started` and `entered`
    are the times of the context object. https://docs.aws.amazon.com/step-functions/latest/dg/data-transform.html
    """
    name = name or str(given["submission_id"])
    arn = STATE_MACHINE_ARN.replace(":stateMachine:", ":execution:") + ":" + name
    context = {"Execution": {"Id": arn, "Name": name, "StartTime": started}, "State": {"EnteredTime": entered}}
    found: dict[str, Any] = _evaluated(STATES[state]["Arguments"], {"input": given, "context": context})
    return found


def _evaluated(template: Any, states: Mapping[str, Any]) -> Any:
    if isinstance(template, dict):
        return {name: _evaluated(value, states) for name, value in template.items()}
    if isinstance(template, str) and template.startswith("{%"):
        value = jsonata.Jsonata.jsonata(template[2:-2].strip()).evaluate(None, {"states": states})
        assert value is not None, f"{template} is undefined, which is an error on AWS"
        return value
    return template


class FakeSubmissionRows:
    """Keeps rows, and answers the queries that the service makes: by id, and of a user's newest.

    `failures` are as in FakeStepFunctions. A query returns `rows_max` rows at most, as one that ends after a megabyte.
    """

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.failures: list[Exception | None] = []
        self.queries = 0
        self.rows_max = 1_000

    def write(self, state: str, given: Mapping[str, Any], **context: str) -> None:
        """Do what a state of the workflow does, whose conditions hold."""
        written = arguments(state, given, **context)
        item = written.get("Item") or dict(self.items[_key(written["Key"])])
        values = written.get("ExpressionAttributeValues", {})
        for setting in written.get("UpdateExpression", "").removeprefix("SET ").split(", "):
            if setting:
                attribute, _, value = setting.partition(" = ")
                item[attribute.removeprefix("#")] = values[value]
        self.items[_key(item)] = item

    def query(self, **asked: Any) -> dict[str, Any]:
        self.queries += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        values = {name: value["S"] for name, value in asked.pop("ExpressionAttributeValues").items()}
        if "IndexName" not in asked:
            return self._of_a_user(values, **asked)
        submission_id = values[":id"]
        assert asked == {
            "TableName": "submissions",
            "IndexName": "by-id",
            "KeyConditionExpression": "id = :id",
            "ScanIndexForward": False,
            "Limit": 1,
        }
        found = [item for item in self.items.values() if item["id"]["S"] == submission_id]
        newest = sorted(found, key=lambda item: item["started_at_id"]["S"], reverse=True)
        return {"Items": newest[:1]}

    def _of_a_user(self, values: Mapping[str, str], **asked: Any) -> dict[str, Any]:
        before = (":before" in values) * " AND started_at_id < :before"
        start, limit = asked.pop("ExclusiveStartKey", None), asked.pop("Limit")
        assert asked == {
            "TableName": "submissions",
            "KeyConditionExpression": "#sub = :sub" + before,
            "ExpressionAttributeNames": {"#sub": "sub"},
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        bounds = [values.get(":before"), _key(start)[1] if start else None]
        found = [
            self.items[key]
            for key in sorted(self.items, reverse=True)
            if key[0] == values[":sub"] and all(bound is None or key[1] < bound for bound in bounds)
        ]
        shown = found[: min(limit, self.rows_max)]
        return {"Items": shown, **({"LastEvaluatedKey": shown[-1]} if shown and len(shown) < len(found) else {})}


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["sub"]["S"], item["started_at_id"]["S"]
