"""What every answer has in common, whether it comes from the app or from the gateway in front of it."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from operations.generate.openapi import version
from tests.e2e.dragons import a_dragon
from tests.e2e.running import Api, Served

PROBLEM = "application/problem+json"


def is_problem(answer: Any, status: int) -> bool:
    body = answer.json()
    return (
        answer.status_code == status
        and answer.headers["Content-Type"] == PROBLEM
        and {"type", "title", "status", "detail", "request_id"} <= set(body)
        and body["status"] == status
        and body["request_id"] == answer.headers["X-Request-Id"]
    )


KINDS: dict[str, Callable[[Api], Any]] = {
    "success": lambda api: api.get("/dragons"),
    "app's problem": lambda api: api.get("/dragons?limit=0"),
    "no token": lambda api: api.get("/dragons", None),
    "unknown route": lambda api: api.get("/unicorns"),
    "unknown route, no token": lambda api: api.get("/unicorns", None),
    "unknown method": lambda api: api.request("PATCH", "/dragons"),
    "no content": lambda api: api.get("/dragons", headers={"If-None-Match": "*"}),
}


@pytest.mark.parametrize("what", KINDS)
def test_every_answer_has_an_id_the_cors_headers_and_nosniff(api: Api, what: str) -> None:
    answer = KINDS[what](api)

    assert answer.headers["X-Request-Id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] == api.allow_origin
    exposed = {name.strip() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
    assert exposed == {"ETag", "Link", "Location", "Retry-After", "X-Request-Id"}


def raw(api: Api, method: str, reference: str, *lines: tuple[str, str], body: bytes = b"") -> Any:
    """Send a request with these header lines, and its path as it stands, and return the answer."""
    url = urlsplit(api.url(reference))
    connection = HTTPConnection(str(url.hostname), url.port)
    connection.sock = api.socket()
    connection.putrequest(method, url.path, skip_accept_encoding=True)
    for name, value in (("Authorization", f"Bearer {api.token('operator')}"), ("Accept", "*/*"), *lines):
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


@pytest.mark.parametrize("second", ["", "Bearer x", None], ids=["empty", "bad", "the same"])
def test_several_authorizations_are_a_401(api: Api, second: str | None) -> None:
    """Wherever the good one stands: `raw` sends it first."""
    good = f"Bearer {api.token('operator')}"

    assert raw(api, "GET", "/dragons").status == 200
    assert raw(api, "GET", "/dragons", ("Authorization", good if second is None else second)).status == 401
    assert raw(api, "GET", "/dragons", ("Authorization", second or ""), ("Authorization", good)).status == 401


@pytest.mark.parametrize("order", [1, -1])
def test_several_lines_of_a_header_are_one_list(api: Api, order: int) -> None:
    place = "/openapi.json"
    tags = (("If-None-Match", '"other"'), ("If-None-Match", api.get(place).headers["ETag"]))[::order]
    codings = (("Accept-Encoding", "br"), ("Accept-Encoding", "gzip"))[::order]
    types = (("Content-Type", "application/json"), ("Content-Type", "text/plain"))[::order]

    assert raw(api, "GET", place, *tags).status == 304
    assert raw(api, "GET", place, *codings).headers["Content-Encoding"] == "gzip"
    assert raw(api, "POST", "/dragons", *types, body=b"{}").status == 400


@pytest.mark.parametrize("more", [";v=1", ";", ";v=1;w=2", "%3Bv=1"])
def test_what_follows_a_semicolon_is_part_of_the_path(api: Api, more: str) -> None:
    dragon = a_dragon()
    assert api.post("/dragons", json=dragon, headers={"Prefer": "wait=10"}).status_code == 201
    named, health = f"/dragons/{quote(dragon['dragon_name_str'])}", "/health"

    assert (raw(api, "GET", named).status, raw(api, "GET", health).status) == (200, 200)
    assert (raw(api, "GET", named + more).status, raw(api, "GET", health + more).status) == (404, 404)


def test_an_unknown_route_is_a_404_problem(api: Api) -> None:
    assert is_problem(api.get("/unicorns"), 404)
    assert is_problem(api.get("/unicorns", None), 404)


def test_an_unknown_method_is_a_405_locally_and_a_404_at_the_gateway(api: Api) -> None:
    answer = api.request("PATCH", "/dragons")

    if api.target == "local":
        assert is_problem(answer, 405)
        assert {method.strip() for method in answer.headers["Allow"].split(",")} >= {"GET", "HEAD", "POST"}
    else:
        assert is_problem(answer, 404)


def test_a_well_formed_request_id_is_kept_and_a_malformed_one_is_replaced(api: Api) -> None:
    given = f"test-{uuid.uuid4()}"

    assert api.get("/health", None, headers={"X-Request-Id": given}).headers["X-Request-Id"] == given
    assert api.get("/health", None, headers={"X-Request-Id": "a b<c>"}).headers["X-Request-Id"] != "a b<c>"


@pytest.mark.parametrize("path", ["/dragons", "/post-message", "/dragons/Amberwick"])
def test_a_browser_gets_an_answer_to_its_preflight(api: Api, path: str) -> None:
    asking = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}

    answer = api.request("OPTIONS", path, None, headers=asking)

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == api.allow_origin
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert allowed >= {"authorization", "content-type", "idempotency-key", "if-none-match", "prefer", "x-request-id"}
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    expected = {"POST"} if path == "/post-message" else {"GET", "HEAD"}
    assert expected <= set(answer.headers["Access-Control-Allow-Methods"].split(","))


def test_health_needs_no_token(api: Api) -> None:
    assert api.get("/health", None).json() | {"commit": "…"} == {"status": "ok", "version": version(), "commit": "…"}


def altered(token: str, **claims: Any) -> str:
    """Return the token with other claims under the old signature."""
    head, payload, signature = token.split(".")
    known = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = base64.urlsafe_b64encode(json.dumps({**known, **claims}).encode()).rstrip(b"=").decode()
    return f"{head}.{changed}.{signature}"


def unsigned(token: str) -> str:
    """Return the token's claims under `alg: none`."""
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


def access_token(devstack: Served) -> str:
    """Return an access token of the same user, pool and client."""
    answer = devstack.client("cognito-idp").initiate_auth(
        ClientId=devstack.running["user_pool_client_id"],
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": devstack.email("amber"), "PASSWORD": devstack.password("amber")},
    )
    return str(answer["AuthenticationResult"]["AccessToken"])


@pytest.mark.parametrize("kind", ["none", "empty", "garbage", "altered", "unsigned", "access token"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/dragons"),
        ("HEAD", "/dragons/x"),
        ("POST", "/dragons"),
        ("GET", "/submissions/x"),
        ("POST", "/post-message"),
        ("GET", "/message/fc0daad3-4f10-4d15-b8c6-276cca111e87"),
    ],
)
def test_nobody_gets_in_without_an_id_token(api: Api, devstack: Served, kind: str, method: str, path: str) -> None:
    token = {
        "none": lambda: None,
        "empty": lambda: "Bearer ",
        "garbage": lambda: "Bearer a.b.c",
        "altered": lambda: "Bearer " + altered(api.token("amber"), **{"custom:company_id": str(uuid.uuid4())}),
        "unsigned": lambda: "Bearer " + unsigned(api.token("operator")),
        "access token": lambda: "Bearer " + access_token(devstack),
    }[kind]()

    answer = api.request(method, path, None, headers={"Authorization": token} if token is not None else {})

    assert answer.status_code == 401
    # API Gateway gives the app's own another name (devstack/differences.toml).
    challenge = answer.headers.get("WWW-Authenticate") or answer.headers["x-amzn-Remapped-WWW-Authenticate"]
    assert challenge.startswith("Bearer")
    if method != "HEAD":
        assert is_problem(answer, 401)
