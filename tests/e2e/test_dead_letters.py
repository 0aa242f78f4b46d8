"""Looking after dead letters as an operator does: the command, beside the deployed consumer."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from tests.e2e.messages import a_message, exactly, post, queue_unseen, stored
from tests.e2e.operating import run
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.people import COMPANIES


def listed(devstack: Devstack, message_id: str) -> list[str]:
    """Return the words of a message's line in the list, or nothing."""
    lines = run(devstack, "dead_letters", "list").splitlines()
    return next((line.split() for line in lines if message_id in line), [])


def a_conflict(devstack: Devstack, api: Api) -> tuple[str, str, str]:
    """Two messages with one id: the second is a dead letter. Returns the message's id, the letter's, and its body."""
    message_id = str(uuid.uuid4())
    stored(api, post(api, a_message("1", message_id=message_id)).headers["Location"])
    second = a_message("2", message_id=message_id)
    queue_unseen(devstack, second)
    letter, *_ = until(lambda: listed(devstack, message_id))
    return message_id, letter, second


def forget(devstack: Devstack, message_id: str) -> None:
    """Remove what was stored under the id. That is the fix if the first of two messages was the wrong one."""
    company, outputs = COMPANIES["amber"], devstack.running["outputs"]
    devstack.client("s3").delete_object(Bucket=outputs["MessageBucketName"], Key=f"{company}/{message_id}.json")
    devstack.client("dynamodb").delete_item(
        TableName=outputs["MessageTableName"], Key={"company_id": {"S": company}, "message_id": {"S": message_id}}
    )


@pytest.fixture
def conflict(devstack: Devstack, apis: dict[str, Api]) -> tuple[str, str, str]:
    return a_conflict(devstack, apis["gateway"])


def test_a_letter_is_listed_shown_and_stored_after_a_fix_and_a_redrive(
    devstack: Devstack, apis: dict[str, Api], conflict: tuple[str, str, str]
) -> None:
    message_id, letter, body = conflict
    line = listed(devstack, message_id)
    shown = json.loads(run(devstack, "dead_letters", "show", letter))

    forget(devstack, message_id)
    told = run(devstack, "dead_letters", "redrive", letter)

    assert COMPANIES["amber"] in line
    assert "conflict:" in line
    assert exactly(shown["body"])["data"] == exactly(body)["data"]
    assert shown["reason"].startswith("conflict:")
    assert f"redriven {letter}" in told
    assert exactly(stored(apis["gateway"], f"/message/{message_id}"))["data"] == exactly(body)["data"]
    assert not listed(devstack, message_id)


def test_of_all_redriven_letters_the_fixed_are_stored_and_the_others_come_back(
    devstack: Devstack, apis: dict[str, Api], conflict: tuple[str, str, str]
) -> None:
    """One of the fixed letters bypassed the API, with attributes that the API never sends."""
    api, (mended, mended_letter, body) = apis["gateway"], conflict
    unmended, unmended_letter, _ = a_conflict(devstack, api)
    foreign = str(uuid.uuid4())
    foreign_letter = devstack.client("sqs").send_message(
        QueueUrl=devstack.running["outputs"]["MessageDeadLetterQueueUrl"],
        MessageBody=json.dumps(json.loads(body) | {"metadata": json.loads(body)["metadata"] | {"message_id": foreign}}),
        MessageAttributes={
            "picture": {"DataType": "Binary", "BinaryValue": b"\xff\x00"},
            "count": {"DataType": "Number", "StringValue": "7"},
        },
    )["MessageId"]
    shown = json.loads(run(devstack, "dead_letters", "show", foreign_letter))

    forget(devstack, mended)
    told = run(devstack, "dead_letters", "redrive", "--all")

    assert shown["attributes"] == {
        "picture": {"DataType": "Binary", "BinaryValue": "/wA="},
        "count": {"DataType": "Number", "StringValue": "7"},
    }
    assert all(f"redriven {letter}" in told for letter in (mended_letter, unmended_letter, foreign_letter))
    assert exactly(stored(api, f"/message/{mended}"))["data"] == exactly(body)["data"]
    assert exactly(stored(api, f"/message/{foreign}"))["data"] == exactly(body)["data"]
    again, *_ = until(lambda: listed(devstack, unmended))
    assert again != unmended_letter
    assert not listed(devstack, mended)
    assert not listed(devstack, foreign)
    assert exactly(stored(api, f"/message/{unmended}"))["data"]["order_amount"] == 1, "what was stored first stays"


def test_a_letter_is_deleted_after_it_was_saved(
    devstack: Devstack, apis: dict[str, Api], conflict: tuple[str, str, str], tmp_path: Path
) -> None:
    message_id, letter, body = conflict
    saved = tmp_path / "letter.json"

    run(devstack, "dead_letters", "delete", letter, "--save-to", str(saved))

    assert exactly(json.loads(saved.read_text(encoding="utf-8"))["body"])["data"] == exactly(body)["data"]
    assert not listed(devstack, message_id)
    first = exactly(stored(apis["gateway"], f"/message/{message_id}"))
    assert first["data"]["order_amount"] == 1, "what was stored first stays"
