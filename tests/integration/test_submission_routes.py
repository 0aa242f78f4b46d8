"""Reading what happened to a report: from the row that the workflow writes, or else from Step Functions."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.web.paging import cursor
from chalicelib.web.problems import INVALID_REQUEST
from tests.fakes.aws_errors import client_error
from tests.fakes.step_functions import STARTED_AT, FakeStepFunctions, history
from tests.fakes.submission_rows import arguments, as_text
from tests.integration.service import CLERK, OPERATOR, OTHER_CLERK, Service
from tests.integration.stage import SUBMISSIONS
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
    answer = service.get(f"/submissions/{submission_id}?steps=true", CLERK)

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
    answer = service.get(f"/submissions/{submission_id}?steps=true", CLERK)

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


class TestList:
    """On rows in DynamoDB as moto has it, which the workflow's own state has written."""

    @pytest.fixture
    def reported(self, service: Service, step_functions: FakeStepFunctions) -> list[str]:
        """Three submissions by the clerk, the newest first."""
        ids = []
        for number in range(3):
            submission_id = service.post("/dragons", dragon_body(f"dragon {number}"), CLERK).json()["submission_id"]
            given = json.loads(step_functions.executions[submission_id]["input"])
            row = arguments("RecordPending", given, started=as_text(STARTED_AT + timedelta(seconds=number)))
            aws.dynamodb().put_item(**{**row, "TableName": SUBMISSIONS})
            ids.append(submission_id)
        return ids[::-1]

    def test_callers_see_their_own_alone_and_newest_first(self, service: Service, reported: list[str]) -> None:
        own = service.get("/submissions", CLERK)

        assert (own.status, [each["submission_id"] for each in own.json()]) == (200, reported)
        assert own.json()[0] == {
            "submission_id": reported[0],
            "status": "pending",
            "dragon_name_str": "dragon 2",
            "reason": None,
            "notification": None,
            "started_at": "2026-11-24T07:20:03.500Z",
            "finished_at": None,
        }
        for who in (OPERATOR, OTHER_CLERK):
            assert service.get("/submissions", who).body == b"[]"

    def test_pages_follow_each_other_by_their_links(self, service: Service, reported: list[str]) -> None:
        first = service.get("/submissions?limit=2", CLERK)
        following = re.findall(
            r'</prod([^>]*)>; rel="next", </prod/submissions\?limit=2>; rel="first"', first.headers["Link"]
        )
        second = service.get(following[0], CLERK)

        assert [each["submission_id"] for each in (*first.json(), *second.json())] == reported
        assert "Link" not in second.headers
        assert service.get(following[0], OTHER_CLERK).json()["errors"] == [
            {"parameter": "cursor", "detail": "belongs to a query with other filters; start from the first page"}
        ]

    @pytest.mark.usefixtures("reported")
    def test_a_page_is_revalidated(self, service: Service) -> None:
        etag = service.get("/submissions", CLERK).headers["ETag"]
        again = service.get("/submissions", CLERK, headers={"If-None-Match": etag})

        assert (again.status, again.body) == (304, b"")

    @pytest.mark.parametrize("key", ["", "x" * 1_025])
    def test_a_cursor_with_a_key_that_dynamodb_does_not_take_is_a_400(self, service: Service, key: str) -> None:
        answer = service.get(f"/submissions?cursor={cursor(key, 'submissions', CLERK['sub'])}", CLERK)

        assert (answer.status, answer.json()["type"]) == (400, INVALID_REQUEST)

    @pytest.mark.parametrize("key", ["x", "2026", "é" * 512, "\x00"])
    def test_a_cursor_that_somebody_made_up_begins_at_its_key(
        self, service: Service, reported: list[str], key: str
    ) -> None:
        answer = service.get(f"/submissions?cursor={cursor(key, 'submissions', CLERK['sub'])}", CLERK)

        assert answer.status == 200
        assert len(answer.json()) == (len(reported) if key > "2027" else 0)


class TestSteps:
    @pytest.mark.parametrize("query", ["", "?steps=false"])
    def test_step_functions_is_not_asked_for_steps_that_nobody_wants(
        self, service: Service, step_functions: FakeStepFunctions, submission_id: str, query: str
    ) -> None:
        step_functions.failures = [None, client_error("GetExecutionHistory would be throttled")]
        answer = service.get(f"/submissions/{submission_id}{query}", CLERK)

        assert answer.status == 200
        assert "steps" not in answer.json()

    @pytest.mark.parametrize(
        ("query", "place"),
        [("steps=yes", "steps"), ("steps=", "steps"), ("steps=True", "steps"), ("steps=true&steps=true", "steps"),
         ("step=true", "step")],
    )  # fmt: skip
    def test_anything_but_true_or_false_is_a_400_before_anything_is_read(
        self, service: Service, step_functions: FakeStepFunctions, submission_id: str, query: str, place: str
    ) -> None:
        answer = service.get(f"/submissions/{submission_id}?{query}", CLERK)

        assert (answer.status, answer.json()["type"]) == (400, INVALID_REQUEST)
        [error] = answer.json()["errors"]
        assert error["parameter"] == place
        assert place != "steps" or error["detail"] in ("must be true or false", "is given more than once")
        assert step_functions.described == 0


class TestRows:
    """What the workflow's own states write, in DynamoDB as moto has it."""

    @pytest.fixture(autouse=True)
    def _row(self, step_functions: FakeStepFunctions, submission_id: str) -> None:
        self.given = step_functions.only_input()
        assert self.given["submission_id"] == submission_id
        aws.dynamodb().put_item(**self.arguments("RecordPending"))

    def arguments(self, state: str, **found: Any) -> dict[str, Any]:
        """Return what a state writes, given what the workflow has found out."""
        return {**arguments(state, {**self.given, **found}), "TableName": SUBMISSIONS}

    def test_a_row_is_enough(self, service: Service, step_functions: FakeStepFunctions, submission_id: str) -> None:
        pending = service.get(f"/submissions/{submission_id}", CLERK)
        aws.dynamodb().update_item(**self.arguments("RecordAdded", notification={"status": "sent"}))
        added = service.get(f"/submissions/{submission_id}", CLERK)

        assert (pending.status, pending.json()["status"], pending.headers["Retry-After"]) == (200, "pending", "1")
        assert added.json() == {
            "submission_id": submission_id,
            "status": "added",
            "dragon_name_str": "Ember",
            "reason": None,
            "notification": "sent",
            "started_at": "2026-11-24T07:20:01.500Z",
            "finished_at": "2026-11-24T07:20:02.750Z",
        }
        assert step_functions.described == 0

    def test_a_rejected_one_says_why(
        self, service: Service, step_functions: FakeStepFunctions, submission_id: str
    ) -> None:
        found = {"result": {"outcome": "duplicate", "reason": "taken"}, "notification": {"status": "failed"}}
        aws.dynamodb().update_item(**self.arguments("RecordRejected", **found))
        answer = service.get(f"/submissions/{submission_id}", CLERK).json()

        assert (answer["status"], answer["reason"], answer["notification"]) == ("rejected", "taken", "failed")
        assert step_functions.described == 0

    def test_a_failed_one_reveals_no_internals(
        self, service: Service, step_functions: FakeStepFunctions, submission_id: str
    ) -> None:
        aws.dynamodb().update_item(**self.arguments("RecordFailed"))
        answer = service.get(f"/submissions/{submission_id}", CLERK)

        assert answer.json()["status"] == "failed"
        assert answer.json()["reason"].startswith("The workflow could not be finished.")
        assert step_functions.described == 0

    def test_the_steps_come_from_the_history(
        self, service: Service, step_functions: FakeStepFunctions, submission_id: str
    ) -> None:
        step_functions.histories[submission_id] = history("ExecutionStarted", "Added:PassStateEntered")
        answer = service.get(f"/submissions/{submission_id}?steps=true", CLERK)

        assert [step["name"] for step in answer.json()["steps"]] == ["Added"]
        assert step_functions.described == 0

    def test_it_is_shown_to_its_reporter_and_to_operators_only(self, service: Service, submission_id: str) -> None:
        shown = {name: service.get(f"/submissions/{submission_id}", who).status
                 for name, who in (("clerk", CLERK), ("operator", OPERATOR), ("other", OTHER_CLERK))}  # fmt: skip

        assert shown == {"clerk": 200, "operator": 200, "other": 404}

    def test_the_last_write_makes_no_row_if_the_first_one_made_none(self) -> None:
        aws.dynamodb().delete_item(TableName=SUBMISSIONS, Key=self.arguments("RecordFailed")["Key"])
        with pytest.raises(aws.DependencyFault, match="ConditionalCheckFailedException"), aws.calling("DynamoDB"):
            aws.dynamodb().update_item(**self.arguments("RecordFailed"))

        assert aws.dynamodb().scan(TableName=SUBMISSIONS)["Count"] == 0

    def test_a_late_first_write_does_not_undo_the_last_one(self, service: Service, submission_id: str) -> None:
        aws.dynamodb().update_item(**self.arguments("RecordAdded", notification={"status": "sent"}))
        with pytest.raises(aws.DependencyFault, match="ConditionalCheckFailedException"), aws.calling("DynamoDB"):
            aws.dynamodb().put_item(**self.arguments("RecordPending"))

        assert service.get(f"/submissions/{submission_id}", CLERK).json()["status"] == "added"

    @pytest.mark.parametrize("end", ["201", "409", "500"])
    def test_a_client_that_waits_reads_the_row_alone(
        self, service: Service, step_functions: FakeStepFunctions, end: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The workflow ends while the client waits."""
        ends = {
            "201": self.arguments("RecordAdded", notification={"status": "sent"}),
            "409": self.arguments(
                "RecordRejected",
                result={"outcome": "duplicate", "reason": "taken"},
                notification={"status": "sent"},
            ),
            "500": self.arguments("RecordFailed"),
        }
        workflow, known = service.app.workflow, self.given["submission_id"]
        begun = service.app.submissions.find(known)
        monkeypatch.setattr(workflow, "start", lambda *_given, **_options: begun)
        aws.dynamodb().update_item(**ends[end])
        answer = service.post("/dragons", dragon_body(), CLERK, Prefer="wait=5")

        assert str(answer.status) == end
        assert step_functions.described == 0

    def test_a_table_that_cannot_be_read_is_a_failure_that_reveals_nothing(
        self, service: Service, submission_id: str
    ) -> None:
        aws.dynamodb().delete_table(TableName=SUBMISSIONS)
        answer = service.get(f"/submissions/{submission_id}", CLERK)

        assert answer.status == 500
        assert "submissions" not in answer.body.decode().replace("/submissions/", "")
