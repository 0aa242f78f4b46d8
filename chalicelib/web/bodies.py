"""The bodies of answers that have no model elsewhere, under the names that the OpenAPI document gives them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

import msgspec

from chalicelib.checked import Amount, Timestamp
from chalicelib.dragons.repository import COUNT_MAX
from chalicelib.dragons.submissions import Moment, Notification, Status, Step
from chalicelib.dragons.workflow import HISTORY_EVENTS_MAX
from chalicelib.messages.dead_letters import PAGE_MAX
from chalicelib.messages.model import Metadata, Order
from chalicelib.messages.queue import MESSAGE_BYTES_MAX
from chalicelib.readiness import Dependency, Name
from chalicelib.settings import COMMIT

# Patterns are for the document. `Meta(pattern=…)` would compile them at every cold start.
Id = Annotated[str, msgspec.Meta(max_length=36, extra_json_schema={"format": "uuid"})]
# What Step Functions lets executions be called, and what it takes and gives at most
# (https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html).
SubmissionId = Annotated[str, msgspec.Meta(max_length=80, extra_json_schema={"pattern": r"^\S+$"})]
Arn = Annotated[str, msgspec.Meta(max_length=256, extra_json_schema={"pattern": r"^arn:\S+$"})]
TextOfWorkflow = Annotated[str, msgspec.Meta(max_length=262_144)]

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html
LetterId = Annotated[str, msgspec.Meta(max_length=100, extra_json_schema={"pattern": r"^\S+$"})]
# Anybody who may send to the queue decides what a letter says.
TextOfLetter = Annotated[str, msgspec.Meta(max_length=MESSAGE_BYTES_MAX)]
BytesOfLetter = Annotated[  # in base64, which makes four characters of three bytes
    str,
    msgspec.Meta(max_length=4 * (MESSAGE_BYTES_MAX // 3 + 1), extra_json_schema={"pattern": "^[A-Za-z0-9+/]+={0,2}$"}),
]
RequestId = Annotated[str, msgspec.Meta(max_length=64, extra_json_schema={"pattern": "^[A-Za-z0-9._-]{8,64}$"})]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The service runs: in this version, of this commit, or null if whoever deployed it did not know one.

    The commit ends with `-dirty` if the code was changed since.
    """

    status: Literal["ok"]
    version: Annotated[str, msgspec.Meta(max_length=32, extra_json_schema={"pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"})]
    commit: Annotated[str, msgspec.Meta(max_length=70, extra_json_schema={"pattern": f"^{COMMIT}$"})] | None


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the functions call answers."""

    status: Literal["ready"]
    dependencies: Annotated[Sequence[Dependency], msgspec.Meta(max_length=len(get_args(Name)))]


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


class ListedDeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be stored, and why. Its ids are null if they cannot be read from it.

    `request_id` is that of the request that posted it, if the API accepted it.
    """

    letter_id: LetterId
    sent_at: Moment
    reason: TextOfLetter
    message_id: Id | None
    company_id: Id | None
    request_id: RequestId | None


class DeadLetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the dead letters, the oldest first, and about how many there are in all."""

    count: Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX, extra_json_schema={"format": "int64"})]
    dead_letters: Annotated[Sequence[ListedDeadLetter], msgspec.Meta(max_length=PAGE_MAX)]


class TypedAttribute(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute of an SQS message that is no plain text. A binary value is in base64."""

    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_MessageAttributeValue.html
    DataType: Annotated[
        str, msgspec.Meta(max_length=256, extra_json_schema={"pattern": "^(String|Number|Binary)([.].+)?$"})
    ]
    StringValue: TextOfLetter | msgspec.UnsetType = msgspec.UNSET
    BinaryValue: BytesOfLetter | msgspec.UnsetType = msgspec.UNSET


class RedrivenLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter whose message is on the message queue again."""

    letter_id: LetterId
    status: Literal["redriven"]


# What Lambda returns at most (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
ANSWER_BYTES_MAX = 6 * 1024 * 1024


class StoredMetadata(Metadata, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A stored message's envelope, and where the archive keeps the message."""

    message_s3_key: ArchiveKey


class StoredOrderMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it was sent, with the place where the archive keeps it, and the digest of its canonical form."""

    metadata: StoredMetadata
    data: Order
    digest: Digest


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in full, beside the message that is stored under its ids, if there is one.

    `body` is the message exactly as it came, which may be no JSON.
    """

    letter_id: LetterId
    sent_at: Moment
    reason: TextOfLetter
    attributes: Mapping[str, TextOfLetter | TypedAttribute]
    body: TextOfLetter
    message_id: Id | None
    company_id: Id | None
    stored: StoredOrderMessage | None
