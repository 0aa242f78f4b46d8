"""How a submission stands, as its row says, and Step Functions where the row does not tell."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from chalicelib import aws
from chalicelib.dragons.model import report_from
from chalicelib.dragons.submission_table import (
    ASKED_FOR_A_PAGE_MAX,
    POLL_FIRST_S,
    POLL_MAX_S,
    WORKFLOW_ENDS_WITHIN_S,
    SubmissionPage,
    SubmissionTable,
    is_sort_key,
)
from chalicelib.dragons.submissions import WHY_FAILED, Origin, Submission, execution_input
from chalicelib.dragons.workflow import DragonWorkflow
from chalicelib.settings import SettingError
from tests.fakes.aws_errors import client_error
from tests.fakes.clock import FakeClock
from tests.fakes.settings import FakeSettings
from tests.fakes.step_functions import STARTED_AT, FakeStepFunctions
from tests.fakes.submission_rows import STATES, FakeSubmissionRows, arguments, as_text
from tests.samples import dragon, dragon_members

PHONE = "+15555550100"
ADDED = {"status": "added", "reason": None, "notification": "sent"}
DAYS_S = 86400


@pytest.fixture
def step_functions() -> FakeStepFunctions:
    """A Step Functions whose executions run until the test settles them."""
    return FakeStepFunctions()


@pytest.fixture
def rows() -> FakeSubmissionRows:
    """A table without rows."""
    return FakeSubmissionRows()


@pytest.fixture
def clock() -> FakeClock:
    """The time, which begins when submissions start."""
    clock = FakeClock()
    clock.now = STARTED_AT.timestamp()
    return clock


@pytest.fixture
def workflow(step_functions: FakeStepFunctions) -> DragonWorkflow:
    """The Step Functions client."""
    return DragonWorkflow(FakeSettings(), lambda: step_functions)  # type: ignore[arg-type,return-value]


@pytest.fixture
def submissions(workflow: DragonWorkflow, rows: FakeSubmissionRows, clock: FakeClock) -> SubmissionTable:
    """The table under test."""
    return SubmissionTable(FakeSettings(), workflow, lambda: rows, clock, clock.sleep)  # type: ignore[arg-type,return-value]


def start(workflow: DragonWorkflow, **changes: Any) -> Submission:
    """Report a dragon."""
    report = report_from(dragon_members(**changes))
    return workflow.start(report, Origin("sub", "correlation"), may_text=False)


@pytest.fixture
def begun(workflow: DragonWorkflow, step_functions: FakeStepFunctions, rows: FakeSubmissionRows) -> Submission:
    """A submission whose row was written."""
    submission = start(workflow, reportingPhoneNumber=PHONE)
    rows.write("RecordPending", step_functions.only_input())
    return submission


def end(rows: FakeSubmissionRows, step_functions: FakeStepFunctions, end: str, **found: Any) -> None:
    """Write the end of the only execution into its row, given what the workflow has found out."""
    rows.write(f"Record{end}", {**step_functions.only_input(), **found})


SENT = {"notification": {"status": "sent"}}
DUPLICATE = {"result": {"outcome": "duplicate", "reason": "taken"}, "notification": {"status": "failed"}}


class TestFind:
    def test_a_pending_row_is_all_that_is_read(
        self, submissions: SubmissionTable, step_functions: FakeStepFunctions, begun: Submission
    ) -> None:
        assert submissions.find(begun.submission_id) == begun
        assert step_functions.described == 0

    @pytest.mark.parametrize(
        ("end_state", "found", "shown"),
        [
            ("Added", SENT, ("added", None, None, "sent")),
            ("Added", {"notification": {"status": "failed"}}, ("added", None, None, "failed")),
            ("Rejected", DUPLICATE, ("rejected", "taken", "duplicate", "failed")),
            ("Failed", SENT, ("failed", WHY_FAILED, None, None)),
        ],
    )
    def test_a_settled_row_is_all_that_is_read(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        begun: Submission,
        end_state: str,
        found: dict[str, Any],
        shown: tuple[str | None, ...],
    ) -> None:
        end(rows, step_functions, end_state, **found)
        read = submissions.find(begun.submission_id)

        assert read is not None
        assert (read.status, read.reason, read.refusal, read.notification) == shown
        assert read.finished_at == "2026-11-24T07:20:02.750Z"
        assert (read.requested_by, read.dragon, read.started_at) == ("sub", dragon(), begun.started_at)
        assert read.execution_arn == begun.execution_arn
        assert step_functions.described == 0

    @pytest.mark.parametrize(
        ("end_state", "found", "output", "aws_status"),
        [
            ("Added", SENT, ADDED, "SUCCEEDED"),
            (
                "Rejected",
                DUPLICATE,
                {"status": "rejected", **DUPLICATE["result"], "notification": "failed"},
                "SUCCEEDED",
            ),
            ("Failed", SENT, None, "FAILED"),
        ],
    )
    def test_row_and_step_functions_tell_the_same(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        begun: Submission,
        end_state: str,
        found: dict[str, Any],
        output: dict[str, Any] | None,
        aws_status: str,
    ) -> None:
        end(rows, step_functions, end_state, **found)
        step_functions.settle(begun.submission_id, output, aws_status)
        by_row = submissions.find(begun.submission_id)
        rows.items.clear()

        assert submissions.find(begun.submission_id) == by_row

    def test_a_row_that_is_not_there_yet_takes_one_question_to_step_functions(
        self, submissions: SubmissionTable, workflow: DragonWorkflow, step_functions: FakeStepFunctions
    ) -> None:
        begun = start(workflow)

        assert submissions.find(begun.submission_id) == begun
        assert step_functions.described == 1

    @pytest.mark.parametrize(("seconds", "asked"), [(90 * DAYS_S - 0.6, 0), (90 * DAYS_S - 0.5, 1)])
    def test_a_row_is_gone_once_its_time_is_over(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        clock: FakeClock,
        begun: Submission,
        seconds: float,
        asked: int,
    ) -> None:
        """DynamoDB deletes it some days later. Its time is in whole seconds."""
        end(rows, step_functions, "Added", **SENT)
        clock.now += seconds
        submissions.find(begun.submission_id)

        assert step_functions.described == asked

    @pytest.mark.parametrize(
        "foreign",
        [
            {"dragon": {"S": "null"}},
            {"dragon": {"S": "{"}},
            {"status": {"S": "nobody knows"}},
            {"started_at_id": {"S": "yesterday#id"}},
            {"finished_at": {"S": "soon"}},
            {"execution_arn": {"NULL": True}},
        ],
    )
    def test_a_row_that_is_none_of_a_submission_does_not_tell(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        begun: Submission,
        foreign: dict[str, Any],
    ) -> None:
        for item in rows.items.values():
            item.update(foreign)

        assert submissions.find(begun.submission_id) == begun
        assert step_functions.described == 1

    @pytest.mark.parametrize("later", ["2026-11-24T07:20:02Z", "2026-11-24T07:20:01.600Z"])
    def test_the_newest_row_counts_if_an_id_comes_again_after_90_days(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        begun: Submission,
        later: str,
    ) -> None:
        rows.write("RecordPending", step_functions.only_input(), started=later)
        end(rows, step_functions, "Added", **SENT)  # the first one
        read = submissions.find(begun.submission_id)

        assert read is not None
        assert (read.status, read.started_at[:19]) == ("pending", later[:19])

    @pytest.mark.parametrize("submission_id", ["", "x" * 81, "a:b", "a/b", "a b", "é", "*", "a\n"])
    def test_an_impossible_id_is_not_looked_up(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        submission_id: str,
    ) -> None:
        assert submissions.find(submission_id) is None
        assert (rows.queries, step_functions.described) == (0, 0)

    def test_an_unknown_id_is_not_found(self, submissions: SubmissionTable) -> None:
        assert submissions.find("x" * 80) is None

    def test_a_failure_is_not_mistaken_for_an_unknown_id_and_names_the_service(
        self, submissions: SubmissionTable, rows: FakeSubmissionRows
    ) -> None:
        rows.failures = [client_error("AccessDeniedException")]

        with pytest.raises(aws.DependencyFault, match=r"^DynamoDB refused: AccessDeniedException"):
            submissions.find("nobody")

    @pytest.mark.usefixtures("begun")
    def test_a_row_does_not_contain_the_phone_number(self, rows: FakeSubmissionRows) -> None:
        assert len(rows.items) == 1
        assert PHONE not in repr(rows.items)


class TestARowThatStaysPending:
    """Its execution was stopped, ran out of time, or its last write failed."""

    @pytest.fixture(autouse=True)
    def _later(self, clock: FakeClock) -> None:
        clock.now += WORKFLOW_ENDS_WITHIN_S + 0.1

    def test_the_limit_is_the_workflows_own(self, begun: Submission, submissions: SubmissionTable, clock: FakeClock,
                                            step_functions: FakeStepFunctions) -> None:  # fmt: skip
        clock.now -= 0.2
        submissions.find(begun.submission_id)

        assert step_functions.described == 0

    @pytest.mark.parametrize(
        ("aws_status", "output", "status"),
        [("SUCCEEDED", ADDED, "added"), ("TIMED_OUT", None, "failed"), ("ABORTED", None, "failed"),
         ("RUNNING", None, "pending")],
    )  # fmt: skip
    def test_step_functions_is_asked_beyond_the_workflows_time_limit(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        begun: Submission,
        aws_status: str,
        output: dict[str, Any] | None,
        status: str,
    ) -> None:
        step_functions.settle(begun.submission_id, output, aws_status)
        read = submissions.find(begun.submission_id)

        assert read is not None
        assert read.status == status
        assert step_functions.described == 1

    def test_one_that_step_functions_does_not_know_any_more_has_failed(
        self, submissions: SubmissionTable, step_functions: FakeStepFunctions, begun: Submission
    ) -> None:
        step_functions.executions.clear()
        read = submissions.find(begun.submission_id)

        assert read is not None
        assert (read.status, read.reason) == ("failed", WHY_FAILED)

    def test_one_that_has_ended_is_not_asked_for(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        begun: Submission,
    ) -> None:
        end(rows, step_functions, "Failed")
        submissions.find(begun.submission_id)

        assert step_functions.described == 0


class TestPage:
    @pytest.fixture
    def several(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions, rows: FakeSubmissionRows
    ) -> list[Submission]:
        """Eight submissions whose rows are pending, the newest first. A row of somebody else is between them."""
        found = []
        for number in range(8):
            submission = start(workflow, dragon_name_str=f"dragon {number}")
            given = json.loads(step_functions.executions[submission.submission_id]["input"])
            rows.write("RecordPending", given, started=as_text(STARTED_AT + timedelta(seconds=number)))
            found.append(replace(submission, started_at=as_text(STARTED_AT + timedelta(seconds=number))))
        others = {**given, "submission_id": "another", "requested_by": "somebody else"}
        rows.write("RecordPending", others, started=as_text(STARTED_AT + timedelta(seconds=3)))
        return found[::-1]

    def test_it_has_the_users_own_submissions_newest_first(
        self, submissions: SubmissionTable, step_functions: FakeStepFunctions, several: list[Submission]
    ) -> None:
        assert submissions.page("sub", None, 10) == SubmissionPage(several, None)
        assert submissions.page("nobody", None, 10) == SubmissionPage([], None)
        assert step_functions.described == 0

    @pytest.mark.parametrize("limit", [1, 3, 7, 8])
    @pytest.mark.parametrize("rows_max", [1, 2, 1_000])
    def test_pages_hold_every_submission_once(
        self,
        submissions: SubmissionTable,
        rows: FakeSubmissionRows,
        several: list[Submission],
        limit: int,
        rows_max: int,
    ) -> None:
        rows.rows_max = rows_max
        seen: list[Submission] = []
        before = None
        while True:
            page = submissions.page("sub", before, limit)
            assert len(page.submissions) <= limit
            seen += page.submissions
            if (before := page.next_before) is None:
                break

        assert seen == several

    def test_what_is_none_of_a_submission_is_passed_over(
        self, submissions: SubmissionTable, rows: FakeSubmissionRows, several: list[Submission]
    ) -> None:
        for key, row in list(rows.items.items()):
            if row["id"]["S"] in (several[0].submission_id, several[2].submission_id):
                rows.items[key] = {**row, "dragon": {"S": "{}"}}

        page = submissions.page("sub", None, 2)
        assert page.submissions == [several[1], several[3]]
        assert submissions.page("sub", page.next_before, 10).submissions == several[4:]

    def test_it_ends_before_what_has_expired(
        self,
        submissions: SubmissionTable,
        clock: FakeClock,
        several: list[Submission],
        step_functions: FakeStepFunctions,
    ) -> None:
        clock.now = int(STARTED_AT.timestamp()) + 90 * DAYS_S + 3
        for each in several:
            step_functions.settle(each.submission_id, ADDED)

        found = submissions.page("sub", None, 10)
        assert [each.submission_id for each in found.submissions] == [each.submission_id for each in several[:4]]
        assert submissions.page("sub", None, 4).next_before is None

    def test_at_most_five_that_are_overdue_are_asked_of_step_functions(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        clock: FakeClock,
        several: list[Submission],
    ) -> None:
        clock.now += WORKFLOW_ENDS_WITHIN_S + 60
        for each in several:
            step_functions.settle(each.submission_id, ADDED)
        del step_functions.executions[several[1].submission_id]

        statuses = [each.status for each in submissions.page("sub", None, 10).submissions]
        assert statuses == ["added", "failed", *["added"] * 3, *["pending"] * 3]
        assert step_functions.described == ASKED_FOR_A_PAGE_MAX == 5

    @pytest.mark.usefixtures("several")
    def test_only_those_of_the_page_are_asked_for(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        clock: FakeClock,
    ) -> None:
        clock.now = STARTED_AT.timestamp() + WORKFLOW_ENDS_WITHIN_S + 6.5
        submissions.page("sub", None, 2)

        assert step_functions.described == 1, "the newest is not overdue"

    def test_a_throttled_step_functions_leaves_what_is_overdue_pending(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        clock: FakeClock,
        several: list[Submission],
    ) -> None:
        clock.now += WORKFLOW_ENDS_WITHIN_S + 60
        step_functions.settle(several[0].submission_id, ADDED)
        step_functions.failures = [None, client_error("ThrottlingException")]

        statuses = [each.status for each in submissions.page("sub", None, 3).submissions]
        assert statuses == ["added", "pending", "pending"]
        assert step_functions.described == 2

    @pytest.mark.usefixtures("several")
    def test_what_a_person_has_to_mend_is_a_failure(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        clock: FakeClock,
    ) -> None:
        clock.now += WORKFLOW_ENDS_WITHIN_S + 60
        step_functions.failures = [client_error("AccessDeniedException")]

        with pytest.raises(aws.DependencyFault, match="AccessDeniedException"):
            submissions.page("sub", None, 3)

    @pytest.mark.parametrize(
        ("text", "may_be"), [("", False), ("x", True), ("é" * 512, True), ("é" * 512 + "x", False)]
    )
    def test_a_sort_key_is_as_long_as_dynamodb_takes_it(self, text: str, may_be: bool) -> None:
        assert is_sort_key(text) is may_be


class TestWait:
    def test_ends_as_soon_as_the_row_is_settled_and_asks_step_functions_nothing(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        clock: FakeClock,
        begun: Submission,
    ) -> None:
        end(rows, step_functions, "Added", **SENT)

        assert submissions.wait(begun, 10).status == "added"
        assert clock.slept == [POLL_FIRST_S]
        assert step_functions.described == 0

    def test_polls_less_and_less_often_and_not_beyond_the_time_limit(
        self, submissions: SubmissionTable, step_functions: FakeStepFunctions, clock: FakeClock, begun: Submission
    ) -> None:
        before = clock.now

        assert submissions.wait(begun, 10) == begun
        assert clock.now - before == pytest.approx(10)
        *pauses, _last = clock.slept
        assert pauses == sorted(pauses)
        assert pauses[-1] == POLL_MAX_S
        assert step_functions.described == 0

    def test_a_short_wait_polls_once_at_its_end(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        clock: FakeClock,
        begun: Submission,
    ) -> None:
        end(rows, step_functions, "Added", **SENT)

        assert submissions.wait(begun, 0.1).status == "added"
        assert clock.slept == [pytest.approx(0.1)]

    def test_if_the_row_never_appears_step_functions_is_asked_once_at_the_end(
        self, submissions: SubmissionTable, workflow: DragonWorkflow, step_functions: FakeStepFunctions
    ) -> None:
        """Its first write failed. No report is lost."""
        begun = start(workflow)
        step_functions.run = lambda _: ADDED

        assert submissions.wait(begun, 10).status == "added"
        assert step_functions.described == 1

    @pytest.mark.parametrize("failure", [None, "ExecutionDoesNotExist", "ThrottlingException", "AccessDeniedException"])
    def test_one_that_nobody_can_tell_of_is_pending_because_it_has_started(
        self,
        submissions: SubmissionTable,
        workflow: DragonWorkflow,
        step_functions: FakeStepFunctions,
        failure: str | None,
    ) -> None:
        begun = start(workflow)
        step_functions.failures = [client_error(failure) if failure else None]

        assert submissions.wait(begun, 10) == begun

    @pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
    def test_a_table_that_cannot_be_read_ends_the_wait_at_once(
        self,
        submissions: SubmissionTable,
        step_functions: FakeStepFunctions,
        rows: FakeSubmissionRows,
        begun: Submission,
        code: str,
        log: io.StringIO,
    ) -> None:
        rows.failures = [None, client_error(code)]

        assert submissions.wait(begun, 10) == begun
        assert (rows.queries, step_functions.described) == (2, 0)
        [line] = map(json.loads, log.getvalue().splitlines())
        assert line["message"] == "nobody waits any longer for a submission"
        assert code in line["exception"]

    def test_a_missing_setting_ends_the_wait_at_once(
        self, workflow: DragonWorkflow, rows: FakeSubmissionRows, clock: FakeClock, begun: Submission
    ) -> None:
        class WithoutName:
            @property
            def submission_table_name(self) -> str:
                raise SettingError("Parameter Store lacks it")

        nameless = SubmissionTable(WithoutName(), workflow, lambda: rows, clock, clock.sleep)  # type: ignore[arg-type,return-value]

        assert nameless.wait(begun, 10) == begun
        assert clock.slept == [POLL_FIRST_S]


class TestWhatTheWorkflowWrites:
    GIVEN = execution_input(report_from(dragon_members()), Origin("sub", "c"), "s1", may_text=False)

    def test_a_row_has_all_that_is_shown_and_nothing_else(self) -> None:
        item = arguments("RecordPending", self.GIVEN)["Item"]

        assert item["sub"] == {"S": "sub"}
        assert item["started_at_id"] == {"S": "2026-11-24T07:20:01.500Z#s1"}
        assert item["expires_at"] == {"N": str(int(STARTED_AT.timestamp()) + 90 * DAYS_S)}
        assert item.keys() == {"sub", "started_at_id", "id", "execution_arn", "dragon", "status", "expires_at"}

    def test_all_writes_of_an_execution_are_to_the_same_row(self) -> None:
        item = arguments("RecordPending", self.GIVEN)["Item"]
        found = {**SENT, "result": DUPLICATE["result"]}
        for name in [name for name, state in STATES.items() if "updateItem" in state.get("Resource", "")]:
            key = arguments(name, {**self.GIVEN, **found})["Key"]
            assert key == {attribute: item[attribute] for attribute in key}

    def test_rows_are_sorted_by_time_whatever_digits_it_has(self) -> None:
        times = ["2026-11-24T07:20:01Z", "2026-11-24T07:20:01.192Z", "2026-11-24T07:20:02Z"]
        keys = [arguments("RecordPending", self.GIVEN, started=time)["Item"]["started_at_id"]["S"] for time in times]

        assert keys == sorted(keys)

    @pytest.mark.parametrize("by_hand", [None, 7, ["sub"], {"sub": "sub"}, True])
    def test_what_somebody_starts_by_hand_has_no_value_of_a_type_that_no_catch_catches(self, by_hand: object) -> None:
        """A value that is no string ends the execution with States.Runtime; and it must not be anybody's row."""
        item = arguments("RecordPending", {**self.GIVEN, "requested_by": by_hand})["Item"]

        assert isinstance(item["sub"]["S"], str)
        assert item["sub"]["S"] != "sub"

    def test_an_execution_is_recorded_under_its_own_name(self) -> None:
        """Somebody who starts one by hand could name another's submission in its input."""
        item = arguments("RecordPending", self.GIVEN, name="by-hand")["Item"]

        assert item["id"] == {"S": "by-hand"}
        assert item["started_at_id"]["S"].endswith("#by-hand")

    def test_a_refused_input_has_no_row_and_gets_none(self) -> None:
        refused = {**STATES["RefuseInput"]["Parameters"], "notification": {"status": "sent"}}
        written = arguments("RecordRejected", refused, name="by-hand")

        assert written["Key"]["sub"] == {"S": "null"}
        assert written["ConditionExpression"] == "attribute_exists(started_at_id)"
