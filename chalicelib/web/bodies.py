"""The bodies of answers that have no model elsewhere, under the names that the OpenAPI document gives them."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from chalicelib.checked import Amount, Timestamp
from chalicelib.dragons.submissions import Moment, Notification, Status, Step
from chalicelib.dragons.workflow import HISTORY_EVENTS_MAX
from chalicelib.messages.model import Metadata, Order

# Patterns are for the document. `Meta(pattern=…)` would compile them at every cold start.
Id = Annotated[str, msgspec.Meta(max_length=36, extra_json_schema={"format": "uuid"})]
# What Step Functions lets executions be called, and what it takes and gives at most
# (https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html).
SubmissionId = Annotated[str, msgspec.Meta(max_length=80, extra_json_schema={"pattern": r"^\S+$"})]
Arn = Annotated[str, msgspec.Meta(max_length=256, extra_json_schema={"pattern": r"^arn:\S+$"})]
TextOfWorkflow = Annotated[str, msgspec.Meta(max_length=262_144)]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The service runs."""

    status: Literal["ok"]


class AcceptedSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """A reported dragon that is on its way."""

    submission_id: SubmissionId
    status: Literal["pending"]
    execution_arn: Arn
    started_at: Moment


class SubmissionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a reported dragon, and, with `?steps=true`, the workflow's states that it went through.

    `reason` says why it was rejected or why it failed. `notification` says, once it is settled, whether the world was
    told. The dragon stays added if that failed.
    """

    submission_id: SubmissionId
    status: Status
    dragon_name_str: TextOfWorkflow
    reason: TextOfWorkflow | None
    notification: Notification | None
    started_at: Moment
    finished_at: Moment | None
    steps: Annotated[Sequence[Step], msgspec.Meta(max_length=HISTORY_EVENTS_MAX)] | msgspec.UnsetType = msgspec.UNSET


Digest = Annotated[str, msgspec.Meta(max_length=72, extra_json_schema={"pattern": "^sha-256:[0-9a-f]{64}$"})]


class AcceptedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the queue has accepted, and the digest that it has once it is stored."""

    message_id: Id
    status: Literal["accepted"]
    digest: Digest


class RepeatedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was stored before: nothing was queued."""

    message_id: Id
    status: Literal["stored"]
    digest: Digest


class ListedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message as lists show it: without its `data`. Its amount is the same by value, not as it was written.

    `accepted_at` is when the queue accepted it; for messages from before that was kept, when they were archived.
    """

    message_id: Id
    company_id: Id
    message_time: Timestamp
    accepted_at: Moment
    order_id: Id
    order_time: Timestamp
    order_amount: Amount


ArchiveKey = Annotated[
    str, msgspec.Meta(max_length=78, extra_json_schema={"pattern": r"^[0-9a-f-]{36}/[0-9a-f-]{36}\.json$"})
]


class StoredMetadata(Metadata, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A stored message's envelope, and where the archive keeps the message."""

    message_s3_key: ArchiveKey


class StoredOrderMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it was sent, with the place where the archive keeps it, and the digest of its canonical form."""

    metadata: StoredMetadata
    data: Order
    digest: Digest
