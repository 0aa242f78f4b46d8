"""The local server's own part: HTTP as it arrives on a socket, and tokens that are verified."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import jwt
import pytest

from tests.e2e.running import Api, Devstack

TOO_MUCH = 11 * 1024 * 1024  # bytes


@pytest.fixture
def connection(devstack: Devstack) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", devstack.ports[0]), timeout=20) as client:
        yield client


def exchange(connection: socket.socket, request: bytes) -> tuple[HTTPResponse, bytes]:
    connection.sendall(request)
    return answer(connection)


def answer(connection: socket.socket) -> tuple[HTTPResponse, bytes]:
    response = HTTPResponse(connection)
    response.begin()
    return response, response.read()


def post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /post-message HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n" + headers + b"\r\n" + body


def get(target: bytes, headers: bytes = b"Host: here\r\n") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + headers + b"\r\n"


# The HTTP library answers these with its own 400; the app never sees them.
MALFORMED = {
    "a length that is not a number": post(b"Content-Length: abc\r\n"),
    "a negative length": post(b"Content-Length: -1\r\n"),
    "two lengths": post(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"{}"),
    "a space before the colon": post(b"Content-Length : 2\r\n", b"{}"),
    "a header without a colon": post(b"a line without a colon\r\nContent-Length: 2\r\n", b"{}"),
    "a header with a NUL": get(b"/health", b"Host: here\r\nX: a\0b\r\n"),
    "a chunk's size that is not a number": post(b"Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk that is longer than it says": post(b"Transfer-Encoding: chunked\r\n", b"1\r\n{}\r\n0\r\n\r\n"),
    "no target": b"GET\r\n\r\n",
    "a target with spaces": get(b"/ over there"),
    "a target in raw UTF-8": get("/dragons?dragonName=Blåvinge".encode()),
    "a target in raw Latin-1": get("/dragons?dragonName=Blåvinge".encode("latin-1")),
    "an unknown version": b"GET /health HTTP/x.y\r\nHost: here\r\n\r\n",
    "no host": get(b"/health", b""),
    "two hosts": get(b"/health", b"Host: here\r\nHost: there\r\n"),
}
# These reach the app, or the gateway in front of it.
UNDERSTOOD = {
    "an absolute URL as target": (get(b"http://here/health"), 200),
    "a malformed URL as target": (get(b"http://["), 400),
    "a target that looks like another host": (get(b"//evil.example/health"), 404),
    "an asterisk as target": (b"OPTIONS * HTTP/1.1\r\nHost: here\r\n\r\n", 404),
    "an unknown route": (get(b"/unicorns"), 404),
    "an unknown method": (b"BREW /health HTTP/1.1\r\nHost: here\r\n\r\n", 405),
    "an old version, without a host": (b"GET /health HTTP/1.0\r\n\r\n", 200),
    "an upgrade that is not on offer": (get(b"/health", b"Host: here\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"), 200),
    "a preflight": (b"OPTIONS /dragons HTTP/1.1\r\nHost: here\r\nOrigin: https://example.org\r\n\r\n", 200),
    "no token": (post(b"Content-Length: 2\r\n", b"{}"), 401),
}


class TestHttp:
    @pytest.mark.parametrize("what", MALFORMED)
    def test_a_malformed_request_is_answered_with_400_and_ends_the_connection(
        self, connection: socket.socket, what: str
    ) -> None:
        response, _ = exchange(connection, MALFORMED[what])

        assert response.status == 400
        assert connection.recv(1) == b"", "nobody knows where the next request would begin"

    @pytest.mark.parametrize("what", UNDERSTOOD)
    def test_a_request_that_is_understood_is_answered_in_the_form_of_the_app(
        self, connection: socket.socket, what: str
    ) -> None:
        request, status = UNDERSTOOD[what]

        response, body = exchange(connection, request)

        assert response.status == status
        assert response.getheader("X-Request-Id")
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        assert response.getheader("Access-Control-Allow-Origin") == "*"
        if status >= 400:
            assert response.getheader("Content-Type") == "application/problem+json"
            assert json.loads(body)["status"] == status

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            (b"Content-Length: %d\r\n" % TOO_MUCH, b" " * TOO_MUCH),
            (b"Transfer-Encoding: chunked\r\n", b"%x\r\n" % TOO_MUCH + b" " * TOO_MUCH + b"\r\n0\r\n\r\n"),
        ],
        ids=["in one piece", "chunked"],
    )
    def test_more_than_a_gateway_accepts_is_refused_and_the_answer_arrives(
        self, connection: socket.socket, headers: bytes, body: bytes
    ) -> None:
        response, content = exchange(connection, post(headers, body))

        assert (response.status, json.loads(content)["status"]) == (413, 413)

    def test_a_chunked_body_reaches_the_app_and_the_connection_goes_on(
        self, connection: socket.socket, apis: dict[str, Api]
    ) -> None:
        token = f"Authorization: Bearer {apis['local'].token('amber')}\r\nTransfer-Encoding: chunked\r\n".encode()

        first, body = exchange(connection, post(token, b'2;x=y\r\n{"\r\n6\r\na": 1}\r\n0\r\nTrailer: x\r\n\r\n'))
        second, _ = exchange(connection, get(b"/health"))

        assert first.status == 400  # the app's own: the fields of a message are missing
        assert {"#/metadata", "#/data"} <= {fault["pointer"] for fault in json.loads(body)["errors"]}
        assert second.status == 200

    def test_a_client_that_waits_for_100_is_told_to_go_on(self, connection: socket.socket) -> None:
        connection.sendall(post(b"Content-Length: 2\r\nExpect: 100-continue\r\n"))
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")

        assert exchange(connection, b"{}")[0].status == 401

    def test_head_has_no_body(self, connection: socket.socket) -> None:
        connection.sendall(b"HEAD /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")

        received = b"".join(iter(lambda: connection.recv(65536), b""))

        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.endswith(b"\r\n\r\n")

    def test_not_modified_has_no_body_and_no_length(self, apis: dict[str, Api]) -> None:
        etag = apis["local"].get("/dragons?limit=1").headers["ETag"]

        response = apis["local"].get("/dragons?limit=1", headers={"If-None-Match": etag})

        assert (response.status_code, response.content) == (304, b"")
        assert "Content-Length" not in response.headers

    def test_no_answer_on_a_kept_alive_connection_waits_for_nagle(self, connection: socket.socket) -> None:
        """Head and body are two writes. With Nagle's algorithm between them, each answer takes 40 ms or more."""
        took_s = []
        for _ in range(40):
            began = time.monotonic()
            assert exchange(connection, get(b"/health"))[0].status == 200
            took_s.append(time.monotonic() - began)

        assert min(took_s[20:]) < 0.03


class TestTokens:
    def refused(self, api: Api, authorization: str | None) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        response = api.get("/dragons?limit=1", user=None, headers=headers)

        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == 401

    def test_a_token_is_accepted_with_and_without_its_scheme(self, api: Api) -> None:
        for authorization in (f"Bearer {api.token('operator')}", f"bearer {api.token('operator')}", api.token("amber")):
            response = api.get("/dragons?limit=1", user=None, headers={"Authorization": authorization})
            assert response.status_code == 200

    @pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic dTpw"])
    def test_no_token_is_refused(self, api: Api, authorization: str | None) -> None:
        self.refused(api, authorization)

    def test_a_forged_token_is_refused(self, api: Api) -> None:
        header, payload, signature = api.token("operator").split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        richer = jwt.utils.base64url_encode(json.dumps({**claims, "custom:company_id": "x"}).encode()).decode()

        self.refused(api, f"Bearer {header}.{richer}.{signature}")
        self.refused(api, f"Bearer {header}.{payload}.{signature[:-6]}AAAAAA")
        self.refused(api, f"Bearer {jwt.encode(claims, None, algorithm='none')}")
        self.refused(api, f"Bearer {jwt.encode(claims, 'a secret of thirty-two characters', algorithm='HS256')}")

    def test_an_access_token_is_refused(self, api: Api, devstack: Devstack) -> None:
        self.refused(api, f"Bearer {_log_in(devstack, _client_id(devstack))['AccessToken']}")

    def test_a_token_for_another_client_is_refused(self, api: Api, devstack: Devstack) -> None:
        made = devstack.client("cognito-idp").create_user_pool_client(
            UserPoolId=devstack.running["user_pool_id"],
            ClientName="another",
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        )

        self.refused(api, f"Bearer {_log_in(devstack, made['UserPoolClient']['ClientId'])['IdToken']}")


def _client_id(devstack: Devstack) -> str:
    return str(devstack.running["user_pool_client_id"])


def _log_in(devstack: Devstack, client_id: str) -> Any:
    email = "operator@dragonpost.example"
    password = json.loads((devstack.state / "users.json").read_text())[email]
    answer = devstack.client("cognito-idp").initiate_auth(
        AuthFlow="USER_PASSWORD_AUTH", ClientId=client_id, AuthParameters={"USERNAME": email, "PASSWORD": password}
    )
    return answer["AuthenticationResult"]
