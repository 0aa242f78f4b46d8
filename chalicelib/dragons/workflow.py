"""The Step Functions client: starts a dragon's workflow, and reads back how far it is.

A submission is an execution: its id is the execution's name, so nothing has to be stored beside Step Functions, which
keeps executions (and with them idempotency keys) for 90 days. The execution's input holds the reporter's phone number;
it is never part of what this module returns.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.dragons.model import Dragon, DragonReport

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef, HistoryEventTypeDef

POLL_FIRST_S = 0.3
POLL_MAX_S = 2.0
HISTORY_EVENTS_MAX = 1000

Status = Literal["pending", "added", "rejected", "failed"]
StepStatus = Literal["running", "succeeded", "failed"]
Notification = Literal["sent", "failed"]

_SUBMISSION_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


class IdempotencyKeyReused(Exception):
    """The idempotency key was used before, for another dragon."""


@dataclass(frozen=True, slots=True)
class Step:
    """A state of the workflow that was entered, what became of it, and since when (RFC 3339)."""

    name: str
    status: StepStatus
    at: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A reported dragon on its way into the registry.

    `status` is `pending`, `added`, `rejected` or `failed`; `refusal` is the outcome that a rejection rests on
    (`duplicate` or `invalid`); `requested_by` is the reporter's `sub`.
    """

    submission_id: str
    execution_arn: str
    status: Status
    dragon: Dragon
    requested_by: str
    started_at: str
    finished_at: str | None = None
    reason: str | None = None
    refusal: str | None = None
    notification: Notification | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a report comes from: the reporter's `sub`, the request's correlation id, the idempotency key if given."""

    sub: str
    correlation_id: str
    idempotency_key: str | None = None

    def submission_id(self) -> str:
        """Return the id of the submission: random, or the same one for the same user and idempotency key."""
        if self.idempotency_key is None:
            return str(uuid.uuid4())
        digest = hashlib.sha256(f"{self.sub}\n{self.idempotency_key}".encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class DragonWorkflow:
    """The stage's state machine for dragons. Safe to share between threads."""

    def __init__(
        self,
        state_machine_arn: Callable[[], str],
        stepfunctions: Callable[[], SFNClient] = aws.stepfunctions,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the state machine's ARN (asked before each use), and how to reach Step Functions."""
        self._state_machine_arn = state_machine_arn
        self._stepfunctions = stepfunctions
        self._clock = clock
        self._sleep = sleep

    def start(self, report: DragonReport, origin: Origin, *, may_text: bool) -> Submission:
        """Start the workflow for a report.

        `may_text` says whether this stage may text the reporter's number. Returns the submission as it was when it
        started, also when the same report came before under the same idempotency key. Raises `IdempotencyKeyReused`.
        """
        submission_id = origin.submission_id()
        execution_input = _execution_input(report, origin, submission_id, may_text=may_text)
        with aws.calling("Step Functions"):
            try:
                started = self._stepfunctions().start_execution(
                    stateMachineArn=self._state_machine_arn(),
                    name=submission_id,
                    input=msgspec.json.encode(execution_input).decode(),
                )
            except ClientError as error:
                if aws.error_code(error) == "ExecutionAlreadyExists":
                    return self._started_before(submission_id, execution_input)
                raise
        return Submission(
            submission_id, started["executionArn"], "pending", report.dragon, origin.sub, _rfc3339(started["startDate"])
        )

    def find(self, submission_id: str) -> Submission | None:
        """Return the submission of this id, or None if there is none (any more).

        An execution that somebody started by hand, with other input than the API's, is no submission.
        """
        described = self._described(submission_id)
        try:
            return None if described is None else _submission(described)
        except (KeyError, msgspec.MsgspecError):
            return None

    def steps(self, submission: Submission) -> list[Step]:
        """Return the states that the submission's execution entered, in order.

        There are none while Step Functions does not show the history yet, or not any more (after 90 days), although it
        has described the execution a moment ago.
        """
        with aws.calling("Step Functions"):
            try:
                history = self._stepfunctions().get_execution_history(
                    executionArn=submission.execution_arn, maxResults=HISTORY_EVENTS_MAX, includeExecutionData=False
                )
            except ClientError as error:
                if aws.error_code(error) == "ExecutionDoesNotExist":
                    return []
                raise
        return _steps(history["events"])

    def wait(self, submission: Submission, timeout_s: float) -> Submission:
        """Wait until the submission is settled, for at most `timeout_s`.

        Returns it as it is then: settled, or still pending. Not being able to look ends the wait, too: it has started.
        """
        deadline = self._clock() + timeout_s
        pause_s = POLL_FIRST_S
        latest = submission
        while (left_s := deadline - self._clock()) > 0:
            self._sleep(min(pause_s, left_s))
            pause_s = min(POLL_MAX_S, pause_s * 1.5)
            try:
                found = self.find(submission.submission_id)
            except (aws.DependencyUnavailable, aws.DependencyFault):
                return latest
            latest = found or latest
            if latest.status != "pending":
                return latest
        return latest

    def _started_before(self, submission_id: str, execution_input: Mapping[str, Any]) -> Submission:
        """Answer as the first call did, if it was for the same dragon."""
        described = self._described(submission_id)
        if described is None:
            raise aws.DependencyUnavailable("Step Functions", "an execution that exists was not found")
        recorded = msgspec.json.decode(described["input"])
        if _asked_for(recorded) != _asked_for(execution_input):
            raise IdempotencyKeyReused
        first = _submission(described)
        return Submission(
            submission_id, first.execution_arn, "pending", first.dragon, first.requested_by, first.started_at
        )

    def _described(self, submission_id: str) -> DescribeExecutionOutputTypeDef | None:
        if not _SUBMISSION_ID.fullmatch(submission_id):
            return None
        arn = self._state_machine_arn().replace(":stateMachine:", ":execution:") + ":" + submission_id
        with aws.calling("Step Functions"):
            try:
                return self._stepfunctions().describe_execution(executionArn=arn)
            except ClientError as error:
                if aws.error_code(error) == "ExecutionDoesNotExist":
                    return None
                raise


def _execution_input(report: DragonReport, origin: Origin, submission_id: str, *, may_text: bool) -> dict[str, Any]:
    reporter: dict[str, Any] = {"text": report.confirmationRequired and may_text}
    if report.phone_number is not None:
        reporter["phone_number"] = report.phone_number
    return {
        "submission_id": submission_id,
        "dragon": msgspec.structs.asdict(report.dragon),
        "reporter": reporter,
        "confirmation_required": report.confirmationRequired,
        "requested_by": origin.sub,
        "correlation_id": origin.correlation_id,
    }


def _asked_for(execution_input: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what tells a repeated call from another one: all that the client chose, nothing that the stage adds."""
    return (
        execution_input["dragon"],
        execution_input["confirmation_required"],
        execution_input["reporter"].get("phone_number"),
    )


def _submission(described: DescribeExecutionOutputTypeDef) -> Submission:
    execution_input = msgspec.json.decode(described["input"], type=dict[str, Any])
    finished = described.get("stopDate")
    status, outcome = _status(described)
    return Submission(
        submission_id=described["name"],
        execution_arn=described["executionArn"],
        status=status,
        dragon=msgspec.convert(execution_input["dragon"], Dragon),
        requested_by=execution_input["requested_by"],
        started_at=_rfc3339(described["startDate"]),
        finished_at=None if status == "pending" or finished is None else _rfc3339(finished),
        reason=outcome.get("reason"),
        refusal=outcome.get("outcome"),
        notification=outcome.get("notification"),
    )


def _status(described: DescribeExecutionOutputTypeDef) -> tuple[Status, dict[str, Any]]:
    """Return the submission's status and what the workflow said of its outcome."""
    if described["status"] in ("RUNNING", "PENDING_REDRIVE"):
        return "pending", {}
    if described["status"] == "SUCCEEDED":
        if "output" not in described:
            return "pending", {}  # what is described may be older than what has happened, and in parts
        outcome = msgspec.json.decode(described["output"], type=dict[str, Any])
        if outcome.get("status") in ("added", "rejected"):
            return outcome["status"], outcome
    # Failed, timed out or aborted. What Step Functions says about it stays inside: it may name resources.
    return "failed", {"reason": "The workflow could not be finished. GET /dragons tells whether the dragon was added."}


def _steps(events: list[HistoryEventTypeDef]) -> list[Step]:
    steps: list[Step] = []
    for event in events:
        kind = event["type"]
        if kind.endswith("StateEntered"):
            name = event.get("stateEnteredEventDetails", {}).get("name", "")
            steps.append(Step(name, "running", _rfc3339(event["timestamp"])))
        elif steps:
            steps[-1] = _after(steps[-1], kind)
    return steps


def _after(step: Step, event_type: str) -> Step:
    """Return the current step as it stands after an event. A failed attempt that is retried is running again."""
    if event_type.endswith(("Failed", "TimedOut", "Aborted")):
        return Step(step.name, "failed", step.at)
    if event_type.endswith("Scheduled"):
        return Step(step.name, "running", step.at)
    if event_type.endswith(("StateExited", "Succeeded")) and step.status == "running":
        return Step(step.name, "succeeded", step.at)
    return step


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
