"""What a batch asks of AWS: which calls, in which order, and how many one after another."""

from __future__ import annotations

import gc
import io
import sys
import threading
from typing import Any

import pytest

from chalicelib.messages.processing import BatchIncomplete, Consumer
from chalicelib.messages.queue import Delivery, MessageQueue
from chalicelib.messages.repository import MessageRepository
from tests.fakes.aws_errors import client_error
from tests.fakes.settings import FakeSettings
from tests.samples import message_body

IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(10)]
LOOK, ARCHIVE, INDEX, LETTER, DELETION = "look", "archive", "index", "letter", "deletion"
HELD_MAX = 450  # blocks of memory after 900 batches: less than one for two batches


class Aws:
    """S3, DynamoDB and SQS, which store nothing. They remember their calls in order, and fail as the test tells them.

    If `side_by_side` names how many calls of a kind belong together, each is answered only once all of them were made.
    """

    def __init__(self, **side_by_side: int) -> None:
        self.calls: list[tuple[str, str]] = []
        self.failing: dict[tuple[str, str], Exception] = {}
        self._barriers = {kind: threading.Barrier(parties) for kind, parties in side_by_side.items()}

    def get_item(self, **parameters: Any) -> dict[str, Any]:
        return self._answer(LOOK, parameters["Key"]["message_id"]["S"])

    def put_object(self, **parameters: Any) -> dict[str, Any]:
        return self._answer(ARCHIVE, parameters["Key"].partition("/")[2].removesuffix(".json"))

    def put_item(self, **parameters: Any) -> dict[str, Any]:
        return self._answer(INDEX, parameters["Item"]["message_id"]["S"])

    def send_message(self, **parameters: Any) -> dict[str, Any]:
        return self._answer(LETTER, parameters["MessageAttributes"]["source_message_id"]["StringValue"])

    def delete_message_batch(self, **parameters: Any) -> dict[str, Any]:
        return self._answer(DELETION, " ".join(sorted(entry["ReceiptHandle"] for entry in parameters["Entries"])))

    def _answer(self, kind: str, of: str) -> dict[str, Any]:
        self.calls.append((kind, of))
        if kind in self._barriers:
            self._barriers[kind].wait(5)
        if (kind, of) in self.failing:
            raise self.failing[kind, of]
        return {}

    def waves(self) -> list[tuple[str, int]]:
        """Return the kinds of calls in the order in which they were made, and how many came in a row."""
        found: list[tuple[str, int]] = []
        for kind, _ in self.calls:
            if found and found[-1][0] == kind:
                found[-1] = kind, found[-1][1] + 1
            else:
                found.append((kind, 1))
        return found

    def of(self, message_id: str) -> list[str]:
        """Return the kinds of calls about a message, in order."""
        return [kind for kind, of in self.calls if message_id in of]


def delivery(message_id: str, body: str | None = None) -> Delivery:
    """Return a delivery of a valid message, or of this body. Its SQS id and receipt handle are the message's id."""
    text = message_body({"message_id": f'"{message_id}"'}).decode() if body is None else body
    return Delivery(message_id, message_id, text, "correlation")


def run(service: Any, *deliveries: Delivery) -> None:
    """Process a batch."""
    settings = FakeSettings()
    messages = MessageRepository(settings, lambda: service, lambda: service)
    Consumer(messages, MessageQueue(settings, lambda: service)).process(deliveries)


def test_a_batch_takes_the_time_of_four_calls() -> None:
    """Each is answered only once those that belong beside it are under way."""
    service = Aws(look=10, archive=10, index=10, deletion=1)
    run(service, *map(delivery, IDS))

    assert service.waves() == [(LOOK, 10), (ARCHIVE, 10), (INDEX, 10), (DELETION, 1)]
    assert service.calls[-1] == (DELETION, " ".join(IDS))


def test_the_thousandth_batch_costs_what_the_first_did_and_leaves_nothing_behind(log: io.StringIO) -> None:
    """10,000 messages, each another one, in one function: its rate must not fall as it goes on."""
    service, settings = Aws(), FakeSettings()
    messages = MessageRepository(settings, lambda: service, lambda: service)
    consumer = Consumer(messages, MessageQueue(settings, lambda: service))
    costs, held = set(), []
    for batch in range(1_000):
        consumer.process([delivery(f"00000000-0000-4000-8000-{batch:08}{number:04}") for number in range(10)])
        costs.add((*sorted(kind for kind, _ in service.calls), log.getvalue().count("\n")))
        service.calls.clear()
        log.seek(0)
        log.truncate()
        if batch in {99, 999}:
            gc.collect()
            held.append(sys.getallocatedblocks())

    assert costs == {(*[ARCHIVE] * 10, DELETION, *[INDEX] * 10, *[LOOK] * 10, 10)}
    assert held[1] - held[0] < HELD_MAX


def test_letters_are_sent_while_other_messages_are_looked_up() -> None:
    both = threading.Barrier(2)

    class Meeting(Aws):
        def _answer(self, kind: str, of: str) -> dict[str, Any]:
            if kind in (LOOK, LETTER):
                both.wait(5)
            return super()._answer(kind, of)

    service = Meeting()
    run(service, delivery(IDS[0], "not JSON"), delivery(IDS[1]))

    assert service.of(IDS[0]) == [LETTER, DELETION]
    assert service.of(IDS[1]) == [LOOK, ARCHIVE, INDEX, DELETION]
    assert service.calls[-1] == (DELETION, " ".join(IDS[:2]))


def test_the_same_message_ten_times_takes_four_calls() -> None:
    service = Aws()
    run(service, *[delivery(IDS[0])] * 10)

    assert service.waves() == [(LOOK, 1), (ARCHIVE, 1), (INDEX, 1), (DELETION, 1)]


@pytest.mark.parametrize(
    ("failing", "made"),
    [
        (LOOK, [LOOK]),
        (ARCHIVE, [LOOK, ARCHIVE]),
        (INDEX, [LOOK, ARCHIVE, INDEX]),
        (LETTER, [LETTER]),
    ],
)
def test_what_fails_on_its_way_goes_no_further_and_is_not_deleted(failing: str, made: list[str]) -> None:
    service = Aws()
    service.failing = {(failing, IDS[3]): client_error("ThrottlingException")}
    batch = [delivery(message_id) for message_id in IDS]
    if failing == LETTER:
        batch[3] = delivery(IDS[3], "not JSON")

    with pytest.raises(BatchIncomplete, match="1 of 10"):
        run(service, *batch)

    assert service.of(IDS[3]) == made
    assert service.calls[-1] == (DELETION, " ".join(IDS[:3] + IDS[4:]))
    assert service.of(IDS[4]) == [LOOK, ARCHIVE, INDEX, DELETION]


def test_a_batch_that_cannot_be_deleted_is_left_whole() -> None:
    service = Aws()
    service.failing = {(DELETION, " ".join(IDS)): client_error("ServiceUnavailable", 503)}

    with pytest.raises(BatchIncomplete, match="10 of 10"):
        run(service, *map(delivery, IDS))
    assert service.waves()[-1] == (DELETION, 1)
