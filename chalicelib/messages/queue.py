"""The queues that messages travel on: accepted ones to the consumer, hopeless ones to the dead-letter queue."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from chalicelib import aws
from chalicelib.messages.model import Message
from chalicelib.settings import SettingError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        DeleteMessageBatchRequestEntryTypeDef,
        MessageAttributeValueTypeDef,
    )

REASON_CHARACTERS_MAX = 500

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MESSAGE_BYTES_MAX = 1024 * 1024  # with its attributes

# So many messages SQS delivers, or deletes, at once.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html
BATCH_MAX = 10

_TEXT = "String"  # the type of each attribute

# SQS allows a text the characters of XML 1.0. (To name the others takes a twentieth of the time to compile.)
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_NOT_ALLOWED_IN_SQS = "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"


class QueueUnavailable(aws.DependencyUnavailable):
    """The queue did not acknowledge a message. The client must send it again, which is safe."""

    retry_after_s = 5

    def __init__(self) -> None:
        super().__init__("SQS", "the queue did not acknowledge the message")


class QueueUrls(Protocol):
    """Which queues the messages travel on."""

    @property
    def message_queue_url(self) -> str:
        """The queue that the consumer reads."""
        ...

    @property
    def message_dead_letter_queue_url(self) -> str:
        """The queue for messages that can never be stored."""
        ...


class Delivery(msgspec.Struct, frozen=True):
    """A message as SQS delivers it to the consumer. `sent_ms` is when SQS took it (ms since 1970), if that is known."""

    sqs_message_id: str
    receipt_handle: str
    body: str
    correlation_id: str
    sent_ms: int | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Delivery:
        """Make a delivery from a record of the Lambda event
        (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html)."""
        attributes = record.get("messageAttributes") or {}
        correlation_id = attributes.get("correlation_id", {}).get("stringValue") or record["messageId"]
        sent = (record.get("attributes") or {}).get("SentTimestamp")
        sent_ms = None if sent is None else int(sent)
        return cls(record["messageId"], record["receiptHandle"], record["body"], correlation_id, sent_ms)


class MessageQueue:
    """The stage's message queue and its dead-letter queue. Safe to share between threads.

    `delete` and `bury` raise `aws.calling`'s errors.
    """

    def __init__(
        self,
        urls: QueueUrls,
        sqs: Callable[[], SQSClient] = aws.sqs,
    ) -> None:
        """Take the queues' URLs (read before each use), and a function that returns the SQS client."""
        self._urls = urls
        self._sqs = sqs

    def send(self, message: Message, correlation_id: str) -> None:
        """Put a message on the queue; when this returns, SQS has acknowledged it.

        Raises `QueueUnavailable` for whatever keeps SQS from that, even for what a person has to mend.
        """
        try:
            body = _escaped_for_sqs(message.as_json().decode())
            self._send(self._urls.message_queue_url, body, {"correlation_id": correlation_id})
        except (aws.DependencyError, SettingError) as error:
            raise QueueUnavailable from error

    def delete(self, deliveries: Sequence[Delivery]) -> dict[Delivery, aws.DependencyError]:
        """Take settled deliveries (from 1 to `BATCH_MAX`) off the queue, with one call.

        Return those that are still on it, each with the error. If a message has been delivered again since, nothing
        happens: whoever has the latest delivery deletes it.
        """
        entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "ReceiptHandle": delivery.receipt_handle} for number, delivery in enumerate(deliveries)
        ]
        with aws.calling("SQS"):
            answer = self._sqs().delete_message_batch(QueueUrl=self._urls.message_queue_url, Entries=entries)
        return {
            deliveries[int(failed["Id"])]: _error_of_entry(failed)
            for failed in answer.get("Failed", [])
            if failed["Code"] != "ReceiptHandleIsInvalid"
        }

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Copy a delivery that can never succeed to the dead-letter queue, with its reason as an attribute.

        The reason begins with its kind and a colon. Attributes count towards the size of a message. If the body leaves
        little room, the kind alone stands for the reason, and attributes that do not fit are left out.

        Delete the delivery afterwards: a failure in between leaves two copies, never none.
        """
        attributes = _letter_attributes(delivery, re.sub(_NOT_ALLOWED_IN_SQS, "?", reason)[:REASON_CHARACTERS_MAX])
        self._send(self._urls.message_dead_letter_queue_url, delivery.body, attributes)

    def _send(self, queue_url: str, body: str, attributes: Mapping[str, str]) -> None:
        typed: dict[str, MessageAttributeValueTypeDef] = {
            name: {"DataType": _TEXT, "StringValue": value} for name, value in attributes.items()
        }
        with aws.calling("SQS"):
            self._sqs().send_message(QueueUrl=queue_url, MessageBody=body, MessageAttributes=typed)


def _error_of_entry(failed: BatchResultErrorEntryTypeDef) -> aws.DependencyError:
    """Return what it means that SQS carried out a batch, but not this entry.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_BatchResultErrorEntry.html
    """
    kind = aws.DependencyFault if failed["SenderFault"] else aws.DependencyUnavailable
    return kind("SQS", failed["Code"])


def _letter_attributes(delivery: Delivery, reason: str) -> dict[str, str]:
    """Return the attributes that fit beside the body. The most useful come first, the full reason last."""
    wanted = (
        ("reason", reason.partition(":")[0]),
        ("correlation_id", delivery.correlation_id),
        ("source_message_id", delivery.sqs_message_id),
        ("reason", reason),
    )
    room = MESSAGE_BYTES_MAX - len(delivery.body.encode())
    fitting: dict[str, str] = {}
    for name, value in wanted:
        more = fitting | {name: value}
        if _bytes_of(more) <= room:
            fitting = more
    return fitting


def _bytes_of(attributes: Mapping[str, str]) -> int:
    """Return how many bytes of a message's size the attributes take: their names, types and values."""
    return sum(len((name + _TEXT + value).encode()) for name, value in attributes.items())


def _escaped_for_sqs(json_text: str) -> str:
    """Escape the characters that JSON allows and SQS refuses (U+FFFE, U+FFFF). In JSON they occur in strings only."""
    if json_text.isascii():  # JSON escapes the control characters itself
        return json_text
    return re.sub(_NOT_ALLOWED_IN_SQS, lambda character: f"\\u{ord(character[0]):04x}", json_text)
