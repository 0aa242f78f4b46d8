"""How views are declared, and what is logged and sent for each answer, with an app of the test's own."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from chalice.app import CORSConfig, Response

from chalicelib.identity import Caller
from chalicelib.telemetry import logger
from chalicelib.web.application import Dragonpost, UserPoolAuthorizer
from chalicelib.web.compression import SIZE_MIN_BYTES
from chalicelib.web.responses import Reply
from tests.fakes.settings import FakeSettings
from tests.lambda_events import proxy_event

USERS = UserPoolAuthorizer("users", "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_a", "dev")
WITH_GZIP = {"Accept": "*/*", "Accept-Encoding": "gzip"}


@pytest.fixture
def app() -> Dragonpost:
    """An app without routes."""
    return Dragonpost("test", FakeSettings())


@pytest.mark.parametrize(
    ("declare", "methods"), [("get", {"GET", "HEAD"}), ("post", {"POST"}), ("put", {"PUT"}), ("delete", {"DELETE"})]
)
@pytest.mark.parametrize("authorizer", [None, USERS], ids=["open", "guarded"])
def test_a_view_is_declared_with_its_authorizer_for_its_methods_alone(
    app: Dragonpost, declare: str, methods: set[str], authorizer: UserPoolAuthorizer | None
) -> None:
    def open_view() -> Reply:
        return Reply(b"{}")

    def guarded_view(caller: Caller) -> Reply:
        return Reply(caller.sub.encode())

    getattr(app, declare)("/", authorizer)(guarded_view if authorizer else open_view)

    assert set(app.routes["/"]) == methods
    for entry in app.routes["/"].values():
        assert entry.authorizer is authorizer
        assert entry.content_types == ["*/*"]
        assert entry.view_args == []


def test_preflights_have_all_headers_that_browsers_need(app: Dragonpost) -> None:
    cors = app.api.cors
    assert isinstance(cors, CORSConfig)

    assert cors.get_access_control_headers() == {
        "Access-Control-Allow-Origin": FakeSettings().allow_origin,
        "Access-Control-Allow-Headers": (
            "Authorization,Content-Type,Idempotency-Key,If-Match,If-None-Match,Prefer,"
            "X-Amz-Date,X-Amz-Security-Token,X-Api-Key,X-Request-Id"
        ),
        "Access-Control-Expose-Headers": "ETag,Link,Location,Retry-After,X-Request-Id",
        "Access-Control-Max-Age": "600",
        "X-Content-Type-Options": "nosniff",
    }


def test_the_app_is_named_and_leaves_the_log_to_the_service(app: Dragonpost) -> None:
    assert app.app_name == "test"
    assert logging.getLogger("test").handlers == []


def test_chalice_sees_a_view_with_the_paths_parameters_and_without_the_caller(app: Dragonpost) -> None:
    def view(caller: Caller, first: str, second: str) -> Reply:
        return Reply(f"{caller.sub}{first}{second}".encode())

    app.get("/{first}/{second}", USERS)(view)

    assert app.routes["/{first}/{second}"]["GET"].view_args == ["first", "second"]


def test_the_error_for_a_view_of_the_wrong_kind_says_which_it_is(app: Dragonpost) -> None:
    def without() -> Reply:
        return Reply(b"{}")

    def with_caller(caller: Caller) -> Reply:
        return Reply(caller.sub.encode())

    rule = "a view with an authorizer takes `caller: Caller`, and one without takes none"
    with pytest.raises(TypeError) as of_guarded:
        app.get("/", USERS)(without)
    with pytest.raises(TypeError) as of_open:
        app.get("/")(with_caller)

    assert str(of_guarded.value) == f"without takes no caller: {rule}"
    assert str(of_open.value) == f"with_caller takes ['caller']: {rule}"


def test_the_log_says_how_long_an_answer_took(
    app: Dragonpost, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 10.25037])
    monkeypatch.setattr("chalicelib.web.application.time.perf_counter", lambda: next(clock))
    app.get("/")(lambda: Reply(b"{}"))
    app(proxy_event("GET", "/", "/"), None)

    line = json.loads(log.getvalue())
    assert (line["level"], line["message"], line["duration_ms"]) == ("INFO", "request", 250.4)


def test_at_a_higher_level_no_request_has_a_line(
    app: Dragonpost, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.get("/")(lambda: Reply(b"{}"))
    monkeypatch.setattr(logger, "level", logging.WARNING)
    monkeypatch.setattr(logger, "_cache", {})  # of what is enabled

    app(proxy_event("GET", "/", "/"), None)

    assert log.getvalue() == ""


def test_a_failure_outside_a_view_is_logged_and_answered_with_the_requests_id(
    app: Dragonpost, log: io.StringIO
) -> None:
    app.get("/")(lambda: {"a": 1j})  # type: ignore[arg-type,return-value]
    found = app(proxy_event("GET", "/", "/", headers={"X-Request-Id": "my-request-1"}), None)

    first = json.loads(log.getvalue().splitlines()[0])
    assert (first["level"], first["message"]) == ("ERROR", "request failed outside its view")
    assert json.loads(found["body"])["request_id"] == "my-request-1"


def test_a_view_that_answers_in_chalices_own_form_is_a_mistake_that_the_log_names(
    app: Dragonpost, log: io.StringIO
) -> None:
    app.get("/")(lambda: Response({"Code": "BadRequestError"}, status_code=400))  # type: ignore[arg-type,return-value]
    found = app(proxy_event("GET", "/", "/"), None)

    assert (found["statusCode"], json.loads(found["body"])["status"]) == (500, 500)
    assert "<lambda> returned Response instead of a Reply" in json.loads(log.getvalue().splitlines()[0])["exception"]


def test_head_sends_no_compressed_body(app: Dragonpost) -> None:
    app.get("/")(lambda: Reply(b"[" + b" " * SIZE_MIN_BYTES + b"]"))
    get = app(proxy_event("GET", "/", "/", headers=WITH_GZIP), None)
    head = app(proxy_event("HEAD", "/", "/", headers=WITH_GZIP), None)

    assert get["isBase64Encoded"] is True
    assert (head["body"], head["isBase64Encoded"]) == ("", False)
    assert head["headers"] | {"X-Request-Id": ""} == get["headers"] | {"X-Request-Id": ""}


@pytest.mark.parametrize("headers", [None, {}, {"accept": "text/html"}])
def test_a_request_need_not_say_what_it_accepts(app: Dragonpost, headers: dict[str, str] | None) -> None:
    app.get("/{name}")(lambda name: Reply(name.encode()))
    event: dict[str, Any] = proxy_event("GET", "/a", "/{name}")

    assert app(event | {"headers": headers}, None)["body"] == "a"


@pytest.mark.parametrize("parameters", [None, {}])
def test_a_path_without_parameters_is_answered(app: Dragonpost, parameters: dict[str, str] | None) -> None:
    app.get("/")(lambda: Reply(b"{}"))

    assert app(proxy_event("GET", "/", "/") | {"pathParameters": parameters}, None)["statusCode"] == 200
