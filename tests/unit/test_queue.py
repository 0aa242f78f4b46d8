"""What the service sends to SQS, and what SQS's errors mean."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import NoRegionError, ParamValidationError

from chalicelib import aws
from chalicelib.exact_json import parse_object
from chalicelib.messages.model import message_from
from chalicelib.messages.queue import (
    _NOT_ALLOWED_IN_SQS,
    MESSAGE_BYTES_MAX,
    REASON_CHARACTERS_MAX,
    Delivery,
    MessageQueue,
    QueueUnavailable,
)
from chalicelib.settings import SettingError
from tests.fakes.aws_errors import client_error
from tests.fakes.settings import FakeSettings
from tests.samples import message_body

SQS_TEXT = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
DELIVERY = Delivery("m1", "receipt", "not JSON", "c1")
OTHER = Delivery("m2", "other receipt", "{}", "c2")
REASON = "invalid: #/metadata: is required; #/data: is required; " + "x" * 100


def size(parameters: dict[str, Any]) -> int:
    """Return a message's size as SQS counts it: the body, and the attributes' names, types and values."""
    attributes = parameters["MessageAttributes"]
    texts = [text for value in attributes.values() for text in value.values()]
    return sum(len(text.encode()) for text in (parameters["MessageBody"], *attributes, *texts))


URLS = FakeSettings()


class Sqs:
    """An SQS that remembers its calls in order, and fails where the test tells it to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failure: Exception | None = None
        self.deletion: dict[str, Any] = {"Successful": [{"Id": "0"}]}

    def send_message(self, **parameters: Any) -> None:
        if size(parameters) > MESSAGE_BYTES_MAX:
            raise client_error("InvalidParameterValue")
        self._call("send", parameters)

    def delete_message_batch(self, **parameters: Any) -> dict[str, Any]:
        self._call("delete", parameters)
        return self.deletion

    def _call(self, name: str, parameters: dict[str, Any]) -> None:
        if self.failure is not None:
            raise self.failure
        self.calls.append((name, parameters))


@pytest.fixture
def sqs() -> Sqs:
    """The SQS that the queue uses."""
    return Sqs()


@pytest.fixture
def queue(sqs: Sqs) -> MessageQueue:
    """The queue under test."""
    return MessageQueue(URLS, lambda: sqs)  # type: ignore[arg-type,return-value]


def test_a_message_travels_with_its_correlation_id(queue: MessageQueue, sqs: Sqs) -> None:
    queue.send(message_from(parse_object(message_body())), "c1")

    assert sqs.calls == [
        (
            "send",
            {
                "QueueUrl": URLS.message_queue_url,
                "MessageBody": message_body().decode(),
                "MessageAttributes": {"correlation_id": {"DataType": "String", "StringValue": "c1"}},
            },
        )
    ]


def test_what_xml_forbids_is_what_sqs_is_spared() -> None:
    """XML 1.0, production 2: https://www.w3.org/TR/xml/#charsets."""
    spared = re.compile(_NOT_ALLOWED_IN_SQS)

    assert all(bool(spared.match(chr(code))) != bool(SQS_TEXT.fullmatch(chr(code))) for code in range(0x110000))


@pytest.mark.parametrize("character", ["\uffff", "\ufffe", "\x00", "\x1f", "\x7f", "\ufdd0", "\U0001ffff", "\\", '"'])
def test_every_character_that_json_allows_gets_through_sqs(queue: MessageQueue, sqs: Sqs, character: str) -> None:
    note = f'"\\u{ord(character):04x}"' if ord(character) < 0x10000 else f'"{character}"'
    message = message_from(parse_object(message_body(data={"note": note})))
    assert message.data["note"] == character
    queue.send(message, "c1")

    sent = sqs.calls[0][1]["MessageBody"]
    assert SQS_TEXT.fullmatch(sent)
    assert message_from(parse_object(sent)) == message


@pytest.mark.parametrize(
    "failure",
    [
        client_error("ThrottlingException"),
        client_error("QueueDoesNotExist"),
        NoRegionError(),
        ParamValidationError(report="QueueUrl"),
        SettingError("Parameter Store lacks message_queue_url"),
    ],
)
def test_a_client_is_told_to_send_a_message_again_if_sqs_did_not_accept_it(
    queue: MessageQueue, sqs: Sqs, failure: Exception
) -> None:
    sqs.failure = failure

    with pytest.raises(QueueUnavailable) as unavailable:
        queue.send(message_from(parse_object(message_body())), "c1")
    assert unavailable.value.retry_after_s == 5
    assert str(unavailable.value) == "SQS is not available: the queue did not acknowledge the message"


def test_a_hopeless_delivery_is_copied_to_the_dead_letter_queue_and_left_where_it_is(
    queue: MessageQueue, sqs: Sqs
) -> None:
    queue.bury(DELIVERY, "unreadable")

    ((name, sent),) = sqs.calls
    assert (name, sent["QueueUrl"]) == ("send", URLS.message_dead_letter_queue_url)
    assert sent["MessageBody"] == "not JSON"
    attributes = {name: value["StringValue"] for name, value in sent["MessageAttributes"].items()}
    assert attributes == {"reason": "unreadable", "correlation_id": "c1", "source_message_id": "m1"}


@pytest.mark.parametrize("reason", ["x" * 10_000, "a\x00b\uffffc\ud800d", "é" * 600])
def test_a_reason_is_shortened_and_cleaned_until_sqs_accepts_it(queue: MessageQueue, sqs: Sqs, reason: str) -> None:
    queue.bury(DELIVERY, reason)

    sent = sqs.calls[0][1]["MessageAttributes"]["reason"]["StringValue"]
    assert 0 < len(sent) <= REASON_CHARACTERS_MAX
    assert SQS_TEXT.fullmatch(sent)


def test_each_character_that_sqs_refuses_is_a_question_mark(queue: MessageQueue, sqs: Sqs) -> None:
    queue.bury(DELIVERY, "a\x00b\uffff\ud800c")

    assert sqs.calls[0][1]["MessageAttributes"]["reason"]["StringValue"] == "a?b??c"


@pytest.mark.parametrize("filler", ["x", "é"])
@pytest.mark.parametrize(
    ("room", "kept"),
    [
        (1_000, {"reason": REASON, "correlation_id": "c1", "source_message_id": "m1"}),
        (150, {"reason": "invalid", "correlation_id": "c1", "source_message_id": "m1"}),
        (50, {"reason": "invalid", "correlation_id": "c1"}),
        (22, {"reason": "invalid"}),
        (len("reason" + "String" + "invalid"), {"reason": "invalid"}),
        (18, {}),
        (0, {}),
    ],
)
def test_a_hopeless_delivery_is_buried_with_as_much_of_its_reason_as_sqs_has_room_for(
    queue: MessageQueue, sqs: Sqs, filler: str, room: int, kept: dict[str, str]
) -> None:
    """Attributes count towards SQS's 1 MiB, and a producer that bypasses the API can fill that with the body."""
    body = filler * ((MESSAGE_BYTES_MAX - room) // len(filler.encode()))
    queue.bury(Delivery("m1", "receipt", body, "c1"), REASON)

    ((_, sent),) = sqs.calls
    assert sent["MessageBody"] == body
    assert {name: value["StringValue"] for name, value in sent["MessageAttributes"].items()} == kept


def test_a_correlation_id_that_is_too_long_does_not_displace_the_reason(queue: MessageQueue, sqs: Sqs) -> None:
    queue.bury(Delivery("m1", "receipt", "x" * 1_000, "c" * (MESSAGE_BYTES_MAX - 1_000 - 20)), REASON)

    assert sqs.calls[0][1]["MessageAttributes"]["reason"]["StringValue"] == REASON


def test_a_letter_that_sqs_does_not_take_raises(queue: MessageQueue, sqs: Sqs) -> None:
    sqs.failure = client_error("ServiceUnavailable", 503)

    with pytest.raises(aws.DependencyUnavailable, match=r"^SQS is not available"):
        queue.bury(DELIVERY, "unreadable")


def test_deliveries_are_deleted_with_one_call(queue: MessageQueue, sqs: Sqs) -> None:
    sqs.deletion = {"Successful": [{"Id": "0"}, {"Id": "1"}]}

    assert queue.delete([DELIVERY, OTHER]) == {}
    assert sqs.calls == [
        (
            "delete",
            {
                "QueueUrl": URLS.message_queue_url,
                "Entries": [{"Id": "0", "ReceiptHandle": "receipt"}, {"Id": "1", "ReceiptHandle": "other receipt"}],
            },
        )
    ]


@pytest.mark.parametrize(
    ("sender_fault", "error", "text"),
    [
        (False, aws.DependencyUnavailable, "SQS is not available: InternalError"),
        (True, aws.DependencyFault, "SQS refused: InternalError"),
    ],
)
def test_each_delivery_that_sqs_does_not_delete_is_returned_with_its_error(
    queue: MessageQueue, sqs: Sqs, sender_fault: bool, error: type[Exception], text: str
) -> None:
    failed = {"Id": "1", "Code": "InternalError", "SenderFault": sender_fault}
    sqs.deletion = {"Successful": [{"Id": "0"}, {"Id": "2"}], "Failed": [failed]}

    failures = queue.delete([DELIVERY, OTHER, Delivery("m3", "third receipt", "{}", "c3")])

    assert list(failures) == [OTHER]
    assert type(failures[OTHER]) is error
    assert str(failures[OTHER]) == text


def test_a_delivery_that_arrived_again_meanwhile_is_left_to_the_newer_one(queue: MessageQueue, sqs: Sqs) -> None:
    sqs.deletion = {"Failed": [{"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": True}]}

    assert queue.delete([DELIVERY]) == {}


def test_a_deletion_that_fails_as_a_whole_raises(queue: MessageQueue, sqs: Sqs) -> None:
    sqs.failure = client_error("AccessDenied", 403)

    with pytest.raises(aws.DependencyFault, match=r"^SQS refused"):
        queue.delete([DELIVERY])
