"""The message post as deployed: posted over HTTP, through SQS and the consumer, and read back."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.e2e.messages import a_message, dead, digest_of, exactly, forget_row, post, queue_unseen, stored
from tests.e2e.operating import run
from tests.e2e.running import Api, Devstack, Served
from tests.e2e.waiting import until
from tests.people import COMPANIES

LISTED = {"message_id", "company_id", "message_time", "accepted_at", "order_id", "order_time", "order_amount"}


@pytest.mark.parametrize("amount", ["20", "19.99", "0.1", "1e-7", "12345678901234567890.12", "0", "-0", "1e100"])
def test_a_message_comes_back_with_exactly_the_numbers_that_were_sent(api: Api, amount: str) -> None:
    message = a_message(amount, more=', "lines": [{"price": 0.10, "text": "Grüße \\u0001"}], "big": 1e400')

    answer = post(api, message)
    read = exactly(stored(api, answer.headers["Location"]))

    sent = exactly(message)
    assert answer.status_code == 202
    accepted = {"message_id": sent["metadata"]["message_id"], "status": "accepted", "digest": digest_of(message)}
    assert answer.json() == accepted
    assert read["digest"] == accepted["digest"]
    assert answer.headers["Location"] == f"{api.stage_prefix}/message/{sent['metadata']['message_id']}"
    assert read["data"] == sent["data"]
    assert read["metadata"] == {
        **sent["metadata"],
        "company_id": COMPANIES["amber"],
        "message_s3_key": f"{COMPANIES['amber']}/{sent['metadata']['message_id']}.json",
    }


def test_the_archive_holds_what_the_index_shows(api: Api, devstack: Served) -> None:
    read = exactly(stored(api, post(api, a_message("0.10")).headers["Location"]))
    del read["digest"]

    bucket = devstack.running["outputs"]["MessageBucketName"]
    archived = devstack.client("s3").get_object(Bucket=bucket, Key=read["metadata"].pop("message_s3_key"))

    assert exactly(archived["Body"].read()) == read


def test_the_same_message_again_changes_nothing(api: Api, devstack: Served) -> None:
    message = a_message("20.0")
    location = post(api, message).headers["Location"]
    before = stored(api, location)

    # The same by value: members in another order, numbers and ids in another form.
    members = json.loads(message)
    members["data"]["order_amount"] = 20
    members["metadata"]["message_id"] = members["metadata"]["message_id"].upper()
    again = json.dumps({"data": dict(reversed(members["data"].items())), "metadata": members["metadata"]})
    repeated = post(api, again)
    assert (repeated.status_code, repeated.json()["status"]) == (200, "stored")
    assert repeated.headers["Location"] == location
    assert repeated.json()["digest"] == exactly(before)["digest"]
    queue_unseen(devstack, again)
    marker = post(api, a_message()).headers["Location"]
    stored(api, marker)

    assert stored(api, location) == before
    key = exactly(before)["metadata"]["message_s3_key"]
    versions = devstack.client("s3").list_object_versions(
        Bucket=devstack.running["outputs"]["MessageBucketName"], Prefix=key
    )
    assert len(versions["Versions"]) == 1


def test_another_payload_under_the_same_id_is_refused_and_overwrites_nothing(api: Api) -> None:
    message_id = str(uuid.uuid4())
    location = post(api, a_message("20", message_id=message_id)).headers["Location"]
    before = stored(api, location)

    refused = post(api, a_message("21", message_id=message_id))

    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:dragonpost:problem:message-conflict"
    assert refused.headers["Location"] == location
    assert stored(api, location) == before


def test_another_payload_that_the_look_missed_ends_as_a_dead_letter_and_overwrites_nothing(
    api: Api, devstack: Served
) -> None:
    message_id = str(uuid.uuid4())
    location = post(api, a_message("20", message_id=message_id)).headers["Location"]
    before = stored(api, location)

    queue_unseen(devstack, a_message("21", message_id=message_id))
    letter = dead(devstack, message_id)

    assert letter["MessageAttributes"]["reason"]["StringValue"].startswith("conflict")
    assert exactly(letter["Body"])["data"]["order_amount"] == 21
    assert stored(api, location) == before


@pytest.mark.devstack_only("it queues messages that belong to no company, which nobody could tell from others")
def test_an_unreadable_message_is_a_dead_letter_and_its_neighbours_are_stored(devstack: Served, apis: Any) -> None:
    api: Api = next(iter(apis.values()))
    sqs, url = devstack.client("sqs"), devstack.running["outputs"]["MessageQueueUrl"]
    good = [str(uuid.uuid4()) for _ in range(4)]
    mark = uuid.uuid4().hex
    bodies = [a_message(message_id=message_id) for message_id in good]
    bodies[2:2] = [f"{{ {mark}", json.dumps({"metadata": {"note": mark}})]

    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)])

    for message_id in good:
        stored(api, f"/message/{message_id}")
    reasons = set()
    for fragment in (f"{{ {mark}", f'"note": "{mark}"'):
        reasons.add(dead(devstack, fragment)["MessageAttributes"]["reason"]["StringValue"].split(":")[0])
    assert reasons == {"unreadable", "invalid"}


def test_the_correlation_id_travels_with_the_message(apis: Any, devstack: Served) -> None:
    api: Api = apis["gateway"]
    message_id, correlation_id = str(uuid.uuid4()), f"proof-{uuid.uuid4()}"
    stored(api, post(api, a_message(message_id=message_id)).headers["Location"])
    forget_row(devstack, message_id)  # or the API would refuse the next one

    conflicting = api.post(
        "/post-message",
        "amber",
        data=a_message("99", message_id=message_id),
        headers={"Content-Type": "application/json", "X-Request-Id": correlation_id},
    )
    letter = dead(devstack, message_id)

    assert conflicting.headers["X-Request-Id"] == correlation_id
    assert letter["MessageAttributes"]["correlation_id"]["StringValue"] == correlation_id


class TestListing:
    def test_a_company_finds_its_messages_newest_first_page_by_page(self, api: Api) -> None:
        locations = [post(api, a_message(str(number))).headers["Location"] for number in range(5)]
        for location in locations:
            stored(api, location)
        ids = {location.rpartition("/")[2] for location in locations}

        def listed() -> list[dict[str, Any]] | None:
            """DynamoDB's indexes are eventually consistent."""
            newest: list[dict[str, Any]] = api.get("/messages", "amber", params={"limit": 5}).json()
            return newest if {message["message_id"] for message in newest} == ids else None

        newest = until(listed)
        times = [message["accepted_at"] for message in newest]
        assert times == sorted(times, reverse=True)
        assert all(set(message) == LISTED and message["company_id"] == COMPANIES["amber"] for message in newest)
        assert sorted(message["order_amount"] for message in newest) == [0, 1, 2, 3, 4]

        pages = [api.get("/messages", "amber", params={"limit": 2, "from": times[-1]})]
        while "next" in pages[-1].links:
            pages.append(api.get(pages[-1].links["next"]["url"], "amber"))
        assert [message for page in pages for message in page.json()][:5] == newest
        before = api.get("/messages", "amber", params={"to": times[-1], "limit": 1000}).json()
        assert not ids & {message["message_id"] for message in before}

    def test_operators_name_the_company_and_nobody_lists_anothers(self, api: Api) -> None:
        location = post(api, a_message()).headers["Location"]
        stored(api, location)
        message_id = location.rpartition("/")[2]

        unnamed = api.get("/messages")
        assert (unnamed.status_code, unnamed.json()["errors"][0]["parameter"]) == (400, "company_id")
        until(lambda: message_id in api.get("/messages", params={"company_id": COMPANIES["amber"], "limit": 5}).text)
        refused = api.get("/messages", "cobalt", params={"company_id": COMPANIES["amber"]})
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:dragonpost:problem:company-not-allowed")
        assert message_id not in api.get("/messages", "cobalt", params={"limit": 1000}).text

    @pytest.mark.devstack_only("it takes the keys from rows, and runs a command on this machine")
    def test_messages_from_before_are_listed_once_they_are_filled_in(
        self, apis: dict[str, Api], devstack: Devstack
    ) -> None:
        api, table = apis["local"], devstack.running["outputs"]["MessageTableName"]
        location = post(api, a_message()).headers["Location"]
        stored(api, location)
        ids = {"message_id": {"S": location.rpartition("/")[2]}, "company_id": {"S": COMPANIES["amber"]}}
        devstack.client("dynamodb").update_item(
            TableName=table, Key=ids, UpdateExpression="REMOVE company_part, accepted_at_id"
        )
        newest = {"limit": 10}
        assert ids["message_id"]["S"] not in api.get("/messages", "amber", params=newest).text

        assert "1 would be filled in" in run(devstack, "backfill")
        assert "1 filled in" in run(devstack, "backfill", "--yes")
        until(lambda: ids["message_id"]["S"] in api.get("/messages", "amber", params=newest).text)


class TestCompanies:
    def test_to_another_company_a_message_looks_like_one_that_does_not_exist(self, api: Api) -> None:
        location = post(api, a_message()).headers["Location"]
        stored(api, location)

        theirs = api.get(location, "cobalt")
        nothing = api.get(f"/message/{uuid.uuid4()}", "cobalt")

        assert theirs.status_code == nothing.status_code == 404
        assert {**theirs.json(), "request_id": ""} == {**nothing.json(), "request_id": ""}

    def test_posting_for_another_company_is_refused(self, api: Api) -> None:
        refused = post(api, a_message(user="cobalt"), "amber")

        assert refused.status_code == 403
        assert refused.json()["type"] == "urn:dragonpost:problem:company-not-allowed"

    def test_an_operator_posts_and_reads_for_all_and_names_the_company_if_it_matters(self, api: Api) -> None:
        message_id = str(uuid.uuid4())
        for user in COMPANIES:
            location = post(api, a_message("1", user, message_id), "operator").headers["Location"]
            stored(api, location, user)

        ambiguous = api.get(f"/message/{message_id}")
        named = api.get(f"/message/{message_id}", params={"company_id": COMPANIES["cobalt"]})

        assert ambiguous.status_code == 400
        assert ambiguous.json()["errors"][0]["parameter"] == "company_id"
        assert named.json()["metadata"]["company_id"] == COMPANIES["cobalt"]
