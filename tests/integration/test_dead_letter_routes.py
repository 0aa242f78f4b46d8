"""What operators do with dead letters through the API: nothing is lost, and nobody does it for them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.messages import dead_letters
from tests.integration.service import CLERK, VISITOR, Answer, Service
from tests.integration.stage import Stage
from tests.samples import COMPANY, MESSAGE_ID, message_body

OTHER_ID = "0a3d6a53-6a3e-4c0e-8f62-0a4e3a9d6f11"
EDITED = message_body({"message_id": f'"{OTHER_ID}"'})
GONE = "urn:dragonpost:problem:letter-gone"
Bury = Callable[..., str]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "POLL_S", 0)


@pytest.fixture
def bury(stage: Stage) -> Bury:
    """Put a letter into the dead-letter queue; return its id."""

    def buried(body: str = message_body().decode(), **attributes: str) -> str:
        typed: Any = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        url = stage.dead_letter_queue_url
        return aws.sqs().send_message(QueueUrl=url, MessageBody=body, MessageAttributes=typed)["MessageId"]

    return buried


def path(letter_id: str, action: str = "") -> str:
    return f"/operator/dead-letters/{letter_id}{action}"


def saved(service: Service, letter_id: str) -> dict[str, str]:
    """Return the header that shows that one has the letter."""
    return {"If-Match": service.get(path(letter_id)).headers["ETag"]}


def delete(service: Service, letter_id: str, **headers: str) -> Answer:
    return service.request("DELETE", path(letter_id), headers=headers)


def replace(service: Service, letter_id: str, body: bytes = EDITED, **headers: str) -> Answer:
    given = {"Content-Type": "application/json", **headers}
    return service.request("POST", path(letter_id, "/replace"), body=body, headers=given)


def in_conflict(service: Service, stage: Stage) -> str:
    """Have a message refused because another one is stored under its id; return the letter's id."""
    service.post("/post-message", message_body())
    service.consume(stage.received(stage.queue_url))
    other = message_body(data={"order_amount": "21"}).decode()
    aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody=other)
    service.consume(stage.received(stage.queue_url))
    [letter] = service.get("/operator/dead-letters").json()["dead_letters"]
    return str(letter["letter_id"])


class TestLooking:
    def test_a_list_says_why_whose_and_which(self, service: Service, bury: Bury) -> None:
        conflict = bury(reason="conflict: another payload", correlation_id="request-1")
        unreadable = bury("{", reason="unreadable: not valid JSON")
        unexplained = bury('{"metadata": {"message_id": "7", "company_id": ["x"]}}')

        answer = service.get("/operator/dead-letters")

        assert (answer.status, answer.json()["count"]) == (200, 3)
        listed = {letter.pop("letter_id"): letter for letter in answer.json()["dead_letters"]}
        assert {letter_id: letter["reason"] for letter_id, letter in listed.items()} == {
            conflict: "conflict: another payload",
            unreadable: "unreadable: not valid JSON",
            unexplained: "failed every delivery",
        }
        ids = ("message_id", "company_id", "request_id")
        assert [listed[conflict][name] for name in ids] == [MESSAGE_ID, COMPANY, "request-1"]
        assert [listed[unexplained][name] for name in ids] == [None, None, None]

    def test_a_page_has_twenty_letters_at_most_and_lets_go_of_them(self, service: Service, bury: Bury) -> None:
        there = {bury() for _ in range(23)}

        for reference, size in (("", 20), ("?limit=3", 3), ("?limit=20", 20)):
            page = service.get(f"/operator/dead-letters{reference}").json()
            assert (len(page["dead_letters"]), page["count"]) == (size, 23)
            assert {letter["letter_id"] for letter in page["dead_letters"]} <= there

    def test_an_empty_queue_is_an_empty_page(self, service: Service) -> None:
        assert service.get("/operator/dead-letters").json() == {"count": 0, "dead_letters": []}

    @pytest.mark.parametrize("query", ["limit=0", "limit=21", "limit=x", "limit=1&limit=2", "cursor=x"])
    def test_a_query_that_cannot_be_is_refused(self, service: Service, query: str) -> None:
        assert service.get(f"/operator/dead-letters?{query}").status == 400

    def test_a_letter_is_shown_as_it_came_beside_the_stored_message(self, service: Service, stage: Stage) -> None:
        letter_id = in_conflict(service, stage)

        letter = service.get(path(letter_id)).json()

        assert letter["reason"].startswith("conflict: ")
        assert json.loads(letter["body"])["data"]["order_amount"] == 21
        assert letter["stored"] == service.get(f"/message/{MESSAGE_ID}").json()
        assert (letter["message_id"], letter["company_id"]) == (MESSAGE_ID, COMPANY)

    def test_a_letter_that_nobody_can_read_has_nothing_beside_it(self, service: Service, bury: Bury) -> None:
        letter = service.get(path(bury("[" * 100_000))).json()

        assert (letter["body"], letter["message_id"], letter["stored"]) == ("[" * 100_000, None, None)

    def test_a_letter_that_was_read_before_need_not_be_sent_again(self, service: Service, bury: Bury) -> None:
        letter_id = bury()
        etag = saved(service, letter_id)["If-Match"]

        assert service.request("GET", path(letter_id), headers={"If-None-Match": etag}).status == 304

    def test_reading_one_that_is_gone_is_a_404(self, service: Service, bury: Bury) -> None:
        bury()

        assert service.get(path(str(uuid.uuid4()))).status == 404
        assert len(service.get("/operator/dead-letters").json()["dead_letters"]) == 1, "and the others are let go of"

    def test_a_request_id_is_shown_only_if_a_request_can_have_had_it(self, service: Service, bury: Bury) -> None:
        bury(correlation_id="x" * 65)

        [letter] = service.get("/operator/dead-letters").json()["dead_letters"]

        assert letter["request_id"] is None


class TestRedriving:
    def test_a_query_is_refused_and_the_letter_stays(self, service: Service, stage: Stage, bury: Bury) -> None:
        letter_id = bury()

        assert service.post(path(letter_id, "/redrive?all=yes"), b"").status == 400
        assert (stage.waiting(stage.queue_url), stage.waiting(stage.dead_letter_queue_url)) == (0, 1)

    def test_the_message_goes_on_with_its_request_id_and_without_the_reason(
        self, service: Service, stage: Stage, bury: Bury
    ) -> None:
        letter_id, other = bury(reason="conflict: x", correlation_id="request-1"), bury()

        answer = service.post(path(letter_id, "/redrive"), b"")

        assert (answer.status, answer.json()) == (202, {"letter_id": letter_id, "status": "redriven"})
        [message] = stage.received(stage.queue_url)
        assert message["Body"] == message_body().decode()
        assert set(message["MessageAttributes"]) == {"correlation_id"}
        assert [letter["MessageId"] for letter in stage.received(stage.dead_letter_queue_url)] == [other]

    def test_two_operators_redrive_a_letter_once(self, service: Service, stage: Stage, bury: Bury) -> None:
        letter_id = bury()

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: service.post(path(letter_id, "/redrive"), b""), range(2)))

        assert sorted(answer.status for answer in answers) == [202, 409]
        assert stage.waiting(stage.queue_url) == 1

    def test_a_message_that_the_queue_does_not_take_stays_a_letter(
        self, service: Service, stage: Stage, bury: Bury
    ) -> None:
        letter_id = bury()
        aws.sqs().delete_queue(QueueUrl=stage.queue_url)

        assert service.post(path(letter_id, "/redrive"), b"").status == 500
        assert stage.waiting(stage.dead_letter_queue_url) == 1
        assert service.get(path(letter_id)).status == 200, "and is let go of"


class TestLettingGo:
    """Deleting and replacing: only by somebody who has the letter as it is now."""

    def test_what_was_saved_may_be_deleted_and_nothing_else(self, service: Service, stage: Stage, bury: Bury) -> None:
        letter_id, other = bury(), bury()

        assert delete(service, letter_id, **saved(service, letter_id)).status == 204
        assert [letter["MessageId"] for letter in stage.received(stage.dead_letter_queue_url)] == [other]

    @pytest.mark.parametrize(
        ("if_match", "status"), [(None, 428), ("*", 428), ('W/"x"', 412), ('"another"', 412), ("x", 400)]
    )
    def test_a_letter_that_was_not_saved_stays(
        self, service: Service, stage: Stage, bury: Bury, if_match: str | None, status: int
    ) -> None:
        letter_id = bury()
        headers = {} if if_match is None else {"If-Match": if_match}

        assert delete(service, letter_id, **headers).status == status
        assert replace(service, letter_id, **headers).status == status
        assert stage.waiting(stage.dead_letter_queue_url) == 1
        assert stage.waiting(stage.queue_url) == 0

    def test_a_letter_whose_message_was_stored_meanwhile_has_to_be_looked_at_again(
        self, service: Service, stage: Stage, bury: Bury
    ) -> None:
        letter_id = bury()
        seen = saved(service, letter_id)
        service.post("/post-message", message_body(data={"order_amount": "21"}))
        service.consume(stage.received(stage.queue_url))

        assert delete(service, letter_id, **seen).status == 412
        assert replace(service, letter_id, **seen).status == 412
        assert delete(service, letter_id, **saved(service, letter_id)).status == 204

    def test_an_edited_message_is_posted_and_the_letter_goes(self, service: Service, stage: Stage) -> None:
        letter_id = in_conflict(service, stage)

        answer = replace(service, letter_id, **saved(service, letter_id))

        assert (answer.status, answer.json()["message_id"]) == (202, OTHER_ID)
        assert answer.headers["Location"] == f"/prod/message/{OTHER_ID}"
        service.consume(stage.received(stage.queue_url))
        assert service.get(f"/message/{OTHER_ID}").status == 200
        assert stage.waiting(stage.dead_letter_queue_url) == 0

    def test_one_that_is_stored_already_is_not_queued(self, service: Service, stage: Stage) -> None:
        letter_id = in_conflict(service, stage)

        answer = replace(service, letter_id, message_body(), **saved(service, letter_id))

        assert (answer.status, answer.json()["status"]) == (200, "stored")
        assert (stage.waiting(stage.queue_url), stage.waiting(stage.dead_letter_queue_url)) == (0, 0)

    def test_one_that_conflicts_again_is_refused_and_the_letter_stays(self, service: Service, stage: Stage) -> None:
        letter_id = in_conflict(service, stage)
        other = message_body(data={"order_amount": "22"})

        answer = replace(service, letter_id, other, **saved(service, letter_id))

        assert (answer.status, answer.json()["type"]) == (409, "urn:dragonpost:problem:message-conflict")
        assert stage.waiting(stage.queue_url) == 0
        assert service.get(path(letter_id)).status == 200

    def test_one_that_is_not_valid_is_refused_with_every_fault(
        self, service: Service, stage: Stage, bury: Bury
    ) -> None:
        letter_id = bury()

        answer = replace(service, letter_id, b'{"metadata": {}}', **{"If-Match": "x"})

        assert answer.status == 400
        assert {fault.get("header") for fault in answer.json()["errors"]} >= {"If-Match"}
        assert len(answer.json()["errors"]) > 2
        assert stage.waiting(stage.dead_letter_queue_url) == 1

    def test_the_queue_has_the_edited_message_before_the_letter_goes(
        self, service: Service, stage: Stage, bury: Bury
    ) -> None:
        letter_id = bury()
        seen = saved(service, letter_id)
        aws.sqs().delete_queue(QueueUrl=stage.queue_url)

        assert replace(service, letter_id, **seen).status == 503
        assert stage.waiting(stage.dead_letter_queue_url) == 1


@pytest.mark.parametrize("act", [delete, replace, lambda service, gone, **_: service.post(path(gone, "/redrive"), b"")])
class TestActions:
    def test_a_letter_that_is_gone_is_a_409_and_nothing_is_done(
        self, service: Service, stage: Stage, bury: Bury, act: Callable[..., Answer]
    ) -> None:
        gone, other = bury(), bury()
        seen = saved(service, gone)
        service.post(path(gone, "/redrive"), b"")
        stage.received(stage.queue_url)

        answer = act(service, gone, **seen)

        assert (answer.status, answer.json()["type"]) == (409, GONE)
        assert not stage.received(stage.queue_url)
        assert service.get(path(other)).status == 200

    def test_a_queue_that_is_too_long_to_be_read_is_no_missing_letter(
        self, service: Service, bury: Bury, monkeypatch: pytest.MonkeyPatch, act: Callable[..., Answer]
    ) -> None:
        bury()
        monkeypatch.setattr(dead_letters, "REQUEST_READS_FOR_S", 0)

        assert act(service, "none", **{"If-Match": '"x"'}).status == 503


@pytest.mark.parametrize("caller", [CLERK, VISITOR])
def test_nobody_but_operators_sees_or_does_anything(service: Service, bury: Bury, caller: dict[str, Any]) -> None:
    letter_id = bury()
    for method, reference in (
        ("GET", "/operator/dead-letters"),
        ("GET", path(letter_id)),
        ("DELETE", path(letter_id)),
        ("POST", path(letter_id, "/redrive")),
        ("POST", path(letter_id, "/replace")),
    ):
        answer = service.request(method, reference, caller)
        assert (answer.status, answer.json()["type"]) == (403, "urn:dragonpost:problem:operators-only")
