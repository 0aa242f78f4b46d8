"""Posting messages and reading them back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib import aws
from chalicelib.exact_json import parse_object
from chalicelib.messages.model import message_from
from chalicelib.messages.queue import MessageQueue
from chalicelib.web.problems import COMPANY_NOT_ALLOWED, MESSAGE_CONFLICT
from tests.fakes.aws_errors import client_error
from tests.fakes.settings import FakeSettings
from tests.integration.service import CLERK, OPERATOR, OTHER_CLERK, VISITOR, Service
from tests.integration.stage import TABLE, Stage
from tests.samples import COMPANY, MESSAGE_ID, MESSAGE_TIME, ORDER_ID, ORDER_TIME, OTHER_COMPANY, message_body

LARGEST_BODY_BYTES = 256 * 1024


def digest_of(body: bytes) -> str:
    """Return the digest of the message that a body holds."""
    return message_from(parse_object(body)).digest()


DIGEST = digest_of(message_body())


def store(service: Service, stage: Stage, body: bytes, token_claims: Any = OPERATOR) -> None:
    """Post a message and let the consumer take it off the queue."""
    assert service.post("/post-message", body, token_claims).status == 202
    service.consume(stage.received(stage.queue_url))


class TestPosting:
    def test_is_accepted_once_the_queue_has_it(self, service: Service, stage: Stage) -> None:
        answer = service.post("/post-message", message_body(), CLERK, X_Request_Id="my-request-1")

        assert answer.status == 202
        assert answer.json() == {"message_id": MESSAGE_ID, "status": "accepted", "digest": DIGEST}
        assert answer.headers["Location"] == f"/prod/message/{MESSAGE_ID}"
        (queued,) = stage.received(stage.queue_url)
        assert json.loads(queued["Body"]) == json.loads(message_body())
        assert queued["MessageAttributes"]["correlation_id"]["StringValue"] == "my-request-1"

    def test_without_a_stage_in_the_path_the_location_has_none(self, service: Service) -> None:
        answer = service.request(
            "POST", "/post-message", body=message_body(), headers={"Content-Type": "application/json"}, stage=""
        )

        assert answer.headers["Location"] == f"/message/{MESSAGE_ID}"

    @pytest.mark.parametrize("token_claims", [OTHER_CLERK, VISITOR], ids=["another company's", "no company's"])
    def test_for_another_company_is_forbidden(self, service: Service, stage: Stage, token_claims: Any) -> None:
        answer = service.post("/post-message", message_body(), token_claims)

        assert (answer.status, answer.json()["type"]) == (403, COMPANY_NOT_ALLOWED)
        assert stage.waiting(stage.queue_url) == 0

    def test_operators_post_for_every_company(self, service: Service) -> None:
        assert service.post("/post-message", message_body(), OPERATOR).status == 202

    def test_the_company_is_compared_in_any_case(self, service: Service) -> None:
        body = message_body(metadata={"company_id": f'"{COMPANY.upper()}"'})

        assert service.post("/post-message", body, CLERK).status == 202

    @pytest.mark.parametrize("error", [client_error("ThrottlingException"), client_error("InternalFailure", 500),
                                       client_error("QueueDoesNotExist")])  # fmt: skip
    def test_a_queue_that_cannot_take_it_is_a_503_that_says_when_to_retry(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        class Refusing:
            def send_message(self, **_: Any) -> None:
                raise error

        broken = MessageQueue(FakeSettings(), Refusing)  # type: ignore[arg-type,return-value]
        monkeypatch.setattr(service.app, "queue", broken)
        answer = service.post("/post-message", message_body())

        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "secret" not in answer.body.decode()


class TestPostingWhatIsStored:
    def test_the_same_message_is_a_200_and_is_not_queued_again(self, service: Service, stage: Stage) -> None:
        store(service, stage, message_body())
        same = message_body(data={"order_amount": "1999e-2"})
        answer = service.post("/post-message", same, CLERK)

        assert answer.status == 200
        assert answer.json() == {"message_id": MESSAGE_ID, "status": "stored", "digest": DIGEST}
        assert answer.headers["Location"] == f"/prod/message/{MESSAGE_ID}"
        assert stage.waiting(stage.queue_url) == 0

    def test_another_payload_is_a_409_that_leads_to_what_is_stored(self, service: Service, stage: Stage) -> None:
        store(service, stage, message_body())
        answer = service.post("/post-message", message_body(data={"order_amount": "20"}), CLERK)

        assert (answer.status, answer.json()["type"]) == (409, MESSAGE_CONFLICT)
        assert answer.json()["detail"] == (
            "Another payload is stored under this company_id and message_id, and it stays. Yours was not accepted; "
            "send it under a new message_id if it is another message."
        )
        assert answer.headers["Location"] == f"/prod/message/{MESSAGE_ID}"
        assert stage.waiting(stage.queue_url) == stage.waiting(stage.dead_letter_queue_url) == 0
        assert service.get(f"/message/{MESSAGE_ID}").json()["digest"] == DIGEST

    def test_what_is_not_stored_yet_is_accepted(self, service: Service, stage: Stage) -> None:
        for amount in ("19.99", "20"):
            assert service.post("/post-message", message_body(data={"order_amount": amount})).status == 202
        assert stage.waiting(stage.queue_url) == 2

    def test_another_companys_message_of_the_same_id_does_not_count(self, service: Service, stage: Stage) -> None:
        store(service, stage, message_body())
        other = message_body({"company_id": f'"{OTHER_COMPANY}"'}, {"order_amount": "7"})

        assert service.post("/post-message", other, OTHER_CLERK).status == 202

    @pytest.mark.parametrize("amount", ["19.99", "20"])
    def test_for_another_company_it_is_forbidden_whatever_is_stored(
        self, service: Service, stage: Stage, amount: str
    ) -> None:
        store(service, stage, message_body())

        assert service.post("/post-message", message_body(data={"order_amount": amount}), OTHER_CLERK).status == 403

    @pytest.mark.parametrize("amount", ["19.99", "20"])
    @pytest.mark.parametrize(
        "error",
        [
            client_error("AccessDeniedException"),
            client_error("ThrottlingException"),
            ReadTimeoutError(endpoint_url="secret"),
        ],
        ids=["denied", "throttled", "hanging"],
    )
    def test_an_index_that_cannot_be_asked_keeps_no_message_from_the_queue(
        self, service: Service, stage: Stage, error: Exception, amount: str
    ) -> None:
        store(service, stage, message_body())
        with failing(aws.hasty_dynamodb(), error) as asked:
            answers = [service.post("/post-message", message_body(data={"order_amount": amount})) for _ in range(2)]

        assert [answer.status for answer in answers] == [202, 202]
        assert [answer.json()["status"] for answer in answers] == ["accepted", "accepted"]
        assert stage.waiting(stage.queue_url) == 2
        assert len(asked) == 1, "a look after one that failed"


@contextmanager
def failing(client: Any, error: Exception) -> Iterator[list[dict[str, Any]]]:
    """Make each GetItem of this client fail. Yields their parameters."""
    asked: list[dict[str, Any]] = []

    def refuse(params: dict[str, Any], **_: Any) -> None:
        asked.append(params)
        raise error

    client.meta.events.register("before-parameter-build.dynamodb.GetItem", refuse)
    try:
        yield asked
    finally:
        client.meta.events.unregister("before-parameter-build.dynamodb.GetItem", refuse)


class TestReading:
    def test_shows_the_envelope_and_the_data(self, service: Service, stage: Stage) -> None:
        store(service, stage, message_body(data={"items": '[{"sku":"é","price":0.10}]'}))
        answer = service.get(f"/message/{MESSAGE_ID}", CLERK)

        assert answer.status == 200
        assert json.loads(answer.body, parse_float=Decimal) == {
            "metadata": {
                "message_time": MESSAGE_TIME,
                "company_id": COMPANY,
                "message_id": MESSAGE_ID,
                "message_s3_key": f"{COMPANY}/{MESSAGE_ID}.json",
            },
            "data": {
                "order_id": ORDER_ID,
                "order_time": ORDER_TIME,
                "order_amount": Decimal("19.99"),
                "items": [{"sku": "é", "price": Decimal("0.10")}],
            },
            "digest": digest_of(message_body(data={"items": '[{"sku":"é","price":0.1}]'})),
        }

    @pytest.mark.parametrize(
        "number", ["20", "19.99", "0.1", "1e-7", "12345678901234567890.12", "-0", "0.10", "1E+2", "1e100", "9" * 38]
    )
    def test_numbers_come_back_as_they_were_sent(self, service: Service, stage: Stage, number: str) -> None:
        store(service, stage, message_body(data={"order_amount": number, "more": f"[{number}]"}))
        text = service.get(f"/message/{MESSAGE_ID}").body.decode()

        read = json.loads(text, parse_float=Decimal, parse_int=Decimal)["data"]
        assert read["order_amount"] == read["more"][0] == Decimal(number)
        assert f'"order_amount":{number}' in text

    def test_identifiers_are_lower_case_and_found_in_any_case(self, service: Service, stage: Stage) -> None:
        ids = {"metadata": {"message_id": f'"{MESSAGE_ID.upper()}"'}, "data": {"order_id": f'"{ORDER_ID.upper()}"'}}
        store(service, stage, message_body(**ids))
        answer = service.get(f"/message/{MESSAGE_ID.upper()}")

        assert answer.json()["metadata"]["message_id"] == MESSAGE_ID
        assert answer.json()["data"]["order_id"] == ORDER_ID

    def test_one_that_is_not_stored_is_a_404(self, service: Service) -> None:
        service.post("/post-message", message_body())

        assert service.get(f"/message/{MESSAGE_ID}").status == 404

    def test_another_companys_looks_like_one_that_does_not_exist(self, service: Service, stage: Stage) -> None:
        absent = service.get(f"/message/{MESSAGE_ID}", OTHER_CLERK, headers={"X-Request-Id": "request-1"})
        store(service, stage, message_body())
        others = service.get(f"/message/{MESSAGE_ID}", OTHER_CLERK, headers={"X-Request-Id": "request-1"})

        assert (others.status, others.body) == (absent.status, absent.body) == (404, absent.body)

    def test_a_caller_without_a_company_reads_no_messages(self, service: Service) -> None:
        assert service.get(f"/message/{MESSAGE_ID}", VISITOR).status == 403

    def test_companies_may_use_the_same_id(self, service: Service, stage: Stage) -> None:
        store(service, stage, message_body(), CLERK)
        other = message_body({"company_id": f'"{OTHER_COMPANY}"'}, {"order_amount": "7"})
        store(service, stage, other, OTHER_CLERK)

        assert service.get(f"/message/{MESSAGE_ID}", CLERK).json()["data"]["order_amount"] == 19.99
        assert service.get(f"/message/{MESSAGE_ID}", OTHER_CLERK).json()["data"]["order_amount"] == 7

    def test_operators_say_which_company_if_several_have_the_id(self, service: Service, stage: Stage) -> None:
        store(service, stage, message_body())
        store(service, stage, message_body({"company_id": f'"{OTHER_COMPANY}"'}, {"order_amount": "7"}))

        ambiguous = service.get(f"/message/{MESSAGE_ID}")
        assert ambiguous.status == 400
        assert [fault["parameter"] for fault in ambiguous.json()["errors"]] == ["company_id"]
        named = service.get(f"/message/{MESSAGE_ID}?company_id={OTHER_COMPANY}")
        assert named.json()["data"]["order_amount"] == 7

    def test_a_company_cannot_name_another_one(self, service: Service, stage: Stage) -> None:
        store(service, stage, message_body())

        assert service.get(f"/message/{MESSAGE_ID}?company_id={COMPANY}", OTHER_CLERK).status == 400


class TestDigests:
    def test_the_answer_to_the_post_and_the_stored_message_agree(self, service: Service, stage: Stage) -> None:
        body = message_body(data={"order_amount": "19.990", "note": '"é"'})
        accepted = service.post("/post-message", body).json()["digest"]
        service.consume(stage.received(stage.queue_url))

        assert accepted == service.get(f"/message/{MESSAGE_ID}").json()["digest"] == digest_of(body)
        (row,) = stage.rows()
        assert row["digest"] == {"S": accepted}

    def test_a_message_stored_before_digests_were_kept_has_one_all_the_same(
        self, service: Service, stage: Stage
    ) -> None:
        store(service, stage, message_body())
        (row,) = stage.rows()
        del row["digest"]
        aws.dynamodb().put_item(TableName=TABLE, Item=row)

        assert service.get(f"/message/{MESSAGE_ID}").json()["digest"] == DIGEST
        assert service.post("/post-message", message_body()).status == 200
        assert service.post("/post-message", message_body(data={"order_amount": "20"})).status == 409


class TestSizes:
    @pytest.mark.parametrize("element", ["1e-6", "0e1", '"\uffff"', '"\U0001f409"', "{}"])
    def test_what_is_accepted_fits_the_queue_the_table_and_the_answer(
        self, service: Service, stage: Stage, element: str
    ) -> None:
        room = LARGEST_BODY_BYTES - len(message_body(data={"more": "[0]"}))
        count = room // (len(element.encode()) + 1)
        body = message_body(data={"more": "[" + ",".join([element] * count) + "]"})
        assert LARGEST_BODY_BYTES - 30 < len(body) <= LARGEST_BODY_BYTES
        store(service, stage, body)

        assert stage.waiting(stage.dead_letter_queue_url) == 0
        (row,) = stage.rows()
        assert len(row["data"]["S"].encode()) <= len(body), "400 KB is DynamoDB's limit, moto's estimate is not"
        assert json.loads(service.get(f"/message/{MESSAGE_ID}").body)["data"] == json.loads(body)["data"]

    def test_a_time_too_long_for_the_index_is_refused_before_it_is_accepted(
        self, service: Service, stage: Stage
    ) -> None:
        """The index keeps the time twice."""
        long = f'"2023-12-10T22:00:00.{"0" * 210_000}Z"'
        answer = service.post("/post-message", message_body(data={"order_time": long}), CLERK)

        assert answer.status == 400
        assert [fault["pointer"] for fault in answer.json()["errors"]] == ["#/data/order_time"]
        assert stage.waiting(stage.queue_url) == 0

    def test_a_long_message_is_not_changed_by_the_characters_that_sqs_refuses(
        self, service: Service, stage: Stage
    ) -> None:
        note = '\uffff\ufffe \u0001 \U0001f409 \\ " é \u2028'
        store(service, stage, message_body(data={"note": json.dumps(note, ensure_ascii=False)}))

        assert service.get(f"/message/{MESSAGE_ID}").json()["data"]["note"] == note


def test_the_client_of_each_service_is_made_once(service: Service, stage: Stage) -> None:
    before = aws.dynamodb()
    store(service, stage, message_body())

    assert aws.dynamodb() is before
