"""How the archive and the index are called: conditions and guarantees whose absence moto, or luck, would hide."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from chalicelib import aws, exact_json
from chalicelib.messages import listing
from chalicelib.messages.model import message_from
from chalicelib.messages.repository import MessageConflict
from chalicelib.messages.stored import StoredMessage
from tests.fakes.aws_errors import client_error
from tests.integration.service import OPERATOR, Service
from tests.integration.stage import MESSAGE_BUCKET, TABLE, Stage
from tests.lambda_events import claims
from tests.samples import COMPANY, MESSAGE_ID, OTHER_COMPANY, message_body

KEY = f"{COMPANY}/{MESSAGE_ID}.json"
BODY = message_body().decode()
OTHER_BODY = message_body(data={"order_amount": "20"}).decode()
OPERATOR_OF_A_COMPANY = claims(custom__company_id=COMPANY)


@contextmanager
def before(client: Any, operation: str, act: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Call a function with the parameters of each call of an operation, before it is sent."""
    event = f"before-parameter-build.{client.meta.service_model.service_id.hyphenize()}.{operation}"

    def called(params: dict[str, Any], **_: Any) -> None:
        act(params)

    client.meta.events.register(event, called)
    try:
        yield
    finally:
        client.meta.events.unregister(event, called)


@pytest.fixture
def consume(service: Service, stage: Stage) -> Callable[[str], None]:
    """Put a body on the queue, and run the consumer on it."""

    def run(body: str) -> None:
        aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody=body)
        service.consume(stage.received(stage.queue_url))

    return run


def reason(stage: Stage) -> str:
    """Return why the one dead letter is there."""
    (letter,) = stage.received(stage.dead_letter_queue_url)
    return str(letter["MessageAttributes"]["reason"]["StringValue"])


def row_of(consume: Callable[[str], None], stage: Stage, body: str) -> dict[str, Any]:
    """Return the row that a message makes, and delete it."""
    consume(body)
    (row,) = stage.rows()
    aws.dynamodb().delete_item(TableName=TABLE, Key={name: row[name] for name in ("message_id", "company_id")})
    for key in stage.archive_keys():
        aws.s3().delete_object(Bucket=MESSAGE_BUCKET, Key=key)
    return row


def without_digest(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as it was kept before rows had digests."""
    return {name: value for name, value in row.items() if name != "digest"}


@pytest.mark.parametrize(
    ("came_between", "is_another"), [(BODY, False), (OTHER_BODY, True)], ids=["the same", "another payload"]
)
def test_a_row_that_was_written_after_the_read_is_not_overwritten(
    consume: Any, stage: Stage, came_between: str, is_another: bool
) -> None:
    row = row_of(consume, stage, came_between) | {"written_by": {"S": "the other consumer"}}
    elsewhere = boto3.client("dynamodb")

    with before(aws.dynamodb(), "PutItem", lambda _: elsewhere.put_item(TableName=TABLE, Item=row)):
        consume(BODY)

    assert stage.rows() == [row]
    assert stage.waiting(stage.queue_url) == 0
    if is_another:
        assert reason(stage) == f"conflict: {KEY} is indexed with another payload"
    else:
        assert stage.waiting(stage.dead_letter_queue_url) == 0


def test_a_row_that_was_written_meanwhile_and_is_not_shown_counts_as_another_payload(service: Service) -> None:
    def refuse(_: dict[str, Any]) -> None:
        raise client_error("ConditionalCheckFailedException")

    message = message_from(exact_json.parse_object(message_body()))
    with before(aws.dynamodb(), "PutItem", refuse), pytest.raises(MessageConflict):
        service.app.messages.store(message)


def test_a_message_is_archived_in_one_round_trip(consume: Any, stage: Stage) -> None:
    """`Expect: 100-continue` would be a second one, for each message."""
    requests: list[dict[str, Any]] = []

    def note(request: Any, **_: Any) -> None:
        requests.append(request.headers)

    aws.s3().meta.events.register("before-send.s3.PutObject", note)
    try:
        consume(BODY)
    finally:
        aws.s3().meta.events.unregister("before-send.s3.PutObject", note)

    assert stage.archived(KEY)
    (headers,) = requests
    assert "Expect" not in headers
    assert headers["User-Agent"].startswith(b"dragonpost ")


def test_another_payload_in_the_archive_is_reported_with_its_place(consume: Any, stage: Stage) -> None:
    aws.s3().put_object(Bucket=MESSAGE_BUCKET, Key=KEY, Body=OTHER_BODY.encode())
    consume(BODY)

    assert reason(stage) == f"conflict: {KEY} is archived with another payload"
    assert stage.archived(KEY) == OTHER_BODY.encode()


@pytest.mark.parametrize("data", ["not JSON", "[]", "{}", '{"a":1,"a":1}', "1"])
def test_an_old_row_whose_data_is_not_an_order_counts_as_another_payload_and_stays(
    consume: Any, stage: Stage, data: str
) -> None:
    row = without_digest(row_of(consume, stage, BODY)) | {"data": {"S": data}}
    aws.dynamodb().put_item(TableName=TABLE, Item=row)
    consume(BODY)

    assert stage.rows() == [row]
    assert reason(stage).startswith("conflict: ")


def test_a_size_is_counted_in_bytes_before_anything_is_archived(consume: Any, stage: Stage) -> None:
    """DynamoDB keeps 400 KB of UTF-8: these are fewer characters than that, and more bytes."""
    note = "龍" * 140_000
    consume(message_body(data={"note": json.dumps(note, ensure_ascii=False)}).decode())

    assert stage.archive_keys() == []
    assert reason(stage).startswith("invalid: ")


def test_a_message_of_exactly_the_size_that_the_index_keeps_is_stored(
    consume: Any, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto keeps less than DynamoDB, so this message is small, and so is the limit."""
    row = StoredMessage.of(message_from(exact_json.parse_object(message_body())))
    size_bytes = row.listed_under(listing.keys(row.company_id, row.message_id, 0)).size_bytes
    monkeypatch.setattr("chalicelib.messages.repository.ROW_BYTES_MAX", size_bytes)
    consume(BODY)

    assert len(stage.rows()) == 1


@pytest.mark.parametrize("token_claims", [OPERATOR, claims(cognito__groups=None, custom__company_id=COMPANY)])
def test_reads_of_the_index_see_what_was_written_just_now(
    consume: Any, service: Service, token_claims: dict[str, Any]
) -> None:
    """A read that is not consistent may miss a row, and a stored message would look like one that does not exist."""
    asked: list[dict[str, Any]] = []
    with before(aws.dynamodb(), "GetItem", asked.append), before(aws.dynamodb(), "Query", asked.append):
        consume(BODY)
        assert service.get(f"/message/{MESSAGE_ID}", token_claims).status == 200

    assert [parameters.get("ConsistentRead") for parameters in asked] == [True, True]


def test_two_rows_are_enough_to_find_an_id_ambiguous_however_many_companies_use_it(service: Service) -> None:
    asked: list[dict[str, Any]] = []
    with before(aws.dynamodb(), "Query", asked.append):
        assert service.get(f"/message/{MESSAGE_ID}").status == 404

    assert [parameters["Limit"] for parameters in asked] == [2]


def test_a_concurrent_write_of_the_key_is_a_failure_that_may_pass(service: Service) -> None:
    def refuse(_: dict[str, Any]) -> None:
        raise client_error("ConditionalRequestConflict", 409)

    message = message_from(exact_json.parse_object(message_body()))
    with before(aws.s3(), "PutObject", refuse), pytest.raises(aws.DependencyUnavailable) as unavailable:
        service.app.messages.store(message)
    assert str(unavailable.value) == "S3 is not available: ConditionalRequestConflict"


@pytest.mark.parametrize(
    ("service_name", "operation"),
    [("DynamoDB", "GetItem"), ("S3", "PutObject"), ("S3", "GetObject"), ("DynamoDB", "PutItem"), ("DynamoDB", "Query")],
)
def test_an_error_says_which_service_refused(service: Service, service_name: str, operation: str) -> None:
    def refuse(_: dict[str, Any]) -> None:
        raise client_error("AccessDenied", 403)

    message = message_from(exact_json.parse_object(message_body()))
    client = aws.s3() if service_name == "S3" else aws.dynamodb()
    if operation == "GetObject":  # it is asked for only if the key is taken
        aws.s3().put_object(Bucket=MESSAGE_BUCKET, Key=message.archive_key, Body=b"{}")
    with before(client, operation, refuse), pytest.raises(aws.DependencyFault) as refused:
        _ = service.app.messages.store(message), service.app.messages.find(MESSAGE_ID, None)

    resource = MESSAGE_BUCKET if service_name == "S3" else service.app.settings.message_table_name
    assert str(refused.value) == f"{service_name} refused: AccessDenied (403), {operation} of {resource}"


class TestAnOperatorOfACompany:
    """An operator acts for all companies, even if their account belongs to one."""

    def test_posts_for_another_company(self, service: Service) -> None:
        body = message_body({"company_id": f'"{OTHER_COMPANY}"'})

        assert service.post("/post-message", body, OPERATOR_OF_A_COMPANY).status == 202

    @pytest.mark.parametrize("company", [COMPANY, OTHER_COMPANY])
    def test_reads_messages_of_all_companies(self, consume: Any, service: Service, company: str) -> None:
        consume(message_body({"company_id": f'"{company}"'}).decode())

        for reference in (f"/message/{MESSAGE_ID}", f"/message/{MESSAGE_ID}?company_id={company}"):
            assert service.get(reference, OPERATOR_OF_A_COMPANY).json()["metadata"]["company_id"] == company
