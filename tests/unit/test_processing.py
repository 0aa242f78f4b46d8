"""A batch of deliveries: each is settled by itself."""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import pytest
from msgspec.structs import replace

from chalicelib import aws
from chalicelib.messages import processing
from chalicelib.messages.model import Message
from chalicelib.messages.processing import BatchIncomplete, Consumer
from chalicelib.messages.queue import BATCH_MAX, Delivery
from chalicelib.messages.repository import MessageConflict, Storing
from chalicelib.telemetry import handler
from tests.samples import COMPANY, OTHER_COMPANY, message_body

RECORD = {"messageId": "m1", "receiptHandle": "r1", "body": "{}"}
IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(10)]


class Messages:
    """A repository that stores every message except those that `failures` names."""

    def __init__(self) -> None:
        self.failures: dict[str, Exception] = {}
        self.stored: list[str] = []
        self.accepted: list[int | None] = []

    def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
        message_id = str(message.metadata.message_id)
        self.accepted.append(accepted_ms)
        if message_id in self.failures:
            raise self.failures[message_id]
        self.stored.append(message_id)
        return Storing.STORED if self.stored.count(message_id) == 1 else Storing.REPEATED


class Queue:
    """A queue that remembers which messages were deleted and buried, and fails where the test tells it to."""

    def __init__(self) -> None:
        self.deletions: list[list[str]] = []
        self.buried: dict[str, str] = {}
        self.delete_failure: Exception | None = None
        self.delete_failures: dict[str, aws.DependencyError] = {}
        self.bury_failure: Exception | None = None

    @property
    def deleted(self) -> list[str]:
        """The SQS ids of all deleted messages."""
        return [sqs_id for deletion in self.deletions for sqs_id in deletion]

    def delete(self, deliveries: Sequence[Delivery]) -> dict[Delivery, aws.DependencyError]:
        if self.delete_failure is not None:
            raise self.delete_failure
        failures = {each: self.delete_failures[each.sqs_message_id] for each in deliveries if self._fails(each)}
        self.deletions.append([each.sqs_message_id for each in deliveries if each not in failures])
        return failures

    def _fails(self, delivery: Delivery) -> bool:
        return delivery.sqs_message_id in self.delete_failures

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


def delivery(message_id: str, body: str | None = None, sqs_id: str | None = None) -> Delivery:
    """Return a delivery of a valid message, or of this body. Its SQS id is the message's own id, or the one given."""
    text = body_of(message_id) if body is None else body
    return Delivery(sqs_id or message_id, f"receipt-{sqs_id or message_id}", text, f"correlation-{message_id}")


def body_of(message_id: str, amount: str = "1", company: str = COMPANY) -> str:
    """Return a message's text."""
    ids = {"message_id": f'"{message_id}"', "company_id": f'"{company}"'}
    return message_body(ids, {"order_amount": amount}).decode()


def run(messages: Any, queue: Any, *deliveries: Delivery) -> None:
    """Process a batch."""
    Consumer(messages, queue).process(deliveries)


def test_an_empty_batch_is_settled_without_a_call(messages: Messages, queue: Queue) -> None:
    run(messages, queue)

    assert queue.deletions == []


def test_what_is_settled_is_deleted_from_the_queue_with_one_call(messages: Messages, queue: Queue) -> None:
    messages.stored = [IDS[1]]
    run(messages, queue, delivery(IDS[0], "not JSON"), *map(delivery, IDS[1:]))

    assert sorted(messages.stored) == sorted([IDS[1], *IDS[1:]])
    assert [sorted(deletion) for deletion in queue.deletions] == [IDS]
    assert list(queue.buried) == [IDS[0]]


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

    assert sorted(queue.deleted) == IDS[:4] + IDS[7:], "what is stored, and what is a dead letter"
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


def test_if_nothing_is_settled_nothing_is_deleted(messages: Messages, queue: Queue) -> None:
    """SQS refuses to delete nothing."""
    messages.failures = {IDS[0]: aws.DependencyUnavailable("S3", "SlowDown")}

    with pytest.raises(BatchIncomplete, match="1 of 1"):
        run(messages, queue, delivery(IDS[0]))
    assert queue.deletions == []


@pytest.mark.parametrize("failure", [aws.DependencyUnavailable("SQS", "ServiceUnavailable"), RuntimeError("a defect")])
def test_if_the_deletion_fails_every_settled_message_is_named_and_none_is_counted(
    messages: Messages, queue: Queue, failure: Exception
) -> None:
    queue.delete_failure = failure
    with stdout() as written, pytest.raises(BatchIncomplete, match="2 of 2"):
        run(messages, queue, delivery(IDS[0]), delivery(IDS[1], "not JSON"))

    assert written.counted() == {}
    assert {(line["level"], line["sqs_message_id"]) for line in written.lines()} == {
        ("ERROR", IDS[0]),
        ("ERROR", IDS[1]),
    }
    assert all(str(failure) in line["exception"] for line in written.lines())


def test_a_message_that_alone_cannot_be_deleted_is_the_only_one_that_is_left(messages: Messages, queue: Queue) -> None:
    queue.delete_failures = {IDS[1]: aws.DependencyUnavailable("SQS", "InternalError")}
    with stdout() as written, pytest.raises(BatchIncomplete, match="1 of 3"):
        run(messages, queue, *map(delivery, IDS[:3]))

    assert written.counted() == {"MessagesStored": 2}
    told = {line["sqs_message_id"]: line for line in written.lines() if "message" in line}
    assert {sqs_id: line["message"] for sqs_id, line in told.items()} == {
        IDS[0]: "message settled",
        IDS[1]: "message not settled; it will be delivered again",
        IDS[2]: "message settled",
    }
    assert "SQS is not available: InternalError" in told[IDS[1]]["exception"]


def test_a_batch_of_ten_is_stored_at_the_same_time(queue: Queue) -> None:
    together = threading.Barrier(10)

    class Slow(Messages):
        def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
            together.wait(5)
            return super().store(message, accepted_ms)

    run(Slow(), queue, *map(delivery, IDS))

    assert len(queue.deleted) == 10


def test_the_threads_are_made_once_and_not_for_each_batch(queue: Queue) -> None:
    together = threading.Barrier(10)
    used: list[int] = []

    class Slow(Messages):
        def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
            together.wait(5)
            used.append(threading.get_ident())
            return super().store(message, accepted_ms)

    consumer = Consumer(Slow(), queue)  # type: ignore[arg-type]
    for _ in range(2):
        consumer.process(list(map(delivery, IDS)))

    assert len(used) == 20
    assert set(used[10:]) == set(used[:10])


def test_each_thread_has_a_connection_of_its_own() -> None:
    assert BATCH_MAX <= aws.CONNECTIONS_MAX


class TestASlowNeighbour:
    @pytest.fixture(autouse=True)
    def _soon_slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processing, "SLOW_AFTER_S", 0.05)

    def test_does_not_keep_what_is_settled_on_the_queue(self) -> None:
        """The function may end before the slow one does."""
        others_are_deleted = threading.Event()

        class Watched(Queue):
            def delete(self, deliveries: Sequence[Delivery]) -> dict[Delivery, aws.DependencyError]:
                failures = super().delete(deliveries)
                others_are_deleted.set()
                return failures

        class Slow(Messages):
            def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
                if str(message.metadata.message_id) == IDS[0]:
                    assert others_are_deleted.wait(5)
                return super().store(message, accepted_ms)

        queue = Watched()
        with stdout() as written:
            run(Slow(), queue, *map(delivery, IDS[:3]))

        assert [sorted(deletion) for deletion in queue.deletions] == [IDS[1:3], IDS[:1]]
        assert written.counted() == {"MessagesStored": 3}

    def test_is_waited_for_if_the_whole_batch_is_slow(self, queue: Queue) -> None:
        class Slow(Messages):
            def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
                threading.Event().wait(0.2)
                return super().store(message, accepted_ms)

        run(Slow(), queue, *map(delivery, IDS[:2]))

        assert [sorted(deletion) for deletion in queue.deletions] == [IDS[:2]]


class TestTheSameIdWithinABatch:
    def test_the_same_message_is_stored_once_and_deleted_as_often_as_it_came(
        self, messages: Messages, queue: Queue
    ) -> None:
        again = [delivery(IDS[0], sqs_id="again"), delivery(IDS[0], body_of(IDS[0].upper(), "1.0"), sqs_id="and again")]
        with stdout() as written:
            run(messages, queue, delivery(IDS[0]), *again)

        assert messages.stored == [IDS[0]]
        assert queue.deleted == [IDS[0], "again", "and again"]
        assert written.counted() == {"MessagesStored": 1, "MessagesRepeated": 2}

    def test_the_first_of_several_payloads_is_stored_and_the_others_are_conflicts(self, queue: Queue) -> None:
        class Keeping(Messages):
            """Takes its time, so that the others would overtake the first if they did not wait for it."""

            def store(self, message: Message, _accepted_ms: int | None = None) -> Storing:
                self.stored.append(str(message.order.order_amount))
                time.sleep(0.05 / len(self.stored))
                if message.order.order_amount != 1:
                    raise MessageConflict("indexed with another payload")
                return Storing.STORED

        messages = Keeping()
        amounts = ["1", "2", "1.0", "3"]
        run(messages, queue, *(delivery(IDS[0], body_of(IDS[0], amount), amount) for amount in amounts))

        assert messages.stored == ["1", "2", "3"], "in their order, and the repeated one is known"
        assert queue.buried == dict.fromkeys(["2", "3"], "conflict: indexed with another payload")
        assert queue.deleted == amounts

    def test_a_failure_of_the_first_does_not_count_for_the_second(self, queue: Queue) -> None:
        class FailingOnce(Messages):
            def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
                if not self.failures:
                    self.failures = {"was": aws.DependencyUnavailable("S3", "SlowDown")}
                    raise self.failures["was"]
                return super().store(message, accepted_ms)

        messages = FailingOnce()
        with pytest.raises(BatchIncomplete, match="1 of 2"):
            run(messages, queue, delivery(IDS[0]), delivery(IDS[0], sqs_id="again"))

        assert messages.stored == [IDS[0]]
        assert queue.deleted == ["again"]

    def test_another_companys_message_with_the_id_does_not_wait(self, queue: Queue) -> None:
        together = threading.Barrier(2)

        class Slow(Messages):
            def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
                together.wait(5)
                return super().store(message, accepted_ms)

        run(Slow(), queue, delivery(IDS[0]), delivery(IDS[0], body_of(IDS[0], company=OTHER_COMPANY), "other"))

        assert sorted(queue.deleted) == [IDS[0], "other"]

    def test_the_same_text_that_cannot_be_read_is_buried_as_often_as_it_came(
        self, messages: Messages, queue: Queue
    ) -> None:
        run(messages, queue, *(delivery(message_id, "not JSON") for message_id in IDS))

        assert sorted(queue.buried) == sorted(queue.deleted) == IDS


def test_what_is_logged_of_a_message_does_not_show_in_the_lines_of_another(queue: Queue) -> None:
    together = threading.Barrier(9)

    class Mixed(Messages):
        def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
            together.wait(5)
            return super().store(message, accepted_ms)

    messages = Mixed()
    messages.failures = {IDS[8]: MessageConflict("indexed"), IDS[9]: aws.DependencyUnavailable("S3", "SlowDown")}
    with stdout() as written, pytest.raises(BatchIncomplete):
        run(messages, queue, delivery(IDS[0], "not JSON"), *map(delivery, IDS[1:]))

    lines = [line for line in written.lines() if "message" in line]
    told = {line["sqs_message_id"]: (line["correlation_id"], line.get("message_id")) for line in lines}
    assert len(lines) == 10
    assert told == {IDS[0]: (f"correlation-{IDS[0]}", None)} | {
        message_id: (f"correlation-{message_id}", message_id) for message_id in IDS[1:]
    }
    assert {line["sqs_message_id"] for line in lines if "reason" in line} == {IDS[0], IDS[8]}
    assert {line["sqs_message_id"] for line in lines if "outcome" in line} == set(IDS[1:8])


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


def test_every_delivery_is_settled_or_left_before_lambda_ends_the_function() -> None:
    limits: list[float] = []

    def note() -> None:
        limits.append(aws._no_call_after.get())

    class WatchedMessages(Messages):
        def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
            note()
            return super().store(message, accepted_ms)

    class WatchedQueue(Queue):
        def bury(self, delivery: Delivery, reason: str) -> None:
            note()
            super().bury(delivery, reason)

        def delete(self, deliveries: Sequence[Delivery]) -> dict[Delivery, aws.DependencyError]:
            note()
            return super().delete(deliveries)

    began = time.monotonic()
    run(WatchedMessages(), WatchedQueue(), delivery(IDS[0], "not JSON"), *map(delivery, IDS[1:]))

    assert len(limits) == len(IDS) + 1
    assert len(set(limits)) == 1, "the batch has one limit, for the deletion too"
    assert limits[0] - began > 0
    assert aws.ATTEMPT_MAX_S + limits[0] - began < 30, "the function's limit in .chalice/config.json"


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

    @pytest.mark.parametrize(
        ("attributes", "sent_ms"), [({"SentTimestamp": "1795504801007"}, 1_795_504_801_007), ({}, None), (None, None)]
    )
    def test_knows_when_sqs_took_it(self, attributes: Any, sent_ms: int | None) -> None:
        assert Delivery.of({**RECORD, "attributes": attributes}).sent_ms == sent_ms


def test_a_message_was_accepted_when_the_queue_took_it(messages: Messages, queue: Queue) -> None:
    taken = [replace(delivery(IDS[0]), sent_ms=7), delivery(IDS[1])]
    Consumer(messages, queue).process(taken)  # type: ignore[arg-type]

    assert sorted(messages.accepted, key=str) == [7, None]
