"""A company's messages, newest first, on DynamoDB's index as moto has it."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.exact_json import parse_object
from chalicelib.messages import listing
from chalicelib.messages.listing import MessageQuery
from chalicelib.messages.model import Message, message_from
from chalicelib.messages.repository import MessageRepository
from chalicelib.messages.stored import StoredMessage
from chalicelib.web.paging import cursor
from chalicelib.web.problems import COMPANY_NOT_ALLOWED, INVALID_REQUEST
from tests.fakes.clock import FakeClock
from tests.integration.service import CLERK, OPERATOR, OTHER_CLERK, VISITOR, Service
from tests.integration.stage import TABLE, Stage
from tests.lambda_events import claims
from tests.samples import COMPANY, MESSAGE_ID, MESSAGE_TIME, ORDER_ID, ORDER_TIME, OTHER_COMPANY, message_body

NOON_MS = 1_795_521_600_000  # 2026-11-24T12:00:00Z
HOUR_MS = 3_600_000


def a_message(company: str = COMPANY, message_id: str | None = None, amount: str = "20") -> Message:
    """Return a message with an id of its own."""
    ids = {"company_id": f'"{company}"', "message_id": f'"{message_id or uuid.uuid4()}"'}
    return message_from(parse_object(message_body(ids, {"order_amount": amount})))


@pytest.fixture
def messages(service: Service) -> MessageRepository:
    """The service's own repository."""
    repository: MessageRepository = service.app.messages
    return repository


def put(stored: Sequence[tuple[Message, int]]) -> None:
    """Put the rows of messages that were accepted at these times."""
    rows = [StoredMessage.of(message) for message, _ in stored]
    times = [accepted_ms for _, accepted_ms in stored]
    listed = [
        row.listed_under(listing.keys(row.company_id, row.message_id, at)) for row, at in zip(rows, times, strict=True)
    ]
    for begin in range(0, len(listed), 25):
        puts: list[Any] = [{"PutRequest": {"Item": row.as_item()}} for row in listed[begin : begin + 25]]
        aws.dynamodb().batch_write_item(RequestItems={TABLE: puts})


@pytest.fixture
def hourly(service: Service) -> list[str]:
    """Ids of messages that were accepted one an hour until noon, the newest first; another company's are between."""
    ids = [str(uuid.UUID(int=number, version=4)) for number in random.Random(1).sample(range(1 << 60), 20)]
    at = [NOON_MS - hours * HOUR_MS for hours in range(20)]
    own, others = [a_message(message_id=message_id) for message_id in ids], [a_message(OTHER_COMPANY) for _ in ids]
    put([*zip(own, at, strict=True), *zip(others, at, strict=True)])
    return ids


def ids_of(answer: Any) -> list[str]:
    """Return the ids of an answer's messages."""
    assert answer.status == 200, answer.body
    return [message["message_id"] for message in answer.json()]


def pages_of(service: Service, reference: str, who: Any = CLERK) -> Iterator[list[str]]:
    """Yield the ids on each page, following the links."""
    following = reference
    while following:
        answer = service.get(following, who)
        yield ids_of(answer)
        found = re.search(r'<(?:/prod)?([^>]*)>; rel="next"', answer.headers.get("Link", ""))
        following = found[1] if found else ""


class TestStoring:
    def test_a_message_is_listed_at_once_with_the_rest_of_its_row(self, service: Service, stage: Stage) -> None:
        service.post("/post-message", message_body(), CLERK)
        (queued,) = stage.received(stage.queue_url)
        service.consume([queued])

        (row,) = stage.rows()
        sent_ms = int(queued["Attributes"]["SentTimestamp"])
        assert {name: row[name]["S"] for name in ("company_part", "accepted_at_id")} == listing.keys(
            COMPANY, MESSAGE_ID, sent_ms
        )
        (shown,) = service.get("/messages", CLERK).json()
        assert shown == {
            "message_id": MESSAGE_ID,
            "company_id": COMPANY,
            "message_time": MESSAGE_TIME,
            "accepted_at": row["accepted_at_id"]["S"].partition("#")[0],
            "order_id": ORDER_ID,
            "order_time": ORDER_TIME,
            "order_amount": 19.99,
        }

    def test_a_later_delivery_of_the_same_message_does_not_move_it(
        self, messages: MessageRepository, stage: Stage
    ) -> None:
        message = a_message()
        messages.store(message, NOON_MS)
        messages.store(message, NOON_MS + HOUR_MS)

        assert stage.rows()[0]["accepted_at_id"]["S"].startswith("2026-11-24T12:00:00.000Z#")

    def test_a_message_that_nobody_knows_the_time_of_was_accepted_now(
        self, messages: MessageRepository, stage: Stage
    ) -> None:
        before = int(time.time() * 1000)
        message = a_message()
        messages.store(message)
        after = int(time.time() * 1000)

        ids = str(message.metadata.company_id), str(message.metadata.message_id)
        earliest, latest = (listing.keys(*ids, moment)["accepted_at_id"] for moment in (before, after))
        assert earliest <= stage.rows()[0]["accepted_at_id"]["S"] <= latest

    def test_the_index_holds_no_data(self, messages: MessageRepository) -> None:
        messages.store(a_message(), NOON_MS)
        (found,) = [
            item
            for part in listing.parts(COMPANY)
            for item in aws.dynamodb().query(
                TableName=TABLE,
                IndexName=listing.INDEX,
                KeyConditionExpression="company_part = :part",
                ExpressionAttributeValues={":part": {"S": part}},
            )["Items"]
        ]

        assert set(found) == {
            "message_id", "company_id", "company_part", "accepted_at_id", "message_time", "order_id", "order_time",
            "order_amount",
        }  # fmt: skip


class TestPages:
    def test_the_newest_come_first_and_nobody_elses_are_among_them(self, service: Service, hourly: list[str]) -> None:
        assert ids_of(service.get("/messages", CLERK)) == hourly

    @pytest.mark.parametrize("limit", [3, 19, 20, 21])
    def test_pages_hold_every_message_once(self, service: Service, hourly: list[str], limit: int) -> None:
        pages = list(pages_of(service, f"/messages?limit={limit}"))

        assert [message_id for page in pages for message_id in page] == hourly
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert len(pages) == -(-len(hourly) // limit)

    def test_messages_of_one_millisecond_are_all_shown(self, service: Service) -> None:
        stored = [a_message() for _ in range(12)]
        put([(message, NOON_MS) for message in stored])

        shown = [message_id for page in pages_of(service, "/messages?limit=5") for message_id in page]
        assert shown == sorted((str(message.metadata.message_id) for message in stored), reverse=True)

    @pytest.mark.parametrize(
        ("query", "first", "last"),
        [
            ("from=2026-11-24T10:00:00Z", 0, 2),
            ("from=2026-11-24T10:00:00.0001Z", 0, 1),
            ("to=2026-11-24T10:00:00Z", 3, 19),
            ("to=2026-11-24T10:00:00.0001Z", 2, 19),
            ("from=2026-11-24T09:00:00Z&to=2026-11-24T11:00:00Z", 2, 3),
            ("from=2026-11-24T10:00:00%2B01:00&to=2026-11-24T13:00:00%2B01:00", 1, 3),
        ],
    )
    def test_from_is_inclusive_and_to_is_exclusive(
        self, service: Service, hourly: list[str], query: str, first: int, last: int
    ) -> None:
        for limit in (4, 100):
            shown = [
                message_id for page in pages_of(service, f"/messages?limit={limit}&{query}") for message_id in page
            ]
            assert shown == hourly[first : last + 1]

    @pytest.mark.usefixtures("hourly")
    @pytest.mark.parametrize(
        "query",
        ["from=2026-11-25T00:00:00Z", "to=2026-11-01T00:00:00Z", "from=2026-11-24T10:00:00Z&to=2026-11-24T10:00:00Z",
         "from=2026-11-24T10:00:00Z&to=2026-11-24T09:00:00Z"],
    )  # fmt: skip
    def test_a_time_without_messages_is_an_empty_list(self, service: Service, query: str) -> None:
        answer = service.get(f"/messages?{query}", CLERK)

        assert (answer.status, answer.body) == (200, b"[]")
        assert "Link" not in answer.headers

    @pytest.mark.usefixtures("hourly")
    def test_a_page_is_revalidated(self, service: Service) -> None:
        etag = service.get("/messages?limit=3", CLERK).headers["ETag"]
        again = service.get("/messages?limit=3", CLERK, headers={"If-None-Match": etag})

        assert (again.status, again.body) == (304, b"")

    def test_what_has_expired_is_not_there_though_dynamodb_still_shows_it(self, service: Service, stage: Stage) -> None:
        stage.put_parameters(archive_retention_days="1")
        clock = FakeClock()
        clock.now = NOON_MS / 1000
        kept = MessageRepository(service.app.settings, clock=clock)
        stored = [a_message() for _ in range(12)]
        for number, message in enumerate(stored):
            clock.now = NOON_MS / 1000 + (number % 2)
            kept.store(message, NOON_MS + number)
        clock.now = NOON_MS / 1000 + 86_400

        live = [str(message.metadata.message_id) for message in stored[1::2]][::-1]
        pages = [kept.page(MessageQuery(COMPANY, limit=4))]
        while pages[-1].next_before:
            pages.append(kept.page(MessageQuery(COMPANY, before=pages[-1].next_before, limit=4)))
        assert [message.message_id for page in pages for message in page.messages] == live

    def test_a_query_that_ends_early_is_continued(
        self, messages: MessageRepository, hourly: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As one does after a megabyte."""
        client = aws.dynamodb()
        query = client.query
        monkeypatch.setattr(client, "query", lambda **asked: query(**{**asked, "Limit": 1}))

        shown = messages.page(MessageQuery(COMPANY, limit=7))
        assert [message.message_id for message in shown.messages] == hourly[:7]

    @pytest.mark.parametrize(
        ("message", "status"), [("Cannot read from backfilling global secondary index: by-acceptance", 503), ("", 500)]
    )
    def test_an_index_that_is_being_made_may_be_asked_again_later(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, message: str, status: int
    ) -> None:
        refusal = {"Error": {"Code": "ValidationException", "Message": message}}

        def refused(**_: Any) -> None:
            raise ClientError(refusal | {"ResponseMetadata": {"HTTPStatusCode": 400}}, "Query")  # type: ignore[arg-type]

        monkeypatch.setattr(aws.dynamodb(), "query", refused)
        answer = service.get("/messages", CLERK)

        assert answer.status == status
        assert ("Retry-After" in answer.headers) is (status == 503)

    def test_a_row_of_the_index_that_is_no_message_is_passed_over(self, service: Service, hourly: list[str]) -> None:
        keys = {name: {"S": text} for name, text in listing.keys(COMPANY, MESSAGE_ID, NOON_MS).items()}
        ids = {"message_id": {"S": MESSAGE_ID}, "company_id": {"S": COMPANY}}
        aws.dynamodb().put_item(TableName=TABLE, Item=ids | keys)

        assert ids_of(service.get("/messages", CLERK)) == hourly


class TestCompanies:
    def test_operators_name_the_company(self, service: Service, hourly: list[str]) -> None:
        assert ids_of(service.get(f"/messages?company_id={COMPANY.upper()}", OPERATOR)) == hourly
        assert len(ids_of(service.get(f"/messages?company_id={OTHER_COMPANY}", OPERATOR))) == len(hourly)

    def test_an_operator_who_names_none_is_told_so(self, service: Service) -> None:
        answer = service.get("/messages?from=x", OPERATOR)

        assert (answer.status, answer.json()["type"]) == (400, INVALID_REQUEST)
        assert [error["parameter"] for error in answer.json()["errors"]] == ["company_id", "from"]

    def test_an_operator_of_a_company_sees_its_messages_without_naming_it(
        self, service: Service, hourly: list[str]
    ) -> None:
        assert ids_of(service.get("/messages", claims(custom__company_id=COMPANY))) == hourly

    def test_a_company_may_name_itself_and_no_other(self, service: Service, hourly: list[str]) -> None:
        assert ids_of(service.get(f"/messages?company_id={COMPANY}", CLERK)) == hourly

        refused = service.get(f"/messages?company_id={COMPANY}", OTHER_CLERK)
        assert (refused.status, refused.json()["type"]) == (403, COMPANY_NOT_ALLOWED)

    def test_whoever_has_no_company_may_see_no_messages(self, service: Service) -> None:
        for query in ("", f"?company_id={COMPANY}", "?limit=0"):
            refused = service.get(f"/messages{query}", VISITOR)
            assert (refused.status, refused.json()["type"]) == (403, COMPANY_NOT_ALLOWED)

    @pytest.mark.usefixtures("hourly")
    @pytest.mark.parametrize(
        ("query", "who"),
        [("", OTHER_CLERK), ("&to=2026-11-24T12:00:00Z", CLERK), ("&from=2026-11-24T12:00:00Z", CLERK)],
    )
    def test_a_cursor_belongs_to_its_company_and_times(self, service: Service, query: str, who: Any) -> None:
        link = service.get("/messages?limit=3", CLERK).headers["Link"]
        reference = re.search(r"</prod([^>]*)>", link)[1] + query  # type: ignore[index]

        answer = service.get(reference, who)
        assert answer.json()["errors"] == [
            {"parameter": "cursor", "detail": "belongs to a query with other filters; start from the first page"}
        ]

    @pytest.mark.parametrize("key", ["", "x", "é" * 2_000])
    def test_a_cursor_with_a_key_that_no_message_has_is_a_400(self, service: Service, key: str) -> None:
        made_up = cursor(key, "messages", COMPANY, None, None)

        assert service.get(f"/messages?cursor={made_up}", CLERK).status == 400
