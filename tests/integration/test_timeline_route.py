"""One id's timeline, as operators get it from the API: made of resources, and of no logs."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from chalicelib import aws
from chalicelib.messages import dead_letters
from tests.fakes.submission_rows import arguments
from tests.integration.service import CLERK, OPERATOR, Service
from tests.integration.stage import SUBMISSIONS, Stage
from tests.samples import COMPANY, MESSAGE_ID, dragon_members, message_body

PHONE = "+15555550123"
SUBMISSION = "5e0f6d8a-0000-4000-8000-000000000001"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "POLL_S", 0)


def timeline(service: Service, wanted: str) -> dict[str, Any]:
    answer = service.get(f"/operator/timeline?id={wanted}")
    assert answer.status == 200, answer.body
    return dict(answer.json())


def bury(stage: Stage, body: str, reason: str, correlation_id: str = "request-1234") -> str:
    texts = {"correlation_id": correlation_id, "reason": reason}
    typed: Any = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
    url = stage.dead_letter_queue_url
    return aws.sqs().send_message(QueueUrl=url, MessageBody=body, MessageAttributes=typed)["MessageId"]


def store(service: Service, stage: Stage) -> None:
    service.post("/post-message", message_body())
    service.consume(stage.received(stage.queue_url))


def test_a_stored_message_is_followed_to_its_archive_and_to_a_letter_of_the_same_id(
    service: Service, stage: Stage
) -> None:
    store(service, stage)
    letter = bury(stage, message_body(data={"order_amount": "21"}).decode(), f"conflict: call {PHONE}")

    found = timeline(service, MESSAGE_ID.upper())

    assert [answer.partition(COMPANY)[2] for answer in found["answers"]] == [
        ": stored",
        " is a dead letter: conflict: call (phone number)",
    ]
    assert [moment["source"].split()[0] for moment in found["moments"]] == ["bucket", "queue"]
    assert found["related"] == {
        "messages": [MESSAGE_ID],
        "companies": [COMPANY],
        "submissions": [],
        "dead_letters": [letter],
        "requests": ["request-1234"],
    }
    assert PHONE not in json.dumps(found)
    assert stage.waiting(stage.dead_letter_queue_url) == 1, "looking takes no letter away"
    assert service.get(f"/operator/dead-letters/{letter}").status == 200, "and lets go of it"


@pytest.mark.parametrize("by", ["the letter's id", "the request's id"])
def test_a_letter_leads_to_the_stored_message(service: Service, stage: Stage, by: str) -> None:
    store(service, stage)
    letter = bury(stage, message_body(data={"order_amount": "21"}).decode(), "conflict: another")

    found = timeline(service, letter if by == "the letter's id" else "request-1234")

    assert {answer.partition(COMPANY)[2] for answer in found["answers"]} == {
        ": stored",
        " is a dead letter: conflict: another",
    }


def test_a_submission_shows_its_steps_and_its_end(service: Service, stage: Stage) -> None:
    steps = boto3.client("stepfunctions")
    role = boto3.client("iam").create_role(RoleName="workflow", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    definition = '{"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}'
    machine = steps.create_state_machine(name="dragonpost-local-dragons", roleArn=role, definition=definition)
    stage.put_parameters(dragon_workflow_arn=machine["stateMachineArn"])
    given = {"submission_id": SUBMISSION, "requested_by": OPERATOR["sub"], "dragon": dragon_members("Ash")}
    started = steps.start_execution(
        stateMachineArn=machine["stateMachineArn"],
        name=SUBMISSION,
        input=json.dumps(given | {"correlation_id": "request-5678", "reporter": {"phone_number": PHONE}}),
    )
    write = {"TableName": SUBMISSIONS}
    row = arguments("RecordPending", given) | write
    row["Item"]["execution_arn"] = {"S": started["executionArn"]}
    aws.dynamodb().put_item(**row)
    aws.dynamodb().update_item(**(arguments("RecordFailed", given) | write))

    found = timeline(service, SUBMISSION)

    assert [f"submission {SUBMISSION}" in answer for answer in found["answers"]] == [True]
    assert found["related"]["submissions"] == [SUBMISSION]
    assert found["related"]["requests"] == ["request-5678"]
    assert "table" in {moment["source"].split()[0] for moment in found["moments"]}
    assert PHONE not in json.dumps(found)


def test_a_dragons_name_leads_to_the_registry(service: Service, stage: Stage) -> None:
    stage.put_document(json.dumps([dragon_members("Ember of Ash")]).encode())

    found = timeline(service, "ember%20of%20ash")

    assert found["answers"][0].startswith("dragon Ember of Ash is in the registry, bucket ")
    assert found["limits"], "it says what it did not look for"


@pytest.mark.parametrize("wanted", ["nothing-like-it", "Nobody of nowhere", "0a3d6a53-6a3e-4c0e-8f62-0a4e3a9d6f11"])
def test_what_no_store_knows_is_a_404_that_says_where_else_to_look(service: Service, wanted: str) -> None:
    answer = service.get(f"/operator/timeline?id={wanted.replace(' ', '%20')}")

    assert answer.status == 404
    assert "make trace" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["", "?id=", "?id=%20", f"?id={'x' * 201}", "?id=a&id=b", "?id=a&x=b"])
def test_a_query_that_cannot_be_is_refused(service: Service, query: str) -> None:
    assert service.get(f"/operator/timeline{query}").status == 400


def test_nobody_else_gets_one(service: Service) -> None:
    assert service.get(f"/operator/timeline?id={MESSAGE_ID}", CLERK).status == 403
