"""Which messages the consumer buries, and what its log says about each."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import pytest

from chalicelib import aws
from chalicelib.messages.model import Message
from chalicelib.messages.processing import BatchIncomplete, Consumer
from chalicelib.messages.queue import Delivery
from chalicelib.messages.repository import MessageConflict, MessageTooLarge, Storing
from tests.samples import COMPANY, MESSAGE_ID, message_body

DELIVERY = Delivery("sqs-1", "receipt-1", message_body().decode(), "correlation-1")


class Failing:
    """A repository that stores nothing, and the queue that its messages came from."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.reasons: list[str] = []

    def store(self, _: Message, _accepted_ms: int | None = None) -> Storing:
        raise self.failure

    def bury(self, _: Delivery, reason: str) -> None:
        self.reasons.append(reason)

    def delete(self, _: Sequence[Delivery]) -> dict[Delivery, aws.DependencyError]:
        assert self.reasons, "deleted what is neither stored nor a dead letter"
        return {}


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(MessageConflict("indexed with another payload"), "conflict"), (MessageTooLarge("at most 400 KB"), "invalid")],
)
def test_a_message_that_the_repository_can_never_store_is_buried_with_its_kind(
    log: io.StringIO, failure: Exception, kind: str
) -> None:
    failing = Failing(failure)
    Consumer(failing, failing).process([DELIVERY])  # type: ignore[arg-type]

    assert failing.reasons == [f"{kind}: {failure}"]
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["message"], line["reason"]) == ("WARNING", "message buried", kind)


@pytest.mark.parametrize("failure", [aws.DependencyUnavailable("S3", "SlowDown"), RuntimeError("a defect of ours")])
def test_the_log_says_which_message_was_left_and_why(log: io.StringIO, failure: Exception) -> None:
    failing = Failing(failure)
    with pytest.raises(BatchIncomplete):
        Consumer(failing, failing).process([DELIVERY])  # type: ignore[arg-type]

    (line,) = map(json.loads, log.getvalue().splitlines())
    assert line["level"] == "ERROR"
    assert line["message"] == "message not settled; it will be delivered again"
    assert (line["correlation_id"], line["sqs_message_id"]) == ("correlation-1", "sqs-1")
    assert (line["company_id"], line["message_id"]) == (COMPANY, MESSAGE_ID)
    assert str(failure) in line["exception"]
    assert failing.reasons == []


@pytest.mark.parametrize("outcome", Storing)
def test_the_log_says_what_happened_to_a_message(log: io.StringIO, outcome: Storing) -> None:
    class Settling:
        def store(self, _: Message, _accepted_ms: int | None = None) -> Storing:
            return outcome

        def delete(self, _: Sequence[Delivery]) -> dict[Delivery, aws.DependencyError]:
            return {}

    Consumer(Settling(), Settling()).process([DELIVERY])  # type: ignore[arg-type]

    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["message"], line["outcome"]) == ("INFO", "message settled", outcome.value)
    assert (line["correlation_id"], line["sqs_message_id"]) == ("correlation-1", "sqs-1")
    assert (line["company_id"], line["message_id"]) == (COMPANY, MESSAGE_ID)


class Repeated(MessageConflict):
    """A kind of conflict."""


def test_a_subclass_of_a_hopeless_error_is_hopeless() -> None:
    failing = Failing(Repeated("once more"))
    Consumer(failing, failing).process([DELIVERY])  # type: ignore[arg-type]

    assert failing.reasons == ["conflict: once more"]
