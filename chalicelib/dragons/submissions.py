"""What a submission is: a reported dragon on its way into the registry. Nothing here talks to AWS.

A submission is an execution of the workflow. The workflow writes how it stands into a row of a table; what Step
Functions says about the execution means the same. The execution's input holds the reporter's phone number; a submission
and its row never do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from chalicelib.dragons.model import Dragon, DragonReport

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef, HistoryEventTypeDef

Status = Literal["pending", "added", "rejected", "failed"]
StepStatus = Literal["running", "succeeded", "failed"]
Notification = Literal["sent", "failed"]

# A time in the form of `rfc3339`.
Moment = Annotated[str, msgspec.Meta(max_length=24, extra_json_schema={"format": "date-time"})]

WHY_FAILED = "The workflow could not be finished. GET /dragons tells whether the dragon was added."


class Step(msgspec.Struct, frozen=True):
    """A state that the workflow entered: its name, how it stands, and when it was entered (RFC 3339)."""

    # https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-common-fields.html
    name: Annotated[str, msgspec.Meta(max_length=80)]
    status: StepStatus
    at: Moment


class Submission(msgspec.Struct, frozen=True):
    """A reported dragon on its way into the registry.

    `status` is `pending`, `added`, `rejected` or `failed`. `refusal` says what kind of rejection it was (`duplicate` or
    `invalid`). `requested_by` is the reporter's `sub`. Times are in RFC 3339 form.
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

    def started_s(self) -> float:
        """Return when it was started, in seconds since 1970."""
        return datetime.fromisoformat(self.started_at).timestamp()

    def as_failed(self) -> Submission:
        """Return the submission as one that did not come to an end."""
        return replace(self, status="failed", reason=WHY_FAILED)

    def as_it_began(self) -> Submission:
        """Return the submission as the first answer showed it: pending, whatever has happened since."""
        return replace(self, status="pending", finished_at=None, reason=None, refusal=None, notification=None)


class Origin(msgspec.Struct, frozen=True):
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


def execution_input(report: DragonReport, origin: Origin, submission_id: str, *, may_text: bool) -> dict[str, Any]:
    """Return the state machine's input. The phone number appears here only, and in no answer."""
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


class NotASubmission(Exception):
    """Somebody started the execution by hand: its input is not the API's, or its output is not the workflow's."""


class _Reporter(msgspec.Struct, frozen=True):
    """How to reach whoever reported the dragon, as the state machine's input has it."""

    text: bool = False
    phone_number: str | None = None


class _Given(msgspec.Struct, frozen=True):
    """The state machine's input, as `execution_input` makes it."""

    submission_id: str
    dragon: msgspec.Raw
    reporter: _Reporter
    confirmation_required: bool
    requested_by: str
    correlation_id: str


class _Row(msgspec.Struct, frozen=True):
    """A submission's row, as infrastructure/dragons.asl.json writes it; `started_at_id` is `<started at>#<id>`."""

    sub: str
    started_at_id: str
    id: str
    execution_arn: str
    dragon: str
    status: Status
    finished_at: str | None = None
    outcome: str | None = None
    reason: str | None = None
    notification: Notification | None = None


def submission_of_row(item: Mapping[str, Mapping[str, Any]]) -> Submission:
    """Make a submission from a DynamoDB item of the table. Raises `NotASubmission`."""
    try:
        row = msgspec.convert({name: value for name, typed in item.items() for value in typed.values()}, _Row)
        started_at = _as_shown(row.started_at_id.partition("#")[0])
        finished_at = None if row.finished_at is None else _as_shown(row.finished_at)
    except ValueError as error:
        raise NotASubmission from error
    found = Submission(
        submission_id=row.id,
        execution_arn=row.execution_arn,
        status=row.status,
        dragon=_decoded(row.dragon, Dragon),
        requested_by=row.sub,
        started_at=started_at,
        finished_at=finished_at,
        reason=row.reason,
        refusal=row.outcome,
        notification=row.notification,
    )
    return found.as_failed() if row.status == "failed" else found


def is_expired(item: Mapping[str, Mapping[str, Any]], now_s: float) -> bool:
    """Tell whether a row's time is over, though it is still there. One without a time stays."""
    return "expires_at" in item and float(item["expires_at"]["N"]) <= now_s


def _given(described: DescribeExecutionOutputTypeDef) -> _Given:
    """Return what the execution was given. Raises `NotASubmission`."""
    given = _decoded(described["input"], _Given)
    if given.submission_id != described["name"]:
        raise NotASubmission
    return given


Decoded = TypeVar("Decoded")


def _decoded(text: str | msgspec.Raw, kind: type[Decoded]) -> Decoded:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotASubmission from error


def submission_of(described: DescribeExecutionOutputTypeDef) -> Submission:
    """Make a submission from the answer of `DescribeExecution`. Raises `NotASubmission`."""
    given = _given(described)
    finished = described.get("stopDate")
    status, outcome = _status(described)
    return Submission(
        submission_id=described["name"],
        execution_arn=described["executionArn"],
        status=status,
        dragon=_decoded(given.dragon, Dragon),
        requested_by=given.requested_by,
        started_at=rfc3339(described["startDate"]),
        finished_at=None if status == "pending" or finished is None else rfc3339(finished),
        reason=outcome.get("reason"),
        refusal=outcome.get("outcome"),
        notification=outcome.get("notification"),
    )


def is_repeat(described: DescribeExecutionOutputTypeDef, report: DragonReport) -> bool:
    """Tell whether the report is the one that the execution was started for. Raises `NotASubmission`.

    What the stage adds and the ids of the request itself do not matter.
    """
    given = _given(described)
    # A field that was added to dragons after the first report is no difference.
    first = _decoded(given.dragon, dict[str, str])
    is_same_dragon = first.items() <= msgspec.structs.asdict(report.dragon).items()
    asked = (given.confirmation_required, given.reporter.phone_number)
    return is_same_dragon and asked == (report.confirmationRequired, report.phone_number)


def _status(described: DescribeExecutionOutputTypeDef) -> tuple[Status, dict[str, Any]]:
    """Return the submission's status and what the workflow said about its outcome."""
    if described["status"] in ("RUNNING", "PENDING_REDRIVE"):
        return "pending", {}
    if described["status"] == "SUCCEEDED":
        if "output" not in described:
            return "pending", {}  # DescribeExecution is eventually consistent: some of its parts may lag behind
        outcome = _decoded(described["output"], dict[str, Any])
        if outcome.get("status") in ("added", "rejected"):
            return outcome["status"], outcome
    # Failed, timed out or aborted. What Step Functions says about it stays inside: it may name resources.
    return "failed", {"reason": WHY_FAILED}


def steps_of(events: Sequence[HistoryEventTypeDef]) -> list[Step]:
    """Return the states that an execution entered, in order, from the events of `GetExecutionHistory`."""
    steps: list[Step] = []
    for event in events:
        kind = event["type"]
        if kind.endswith("StateEntered"):
            name = event.get("stateEnteredEventDetails", {}).get("name", "")
            steps.append(Step(name, "running", rfc3339(event["timestamp"])))
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


def _as_shown(moment: str) -> str:
    return rfc3339(datetime.fromisoformat(moment))


def rfc3339(moment: datetime) -> str:
    """Return a moment as the API shows it: RFC 3339 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def correlation_id(given: str) -> str:
    """Return the correlation id in an execution's input, or ""."""
    try:
        return str(json.loads(given)["correlation_id"])
    except (ValueError, TypeError, LookupError):  # somebody started it by hand
        return ""


def event_in_words(event: HistoryEventTypeDef) -> str:
    """Return an event in words: an entered state's name, an error's name. What else happens in a state is left out."""
    kind = event["type"]
    if "stateEnteredEventDetails" in event:
        return f"entered {event['stateEnteredEventDetails']['name']}"
    if kind.startswith("Execution") or kind.endswith(("Failed", "TimedOut", "Aborted")):
        details: Mapping[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})  # type: ignore[misc]
        return f"{kind} {details.get('error', '')}".rstrip()
    return ""
