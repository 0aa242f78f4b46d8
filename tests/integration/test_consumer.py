"""The queue consumer: what happens to each message in a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.exact_json import parse_object
from chalicelib.messages.model import message_from
from chalicelib.messages.processing import BatchIncomplete
from chalicelib.messages.queue import MESSAGE_BYTES_MAX
from tests.fakes.aws_errors import client_error
from tests.integration.service import Service
from tests.integration.stage import MESSAGE_BUCKET, TABLE, Stage
from tests.samples import COMPANY, MESSAGE_ID, OTHER_COMPANY, message_body

IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(10)]


def body_of(message_id: str, amount: str = "1") -> str:
    """Return a message's text."""
    return message_body({"message_id": f'"{message_id}"'}, {"order_amount": amount}).decode()


@pytest.fixture
def consume(service: Service, stage: Stage) -> Any:
    """Put these bodies on the queue, receive them, and run the consumer once for all of them."""

    def run(*bodies: str) -> None:
        for number, body in enumerate(bodies):
            correlation = {"correlation_id": {"DataType": "String", "StringValue": f"request-{number}"}}
            aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody=body, MessageAttributes=correlation)  # type: ignore[arg-type]
        service.consume(stage.received(stage.queue_url))

    return run


@contextmanager
def failing(client: Any, operation: str, error: Exception, only_for: str = "") -> Iterator[list[str]]:
    """Make those calls of an operation fail unsent whose parameters contain the text. Yields all calls."""
    calls: list[str] = []

    def refuse(params: dict[str, Any], **_: Any) -> None:
        calls.append(operation)
        if only_for in str(params):
            raise error

    event = f"before-parameter-build.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(event, refuse)
    try:
        yield calls
    finally:
        client.meta.events.unregister(event, refuse)


def test_a_message_is_archived_indexed_and_taken_off_the_queue(consume: Any, stage: Stage) -> None:
    consume(message_body().decode())

    key = f"{COMPANY}/{MESSAGE_ID}.json"
    assert stage.archived(key) == message_body()
    assert aws.s3().head_object(Bucket=MESSAGE_BUCKET, Key=key)["ContentType"] == "application/json"
    [row] = stage.rows()
    listed = {name: row.pop(name)["S"] for name in ("company_part", "accepted_at_id")}
    assert [listed["company_part"].rpartition("#")[0], listed["accepted_at_id"].rpartition("#")[2]] == [
        COMPANY,
        MESSAGE_ID,
    ]
    assert [row] == [
        {
            "message_id": {"S": MESSAGE_ID},
            "company_id": {"S": COMPANY},
            "message_time": {"S": "2023-12-10T22:02:38Z"},
            "order_id": {"S": "a929b88e-bc47-4f7d-9584-61c3c94ad2f2"},
            "order_time": {"S": "2023-12-10T22:00:00Z"},
            "order_amount": {"N": "19.99"},
            "message_s3_key": {"S": key},
            "data": {"S": json.dumps(json.loads(message_body())["data"], separators=(",", ":"))},
            "digest": {"S": message_from(parse_object(message_body())).digest()},
        }
    ]
    assert stage.waiting(stage.queue_url) == stage.waiting(stage.dead_letter_queue_url) == 0


def test_the_archive_comes_before_the_index(consume: Any, stage: Stage) -> None:
    with (
        failing(aws.s3(), "PutObject", client_error("InternalError", 500)),
        failing(aws.dynamodb(), "PutItem", AssertionError("an index row that points at nothing")) as indexed,
        pytest.raises(BatchIncomplete),
    ):
        consume(message_body().decode())

    assert indexed == []
    assert stage.rows() == []


def test_a_message_that_is_archived_but_not_indexed_is_indexed_later(consume: Any, stage: Stage) -> None:
    with failing(aws.dynamodb(), "PutItem", client_error("ThrottlingException")), pytest.raises(BatchIncomplete):
        consume(message_body().decode())
    assert stage.archive_keys() == [f"{COMPANY}/{MESSAGE_ID}.json"]
    assert stage.rows() == []
    assert stage.waiting(stage.queue_url) == 1

    consume(message_body().decode())

    assert len(stage.rows()) == 1


@pytest.mark.parametrize(
    "again",
    [
        message_body(),
        b" " + message_body() + b"\n",
        message_body({"message_id": f'"{MESSAGE_ID.upper()}"'}, {"order_amount": "1999e-2"}),
        message_body(data={"order_amount": "19.990"}),
        json.dumps(dict(reversed(json.loads(message_body()).items()))).encode(),
    ],
    ids=["the same bytes", "white space", "upper case and exponent", "trailing zero", "other order"],
)
def test_the_same_message_again_changes_nothing(consume: Any, stage: Stage, again: bytes) -> None:
    consume(message_body().decode())
    before = stage.rows(), stage.archived(f"{COMPANY}/{MESSAGE_ID}.json")
    consume(again.decode())

    assert (stage.rows(), stage.archived(f"{COMPANY}/{MESSAGE_ID}.json")) == before
    assert stage.waiting(stage.queue_url) == stage.waiting(stage.dead_letter_queue_url) == 0


@pytest.mark.parametrize(
    "other",
    [
        message_body(data={"order_amount": "20"}),
        message_body(data={"more": "1"}),
        message_body({"message_time": '"2023-12-10T22:02:38z"'}),
        message_body(data={"order_time": '"2023-12-10T23:00:00+01:00"'}),
    ],
    ids=["amount", "further member", "time written otherwise", "the same moment elsewhere"],
)
def test_another_payload_under_the_same_key_is_buried_with_its_reason(consume: Any, stage: Stage, other: bytes) -> None:
    consume(message_body().decode())
    consume(other.decode())

    assert stage.archived(f"{COMPANY}/{MESSAGE_ID}.json") == message_body()
    assert stage.rows()[0]["order_amount"] == {"N": "19.99"}
    (buried,) = stage.received(stage.dead_letter_queue_url)
    assert buried["Body"] == other.decode()
    assert buried["MessageAttributes"]["reason"]["StringValue"].startswith("conflict: ")
    assert stage.waiting(stage.queue_url) == 0


def test_a_message_of_another_company_with_the_same_id_is_not_a_conflict(consume: Any, stage: Stage) -> None:
    consume(message_body().decode(), message_body({"company_id": f'"{OTHER_COMPANY}"'}).decode())

    assert len(stage.rows()) == 2
    assert stage.waiting(stage.dead_letter_queue_url) == 0


@pytest.mark.parametrize("row", [{}, {"data": {"S": "[]"}}, {"order_amount": {"N": "1"}, "data": {"S": '{"a":1}'}}])
def test_an_index_row_that_is_not_a_message_is_never_overwritten(
    consume: Any, stage: Stage, row: dict[str, Any]
) -> None:
    key = {"message_id": {"S": MESSAGE_ID}, "company_id": {"S": COMPANY}}
    aws.dynamodb().put_item(TableName=TABLE, Item=key | row)
    consume(message_body().decode())

    assert stage.rows() == [key | row]
    (buried,) = stage.received(stage.dead_letter_queue_url)
    assert buried["MessageAttributes"]["reason"]["StringValue"].startswith("conflict: ")


@pytest.mark.parametrize(
    "archived", [b"", b"not JSON", b"{}", b"\xff"], ids=["empty", "not JSON", "no message", "not UTF-8"]
)
def test_an_archived_object_that_is_not_a_message_is_never_overwritten(
    consume: Any, stage: Stage, archived: bytes
) -> None:
    key = f"{COMPANY}/{MESSAGE_ID}.json"
    aws.s3().put_object(Bucket=MESSAGE_BUCKET, Key=key, Body=archived)
    consume(message_body().decode())

    assert stage.archived(key) == archived
    assert stage.rows() == []
    (buried,) = stage.received(stage.dead_letter_queue_url)
    reason = buried["MessageAttributes"]["reason"]["StringValue"]
    assert reason == f"conflict: {key} is archived with another payload"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not JSON", "unreadable: not valid JSON"),
        ("[]", "unreadable: must be a JSON object"),
        ("{}", "invalid: #/metadata: is required; #/data: is required"),
        (message_body(data={"order_amount": "-1"}).decode(), "invalid: #/data/order_amount: must be at least 0"),
        (message_body({"x" * 600: "1"}).decode(), "invalid: #/metadata/xxx"),
    ],
)
def test_a_message_that_can_never_be_stored_is_buried_whole_and_its_neighbours_are_stored(
    consume: Any, stage: Stage, body: str, reason: str
) -> None:
    consume(*(body_of(message_id) for message_id in IDS[:5]), body, *(body_of(message_id) for message_id in IDS[5:9]))

    assert {row["message_id"]["S"] for row in stage.rows()} == set(IDS[:9])
    (buried,) = stage.received(stage.dead_letter_queue_url)
    attributes = {name: value["StringValue"] for name, value in buried["MessageAttributes"].items()}
    assert buried["Body"] == body
    assert attributes["reason"].startswith(reason)
    assert len(attributes["reason"]) <= 500
    assert attributes["correlation_id"] == "request-5"
    assert attributes["source_message_id"]
    assert stage.waiting(stage.queue_url) == 0


def test_a_transient_failure_raises_after_all_others_are_settled_and_leaves_its_message(
    consume: Any, stage: Stage
) -> None:
    bodies = [body_of(message_id) for message_id in IDS[:8]]
    with (
        failing(aws.dynamodb(), "PutItem", client_error("ThrottlingException"), only_for=IDS[3]),
        pytest.raises(BatchIncomplete, match="1 of 9"),
    ):
        consume(*bodies, "not JSON")

    assert {row["message_id"]["S"] for row in stage.rows()} == set(IDS[:8]) - {IDS[3]}
    assert stage.waiting(stage.queue_url) == stage.waiting(stage.dead_letter_queue_url) == 1


def test_a_message_that_cannot_be_buried_stays_on_the_queue(consume: Any, stage: Stage) -> None:
    with (
        failing(aws.sqs(), "SendMessage", client_error("ServiceUnavailable", 503), only_for="-dead"),
        pytest.raises(BatchIncomplete, match="1 of 2"),
    ):
        consume("not JSON", body_of(IDS[0]))

    assert stage.waiting(stage.queue_url) == 1
    assert stage.waiting(stage.dead_letter_queue_url) == 0
    assert len(stage.rows()) == 1


def test_a_stored_message_that_cannot_be_deleted_is_delivered_again_and_changes_nothing(
    consume: Any, stage: Stage
) -> None:
    with (
        failing(aws.sqs(), "DeleteMessageBatch", client_error("ServiceUnavailable", 503)),
        pytest.raises(BatchIncomplete),
    ):
        consume(body_of(IDS[0]))
    assert stage.waiting(stage.queue_url) == 1

    consume(body_of(IDS[0]))

    assert len(stage.rows()) == 1
    assert stage.waiting(stage.dead_letter_queue_url) == 0


def test_a_message_that_was_delivered_again_meanwhile_is_deleted_by_whoever_has_the_later_delivery(
    service: Service, stage: Stage
) -> None:
    for message_id in IDS[:2]:
        aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody=body_of(message_id))
    earlier, other = stage.received(stage.queue_url)
    aws.sqs().delete_message(QueueUrl=stage.queue_url, ReceiptHandle=earlier["ReceiptHandle"])

    service.consume([earlier, other])

    assert {row["message_id"]["S"] for row in stage.rows()} == set(IDS[:2])
    assert stage.waiting(stage.queue_url) == stage.waiting(stage.dead_letter_queue_url) == 0


@pytest.mark.parametrize(
    "error",
    [client_error("AccessDenied", 403), client_error("ConditionalRequestConflict", 409), client_error("SlowDown", 503)],
)
def test_a_message_that_the_archive_refuses_stays_on_the_queue(consume: Any, stage: Stage, error: Exception) -> None:
    with failing(aws.s3(), "PutObject", error), pytest.raises(BatchIncomplete):
        consume(message_body().decode())

    assert stage.waiting(stage.queue_url) == 1
    assert stage.waiting(stage.dead_letter_queue_url) == 0


def test_the_same_message_twice_in_a_batch_is_stored_once(consume: Any, stage: Stage) -> None:
    consume(*[message_body().decode()] * 10)

    assert len(stage.rows()) == len(stage.archive_keys()) == 1
    assert stage.waiting(stage.queue_url) == stage.waiting(stage.dead_letter_queue_url) == 0


def test_of_several_payloads_with_one_id_in_a_batch_the_first_is_stored(consume: Any, stage: Stage) -> None:
    consume(*(body_of(IDS[0], amount) for amount in ("5", "6", "5.0", "7")))

    (row,) = stage.rows()
    assert row["order_amount"] == {"N": "5"}
    letters = {
        json.loads(letter["Body"])["data"]["order_amount"] for letter in stage.received(stage.dead_letter_queue_url)
    }
    assert letters == {6, 7}
    assert stage.waiting(stage.queue_url) == 0


def test_a_batch_makes_three_calls_for_each_message_and_one_deletion(consume: Any) -> None:
    clients = {"GetItem": aws.dynamodb(), "PutObject": aws.s3(), "PutItem": aws.dynamodb()}
    clients |= {"GetObject": aws.s3(), "DeleteMessageBatch": aws.sqs(), "DeleteMessage": aws.sqs()}
    with ExitStack() as watching:
        made = {
            operation: watching.enter_context(failing(client, operation, AssertionError(), only_for="nothing has this"))
            for operation, client in clients.items()
        }
        consume(*map(body_of, IDS))

    counted = {operation: len(calls) for operation, calls in made.items() if calls}
    assert counted == {"GetItem": 10, "PutObject": 10, "PutItem": 10, "DeleteMessageBatch": 1}


def test_a_record_without_a_correlation_id_uses_its_message_id(service: Service, stage: Stage) -> None:
    aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody="not JSON")
    (received,) = stage.received(stage.queue_url)
    service.consume([received])

    (buried,) = stage.received(stage.dead_letter_queue_url)
    assert buried["MessageAttributes"]["correlation_id"]["StringValue"] == received["MessageId"]


@pytest.mark.parametrize("amount", ["20", "19.99", "0.1", "1e-7", "12345678901234567890.12", "-0", "1" * 38, "1e100"])
def test_amounts_are_exact_in_the_archive_and_in_the_index(consume: Any, stage: Stage, amount: str) -> None:
    consume(body_of(IDS[0], amount))

    (row,) = stage.rows()
    assert Decimal(row["order_amount"]["N"]) == Decimal(amount)
    assert f'"order_amount":{amount}' in row["data"]["S"]
    assert f'"order_amount":{amount}' in stage.archived(f"{COMPANY}/{IDS[0]}.json").decode()


def test_a_conflict_after_the_archive_expired_leaves_the_archive_alone(consume: Any, stage: Stage) -> None:
    """A stage may let the bucket expire messages. The index still knows which one came first."""
    consume(message_body().decode())
    aws.s3().delete_object(Bucket=MESSAGE_BUCKET, Key=f"{COMPANY}/{MESSAGE_ID}.json")

    consume(message_body(data={"order_amount": "20"}).decode())
    consume(message_body().decode())

    assert stage.archive_keys() == []
    assert stage.rows()[0]["order_amount"] == {"N": "19.99"}
    (buried,) = stage.received(stage.dead_letter_queue_url)
    assert buried["MessageAttributes"]["reason"]["StringValue"].startswith("conflict:")


@pytest.mark.parametrize(("room", "reason"), [(100, "unreadable"), (0, None)])
def test_a_message_of_the_largest_size_that_sqs_accepts_is_buried(
    service: Service, stage: Stage, room: int, reason: str | None
) -> None:
    """It keeps as much of its reason as there is room for, because attributes count towards the size."""
    aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody="x" * (MESSAGE_BYTES_MAX - room))
    service.consume(stage.received(stage.queue_url))

    (buried,) = stage.received(stage.dead_letter_queue_url)
    assert len(buried["Body"]) == MESSAGE_BYTES_MAX - room
    assert buried.get("MessageAttributes", {}).get("reason", {}).get("StringValue") == reason
    assert stage.waiting(stage.queue_url) == 0


def test_a_message_too_large_for_the_index_is_buried_with_its_reason(consume: Any, stage: Stage) -> None:
    """The API accepts none that large, but anyone who may write to the queue can send 1 MiB."""
    consume(message_body(data={"note": json.dumps("x" * 410_000)}).decode())

    assert stage.archive_keys() == []
    (buried,) = stage.received(stage.dead_letter_queue_url)
    reason = buried["MessageAttributes"]["reason"]["StringValue"]
    assert reason == "invalid: the index keeps at most 409,600 bytes of a message"
