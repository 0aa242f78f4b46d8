"""What happens to messages that are kept for a number of days only: they end in index and archive at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import aws, exact_json
from chalicelib.messages.model import message_from
from chalicelib.messages.stored import DAY_S
from tests.fakes.aws_errors import client_error
from tests.integration.service import CLERK, OPERATOR, Service
from tests.integration.stage import MESSAGE_BUCKET, TABLE, Stage
from tests.samples import COMPANY, MESSAGE_ID, OTHER_COMPANY, message_body

KEY = f"{COMPANY}/{MESSAGE_ID}.json"
BODY = message_body().decode()
OTHER_BODY = message_body(data={"order_amount": "20"}).decode()
DAYS = 30


@pytest.fixture
def later(service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let days pass for the service; the stores stay where they are, as if they deleted late."""

    def pass_(days: float) -> None:
        monkeypatch.setattr(service.app.messages, "_clock", lambda: time.time() + days * DAY_S)

    return pass_


@pytest.fixture
def consume(service: Service, stage: Stage) -> Callable[[str], None]:
    """Put a body on the queue, and run the consumer on it."""

    def run(body: str) -> None:
        aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody=body)
        service.consume(stage.received(stage.queue_url))

    return run


@pytest.fixture
def _kept_for_days(stage: Stage) -> None:
    stage.put_parameters(archive_retention_days=str(DAYS))


def expires_at(stage: Stage) -> float | None:
    """Return when the one row expires."""
    (row,) = stage.rows()
    return float(row["expires_at"]["N"]) if "expires_at" in row else None


def test_without_a_number_of_days_messages_stay_for_ever(consume: Any, later: Any, service: Service) -> None:
    consume(BODY)
    later(40_000)

    assert service.get(f"/message/{MESSAGE_ID}", CLERK).status == 200


@pytest.mark.usefixtures("_kept_for_days")
class TestKeptForDays:
    def test_a_row_ends_so_many_days_after_its_message_was_archived(self, consume: Any, stage: Stage) -> None:
        consume(BODY)

        assert expires_at(stage) == pytest.approx(time.time() + DAYS * DAY_S, abs=60)

    def test_a_row_that_is_written_long_after_its_message_was_archived_ends_with_it(
        self, consume: Any, stage: Stage, later: Any
    ) -> None:
        """The consumer was killed between the two; otherwise the row would point at nothing in its last days."""
        aws.s3().put_object(Bucket=MESSAGE_BUCKET, Key=KEY, Body=BODY.encode())
        later(3)
        consume(BODY)

        assert expires_at(stage) == pytest.approx(time.time() + DAYS * DAY_S, abs=60)

    @pytest.mark.parametrize("days", [0, DAYS - 0.1])
    def test_until_then_it_is_shown_and_its_id_is_taken(
        self, consume: Any, service: Service, stage: Stage, later: Any, days: float
    ) -> None:
        consume(BODY)
        later(days)
        consume(OTHER_BODY)

        assert service.get(f"/message/{MESSAGE_ID}", CLERK).status == 200
        assert service.post("/post-message", message_body(), CLERK).status == 200
        assert service.post("/post-message", OTHER_BODY.encode(), CLERK).status == 409
        assert stage.waiting(stage.dead_letter_queue_url) == 1

    def test_then_it_is_gone_although_the_stores_still_have_it(
        self, consume: Any, service: Service, later: Any
    ) -> None:
        consume(BODY)
        later(DAYS + 0.01)

        assert service.get(f"/message/{MESSAGE_ID}", CLERK).status == 404
        assert service.get(f"/message/{MESSAGE_ID}", OPERATOR).status == 404
        assert service.post("/post-message", message_body(), CLERK).status == 202
        assert service.post("/post-message", OTHER_BODY.encode(), CLERK).status == 202

    @pytest.mark.parametrize("body", [BODY, OTHER_BODY], ids=["the same", "another payload"])
    @pytest.mark.parametrize("left", ["both", "row", "object"])
    def test_then_its_id_is_free_and_both_stores_have_the_new_one(
        self, consume: Any, service: Service, stage: Stage, later: Any, body: str, left: str
    ) -> None:
        consume(BODY)
        (row,) = stage.rows()
        if left == "row":
            aws.s3().delete_object(Bucket=MESSAGE_BUCKET, Key=KEY)
        if left == "object":
            aws.dynamodb().delete_item(TableName=TABLE, Key={name: row[name] for name in ("message_id", "company_id")})
        later(DAYS + 0.01)
        consume(body)

        assert stage.waiting(stage.dead_letter_queue_url) == stage.waiting(stage.queue_url) == 0
        assert expires_at(stage) == pytest.approx(time.time() + 2 * DAYS * DAY_S, abs=0.02 * DAY_S)
        assert stage.archived(KEY) == body.encode()
        assert service.get(f"/message/{MESSAGE_ID}", CLERK).status == 200

    @pytest.mark.parametrize("expired", [COMPANY, OTHER_COMPANY])
    def test_another_companys_expired_message_makes_no_id_ambiguous(
        self, consume: Any, service: Service, later: Any, expired: str
    ) -> None:
        alive = OTHER_COMPANY if expired == COMPANY else COMPANY
        consume(message_body({"company_id": f'"{expired}"'}).decode())
        later(DAYS + 0.01)
        consume(message_body({"company_id": f'"{alive}"'}).decode())

        answer = service.get(f"/message/{MESSAGE_ID}", OPERATOR)

        assert (answer.status, answer.json()["metadata"]["company_id"]) == (200, alive)

    @pytest.mark.parametrize("status", [404, 409, 412])
    def test_an_expired_object_that_changes_meanwhile_is_not_overwritten(
        self, service: Service, stage: Stage, later: Any, status: int
    ) -> None:
        """S3 deletes it, or another consumer replaces it: the next delivery sees what there is then."""
        aws.s3().put_object(Bucket=MESSAGE_BUCKET, Key=KEY, Body=BODY.encode())
        later(DAYS + 0.01)

        def refuse(params: dict[str, Any], **_: Any) -> None:
            if "IfMatch" in params:
                raise client_error("Changed", status)

        events = aws.s3().meta.events
        events.register("before-parameter-build.s3.PutObject", refuse)
        try:
            with pytest.raises(aws.DependencyUnavailable, match=r"^S3 is not available: Changed$"):
                service.app.messages.store(message_from(exact_json.parse_object(OTHER_BODY)))
        finally:
            events.unregister("before-parameter-build.s3.PutObject", refuse)

        assert stage.rows() == []
        assert stage.archived(KEY) == BODY.encode()
