"""How many calls of AWS an answer costs: each takes milliseconds, is paid for, and counts towards a quota.

The calls themselves are in `benchmarks/calls.py`, because the simulation of load is fed with them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import app as declared
from benchmarks.calls import CALLS, SETTINGS, SIDE_BY_SIDE
from chalicelib import aws
from chalicelib.messages import dead_letters
from chalicelib.settings import Settings
from tests.fakes.step_functions import FakeStepFunctions
from tests.fakes.submission_rows import arguments
from tests.integration.service import CLERK, OPERATOR, Service
from tests.integration.stage import SUBMISSIONS, Stage
from tests.lambda_events import AUDIENCE
from tests.samples import COMPANY, MESSAGE_ID, dragon_body, dragon_members, message_body

OTHER_ID = {"message_id": '"0a3d6a53-6a3e-4c0e-8f62-0a4e3a9d6f11"'}
OTHER = {"order_amount": "1"}
NO_TIME = "from=2024-01-02T00:00:00Z&to=2024-01-01T00:00:00Z"
JSON = {"Content-Type": "application/json"}
CORRECTION = {"body": dragon_body("Ember"), "headers": JSON | {"If-Match": "*"}}


def addition(name: str, submission_id: str) -> dict[str, Any]:
    """Return what the workflow gives its second step."""
    return {"dragon": dragon_members(name), "submission_id": submission_id, "correlation_id": "c"}


@pytest.fixture
def calls(stage: Stage, step_functions: FakeStepFunctions, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The calls that are made, in their order. The test clears what it is not about."""
    made: list[str] = []

    def note(model: Any, **_: Any) -> None:
        made.append(f"{model.service_model.service_name} {model.name}")

    def noted(name: str) -> Any:
        method = getattr(step_functions, name)
        return lambda **parameters: made.append(f"stepfunctions {name}") or method(**parameters)

    for name in ("start_execution", "describe_execution", "get_execution_history"):
        monkeypatch.setattr(step_functions, name, noted(name))
    clients: list[Any] = [aws.s3(), aws.dynamodb(), aws.hasty_dynamodb(), aws.sqs(), aws.ssm()]
    clients += [aws.hasty_s3(), aws.hasty_sqs(), aws.hasty_ssm(), aws.hasty_stepfunctions()]
    for client in clients:
        client.meta.events.register("before-call", note)
    yield made
    for client in clients:
        client.meta.events.unregister("before-call", note)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "POLL_S", 0)


@pytest.fixture
def warm(service: Service, stage: Stage, calls: list[str]) -> Service:
    """A service that has answered before, with a dragon, a submission, and two messages: one stored, one queued."""
    given = {"submission_id": "of-a-row", "requested_by": OPERATOR["sub"], "dragon": dragon_members("Ash")}
    written = {"TableName": SUBMISSIONS}
    aws.dynamodb().put_item(**arguments("RecordPending", given) | written)
    aws.dynamodb().update_item(**arguments("RecordFailed", given) | written)
    stage.put_document(json.dumps([dragon_members("Ember")]).encode())
    service.post("/post-message", message_body())
    service.consume(stage.received(stage.queue_url))
    assert service.get("/dragons/Ember").status == 200
    calls.clear()
    return service


@pytest.fixture
def warm_in_dynamodb(service: Service, stage: Stage, calls: list[str]) -> Service:
    """A service that has answered before, with a dragon in DynamoDB."""
    stage.open_table()
    stage.put_parameters(dragon_store="dynamodb")
    assert service.app.add_dragon(addition("Ember", "s"), None)["outcome"] == "added"
    assert service.get("/dragons/Ember").status == 200
    calls.clear()
    return service


# What is asked, by its name in benchmarks/calls.py, of a function that has read its settings and the document before.
ASKED: list[tuple[str, str, dict[str, Any], int | None]] = [
    ("GET /health", "/health", {}, 200),
    ("GET /", "/", {}, 200),
    ("GET /docs", "/docs", {}, None),  # 404 where Swagger UI is not vendored
    ("GET /openapi.json", "/openapi.json", {}, 200),
    ("GET /static/{name}", "/static/console.js", {}, 200),
    ("GET /dragons", "/dragons", {}, 200),
    ("GET /dragons, malformed", "/dragons?limit=0", {}, 400),
    ("GET /dragons, without a token", "/dragons", {"token_claims": None}, 401),
    ("GET /dragons of a prefix", "/dragons?namePrefix=E", {}, 200),
    ("GET /families", "/families", {}, 200),
    ("GET /families, malformed", "/families?limit=0", {}, 400),
    ("GET /dragons/{dragon_name}", "/dragons/Ember", {}, 200),
    ("POST /dragons", "/dragons", {"body": dragon_body("Ash"), "headers": JSON}, 202),
    ("POST /dragons, malformed", "/dragons", {"body": b"{}", "headers": JSON}, 400),
    ("PUT /dragons/{dragon_name}", "/dragons/Ember", CORRECTION, 200),
    ("DELETE /dragons/{dragon_name}", "/dragons/Ember", {}, 204),
    ("DELETE /dragons/{dragon_name}, absent", "/dragons/nobody", {}, 404),
    ("GET /submissions", "/submissions", {}, 200),
    ("GET /submissions, malformed", "/submissions?cursor=x", {}, 400),
    ("GET /submissions/{submission_id}", "/submissions/of-a-row", {}, 200),
    ("GET /submissions/{submission_id}, without a row", "/submissions/nobody", {}, 404),
    ("POST /post-message", "/post-message", {"body": message_body(OTHER_ID), "headers": JSON}, 202),
    ("POST /post-message, stored before", "/post-message", {"body": message_body(), "headers": JSON}, 200),
    ("POST /post-message, in conflict", "/post-message", {"body": message_body(data=OTHER), "headers": JSON}, 409),
    ("POST /post-message, malformed", "/post-message", {"body": b"{}", "headers": JSON}, 400),
    ("GET /messages", "/messages", {"token_claims": CLERK}, 200),
    ("GET /messages", f"/messages?company_id={COMPANY}&limit=1000", {}, 200),
    ("GET /messages, between times without any between them", f"/messages?{NO_TIME}", {"token_claims": CLERK}, 200),
    ("GET /messages, malformed", "/messages", {}, 400),
    ("GET /message/{message_id}", f"/message/{MESSAGE_ID}", {"token_claims": CLERK}, 200),
    (
        "GET /message/{message_id}, of a company that an operator names",
        f"/message/{MESSAGE_ID}?company_id={COMPANY}",
        {},
        200,
    ),
    ("GET /message/{message_id}, of any company", f"/message/{MESSAGE_ID}", {}, 200),
    ("GET /operator/timeline", f"/operator/timeline?id={MESSAGE_ID}", {}, 200),
    ("GET /ready", "/ready", {}, 503),  # there is no workflow here
]

# What operators do, while the queue has one dead letter.
ASKED_OF_LETTERS = [
    ("GET /operator/dead-letters", 200),
    ("GET /operator/dead-letters/{letter_id}", 200),
    ("DELETE /operator/dead-letters/{letter_id}", 204),
    ("POST /operator/dead-letters/{letter_id}/redrive", 202),
    ("POST /operator/dead-letters/{letter_id}/replace", 202),
]

# The same where the registry is in DynamoDB.
ASKED_OF_DYNAMODB: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET /dragons, in DynamoDB", "/dragons", {}, 200),
    ("GET /dragons, in DynamoDB", "/dragons?family=red", {}, 200),
    ("GET /dragons of a prefix, in DynamoDB", "/dragons?namePrefix=E", {}, 200),
    ("GET /dragons of a name, in DynamoDB", "/dragons?dragonName=Ember", {}, 200),
    ("GET /dragons of a name with another prefix, in DynamoDB", "/dragons?dragonName=Ember&namePrefix=ash", {}, 200),
    ("GET /families, in DynamoDB", "/families", {}, 200),
    ("GET /dragons/{dragon_name}, in DynamoDB", "/dragons/Ember", {}, 200),
    ("PUT /dragons/{dragon_name}, in DynamoDB", "/dragons/Ember", CORRECTION, 200),
    ("DELETE /dragons/{dragon_name}, in DynamoDB", "/dragons/Ember", {}, 204),
    ("DELETE /dragons/{dragon_name}, absent, in DynamoDB", "/dragons/nobody", {}, 404),
]


@pytest.mark.parametrize(("asked", "reference", "request_", "status"), ASKED)
def test_an_answer_costs_these_calls_and_no_other(
    warm: Service, calls: list[str], asked: str, reference: str, request_: dict[str, Any], status: int | None
) -> None:
    answer = warm.request(asked.split(maxsplit=1)[0], reference, **({"token_claims": OPERATOR} | request_))

    assert answer.status == (status or answer.status)
    in_no_order = asked in SIDE_BY_SIDE
    assert (sorted(calls) if in_no_order else calls) == (sorted(CALLS[asked]) if in_no_order else [*CALLS[asked]])


@pytest.mark.parametrize(("asked", "status"), ASKED_OF_LETTERS)
def test_what_is_done_with_a_dead_letter_costs_these_calls_and_no_other(
    warm: Service, stage: Stage, calls: list[str], asked: str, status: int
) -> None:
    body = message_body(OTHER_ID)
    letter_id = aws.sqs().send_message(QueueUrl=stage.dead_letter_queue_url, MessageBody=body.decode())["MessageId"]
    seen = warm.get(f"/operator/dead-letters/{letter_id}").headers["ETag"]
    calls.clear()
    method, route = asked.split()

    answer = warm.request(method, route.format(letter_id=letter_id), headers=JSON | {"If-Match": seen}, body=body)

    assert (answer.status, tuple(calls)) == (status, CALLS[asked])


@pytest.mark.parametrize(
    ("asked", "reference", "request_", "status"), [row for row in ASKED if row[0].startswith("GET ")]
)
def test_head_costs_what_get_costs(
    warm: Service, calls: list[str], asked: str, reference: str, request_: dict[str, Any], status: int | None
) -> None:
    answer = warm.request("HEAD", reference, **({"token_claims": OPERATOR} | request_))

    assert (answer.status, answer.body) == (status or answer.status, b"")
    assert sorted(calls) == sorted(CALLS[asked])


@pytest.mark.parametrize(("asked", "reference", "request_", "status"), ASKED_OF_DYNAMODB)
def test_an_answer_of_the_other_home_costs_these_calls_and_no_other(
    warm_in_dynamodb: Service, calls: list[str], asked: str, reference: str, request_: dict[str, Any], status: int
) -> None:
    answer = warm_in_dynamodb.request(asked.split(maxsplit=1)[0], reference, **({"token_claims": OPERATOR} | request_))

    assert (answer.status, tuple(calls)) == (status, CALLS[asked])


def test_adding_a_dragon_costs_a_swap(warm: Service, calls: list[str]) -> None:
    warm.app.add_dragon(addition("Ash", "s1"), None)

    assert tuple(calls) == CALLS["add_dragon"]


def test_adding_a_dragon_to_the_other_home_costs_one_call(warm_in_dynamodb: Service, calls: list[str]) -> None:
    for submission_id in ("s1", "s1", "s2"):
        warm_in_dynamodb.app.add_dragon(addition("Ash", submission_id), None)

    assert tuple(calls) == CALLS["add_dragon, in DynamoDB"] * 3


def test_a_batch_costs_three_calls_for_each_message_and_one_more(warm: Service, stage: Stage, calls: list[str]) -> None:
    ids = [f"0a3d6a53-6a3e-4c0e-8f62-0a4e3a9d6f{number}" for number in range(20, 30)]
    for message_id in ids:
        warm.post("/post-message", message_body({"message_id": f'"{message_id}"'}))
    batch = stage.received(stage.queue_url)
    calls.clear()

    warm.consume(batch)

    assert len(batch) == 10
    each, once = CALLS["store_messages, each message"], CALLS["store_messages, the batch"]
    assert Counter(calls) == Counter(each * len(batch) + once)


def test_every_cost_is_one_that_a_test_asks_for() -> None:
    """A simulation that is fed with calls which nobody makes would be worth nothing."""
    elsewhere = {name for name in CALLS if name.startswith(("add_dragon", "store_messages"))}

    assert {asked for asked, *_ in (*ASKED, *ASKED_OF_LETTERS, *ASKED_OF_DYNAMODB)} == CALLS.keys() - elsewhere


def test_every_route_has_its_cost() -> None:
    priced = {" ".join(asked.partition(",")[0].split()[:2]) for asked, *_ in (*ASKED, *ASKED_OF_LETTERS)}

    assert priced == {
        f"{method} {path}" for path, methods in declared.app.routes.items() for method in methods if method != "HEAD"
    }


def test_a_function_that_is_new_reads_its_settings_once(
    service: Service, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(Settings.user_pool_client_id.variable, AUDIENCE)
    for _ in range(2):
        service.get("/dragons")

    assert tuple(calls) == SETTINGS + CALLS["GET /dragons"] * 2


def test_a_function_that_chalice_deploy_made_reads_them_twice(service: Service, calls: list[str]) -> None:
    """It has nothing in its environment, so it reads what the stack made apart from what people may change."""
    for _ in range(2):
        service.get("/dragons")

    assert tuple(calls) == SETTINGS * 2 + CALLS["GET /dragons"] * 2


def test_a_client_that_waits_for_five_seconds_costs_six_looks(warm: Service, calls: list[str]) -> None:
    answer = warm.post("/dragons", dragon_body("Ash"), Prefer="wait=5")

    assert answer.status == 201
    of_the_api = [call for call in calls if not call.startswith("s3 ")]  # the workflow's, which is faked
    looks = ["dynamodb Query"] * 6
    assert of_the_api == ["stepfunctions start_execution", *looks, "stepfunctions describe_execution"]
