"""What all answers have in common, and what happens to errors, on an app made for these tests."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from chalice.app import BadRequestError, Response

from chalicelib import aws
from chalicelib.faults import Fault, InvalidInput
from chalicelib.identity import Caller, TokenMissing
from chalicelib.web import requests
from chalicelib.web.application import Dragonpost, UserPoolAuthorizer
from chalicelib.web.responses import Reply
from tests.fakes.settings import FakeSettings
from tests.lambda_events import OPERATOR_SUB, claims, proxy_event

ORIGIN = "https://dragonpost.example"
USERS = UserPoolAuthorizer("users", "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_a", "dev")


@pytest.fixture
def app() -> Dragonpost:
    """An app without routes."""
    return Dragonpost("test", FakeSettings(allow_origin=ORIGIN))


def answer(app: Dragonpost, method: str = "GET", path: str = "/", route: str | None = None, **options: Any) -> Any:
    """Send a request; return status, headers and body."""
    found = app(proxy_event(method, path, route or path, **options), None)
    return found["statusCode"], found["headers"], found["body"]


def raising(error: Exception) -> Any:
    """Return a view that raises."""

    def view() -> Response:
        raise error

    return view


def test_a_domain_error_is_answered_with_its_problem(app: Dragonpost) -> None:
    app.get("/")(raising(InvalidInput(Fault("parameter", "a", "is x"))))
    status, headers, body = answer(app)

    assert status == 400
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["errors"] == [{"parameter": "a", "detail": "is x"}]


@pytest.mark.parametrize(
    "error", [KeyError("secret"), BadRequestError("secret"), RecursionError("secret"), Exception("secret")]
)
def test_an_unforeseen_error_is_a_500_without_details(app: Dragonpost, log: io.StringIO, error: Exception) -> None:
    app.get("/")(raising(error))
    status, headers, body = answer(app)

    assert (status, headers["Content-Type"]) == (500, "application/problem+json")
    assert "secret" not in body
    assert "secret" in log.getvalue(), "otherwise nobody can find out what broke"


def test_several_slow_calls_in_a_row_end_before_the_gateways_limit(app: Dragonpost) -> None:
    limits = []

    def view() -> Response:
        limits.append(aws._no_call_after.get() - time.monotonic())
        return Reply(b"{}")

    app.get("/")(view)
    answer(app)

    assert aws.ATTEMPT_MAX_S + limits[0] < 29


def test_an_expected_error_is_not_logged_as_an_error(app: Dragonpost, log: io.StringIO) -> None:
    app.get("/")(raising(TokenMissing()))
    answer(app)

    assert '"level":"ERROR"' not in log.getvalue()


@pytest.mark.parametrize("reply", ["text", {"a": 1j}, Response({1, 2}), Response(b"x", {"Content-Type": "image/png"})])
def test_a_view_that_returns_something_else_does_not_crash_the_gateway(app: Dragonpost, reply: Any) -> None:
    app.get("/")(lambda: reply)
    status, headers, body = answer(app)

    assert status in (200, 500)
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert isinstance(body, str)


ODD: tuple[Any, ...] = (
    None,
    True,
    1,
    "",
    "x",
    [],
    ["x"],
    [None],
    {},
    {"x": None},
    {"x": 1},
    {"x": "y"},
    {"x": [1, None]},
)
EVENT = proxy_event("POST", "/a?x=1&y=2", "/{name}", headers={"Accept": "*/*"}, body=b"{}", token_claims=claims())


class TestOddEvents:
    """The Lambda console, a test event, another kind of API: whatever invokes the function gets an answer."""

    @pytest.fixture
    def app(self, app: Dragonpost) -> Dragonpost:
        def view(caller: Caller, name: str) -> Reply:
            query = requests.parameters(app.request, frozenset("xy"))
            query.check()
            requests.wait_preferred_s(app.request)
            requests.path_prefix(app.request)
            return Reply(json.dumps([name, query.values, app.request.raw_body.decode()]).encode())

        app.post("/{name}", USERS)(view)
        return app

    def answered(self, app: Dragonpost, event: Any) -> int:
        found = app(event, None)
        json.dumps(found)  # Lambda would
        assert found["headers"]["X-Request-Id"]
        assert found["statusCode"] == 200 or json.loads(found["body"])["status"] == found["statusCode"]
        return int(found["statusCode"])

    @pytest.mark.parametrize("event", ODD, ids=str)
    def test_what_is_no_event_gets_an_answer(self, app: Dragonpost, event: Any) -> None:
        assert self.answered(app, event) == 500

    @pytest.mark.parametrize("odd", ODD, ids=str)
    @pytest.mark.parametrize("member", sorted(EVENT))
    def test_an_event_with_an_odd_member_gets_an_answer(self, app: Dragonpost, member: str, odd: Any) -> None:
        assert self.answered(app, EVENT | {member: odd})

    @pytest.mark.parametrize("odd", ODD, ids=str)
    @pytest.mark.parametrize("member", sorted(EVENT["requestContext"]))
    def test_an_event_with_an_odd_context_gets_an_answer(self, app: Dragonpost, member: str, odd: Any) -> None:
        assert self.answered(app, EVENT | {"requestContext": EVENT["requestContext"] | {member: odd}})

    @pytest.mark.parametrize("odd", ODD, ids=str)
    @pytest.mark.parametrize("lines", ["headers", "multiValueHeaders"])
    def test_odd_headers_are_none(self, app: Dragonpost, lines: str, odd: Any) -> None:
        named = dict.fromkeys(("accept", "accept-encoding", "if-none-match", "prefer", "x-request-id"), odd)

        assert self.answered(app, EVENT | {"headers": {}, "multiValueHeaders": {}, lines: named}) == 200

    @pytest.mark.parametrize("member", sorted(EVENT))
    def test_an_event_that_lacks_a_member_gets_an_answer(self, app: Dragonpost, member: str) -> None:
        assert self.answered(app, {name: value for name, value in EVENT.items() if name != member})

    def test_a_query_that_came_without_its_lists_is_not_ignored(self, app: Dragonpost) -> None:
        for lists in ({}, {"multiValueQueryStringParameters": None}):
            event = {name: value for name, value in EVENT.items() if not name.startswith("multiValue")} | lists

            assert json.loads(app(event, None)["body"]) == ["a", {"x": "1", "y": "2"}, "{}"]


def test_a_header_that_would_split_the_answer_is_a_500(app: Dragonpost, log: io.StringIO) -> None:
    app.get("/")(lambda: Reply(b"{}", headers={"Location": "/x\nSet-Cookie: y"}))
    status, headers, _ = answer(app)

    assert status == 500
    assert "Location" not in headers
    assert "<lambda> returned a header with a line break" in log.getvalue()


def test_an_unsupported_method_is_told_which_methods_are_allowed(app: Dragonpost) -> None:
    app.get("/")(lambda: Reply(b"{}"))
    status, headers, body = answer(app, "DELETE")

    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert json.loads(body)["status"] == 405
    assert headers["X-Request-Id"] == json.loads(body)["request_id"]


def test_head_answers_like_get_without_the_body(app: Dragonpost) -> None:
    app.get("/")(lambda: Reply(b"{}", headers={"ETag": '"x"'}))
    get, head = answer(app), answer(app, "HEAD")

    assert head == (get[0], get[1], "")


def test_a_route_for_post_does_not_answer_get_or_head(app: Dragonpost) -> None:
    app.post("/")(lambda: Reply(b"{}"))

    assert answer(app, "POST")[0] == 200
    assert answer(app, "GET")[1]["Allow"] == "POST"
    assert answer(app, "HEAD")[0] == 405


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_stages_cors_headers_are_on_every_answer(app: Dragonpost, method: str) -> None:
    app.get("/")(lambda: Reply(b"{}"))
    _, headers, _ = answer(app, method)

    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = set(headers["Access-Control-Expose-Headers"].split(","))
    assert {"ETag", "Link", "Location", "Retry-After", "X-Request-Id"} <= exposed
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_preflights_allow_what_the_api_reads(app: Dragonpost) -> None:
    allowed = app.api.cors.get_access_control_headers()  # type: ignore[union-attr]

    assert allowed["Access-Control-Allow-Origin"] == ORIGIN
    names = set(allowed["Access-Control-Allow-Headers"].split(","))
    assert {"Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Prefer", "X-Request-Id"} <= names


def test_path_parameters_are_decoded_for_the_view(app: Dragonpost) -> None:
    seen: list[str] = []

    def view(name: str) -> Reply:
        seen.append(name)
        return Reply(b"{}")

    app.get("/x/{name}")(view)
    answer(app, path="/x/%C3%89%20%2F", route="/x/{name}")

    assert seen == ["É /"]


def test_the_request_id_is_the_same_everywhere(app: Dragonpost, log: io.StringIO) -> None:
    seen: list[str] = []

    def view() -> Reply:
        seen.append(app.request_id)
        return Reply(b"{}")

    app.get("/")(view)
    _, headers, _ = answer(app, headers={"X-Request-Id": "my-request-1"})

    assert seen == [headers["X-Request-Id"]] == ["my-request-1"]
    assert json.loads(log.getvalue())["correlation_id"] == "my-request-1"


def test_one_log_line_says_what_was_answered_and_nothing_about_the_client(app: Dragonpost, log: io.StringIO) -> None:
    app.get("/x/{name}")(lambda name: Reply(name.encode()))
    answer(app, path="/x/secret?q=secret", route="/x/{name}", headers={"Authorization": "Bearer secret"})
    line = json.loads(log.getvalue())

    assert (line["method"], line["route"], line["status"]) == ("GET", "/x/{name}", 200)
    assert line["duration_ms"] >= 0
    assert "secret" not in log.getvalue()


def test_a_requests_id_is_not_in_the_next_requests_log(app: Dragonpost, log: io.StringIO) -> None:
    app.get("/")(lambda: Reply(b"{}"))
    answer(app, headers={"X-Request-Id": "my-request-1"})
    answer(app, headers={"X-Request-Id": "my-request-2"})
    first, second = (json.loads(line) for line in log.getvalue().splitlines())

    assert (first["correlation_id"], second["correlation_id"]) == ("my-request-1", "my-request-2")


def test_the_caller_comes_from_the_verified_claims(app: Dragonpost) -> None:
    seen: list[tuple[Caller, str]] = []

    def view(caller: Caller, name: str) -> Reply:
        seen.append((caller, name))
        return Reply(b"{}")

    app.get("/{name}", USERS)(view)

    assert answer(app, path="/a", route="/{name}", token_claims=claims())[0] == 200
    assert answer(app, path="/a", route="/{name}")[0] == 401
    assert answer(app, path="/a", route="/{name}", token_claims=claims(aud="other"))[0] == 401
    assert seen == [(Caller(OPERATOR_SUB, None, is_operator=True), "a")]


def test_a_guarded_view_that_forgets_its_caller_is_an_error(app: Dragonpost) -> None:
    def without(name: str) -> Reply:
        return Reply(name.encode())

    def under_another_name(who: Caller, name: str) -> Reply:
        return Reply(name.encode())

    for view in (without, under_another_name):
        with pytest.raises(TypeError, match=f"{view.__name__} .*a view with an authorizer takes `caller: Caller`"):
            app.post("/{name}", USERS)(view)


def test_a_view_that_takes_a_caller_without_an_authorizer_is_an_error(app: Dragonpost) -> None:
    def view(caller: Caller) -> Reply:
        return Reply(caller.sub.encode())

    with pytest.raises(TypeError, match="one without takes none"):
        app.get("/")(view)


class TestAuthorizer:
    POOL = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_AbCdEfGhI"

    def test_tells_the_gateway_to_verify_tokens_of_the_pool(self) -> None:
        swagger = UserPoolAuthorizer("users", self.POOL, "dev").to_swagger()

        assert swagger["x-amazon-apigateway-authtype"] == "cognito_user_pools"
        assert swagger["x-amazon-apigateway-authorizer"]["providerARNs"] == [self.POOL]

    def test_without_the_pool_nothing_is_deployed_and_the_message_says_what_to_run(self) -> None:
        authorizer = UserPoolAuthorizer("users", "", "dev")
        with pytest.raises(SystemExit) as refused:
            authorizer.to_swagger()

        assert authorizer.name == "users"
        assert str(refused.value) == (
            "DRAGONPOST_USER_POOL_ARN is not set: the API's authorizer needs the ARN of the stage's user pool. "
            "Run `make deploy STAGE=dev` (or `make deploy STAGE=dev WITH=chalice`). It deploys "
            "infrastructure/resources.yaml first and fills it in from the stack's outputs."
        )
