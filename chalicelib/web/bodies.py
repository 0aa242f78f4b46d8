"""The bodies of answers that are not a model's own, by the names that the API's document gives them."""

from typing import Annotated, Literal

import msgspec

from chalicelib.messages.model import Metadata, Order

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The service runs."""

    status: Literal["ok"] = "ok"


class AcceptedSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """A reported dragon that is on its way."""

    submission_id: str
    status: Literal["pending"] = "pending"
    execution_arn: str
    started_at: Moment


class SubmissionStep(msgspec.Struct, frozen=True, kw_only=True):
    """A state of the workflow that the submission entered, and since when."""

    name: str
    status: Literal["running", "succeeded", "failed"]
    at: Moment


class SubmissionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a reported dragon is.

    `reason` says why it was rejected or has failed. `notification` tells, once it is settled, whether the world was
    told: a dragon stays added when that fails.
    """

    submission_id: str
    status: Literal["pending", "added", "rejected", "failed"]
    dragon_name_str: str
    reason: str | None
    notification: Literal["sent", "failed"] | None
    started_at: Moment
    finished_at: Moment | None
    steps: list[SubmissionStep]


class AcceptedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the queue has."""

    message_id: str
    status: Literal["accepted"] = "accepted"


class StoredMetadata(Metadata, frozen=True):
    """A stored message's envelope, and where the archive keeps the message."""

    message_s3_key: str


class StoredOrderMessage(msgspec.Struct, frozen=True):
    """A message as it was sent, with the place where the archive keeps it.

    It describes what `StoredMessage.as_json` writes; numbers stay exact there, so nothing is decoded into it.
    """

    metadata: StoredMetadata
    data: Order
