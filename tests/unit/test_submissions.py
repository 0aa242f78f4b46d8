"""What is known of a submission from what Step Functions says about its execution."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from chalicelib.dragons.model import report_from
from chalicelib.dragons.submissions import Origin, Step, execution_input, is_expired, rfc3339, steps_of
from tests.samples import dragon_members

ENTERED = datetime(2026, 11, 24, 7, 20, 1, 500_900, tzinfo=UTC)
ENTERED_AT = "2026-11-24T07:20:01.500Z"


def events(*kinds: str) -> list[Any]:
    """Return a history: the state's entry, and events of these types a second apart."""
    entry = {
        "type": "TaskStateEntered",
        "timestamp": ENTERED,
        "stateEnteredEventDetails": {"name": "AddDragon"},
    }
    return [entry, *({"type": kind, "timestamp": ENTERED + timedelta(seconds=1)} for kind in kinds)]


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ([], "running"),
        (["TaskScheduled"], "running"),
        (["TaskScheduled", "TaskStarted"], "running"),
        (["TaskSucceeded"], "succeeded"),
        (["LambdaFunctionSucceeded"], "succeeded"),
        (["PassStateExited"], "succeeded"),
        (["TaskSucceeded", "TaskStateExited"], "succeeded"),
        (["TaskFailed"], "failed"),
        (["TaskTimedOut"], "failed"),
        (["LambdaFunctionTimedOut"], "failed"),
        (["ExecutionAborted"], "failed"),
        (["TaskFailed", "TaskScheduled"], "running"),
        (["TaskFailed", "TaskScheduled", "TaskSucceeded"], "succeeded"),
        (["TaskFailed", "TaskStateExited"], "failed"),
    ],
)
def test_a_step_has_the_status_of_its_last_event_and_the_time_of_its_entry(kinds: list[str], status: Any) -> None:
    assert steps_of(events(*kinds)) == [Step("AddDragon", status, ENTERED_AT)]


def test_the_workflow_gets_the_dragon_and_what_it_alone_may_know() -> None:
    report = report_from(dragon_members(reportingPhoneNumber="+15555550100", confirmationRequired=True))

    assert execution_input(report, Origin("sub", "correlation"), "s1", may_text=True) == {
        "submission_id": "s1",
        "dragon": dragon_members(),
        "reporter": {"text": True, "phone_number": "+15555550100"},
        "confirmation_required": True,
        "requested_by": "sub",
        "correlation_id": "correlation",
    }


def test_an_event_before_the_first_state_is_not_a_step() -> None:
    assert steps_of([{"type": "ExecutionStarted", "timestamp": ENTERED, "id": 1}, *events()]) == steps_of(events())


@pytest.mark.parametrize("details", [{}, {"stateEnteredEventDetails": {}}])
def test_a_state_that_is_entered_without_details_has_no_name(details: Any) -> None:
    assert steps_of([{"type": "PassStateEntered", "timestamp": ENTERED, "id": 1, **details}]) == [
        Step("", "running", ENTERED_AT)
    ]


@pytest.fixture
def _far_from_utc() -> Iterator[None]:
    """A machine whose time is not UTC."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_from_utc")
def test_a_moment_is_shown_in_utc_to_the_millisecond() -> None:
    assert rfc3339(ENTERED.astimezone(timezone(timedelta(hours=-8)))) == ENTERED_AT
    assert rfc3339(datetime(2026, 11, 24, tzinfo=UTC)) == "2026-11-24T00:00:00.000Z"


def test_a_row_without_an_end_stays() -> None:
    assert not is_expired({}, 1e12)
    assert is_expired({"expires_at": {"N": "1000"}}, 1000)
    assert not is_expired({"expires_at": {"N": "1000"}}, 999.9)
