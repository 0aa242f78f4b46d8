"""The bodies of answers that have no model elsewhere, under the names that the OpenAPI document gives them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from chalicelib.checked import Amount, Timestamp
from chalicelib.dragons.submissions import Notification, Status, Step
from chalicelib.messages.model import Metadata, Order
from chalicelib.readiness import Dependency

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Id = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The service runs: in this version, of this commit, or null if whoever deployed it did not know one.

    The commit ends with `-dirty` if the code was changed since.
    """

    status: Literal["ok"]
    version: str
    commit: str | None


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the service depends on answers."""

    status: Literal["ready"]
    dependencies: Sequence[Dependency]


class AcceptedSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """A reported dragon that is on its way."""

    submission_id: str
    status: Literal["pending"]
    execution_arn: str
    started_at: Moment


class SubmissionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a reported dragon, and, with `?steps=true`, the workflow's states that it went through.

    `reason` says why it was rejected or why it failed. `notification` says, once it is settled, whether the world was
    told. The dragon stays added if that failed.
    """

    submission_id: str
    status: Status
    dragon_name_str: str
    reason: str | None
    notification: Notification | None
    started_at: Moment
    finished_at: Moment | None
    steps: Sequence[Step] | msgspec.UnsetType = msgspec.UNSET


Digest = Annotated[str, msgspec.Meta(pattern="^sha-256:[0-9a-f]{64}$")]


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


class ListedDeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be stored, and why. Its ids are null if they cannot be read from it.

    `request_id` is that of the request that posted it, if the API accepted it.
    """

    letter_id: str
    sent_at: Moment
    reason: str
    message_id: Id | None
    company_id: Id | None
    request_id: str | None


class DeadLetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the dead letters, the oldest first, and about how many there are in all."""

    count: int
    dead_letters: Sequence[ListedDeadLetter]


class TypedAttribute(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute of an SQS message that is no plain text. A binary value is in base64."""

    DataType: str
    StringValue: str | msgspec.UnsetType = msgspec.UNSET
    BinaryValue: str | msgspec.UnsetType = msgspec.UNSET


class RedrivenLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter whose message is on the message queue again."""

    letter_id: str
    status: Literal["redriven"]


class TimelineMoment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, where that is written down, and what. Some places know the second alone."""

    at: Moment
    to_the_second: bool
    source: str
    what: str


class RelatedIds(msgspec.Struct, frozen=True, kw_only=True):
    """The ids that belong to the one that was asked for."""

    messages: Sequence[Id]
    companies: Sequence[Id]
    submissions: Sequence[str]
    dead_letters: Sequence[str]
    requests: Sequence[str]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What all stores know of an id. `answers` say what it is and how it stands; `limits` what was not looked at."""

    id: str
    answers: Sequence[str]
    moments: Sequence[TimelineMoment]
    limits: Sequence[str]
    related: RelatedIds


class StoredMetadata(Metadata, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A stored message's envelope, and where the archive keeps the message."""

    message_s3_key: str


class StoredOrderMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it was sent, with the place where the archive keeps it, and the digest of its canonical form."""

    metadata: StoredMetadata
    data: Order
    digest: Digest


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in full, beside the message that is stored under its ids, if there is one.

    `body` is the message exactly as it came, which may be no JSON.
    """

    letter_id: str
    sent_at: Moment
    reason: str
    attributes: Mapping[str, str | TypedAttribute]
    body: str
    message_id: Id | None
    company_id: Id | None
    stored: StoredOrderMessage | None
