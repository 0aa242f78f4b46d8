"""The message post as deployed: posted over HTTP, through SQS and the consumer, and read back."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.e2e.messages import a_message, dead, digest_of, exactly, forget_row, post, queue_unseen, stored
from tests.e2e.running import Api, Served
from tests.people import COMPANIES


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
