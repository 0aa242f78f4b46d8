"""Visitors of a deployed stage, on moto's AWS: whatever happens, none stays there without a word."""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib import aws, exact_json
from chalicelib.messages import dead_letters
from chalicelib.messages.model import message_from
from chalicelib.messages.stored import StoredMessage
from operations.stores import Clients, Standing
from operations.visitors import Visitor, VisitorsRemain, visiting
from tests.integration.stage import MESSAGE_BUCKET, SUBMISSIONS, TABLE, Stage
from tests.samples import COMPANY, message_body

GROUP = "operators"


@pytest.fixture
def standing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Standing:
    """A stage with a user of its own and a message of another company."""
    monkeypatch.setattr(dead_letters, "POLL_S", 0)
    made = {"s3": aws.s3(), "dynamodb": aws.dynamodb(), "sqs": aws.sqs()}
    made["cognito-idp"] = idp = boto3.client("cognito-idp", region_name="us-east-1")
    pool = idp.create_user_pool(PoolName="dragonpost-local", UsernameAttributes=["email"])["UserPool"]["Id"]
    idp.create_group(UserPoolId=pool, GroupName=GROUP)
    idp.admin_create_user(UserPoolId=pool, Username="ada@example.com")
    resources = {
        "UserPool": pool,
        "MessageBucket": MESSAGE_BUCKET,
        "MessageTable": TABLE,
        "SubmissionTable": SUBMISSIONS,
        "MessageDeadLetterQueue": stage.dead_letter_queue_url,
    }
    store(COMPANY)
    return Standing("local", made.__getitem__, resources)


@pytest.fixture
def _as_a_process_begins() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def users(standing: Standing) -> int:
    listed = standing.clients("cognito-idp").list_users(UserPoolId=standing.resources["UserPool"])
    return len(listed["Users"])


def store(company: str) -> bytes:
    """Store a message as the consumer does; return it as it is queued."""
    body = message_body({"company_id": json.dumps(company), "message_id": json.dumps(str(uuid.uuid4()))})
    message = message_from(exact_json.parse_object(body))
    aws.dynamodb().put_item(TableName=TABLE, Item=StoredMessage.of(message).as_item())
    aws.s3().put_object(Bucket=MESSAGE_BUCKET, Key=message.archive_key, Body=message.as_json())
    return body


def leave_something(stage: Stage, people: list[Visitor]) -> None:
    for visitor in people:
        key = {"sub": {"S": visitor.sub}, "started_at_id": {"S": "2026-11-26T04:00:00Z#1"}}
        aws.dynamodb().put_item(TableName=SUBMISSIONS, Item=key)
        if visitor.company_id:
            body = store(visitor.company_id).decode()
            aws.sqs().send_message(QueueUrl=stage.dead_letter_queue_url, MessageBody=body)


def left(stage: Stage, standing: Standing) -> dict[str, int]:
    return {
        "users": users(standing),
        "rows": len(stage.rows()),
        "objects": len(stage.archive_keys()),
        "submissions": aws.dynamodb().scan(TableName=SUBMISSIONS)["Count"],
        "letters": stage.waiting(stage.dead_letter_queue_url),
    }


NOBODY_WAS_HERE = {"users": 1, "rows": 1, "objects": 1, "submissions": 0, "letters": 0}


def changed(standing: Standing, service: str, operation: str, instead: Callable[[Callable[[], Any]], Any]) -> Standing:
    """Return the stage, where calling one operation of a service does something else, which may call the real one."""

    class Client:
        def __getattr__(self, name: str) -> Any:
            real = getattr(standing.clients(service), name)
            return real if name != operation else lambda **options: instead(lambda: real(**options))

    clients: Clients = lambda name: Client() if name == service else standing.clients(name)  # noqa: E731
    return Standing(standing.name, clients, standing.resources)


def denied(_: Callable[[], Any]) -> Any:
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not allowed"}}, "Operation")


def interrupted(real: Callable[[], Any]) -> Any:
    answer = real()
    signal.raise_signal(signal.SIGINT)
    return answer


def test_what_was_theirs_goes_with_them_and_everybody_elses_stays(stage: Stage, standing: Standing) -> None:
    with visiting(standing, print) as people:
        assert [each.name for each in people] == ["operator", "amber", "cobalt"]
        leave_something(stage, people)

    assert left(stage, standing) == NOBODY_WAS_HERE


@pytest.mark.parametrize("operation", ["admin_set_user_password", "admin_add_user_to_group"])
def test_a_user_who_could_not_be_let_in_does_not_stay(standing: Standing, operation: str) -> None:
    stage = changed(standing, "cognito-idp", operation, denied)

    with pytest.raises(ClientError, match="not allowed"), visiting(stage, print):
        pytest.fail("nobody can visit")

    assert users(standing) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.usefixtures("_as_a_process_begins")
def test_they_go_when_the_run_is_ended(standing: Standing, number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), visiting(standing, print):
        signal.raise_signal(number)

    assert users(standing) == 1


@pytest.mark.parametrize("operation", ["admin_create_user", "admin_delete_user"])
def test_an_interrupt_waits_until_it_is_known_who_was_made_and_until_all_are_gone(
    stage: Stage, standing: Standing, operation: str
) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        visiting(changed(standing, "cognito-idp", operation, interrupted), print) as who,
    ):
        leave_something(stage, who)

    assert left(stage, standing) == NOBODY_WAS_HERE


def test_what_cannot_be_removed_is_named_with_the_command_that_removes_it_and_all_else_goes(
    stage: Stage, standing: Standing
) -> None:
    with (
        pytest.raises(VisitorsRemain, match="not allowed") as raised,
        visiting(changed(standing, "s3", "delete_objects", denied), print) as people,
    ):
        leave_something(stage, people)

    amber, cobalt = (each.company_id for each in people[1:])
    assert f"make forget STAGE=local COMPANY={amber} DO=yes" in str(raised.value)
    assert f"make forget STAGE=local COMPANY={cobalt} DO=yes" in str(raised.value)
    assert left(stage, standing) == NOBODY_WAS_HERE | {"objects": 3}


def test_a_user_who_cannot_be_removed_is_named(standing: Standing) -> None:
    with (
        pytest.raises(VisitorsRemain) as raised,
        visiting(changed(standing, "cognito-idp", "admin_delete_user", denied), print) as people,
    ):
        pass

    assert [each.sub in str(raised.value) for each in people] == [True] * 3


def test_a_visit_without_dead_letters_does_not_look_into_their_queue(standing: Standing) -> None:
    """It may be long, and those who look at it hide it from others."""
    with visiting(changed(standing, "sqs", "receive_message", denied), print, dead_letters=False):
        pass

    assert users(standing) == 1
