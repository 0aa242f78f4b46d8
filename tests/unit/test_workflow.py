"""Starting the workflow, and what Step Functions knows of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.dragons.model import report_from
from chalicelib.dragons.submissions import Origin, Step, Submission, execution_input
from chalicelib.dragons.workflow import DragonWorkflow, IdempotencyKeyReused
from tests.fakes.aws_errors import client_error
from tests.fakes.settings import FakeSettings
from tests.fakes.step_functions import STATE_MACHINE_ARN, FakeStepFunctions, history
from tests.samples import dragon, dragon_members

PHONE = "+15555550100"
ADDED = {"status": "added", "reason": None, "notification": "sent"}

# Inputs of executions that somebody started by hand.
_INPUT = execution_input(report_from(dragon_members()), Origin("sub", "c"), "by-hand", may_text=False)
FOREIGN = [
    "{}",
    "[]",
    '"x"',
    '{"dragon": {}, "requested_by": "sub"}',
    *(json.dumps(_INPUT | {member: None}) for member in _INPUT),
    json.dumps(_INPUT | {"requested_by": ["sub"]}),
    json.dumps(_INPUT | {"submission_id": "another"}),
    '{"x":' + "[" * 1_000_000 + "]" * 1_000_000 + "," + json.dumps(_INPUT)[1:],
]


@pytest.fixture
def step_functions() -> FakeStepFunctions:
    """A Step Functions whose executions run until the test settles them."""
    return FakeStepFunctions()


@pytest.fixture
def workflow(step_functions: FakeStepFunctions) -> DragonWorkflow:
    """The client under test."""
    return DragonWorkflow(FakeSettings(), lambda: step_functions)  # type: ignore[arg-type,return-value]


def start(workflow: DragonWorkflow, key: str | None = None, may_text: bool = False, **changes: Any) -> Submission:
    """Report a dragon."""
    report = report_from(dragon_members(**changes))
    return workflow.start(report, Origin("sub", "correlation", key), may_text=may_text)


class TestStart:
    def test_a_submission_is_pending_when_it_starts(self, workflow: DragonWorkflow) -> None:
        submission = start(workflow)

        assert submission.status == "pending"
        assert submission.dragon == dragon()
        assert submission.execution_arn.endswith(f":execution:dragonpost-local-dragons:{submission.submission_id}")
        assert submission.started_at == "2026-11-24T07:20:01.500Z"

    @pytest.mark.parametrize(("wanted", "may_text"), [(False, False), (False, True), (True, False)])
    def test_a_text_is_sent_only_if_it_is_wanted_and_allowed(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions, wanted: bool, may_text: bool
    ) -> None:
        start(workflow, may_text=may_text, reportingPhoneNumber=PHONE, confirmationRequired=wanted)

        assert step_functions.only_input()["reporter"] == {"phone_number": PHONE, "text": False}

    def test_a_reporter_without_a_number_is_in_the_input_without_one(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions
    ) -> None:
        start(workflow, may_text=True)

        assert step_functions.only_input()["reporter"] == {"text": False}

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (client_error("ExecutionLimitExceeded"), aws.DependencyUnavailable),
            (client_error("StateMachineDoesNotExist"), aws.DependencyFault),
        ],
    )
    def test_an_execution_that_cannot_be_started_is_the_services_failure(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions, error: Exception, kind: type[Exception]
    ) -> None:
        step_functions.failures = [error]

        with pytest.raises(kind):
            start(workflow)


class TestIdempotencyKey:
    def test_without_a_key_every_submission_has_an_id_of_its_own(self) -> None:
        assert len({Origin("sub", "c").submission_id() for _ in range(100)}) == 100

    def test_user_and_key_determine_the_id(self) -> None:
        ids = [Origin(*origin).submission_id() for origin in (("a", "c", "k"), ("a", "d", "k"))]
        others = [Origin(*origin).submission_id() for origin in (("b", "c", "k"), ("a", "c", "l"), ("a\nk", "c", ""))]

        assert ids[0] == ids[1]
        assert ids[0] not in others
        assert len(ids[0]) <= 80, "the longest name that Step Functions accepts"

    @pytest.mark.parametrize("output", [None, ADDED, {"status": "rejected", "outcome": "duplicate", "reason": "x"}])
    def test_a_repeated_report_is_answered_like_the_first(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions, output: dict[str, Any] | None
    ) -> None:
        first = start(workflow, "key")
        if output is not None:
            step_functions.settle(first.submission_id, output)

        assert start(workflow, "key") == first

    def test_a_repeated_report_is_the_same_even_if_the_stage_no_longer_sends_texts(
        self, workflow: DragonWorkflow
    ) -> None:
        wanted = {"reportingPhoneNumber": PHONE, "confirmationRequired": True}
        first = start(workflow, "key", may_text=True, **wanted)

        assert start(workflow, "key", may_text=False, **wanted) == first

    @pytest.mark.parametrize(
        "changes",
        [{"name": "Ash"}, {"description_str": "x"}, {"reportingPhoneNumber": PHONE}],
    )
    def test_another_report_is_refused(self, workflow: DragonWorkflow, changes: dict[str, Any]) -> None:
        start(workflow, "key")

        with pytest.raises(IdempotencyKeyReused):
            start(workflow, "key", **changes)

    @pytest.mark.parametrize("foreign", FOREIGN)
    def test_an_execution_of_its_name_that_somebody_started_by_hand_is_another_report(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions, foreign: str
    ) -> None:
        name = Origin("sub", "correlation", "key").submission_id()
        step_functions.start_execution(stateMachineArn=STATE_MACHINE_ARN, name=name, input=foreign)

        with pytest.raises(IdempotencyKeyReused):
            start(workflow, "key")

    def test_an_execution_that_vanishes_meanwhile_is_a_transient_failure(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions
    ) -> None:
        start(workflow, "key")
        step_functions.failures = [None, client_error("ExecutionDoesNotExist")]

        why = "^Step Functions is not available: an execution that exists was not found$"
        with pytest.raises(aws.DependencyUnavailable, match=why):
            start(workflow, "key")


class TestFind:
    @pytest.mark.parametrize("foreign", FOREIGN)
    def test_an_execution_that_was_started_by_hand_is_not_a_submission(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions, foreign: str
    ) -> None:
        step_functions.start_execution(stateMachineArn=STATE_MACHINE_ARN, name="by-hand", input=foreign)

        assert workflow.find("by-hand") is None

    @pytest.mark.parametrize("aws_status", ["RUNNING", "PENDING_REDRIVE"])
    def test_an_execution_that_still_runs_is_pending(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions, aws_status: str
    ) -> None:
        submission_id = start(workflow).submission_id
        step_functions.settle(submission_id, status=aws_status)
        found = workflow.find(submission_id)

        assert found is not None
        assert (found.status, found.finished_at, found.reason, found.notification) == ("pending", None, None, None)

    @pytest.mark.parametrize(
        "output",
        [
            ADDED,
            ADDED | {"notification": "failed"},
            {"status": "rejected", "outcome": "duplicate", "reason": "taken", "notification": "sent"},
            {"status": "rejected", "outcome": "invalid", "reason": "bad", "notification": "failed"},
        ],
    )
    def test_returns_what_the_workflow_decided(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions, output: dict[str, Any]
    ) -> None:
        submission_id = start(workflow).submission_id
        step_functions.settle(submission_id, output)
        found = workflow.find(submission_id)

        assert found is not None
        assert (found.status, found.reason, found.notification) == tuple(
            output[name] for name in ("status", "reason", "notification")
        )
        assert found.refusal == output.get("outcome")
        assert found.finished_at == "2026-11-24T07:20:02.750Z"
        assert found.requested_by == "sub"

    @pytest.mark.parametrize(
        ("aws_status", "output"),
        [
            ("FAILED", None),
            ("TIMED_OUT", None),
            ("ABORTED", None),
            ("SUCCEEDED", {}),
            ("SUCCEEDED", {"status": "failed", "reason": "arn:aws:secret"}),
        ],
    )
    def test_every_other_end_is_a_failure_that_reveals_no_internals(
        self,
        workflow: DragonWorkflow,
        step_functions: FakeStepFunctions,
        aws_status: str,
        output: dict[str, Any] | None,
    ) -> None:
        submission_id = start(workflow).submission_id
        step_functions.settle(submission_id, output, aws_status)
        step_functions.executions[submission_id]["cause"] = "arn:aws:secret"
        found = workflow.find(submission_id)

        assert found is not None
        assert found.status == "failed"
        assert found.reason == ("The workflow could not be finished. GET /dragons tells whether the dragon was added.")
        assert "secret" not in repr(found)

    def test_an_execution_whose_output_is_not_an_object_is_not_a_submission(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions
    ) -> None:
        submission_id = start(workflow).submission_id
        step_functions.settle(submission_id)
        step_functions.executions[submission_id]["output"] = "[]"

        assert workflow.find(submission_id) is None

    def test_an_execution_that_succeeded_but_has_no_output_yet_is_pending(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions
    ) -> None:
        """DescribeExecution is eventually consistent.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
        """
        submission_id = start(workflow).submission_id
        step_functions.settle(submission_id, None, "SUCCEEDED")
        found = workflow.find(submission_id)

        assert found is not None
        assert (found.status, found.finished_at) == ("pending", None)

    def test_a_submission_does_not_contain_the_phone_number(self, workflow: DragonWorkflow) -> None:
        submission_id = start(workflow, reportingPhoneNumber=PHONE).submission_id

        assert PHONE not in repr(workflow.find(submission_id))

    def test_an_unknown_id_is_not_found(self, workflow: DragonWorkflow) -> None:
        assert workflow.find("nobody") is None

    def test_other_errors_are_not_mistaken_for_an_unknown_id(
        self, workflow: DragonWorkflow, step_functions: FakeStepFunctions
    ) -> None:
        step_functions.failures = [client_error("AccessDeniedException")]

        with pytest.raises(aws.DependencyFault):
            workflow.find("nobody")


class TestSteps:
    def steps(self, step_functions: FakeStepFunctions, workflow: DragonWorkflow, *types: str) -> list[tuple[str, str]]:
        """Return the names and statuses of the steps in a history."""
        submission = start(workflow)
        step_functions.histories[submission.submission_id] = history(*types)
        return [(step.name, step.status) for step in workflow.steps(submission)]

    def test_an_execution_that_has_entered_no_state_has_no_steps(
        self, step_functions: FakeStepFunctions, workflow: DragonWorkflow
    ) -> None:
        assert self.steps(step_functions, workflow, "ExecutionStarted") == []

    def test_the_last_step_is_running(self, step_functions: FakeStepFunctions, workflow: DragonWorkflow) -> None:
        types = ("ExecutionStarted", "ValidateDragon:TaskStateEntered", "TaskScheduled", "TaskStarted")

        assert self.steps(step_functions, workflow, *types) == [("ValidateDragon", "running")]

    def test_a_step_has_succeeded_once_the_next_one_is_entered(
        self, step_functions: FakeStepFunctions, workflow: DragonWorkflow
    ) -> None:
        types = ("ExecutionStarted", "ValidateDragon:TaskStateEntered", "TaskScheduled", "TaskSucceeded",
                 "TaskStateExited", "Valid?:ChoiceStateEntered", "ChoiceStateExited", "AddDragon:TaskStateEntered",
                 "LambdaFunctionScheduled")  # fmt: skip

        assert self.steps(step_functions, workflow, *types) == [
            ("ValidateDragon", "succeeded"), ("Valid?", "succeeded"), ("AddDragon", "running")
        ]  # fmt: skip

    def test_a_step_whose_failed_attempt_is_retried_is_running_again(
        self, step_functions: FakeStepFunctions, workflow: DragonWorkflow
    ) -> None:
        failed = ("AddDragon:TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskFailed")

        assert self.steps(step_functions, workflow, *failed) == [("AddDragon", "failed")]
        assert self.steps(step_functions, workflow, *failed, "TaskScheduled") == [("AddDragon", "running")]
        assert self.steps(
            step_functions,
            workflow,
            *failed,
            "TaskScheduled",
            "TaskTimedOut",
            "TaskScheduled",
            "TaskSucceeded",
            "TaskStateExited",
        ) == [("AddDragon", "succeeded")]

    def test_a_step_whose_failure_was_caught_stays_failed(
        self, step_functions: FakeStepFunctions, workflow: DragonWorkflow
    ) -> None:
        types = ("NotifyAdded:TaskStateEntered", "TaskScheduled", "TaskFailed", "TaskStateExited",
                 "Added:PassStateEntered", "PassStateExited", "ExecutionSucceeded")  # fmt: skip

        assert self.steps(step_functions, workflow, *types) == [("NotifyAdded", "failed"), ("Added", "succeeded")]

    @pytest.mark.parametrize("end", ["ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"])
    def test_the_step_that_an_execution_ended_in_has_failed(
        self, step_functions: FakeStepFunctions, workflow: DragonWorkflow, end: str
    ) -> None:
        types = ("AddDragon:TaskStateEntered", "TaskScheduled", end)

        assert self.steps(step_functions, workflow, *types) == [("AddDragon", "failed")]

    def test_steps_say_when_they_began(self, step_functions: FakeStepFunctions, workflow: DragonWorkflow) -> None:
        submission = start(workflow)
        step_functions.histories[submission.submission_id] = history("ExecutionStarted", "Added:PassStateEntered")

        assert workflow.steps(submission) == [Step("Added", "running", "2026-11-24T07:20:02.500Z")]

    def test_a_history_that_is_not_visible_yet_or_not_any_more_has_no_steps(
        self, step_functions: FakeStepFunctions, workflow: DragonWorkflow
    ) -> None:
        """The execution could be described a moment ago: right after the 202, or at the end of the 90 days."""
        submission = start(workflow)
        step_functions.failures = [client_error("ExecutionDoesNotExist")]

        assert workflow.steps(submission) == []

    def test_a_history_that_cannot_be_read_is_a_failure(
        self, step_functions: FakeStepFunctions, workflow: DragonWorkflow
    ) -> None:
        submission = start(workflow)
        step_functions.failures = [client_error("ThrottlingException")]

        with pytest.raises(aws.DependencyUnavailable, match=r"^Step Functions is not available"):
            workflow.steps(submission)


def test_the_input_is_json_that_can_start_the_workflow_by_hand(
    workflow: DragonWorkflow, step_functions: FakeStepFunctions
) -> None:
    start(workflow, name="Élan")
    ((name, execution),) = step_functions.executions.items()

    assert json.loads(execution["input"])["submission_id"] == name
    assert json.loads(execution["input"])["dragon"] == dragon_members("Élan")


@pytest.mark.parametrize("call", ["start", "find"])
def test_a_failure_names_the_service(workflow: DragonWorkflow, step_functions: FakeStepFunctions, call: str) -> None:
    step_functions.failures = [client_error("AccessDeniedException")]

    with pytest.raises(aws.DependencyFault, match=r"^Step Functions refused: AccessDeniedException \(400\)$"):
        _ = start(workflow) if call == "start" else workflow.find("s1")
