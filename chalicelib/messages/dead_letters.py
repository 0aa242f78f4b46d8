"""Dead letters: messages that could not be stored, on a queue of their own, for a person to look at.

The consumer sends hopeless messages there with a `reason`; a letter without one failed as many deliveries as the queue
allows. SQS has neither an order nor pages, and finds nothing by its id: whoever looks receives letters, which are
hidden from others meanwhile, and lets go of them afterwards. A receipt does not last, so whoever does something with a
letter receives it anew.

Nothing here loses a letter: it is sent on before it is deleted. (The consumer stores a message once, however often it
arrives.)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib import aws
from chalicelib.checked import Uuid
from chalicelib.messages.queue import BATCH_MAX, QueueUrls

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HELD_S = 120  # how long a letter stays hidden from others after it was received
POLL_S = 1
NO_REASON = "failed every delivery"
OURS = ("reason", "source_message_id")  # attributes that belong to the letter, not to the message

# A request has 29 s. What it has not found by then stays where it is, and is visible again when the function has ended.
REQUEST_READS_FOR_S = 10
REQUEST_HOLDS_S = 30
PAGE_MAX = 20  # what is received is hidden from others, so a page is small


class LetterGone(Exception):
    """The queue was read, and no letter has this id: somebody redrove it or deleted it, or holds it right now."""


class QueueTooLong(aws.DependencyUnavailable):
    """The queue was not read to its end, for lack of time or of an answer: nobody knows whether it has the letter."""

    def __init__(self) -> None:
        super().__init__("SQS", "the queue of dead letters was not read to its end")


class Queues(msgspec.Struct, frozen=True):
    """The URLs of a stage's message queue and of its dead-letter queue."""

    message_queue_url: str
    message_dead_letter_queue_url: str


class Letter(msgspec.Struct, frozen=True):
    """One dead letter: its SQS message id, when it was sent to this queue, why, and the message itself."""

    letter_id: str
    receipt_handle: str
    sent_at: datetime
    reason: str
    attributes: Mapping[str, Any]
    body: str

    @classmethod
    def of(cls, message: MessageTypeDef) -> Letter:
        """Make a letter from a message that `ReceiveMessage` returned."""
        attributes = message.get("MessageAttributes", {})
        return cls(
            letter_id=message["MessageId"],
            receipt_handle=message["ReceiptHandle"],
            sent_at=datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
            reason=attributes["reason"].get("StringValue", NO_REASON) if "reason" in attributes else NO_REASON,
            attributes=attributes,
            body=message["Body"],
        )

    def metadata(self, name: str) -> str:
        """Return a member of the message's metadata, or `-` if it cannot be read from the body."""
        try:
            return str(json.loads(self.body)["metadata"][name])
        except (ValueError, TypeError, LookupError, RecursionError):
            return "-"

    def uuid(self, name: str) -> str | None:
        """Return a member of the message's metadata that is a UUID, in lower case, or None."""
        try:
            return str(Uuid.parse(self.metadata(name)))
        except ValueError:
            return None

    def attribute(self, name: str) -> str | None:
        """Return an attribute's text, or None."""
        text: str | None = self.attributes.get(name, {}).get("StringValue")
        return text

    def as_members(self) -> dict[str, Any]:
        """Return the whole letter for JSON. The body stays a string, unchanged."""
        return {
            "letter_id": self.letter_id,
            "sent_at": self.sent_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "reason": self.reason,
            "attributes": {name: _as_json(value) for name, value in self.attributes.items()},
            "body": self.body,
        }


class DeadLetters:
    """A look at a stage's dead-letter queue. Make one for each look, because it remembers how far it read.

    Every method raises `aws.calling`'s errors.
    """

    def __init__(
        self,
        queues: QueueUrls,
        sqs: Callable[[], SQSClient] = aws.sqs,
        held_s: float | None = None,
        reads_for_s: float = float("inf"),
    ) -> None:
        """Take the URLs, a function that returns the client, for how long letters are held (default: `HELD_S`), and
        after how long a look ends even if more letters come.
        """
        self._queues = queues
        self._sqs = sqs
        self._held_s = HELD_S if held_s is None else held_s
        self._reads_for_s = reads_for_s
        self.read_whole = True  # whether the last reading saw the whole queue

    @classmethod
    def of_request(cls, queues: QueueUrls) -> DeadLetters:
        """Return a look that a request has time for."""
        return cls(queues, held_s=REQUEST_HOLDS_S, reads_for_s=REQUEST_READS_FOR_S)

    def each(self) -> Generator[Letter, None, None]:
        """Yield every letter that was on the queue when the call began, each once.

        While you iterate, the letters are hidden from others, for at most the time that they are held. If the queue
        takes longer than that to read, if letters keep arriving, or if an answer with letters may have been lost, there
        may be more letters, and `read_whole` is False. When the iteration ends, however it ends, the letters that are
        still on the queue become visible again at once.
        """
        begun = datetime.now(UTC)
        self.read_whole = True
        held: dict[str, str] = {}
        try:
            while messages := self._receive():
                received = [Letter.of(message) for message in messages]
                # Later arrivals are for the next run. So is a redriven letter that failed again: its id is new.
                new = [letter for letter in received if letter.letter_id not in held and letter.sent_at <= begun]
                held |= {letter.letter_id: letter.receipt_handle for letter in received}
                took = datetime.now(UTC) - begun
                if not new and took >= timedelta(seconds=self._held_s):
                    self.read_whole = False  # the first letters are visible again already
                    break
                yield from new
                if took.total_seconds() >= self._reads_for_s:
                    self.read_whole = False
                    break
        finally:
            self._release(list(held.values()))

    def page(self, limit: int) -> list[Letter]:
        """Return at most so many letters, the oldest of them first. They are let go of by then."""
        with closing(self.each()) as found:
            letters = list(islice(found, limit))
        return sorted(letters, key=lambda letter: letter.sent_at)

    def count(self) -> int:
        """Return about how many letters the queue holds, as SQS counts them: some seconds late."""
        with aws.calling("SQS"):
            answer = self._sqs().get_queue_attributes(
                QueueUrl=self._queues.message_dead_letter_queue_url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )
        return sum(map(int, answer["Attributes"].values()))

    @contextmanager
    def held(self, letter_id: str) -> Iterator[Letter]:
        """Receive a letter anew, and hold it during the block, so that nobody else can do anything with it.

        Raises `LetterGone` and `QueueTooLong`.
        """
        with closing(self.each()) as found:
            letter = next((letter for letter in found if letter.letter_id == letter_id), None)
            if letter is None:
                raise LetterGone(letter_id) if self.read_whole else QueueTooLong
            yield letter

    def redrive(self, letter: Letter) -> None:
        """Send a letter's message to the message queue again, then take the letter off the queue."""
        attributes = {name: value for name, value in letter.attributes.items() if name not in OURS}
        with aws.calling("SQS"):
            self._sqs().send_message(
                QueueUrl=self._queues.message_queue_url, MessageBody=letter.body, MessageAttributes=attributes
            )
        self.delete(letter)

    def delete(self, letter: Letter) -> None:
        """Take a letter off the queue."""
        try:
            with aws.calling("SQS"):
                self._sqs().delete_message(
                    QueueUrl=self._queues.message_dead_letter_queue_url, ReceiptHandle=letter.receipt_handle
                )
        except aws.DependencyFault as refused:
            # The attempt before has deleted it, and its answer was lost.
            if not (refused.was_retried and refused.code == "ReceiptHandleIsInvalid"):
                raise

    def _receive(self) -> Sequence[MessageTypeDef]:
        with aws.calling("SQS"):
            answer = self._sqs().receive_message(
                QueueUrl=self._queues.message_dead_letter_queue_url,
                MaxNumberOfMessages=BATCH_MAX,
                WaitTimeSeconds=POLL_S,
                VisibilityTimeout=int(self._held_s),
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        if answer["ResponseMetadata"]["RetryAttempts"]:
            self.read_whole = False  # an answer that was lost may have had letters, which are hidden now
        return answer.get("Messages", [])

    def _release(self, receipt_handles: Sequence[str]) -> None:
        """Make letters visible again. Those that were deleted, or are visible already, SQS refuses one by one.

        If SQS does not answer, they become visible by themselves when their time is over.
        """
        with suppress(aws.DependencyError):
            for begin in range(0, len(receipt_handles), BATCH_MAX):
                some = receipt_handles[begin : begin + BATCH_MAX]
                with aws.calling("SQS"):
                    self._sqs().change_message_visibility_batch(
                        QueueUrl=self._queues.message_dead_letter_queue_url,
                        Entries=[
                            {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                            for number, handle in enumerate(some)
                        ],
                    )


def _as_json(value: Mapping[str, Any]) -> str | dict[str, str]:
    """Return a plain string as it is, and any other value with its type; bytes are in base64."""
    if "BinaryValue" in value:
        return {"DataType": value["DataType"], "BinaryValue": base64.b64encode(value["BinaryValue"]).decode()}
    if value["DataType"] == "String":
        return str(value["StringValue"])
    return {"DataType": value["DataType"], "StringValue": value["StringValue"]}
