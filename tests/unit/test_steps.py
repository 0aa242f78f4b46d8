"""What the workflow's functions return."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from chalicelib import aws
from chalicelib.dragons import steps
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import Addition, Change, DragonPage, DragonQuery
from tests.samples import dragon, dragon_members


class Registry:
    """A registry that returns one answer, or raises it if it is an error."""

    def __init__(self, answer: Addition | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[Dragon, str]] = []

    def page(self, query: DragonQuery) -> DragonPage:
        raise NotImplementedError

    def get(self, name: str) -> Dragon | None:
        raise NotImplementedError

    def replace(self, dragon: Dragon, unchanged: Callable[[Dragon], bool]) -> Change:
        raise NotImplementedError

    def remove(self, name: str, unchanged: Callable[[Dragon], bool]) -> Change:
        raise NotImplementedError

    def add(self, dragon: Dragon, submission_id: str) -> Addition:
        self.asked.append((dragon, submission_id))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def add_input(name: str = "Ember") -> dict[str, Any]:
    """Return the input of AddDragon."""
    return {"dragon": dragon_members(name), "submission_id": "s1", "correlation_id": "c"}


def validate_input(name: str = "Ember", **changes: Any) -> dict[str, Any]:
    """Return the input of ValidateDragon; a change to `...` leaves the member out."""
    given = {
        "submission_id": "s1",
        "dragon": dragon_members(name),
        "confirmation_required": False,
        "requested_by": "sub",
        "correlation_id": "c",
        "execution_name": "s1",
    }
    return {member: value for member, value in (given | changes).items() if value is not ...}


VALID = {"outcome": "valid", "reason": None}


def test_a_valid_dragon_is_valid() -> None:
    assert steps.validate(validate_input("Élan")) == VALID


def test_an_execution_that_began_under_the_older_definition_is_not_refused() -> None:
    assert steps.validate({"dragon": dragon_members(), "correlation_id": "c"}) == VALID


IDENTIFIER = "must be 1 to 255 visible ASCII characters"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"submission_id": None}, f"#/submission_id: {IDENTIFIER}"),
        ({"submission_id": 7}, f"#/submission_id: {IDENTIFIER}"),
        ({"submission_id": "s2"}, "#/submission_id: must be the execution's name"),
        ({"submission_id": ...}, "#/submission_id: must be the execution's name"),
        ({"correlation_id": None}, f"#/correlation_id: {IDENTIFIER}"),
        ({"correlation_id": "a b"}, f"#/correlation_id: {IDENTIFIER}"),
        ({"correlation_id": ...}, "#/correlation_id: is required"),
        ({"requested_by": ""}, f"#/requested_by: {IDENTIFIER}"),
        ({"requested_by": []}, f"#/requested_by: {IDENTIFIER}"),
        ({"confirmation_required": None}, "#/confirmation_required: must be true or false"),
        ({"confirmation_required": "true"}, "#/confirmation_required: must be true or false"),
        ({"dragon": None}, "#/dragon: must be an object"),
        ({"dragon": "Ember"}, "#/dragon: must be an object"),
        ({"dragon": [1]}, "#/dragon: must be an object"),
        ({"dragon": ...}, "#/dragon: is required"),
        ({"dragon": dragon_members() | {"requested_by": "sub"}}, "#/dragon/requested_by: is not a known member"),
    ],
)
def test_an_input_that_is_not_the_apis_is_refused_with_its_fault(changes: dict[str, Any], reason: str) -> None:
    assert steps.validate(validate_input(**changes)) == {"outcome": "invalid", "reason": reason}


def test_every_fault_of_an_input_is_told() -> None:
    outcome = steps.validate(validate_input(dragon=dragon_members("a/b"), submission_id=None, requested_by=1))

    reason = str(outcome["reason"])
    assert [fault.partition(":")[0] for fault in reason.split("; ")] == [
        "#/submission_id",
        "#/requested_by",
        "#/dragon/dragon_name_str",
    ]


@pytest.mark.parametrize("changes", [{"submission_id": None}, {"correlation_id": None}, {"dragon": {}}])
def test_nothing_is_added_for_an_input_that_was_not_validated(changes: dict[str, Any]) -> None:
    registry = Registry(Addition.ADDED)
    with pytest.raises(msgspec.ValidationError):
        steps.add(add_input() | changes, registry)

    assert registry.asked == []


def test_an_invalid_dragon_is_an_outcome_with_every_fault() -> None:
    outcome = steps.validate({"dragon": dragon_members("a/b", family_str=""), "correlation_id": "c"})

    assert outcome["outcome"] == "invalid"
    assert "#/dragon/dragon_name_str" in str(outcome["reason"])
    assert "#/dragon/family_str" in str(outcome["reason"])


@pytest.mark.parametrize(
    "members",
    [
        dragon_members("E\u0301lan"),
        dragon_members(" Ember"),
        dragon_members(reportingPhoneNumber="+15555550100"),
        {("dragonName" if name == "dragon_name_str" else name): value for name, value in dragon_members().items()},
    ],
)
def test_a_malformed_dragon_is_refused_whoever_started_the_workflow(members: dict[str, Any]) -> None:
    assert steps.validate({"dragon": members, "correlation_id": "c"}) == {
        "outcome": "invalid",
        "reason": "#/dragon: must have its members in their normalised form",
    }


def test_an_added_dragon_is_an_outcome() -> None:
    registry = Registry(Addition.ADDED)

    assert steps.add(add_input(), registry) == {"outcome": "added", "reason": None}
    assert registry.asked == [(dragon(), "s1")]


def test_what_became_of_a_dragon_is_logged_with_its_request(log: io.StringIO) -> None:
    steps.add(add_input(), Registry(Addition.ADDED))

    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["message"], line["correlation_id"]) == ("INFO", "dragon settled", "c")
    assert (line["submission_id"], line["outcome"]) == ("s1", "added")


@pytest.mark.parametrize(
    ("addition", "metric"), [(Addition.ADDED, "DragonsAdded"), (Addition.DUPLICATE, "DragonsRefused")]
)
def test_what_became_of_a_dragon_is_counted(
    capsys: pytest.CaptureFixture[str], addition: Addition, metric: str
) -> None:
    steps.add(add_input(), Registry(addition))

    (line,) = [line for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert json.loads(line)[metric] == [1.0]


def test_a_dragon_is_added_even_if_nothing_can_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or its report would end as failed, although the dragon is there."""

    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())

    assert steps.add(add_input(), Registry(Addition.ADDED)) == {"outcome": "added", "reason": None}


def test_a_duplicate_is_an_outcome_with_its_reason() -> None:
    outcome = steps.add(add_input("Élan"), Registry(Addition.DUPLICATE))

    assert outcome == {"outcome": "duplicate", "reason": "A dragon named Élan is in the registry."}


def test_a_fault_is_raised_for_the_workflow_to_retry() -> None:
    with pytest.raises(OSError, match="broken"):
        steps.add(add_input(), Registry(OSError("broken")))


def test_adding_ends_before_lambda_stops_the_function() -> None:
    limits = []

    class Watching(Registry):
        def add(self, dragon: Dragon, submission_id: str) -> Addition:
            limits.append(aws._no_call_after.get() - time.monotonic())
            return super().add(dragon, submission_id)

    steps.add(add_input(), Watching(Addition.ADDED))

    assert aws.ATTEMPT_MAX_S + limits[0] < 30, "the function's limit in .chalice/config.json"
