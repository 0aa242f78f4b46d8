"""How many calls of AWS an answer costs: each takes milliseconds, is paid for, and counts towards a quota."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import app as declared
from chalicelib import aws
from tests.fakes.step_functions import FakeStepFunctions
from tests.integration.service import CLERK, OPERATOR, Service
from tests.integration.stage import Stage
from tests.samples import COMPANY, MESSAGE_ID, dragon_body, dragon_members, message_body

OTHER_MESSAGE = "0a3d6a53-6a3e-4c0e-8f62-0a4e3a9d6f11"
JSON = {"Content-Type": "application/json"}
SETTINGS = ["ssm GetParametersByPath"] * 2  # pages of ten


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
    for client in clients:
        client.meta.events.register("before-call", note)
    yield made
    for client in clients:
        client.meta.events.unregister("before-call", note)


@pytest.fixture
def warm(service: Service, stage: Stage, calls: list[str]) -> Service:
    """A service that has answered before, with a dragon, and two messages: one stored, one queued."""
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
    given = {"dragon": dragon_members("Ember"), "submission_id": "s", "correlation_id": "c"}
    assert service.app.add_dragon(given, None)["outcome"] == "added"
    assert service.get("/dragons/Ember").status == 200
    calls.clear()
    return service


# Each route's calls when the function has read its settings and the document before.
COSTS: list[tuple[str, str, dict[str, Any], int | None, list[str]]] = [
    ("GET", "/health", {}, 200, []),
    ("GET", "/", {}, 200, []),
    ("GET", "/docs", {}, None, []),  # 404 where Swagger UI is not vendored
    ("GET", "/openapi.json", {}, 200, []),
    ("GET", "/static/console.js", {}, 200, []),
    ("GET", "/dragons", {}, 200, ["s3 GetObject"]),
    ("GET", "/dragons?limit=0", {}, 400, []),
    ("GET", "/dragons?namePrefix=E", {}, 200, ["s3 GetObject"]),
    ("GET", "/families", {}, 200, ["s3 GetObject"]),
    ("GET", "/families?limit=0", {}, 400, []),
    ("GET", "/dragons", {"token_claims": None}, 401, []),
    ("GET", "/dragons/Ember", {}, 200, ["s3 GetObject"]),
    ("POST", "/dragons", {"body": dragon_body("Ash"), "headers": JSON}, 202, ["stepfunctions start_execution"]),
    ("POST", "/dragons", {"body": b"{}", "headers": JSON}, 400, []),
    (
        "PUT",
        "/dragons/Ember",
        {"body": dragon_body("Ember"), "headers": JSON | {"If-Match": "*"}},
        200,
        ["s3 GetObject", "s3 PutObject"],
    ),
    ("DELETE", "/dragons/Ember", {}, 204, ["s3 GetObject", "s3 PutObject"]),
    ("DELETE", "/dragons/nobody", {}, 404, ["s3 GetObject"]),
    ("GET", "/submissions", {}, 200, ["dynamodb Query"]),
    ("GET", "/submissions?cursor=x", {}, 400, []),
    ("GET", "/submissions/nobody", {}, 404, ["dynamodb Query", "stepfunctions describe_execution"]),
    (
        "POST",
        "/post-message",
        {"body": message_body({"message_id": f'"{OTHER_MESSAGE}"'}), "headers": JSON},
        202,
        ["dynamodb GetItem", "sqs SendMessage"],
    ),
    ("POST", "/post-message", {"body": message_body(), "headers": JSON}, 200, ["dynamodb GetItem"]),
    (
        "POST",
        "/post-message",
        {"body": message_body(data={"order_amount": "1"}), "headers": JSON},
        409,
        ["dynamodb GetItem"],
    ),
    ("POST", "/post-message", {"body": b"{}", "headers": JSON}, 400, []),
    ("GET", "/messages", {"token_claims": CLERK}, 200, ["dynamodb Query"] * 8),
    ("GET", f"/messages?company_id={COMPANY}&limit=1000", {}, 200, ["dynamodb Query"] * 8),
    ("GET", "/messages?from=2024-01-02T00:00:00Z&to=2024-01-01T00:00:00Z", {"token_claims": CLERK}, 200, []),
    ("GET", "/messages", {}, 400, []),
    ("GET", f"/message/{MESSAGE_ID}", {"token_claims": CLERK}, 200, ["dynamodb GetItem"]),
    ("GET", f"/message/{MESSAGE_ID}?company_id={COMPANY}", {}, 200, ["dynamodb GetItem"]),
    ("GET", f"/message/{MESSAGE_ID}", {}, 200, ["dynamodb Query"]),
]


@pytest.mark.parametrize(("method", "reference", "request_", "status", "cost"), COSTS)
def test_an_answer_costs_these_calls_and_no_other(
    warm: Service,
    calls: list[str],
    method: str,
    reference: str,
    request_: dict[str, Any],
    status: int | None,
    cost: list[str],
) -> None:
    answer = warm.request(method, reference, **({"token_claims": OPERATOR} | request_))

    assert answer.status == (status or answer.status)
    assert calls == cost


# The same where the registry is in DynamoDB. Each read looks at a fence, too, and each write does so by itself.
COSTS_IN_DYNAMODB: list[tuple[str, str, dict[str, Any], int, list[str]]] = [
    ("GET", "/dragons", {}, 200, ["dynamodb GetItem", "dynamodb Query"]),
    ("GET", "/dragons?family=red", {}, 200, ["dynamodb GetItem", "dynamodb Query"]),
    ("GET", "/dragons?dragonName=Ember", {}, 200, ["dynamodb GetItem"] * 2),
    ("GET", "/dragons?dragonName=Ember&namePrefix=ash", {}, 200, ["dynamodb GetItem"]),
    ("GET", "/dragons?namePrefix=E", {}, 200, ["dynamodb GetItem", "dynamodb Query"]),
    ("GET", "/families", {}, 200, ["dynamodb GetItem", "dynamodb Query"]),
    ("GET", "/dragons/Ember", {}, 200, ["dynamodb GetItem"] * 2),
    (
        "PUT",
        "/dragons/Ember",
        {"body": dragon_body("Ember"), "headers": JSON | {"If-Match": "*"}},
        200,
        ["dynamodb GetItem", "dynamodb TransactWriteItems"],
    ),
    ("DELETE", "/dragons/Ember", {}, 204, ["dynamodb GetItem", "dynamodb TransactWriteItems"]),
    ("DELETE", "/dragons/nobody", {}, 404, ["dynamodb GetItem"] * 2),
]


@pytest.mark.parametrize(("method", "reference", "request_", "status", "cost"), COSTS_IN_DYNAMODB)
def test_an_answer_of_the_other_home_costs_these_calls_and_no_other(
    warm_in_dynamodb: Service,
    calls: list[str],
    method: str,
    reference: str,
    request_: dict[str, Any],
    status: int,
    cost: list[str],
) -> None:
    answer = warm_in_dynamodb.request(method, reference, **({"token_claims": OPERATOR} | request_))

    assert (answer.status, calls) == (status, cost)


def test_adding_a_dragon_to_the_other_home_costs_one_call(warm_in_dynamodb: Service, calls: list[str]) -> None:
    for submission_id in ("s1", "s1", "s2"):
        given = {"dragon": dragon_members("Ash"), "submission_id": submission_id, "correlation_id": "c"}
        warm_in_dynamodb.app.add_dragon(given, None)

    assert calls == ["dynamodb TransactWriteItems"] * 3


def test_every_route_has_its_cost() -> None:
    priced = {(method, "/" + reference.split("?")[0].split("/")[1]) for method, reference, *_ in COSTS}

    assert priced == {
        (method, "/" + path.split("/")[1])
        for path, methods in declared.app.routes.items()
        for method in methods
        if method != "HEAD"
    }


def test_a_function_that_is_new_reads_its_settings_once(service: Service, calls: list[str]) -> None:
    for _ in range(2):
        service.get("/dragons")

    assert calls == [*SETTINGS, "s3 GetObject", "s3 GetObject"]


def test_a_client_that_waits_for_five_seconds_costs_six_looks(warm: Service, calls: list[str]) -> None:
    answer = warm.post("/dragons", dragon_body("Ash"), Prefer="wait=5")

    assert answer.status == 201
    of_the_api = [call for call in calls if not call.startswith("s3 ")]  # the workflow's, which is faked
    looks = ["dynamodb Query"] * 6
    assert of_the_api == ["stepfunctions start_execution", *looks, "stepfunctions describe_execution"]
