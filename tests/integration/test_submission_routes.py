"""Reading what happened to a report."""

from typing import Any

import pytest

from tests.fakes.aws_errors import client_error
from tests.fakes.step_functions import FakeStepFunctions, history
from tests.integration.service import CLERK, OPERATOR, OTHER_CLERK, Service
from tests.samples import dragon_body

PHONE = "+15555550100"


@pytest.fixture
def submission_id(service: Service, step_functions: FakeStepFunctions) -> str:
    """A submission by the clerk, with a phone number."""
    body = dragon_body(reportingPhoneNumber=PHONE, confirmationRequired=True)
    return str(service.post("/dragons", body, CLERK).json()["submission_id"])


def test_an_added_dragons_submission_shows_everything_but_the_phone_number(
    service: Service, step_functions: FakeStepFunctions, submission_id: str
) -> None:
    step_functions.histories[submission_id] = history(
        "ExecutionStarted", "ValidateDragon:TaskStateEntered", "TaskScheduled", "TaskSucceeded", "TaskStateExited",
        "Added:PassStateEntered", "PassStateExited", "ExecutionSucceeded",
    )  # fmt: skip
    answer = service.get(f"/submissions/{submission_id}", CLERK)

    assert answer.status == 200
    assert answer.json() == {
        "submission_id": submission_id,
        "status": "added",
        "dragon_name_str": "Ember",
        "reason": None,
        "notification": "sent",
        "started_at": "2026-11-24T07:20:01.500Z",
        "finished_at": "2026-11-24T07:20:02.750Z",
        "steps": [
            {"name": "ValidateDragon", "status": "succeeded", "at": "2026-11-24T07:20:02.500Z"},
            {"name": "Added", "status": "succeeded", "at": "2026-11-24T07:20:06.500Z"},
        ],
    }
    assert PHONE not in answer.body.decode()
    assert "Retry-After" not in answer.headers


def test_a_pending_one_says_when_to_ask_again(
    service: Service, step_functions: FakeStepFunctions, submission_id: str
) -> None:
    step_functions.run = None
    answer = service.get(f"/submissions/{submission_id}", CLERK)

    assert (answer.status, answer.json()["status"]) == (200, "pending")
    assert answer.json()["finished_at"] is None
    assert answer.headers["Retry-After"] == "1"


def test_one_whose_history_is_not_visible_yet_is_shown_without_steps(
    service: Service, step_functions: FakeStepFunctions, submission_id: str
) -> None:
    step_functions.run = None
    step_functions.failures = [None, client_error("ExecutionDoesNotExist")]
    answer = service.get(f"/submissions/{submission_id}", CLERK)

    assert (answer.status, answer.json()["status"], answer.json()["steps"]) == (200, "pending", [])


def test_a_duplicate_is_rejected_with_its_reason(service: Service, submission_id: str) -> None:
    service.get(f"/submissions/{submission_id}", CLERK)
    second = service.post("/dragons", dragon_body("EMBER"), CLERK, Prefer="wait=5")
    answer = service.get(second.headers["Location"].removeprefix("/prod"), CLERK)

    assert answer.json()["status"] == "rejected"
    assert "EMBER" in answer.json()["reason"]


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_failed_one_reveals_no_internals(
    service: Service, step_functions: FakeStepFunctions, submission_id: str, status: str
) -> None:
    step_functions.settle(submission_id, status=status)
    step_functions.executions[submission_id] |= {"error": "DragonNotAdded", "cause": "arn:aws:lambda:secret"}
    answer = service.get(f"/submissions/{submission_id}", CLERK)

    assert (answer.status, answer.json()["status"]) == (200, "failed")
    assert answer.json()["reason"]
    assert "arn:" not in answer.body.decode()


def test_a_failed_notification_is_shown_and_the_dragon_stays_added(
    service: Service, step_functions: FakeStepFunctions, submission_id: str
) -> None:
    step_functions.settle(submission_id, {"status": "added", "reason": None, "notification": "failed"})
    answer = service.get(f"/submissions/{submission_id}", CLERK)

    assert (answer.json()["status"], answer.json()["notification"]) == ("added", "failed")


def test_operators_see_everybodys(service: Service, submission_id: str) -> None:
    assert service.get(f"/submissions/{submission_id}", OPERATOR).status == 200


def test_somebody_elses_looks_like_one_that_does_not_exist(service: Service, submission_id: str) -> None:
    others = service.get(f"/submissions/{submission_id}", OTHER_CLERK, headers={"X-Request-Id": "request-1"})
    nobodys = service.get("/submissions/no-such-id", OTHER_CLERK, headers={"X-Request-Id": "request-1"})

    assert others.status == nobodys.status == 404
    assert others.body == nobodys.body


@pytest.mark.parametrize("path", ["a%2Fb", "%3A", "x" * 81, "%C3%A9", "..%2F..", "%20"])
def test_an_id_that_cannot_be_one_is_a_404(service: Service, step_functions: FakeStepFunctions, path: str) -> None:
    assert service.get(f"/submissions/{path}").status == 404
    assert step_functions.described == 0


@pytest.mark.parametrize(
    ("error", "status"), [(client_error("ThrottlingException"), 503), (client_error("AccessDeniedException"), 500)]
)
def test_failures_of_step_functions_reveal_nothing_of_it(
    service: Service, step_functions: FakeStepFunctions, submission_id: str, error: Any, status: int
) -> None:
    step_functions.failures = [error]
    answer = service.get(f"/submissions/{submission_id}", CLERK)

    assert answer.status == status
    assert "secret" not in answer.body.decode()
