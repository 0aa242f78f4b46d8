"""The local server's own part: HTTP as it comes from a socket, and tokens that are verified."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import jwt
import pytest

from tests.e2e.running import Api, Devstack


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


class TestHttp:
    @pytest.mark.parametrize(
        "request_bytes",
        [
            post(b"Content-Length: abc\r\n"),
            post(b"Content-Length: -1\r\n"),
            post(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"{}"),
            post(b"Content-Length : 2\r\n", b"{}"),
            post(b"a line without a colon\r\nContent-Length: 2\r\n", b"{}"),
            post(b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
            post(b"Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
            post(b"Transfer-Encoding: chunked\r\n", b"1\r\n{}\r\n0\r\n\r\n"),
            b"GET\r\n\r\n",
            b"GET / over there HTTP/1.1\r\n\r\n",
            b"GET /health HTTP/x.y\r\n\r\n",
            b"GET http://[ HTTP/1.1\r\nHost: here\r\n\r\n",
        ],
    )
    def test_a_broken_request_is_answered_with_a_problem(self, connection: socket.socket, request_bytes: bytes) -> None:
        response, body = exchange(connection, request_bytes)

        assert response.status == 400
        assert response.getheader("Content-Type") == "application/problem+json"
        assert json.loads(body)["status"] == 400

    def test_a_body_that_ends_too_early_is_answered_with_a_problem(self, connection: socket.socket) -> None:
        connection.sendall(post(b"Content-Length: 10\r\n", b"{}"))
        connection.shutdown(socket.SHUT_WR)

        assert answer(connection)[0].status == 400

    def test_an_unknown_method_is_not_implemented(self, connection: socket.socket) -> None:
        response, body = exchange(connection, b"BREW /health HTTP/1.1\r\nHost: here\r\n\r\n")

        assert (response.status, json.loads(body)["status"]) == (501, 501)

    def test_more_than_a_gateway_takes_is_refused_and_the_answer_arrives(self, connection: socket.socket) -> None:
        size = 11 * 1024 * 1024

        response, _ = exchange(connection, post(b"Content-Length: %d\r\n" % size, b" " * size))

        assert response.status == 413

    def test_a_chunked_body_reaches_the_app_and_the_connection_goes_on(
        self, connection: socket.socket, apis: dict[str, Api]
    ) -> None:
        token = f"Authorization: Bearer {apis['local'].token('amber')}\r\nTransfer-Encoding: chunked\r\n".encode()

        first, body = exchange(connection, post(token, b'2;x=y\r\n{"\r\n6\r\na": 1}\r\n0\r\nTrailer: x\r\n\r\n'))
        second, _ = exchange(connection, b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")

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

    def test_a_whole_url_as_target_is_understood(self, connection: socket.socket) -> None:
        assert exchange(connection, b"GET http://here/health HTTP/1.1\r\nHost: here\r\n\r\n")[0].status == 200

    def test_an_answer_goes_out_in_one_write(self, connection: socket.socket) -> None:
        """Two small writes with Nagle's algorithm between them cost 44 ms each time."""
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")

        assert connection.recv(65536).endswith(b'{"status":"ok"}')


class TestTokens:
    def refused(self, api: Api, authorization: str | None) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        response = api.get("/dragons?limit=1", user=None, headers=headers)

        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == 401

    def test_a_token_is_taken_with_and_without_its_scheme(self, api: Api) -> None:
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
