"""A batch of deliveries: each is settled by itself."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.messages.model import Message
from chalicelib.messages.processing import BatchIncomplete, process
from chalicelib.messages.queue import Delivery
from chalicelib.messages.repository import MessageConflict, Storing
from chalicelib.telemetry import logger
from tests.samples import message_body

RECORD = {"messageId": "m1", "receiptHandle": "r1", "body": "{}"}
IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(10)]


class Messages:
    """A repository that stores every message except those that `failures` names."""

    def __init__(self) -> None:
        self.failures: dict[str, Exception] = {}
        self.stored: list[str] = []

    def store(self, message: Message) -> Storing:
        message_id = str(message.metadata.message_id)
        if message_id in self.failures:
            raise self.failures[message_id]
        self.stored.append(message_id)
        return Storing.STORED if self.stored.count(message_id) == 1 else Storing.REPEATED


class Queue:
    """A queue that remembers which messages were deleted and buried, and fails where the test tells it to."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.buried: dict[str, str] = {}
        self.delete_failure: Exception | None = None
        self.bury_failure: Exception | None = None

    def delete(self, delivery: Delivery) -> None:
        if self.delete_failure is not None:
            raise self.delete_failure
        self.deleted.append(delivery.sqs_message_id)

    def bury(self, delivery: Delivery, reason: str) -> None:
        if self.bury_failure is not None:
            raise self.bury_failure
        self.buried[delivery.sqs_message_id] = reason


class Unbuffered(io.StringIO):
    """A stdout that passes on each write separately, as Lambda's does, and lets other threads write in between."""

    def write(self, text: str) -> int:
        written = super().write(text)
        time.sleep(0.001)
        return written

    def lines(self) -> list[dict[str, Any]]:
        """Return what was written, one JSON object for each line."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def counted(self) -> Counter[str]:
        """Return the sum of each metric."""
        found: Counter[str] = Counter()
        for line in self.lines():
            found.update({name: sum(values) for name, values in line.items() if name.startswith("Messages")})
        return found


@contextmanager
def stdout() -> Iterator[Unbuffered]:
    """Until the block ends, send log lines and metrics to one stream, as CloudWatch gets them."""
    stream = Unbuffered()
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(stream)
    try:
        with redirect_stdout(stream):
            yield stream
    finally:
        handler.setStream(before)


@pytest.fixture
def messages() -> Messages:
    """An empty repository."""
    return Messages()


@pytest.fixture
def queue() -> Queue:
    """The queue that the deliveries came from."""
    return Queue()


def delivery(message_id: str, body: str | None = None) -> Delivery:
    """Return a delivery of a valid message, or of this body. Its SQS id is the message's own id."""
    text = message_body({"message_id": f'"{message_id}"'}).decode() if body is None else body
    return Delivery(message_id, f"receipt-{message_id}", text, f"correlation-{message_id}")


def run(messages: Any, queue: Any, *deliveries: Delivery) -> None:
    """Process a batch."""
    process(deliveries, messages, queue)


def test_an_empty_batch_is_settled(messages: Messages, queue: Queue) -> None:
    run(messages, queue)


def test_a_stored_message_is_deleted_from_the_queue(messages: Messages, queue: Queue) -> None:
    run(messages, queue, *map(delivery, IDS))

    assert sorted(messages.stored) == sorted(queue.deleted) == IDS
    assert queue.buried == {}


def test_a_repeated_message_is_deleted_from_the_queue_too(messages: Messages, queue: Queue) -> None:
    run(messages, queue, delivery(IDS[0]), delivery(IDS[0]))

    assert queue.deleted == [IDS[0], IDS[0]]


def test_each_message_of_a_mixed_batch_is_settled_by_itself(messages: Messages, queue: Queue) -> None:
    messages.failures = {
        IDS[3]: MessageConflict("archived with another payload"),
        IDS[4]: aws.DependencyUnavailable("S3", "SlowDown"),
        IDS[5]: aws.DependencyFault("DynamoDB", "AccessDenied"),
        IDS[6]: RuntimeError("a defect of ours"),
    }
    broken = [delivery(IDS[1], "not JSON"), delivery(IDS[2], "{}")]

    with pytest.raises(BatchIncomplete, match="3 of 10"):
        run(messages, queue, delivery(IDS[0]), *broken, *map(delivery, IDS[3:]))

    assert sorted(queue.deleted) == [IDS[0], *IDS[7:]]
    assert {sqs_id: reason.split(":")[0] for sqs_id, reason in queue.buried.items()} == {
        IDS[1]: "unreadable",
        IDS[2]: "invalid",
        IDS[3]: "conflict",
    }


def test_a_message_that_cannot_be_buried_stays_on_the_queue_and_raises(messages: Messages, queue: Queue) -> None:
    queue.bury_failure = aws.DependencyUnavailable("SQS", "ServiceUnavailable")

    with pytest.raises(BatchIncomplete, match="1 of 2"):
        run(messages, queue, delivery(IDS[0], "not JSON"), delivery(IDS[1]))
    assert queue.deleted == [IDS[1]]


def test_a_message_that_cannot_be_deleted_raises(messages: Messages, queue: Queue) -> None:
    queue.delete_failure = aws.DependencyUnavailable("SQS", "ServiceUnavailable")

    with pytest.raises(BatchIncomplete):
        run(messages, queue, delivery(IDS[0]))


def test_a_batch_of_ten_is_stored_at_the_same_time(queue: Queue) -> None:
    together = threading.Barrier(10)

    class Slow(Messages):
        def store(self, message: Message) -> Storing:
            together.wait(5)
            return super().store(message)

    run(Slow(), queue, *map(delivery, IDS))

    assert len(queue.deleted) == 10


def test_a_batch_in_threads_leaves_only_whole_lines(messages: Messages, queue: Queue) -> None:
    """CloudWatch reads no metric from a line that is mixed up with another one."""
    with stdout() as written:
        run(messages, queue, *map(delivery, IDS[:7]), *(delivery(message_id, "not JSON") for message_id in IDS[7:]))

    told = Counter(line["message"] for line in written.lines() if "message" in line)
    assert told == {"message settled": 7, "message buried": 3}
    assert written.counted() == {"MessagesStored": 7, "MessagesBuried": 3}


def test_the_outcomes_of_a_batch_are_counted_once_for_each_metric(messages: Messages, queue: Queue) -> None:
    messages.stored = [IDS[0]]
    with stdout() as written:
        run(messages, queue, delivery(IDS[1], "not JSON"), *map(delivery, IDS[:1]), *map(delivery, IDS[2:]))

    assert written.counted() == {"MessagesStored": 8, "MessagesRepeated": 1, "MessagesBuried": 1}
    assert len([line for line in written.lines() if "_aws" in line]) == 3


def test_settled_messages_are_counted_even_if_others_are_left_on_the_queue(messages: Messages, queue: Queue) -> None:
    messages.failures = {IDS[1]: aws.DependencyUnavailable("S3", "SlowDown")}
    with stdout() as written, pytest.raises(BatchIncomplete, match="1 of 2"):
        run(messages, queue, *map(delivery, IDS[:2]))

    assert written.counted() == {"MessagesStored": 1}


def test_every_delivery_is_settled_or_left_before_lambda_ends_the_function(queue: Queue) -> None:
    limits = []

    class Watching(Messages):
        def store(self, message: Message) -> Storing:
            limits.append(aws._no_call_after.get() - time.monotonic())
            return super().store(message)

    run(Watching(), queue, *map(delivery, IDS))

    assert len(limits) == len(IDS)
    assert all(aws.ATTEMPT_MAX_S + limit < 30 for limit in limits), "the function's limit in .chalice/config.json"


class TestDelivery:
    @pytest.mark.parametrize(
        ("attributes", "correlation_id"),
        [
            ({"correlation_id": {"stringValue": "c1", "dataType": "String"}}, "c1"),
            ({"correlation_id": {"binaryValue": "AA==", "dataType": "Binary"}}, "m1"),
            ({"correlation_id": {"stringValue": ""}}, "m1"),
            ({}, "m1"),
            (None, "m1"),
        ],
    )
    def test_is_known_by_its_correlation_id_or_else_by_its_message_id(
        self, attributes: Any, correlation_id: str
    ) -> None:
        found = Delivery.of({**RECORD, "messageAttributes": attributes})

        assert found == Delivery("m1", "r1", "{}", correlation_id)
