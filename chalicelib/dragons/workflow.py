"""The Step Functions client: starts a dragon's workflow, and tells what Step Functions knows of it.

A submission's id is its execution's name. Step Functions keeps executions, and with them idempotency keys, for 90 days.
How a submission stands is read from its row (`submission_table`); Step Functions answers few questions a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from chalicelib import aws
from chalicelib.dragons.model import DragonReport
from chalicelib.dragons.submissions import (
    NotASubmission,
    Origin,
    Step,
    Submission,
    execution_input,
    is_repeat,
    rfc3339,
    steps_of,
    submission_of,
)

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

HISTORY_EVENTS_MAX = 1000


class IdempotencyKeyReused(Exception):
    """The idempotency key was used before, for another dragon."""


class StateMachine(Protocol):
    """Which state machine the workflow is."""

    @property
    def dragon_workflow_arn(self) -> str:
        """The state machine's ARN."""
        ...


class DragonWorkflow:
    """The stage's state machine for dragons. Safe to share between threads.

    `start`, `find` and `steps` raise `aws.calling`'s errors.
    """

    def __init__(
        self,
        state_machine: StateMachine,
        stepfunctions: Callable[[], SFNClient] = aws.stepfunctions,
    ) -> None:
        """Take the state machine (read before each use), and a function that returns the client."""
        self._state_machine = state_machine
        self._stepfunctions = stepfunctions

    def start(self, report: DragonReport, origin: Origin, *, may_text: bool) -> Submission:
        """Start the workflow for a report.

        `may_text` says whether this stage may text the reporter's number. Returns the submission as it was when it
        started, even if the same report came earlier under the same idempotency key. Raises `IdempotencyKeyReused` if
        the key came with another report.
        """
        submission_id = origin.submission_id()
        given = execution_input(report, origin, submission_id, may_text=may_text)
        try:
            with aws.calling("Step Functions"):
                started = self._stepfunctions().start_execution(
                    stateMachineArn=self._state_machine.dragon_workflow_arn,
                    name=submission_id,
                    input=msgspec.json.encode(given).decode(),
                )
        except aws.DependencyFault as refused:
            if refused.code == "ExecutionAlreadyExists":
                return self._started_before(submission_id, report)
            raise
        return Submission(
            submission_id, started["executionArn"], "pending", report.dragon, origin.sub, rfc3339(started["startDate"])
        )

    def find(self, submission_id: str) -> Submission | None:
        """Return the submission with this id as its execution is described, or None if there is none (any more).

        An execution that somebody started by hand, with input that is not the API's, is not a submission.
        """
        described = self._described(submission_id)
        try:
            return None if described is None else submission_of(described)
        except NotASubmission:
            return None

    def steps(self, submission: Submission) -> list[Step]:
        """Return the states that the submission's execution entered, in order.

        The list is empty while Step Functions does not show the history yet, and once it no longer does (after 90
        days), even though it described the execution a moment ago.
        """
        try:
            with aws.calling("Step Functions"):
                history = self._stepfunctions().get_execution_history(
                    executionArn=submission.execution_arn, maxResults=HISTORY_EVENTS_MAX, includeExecutionData=False
                )
        except aws.DependencyFault as refused:
            if refused.code == "ExecutionDoesNotExist":
                return []
            raise
        return steps_of(history["events"])

    def _started_before(self, submission_id: str, report: DragonReport) -> Submission:
        """Answer as the first call did, if it was for the same report."""
        described = self._described(submission_id)
        if described is None:
            raise aws.DependencyUnavailable("Step Functions", "an execution that exists was not found")
        try:
            if is_repeat(described, report):
                return submission_of(described).as_it_began()
        except NotASubmission:
            pass  # somebody has started an execution of this name by hand
        raise IdempotencyKeyReused

    def _described(self, submission_id: str) -> DescribeExecutionOutputTypeDef | None:
        arn = self._state_machine.dragon_workflow_arn.replace(":stateMachine:", ":execution:") + ":" + submission_id
        try:
            with aws.calling("Step Functions"):
                return self._stepfunctions().describe_execution(executionArn=arn)
        except aws.DependencyFault as refused:
            if refused.code == "ExecutionDoesNotExist":
                return None
            raise
