"""The local server's handler on a socket, in front of a small app."""

from __future__ import annotations

import functools
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from chalice.app import Chalice
from chalice.config import Config

from devstack.server.authorizer import TokenVerifier
from devstack.server.child import Server
from devstack.server.gateway import Gateway, RequestHandler

POOL_ARN = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_abc"
HIDDEN = b"GET /taken HTTP/1.1\r\nHost: here\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    app = Chalice("of-this-test")

    @app.route("/taken", methods=["GET", "POST"], content_types=["application/json", "multipart/form-data"])
    def taken() -> dict[str, int]:
        return {"bytes": len(app.current_request.raw_body)}

    gateway = Gateway(app, Config.create(), TokenVerifier("http://127.0.0.1:1", POOL_ARN, "client"))
    listening = socket.create_server(("127.0.0.1", 0))
    server = Server(listening, functools.partial(RequestHandler, gateway=gateway, cors={}))
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    with socket.create_connection(listening.getsockname(), timeout=20) as client:
        yield client
    server.shutdown()
    serving.join()
    server.server_close()


def answers(connection: socket.socket, request: bytes) -> list[tuple[int, bytes]]:
    """Send it, and return status and body of every answer until the server ends the connection."""
    connection.sendall(request)
    connection.shutdown(socket.SHUT_WR)
    received = b"".join(iter(lambda: connection.recv(65536), b""))
    parts = [answer.split(b"\r\n\r\n", 1) for answer in received.split(b"HTTP/1.1 ")[1:]]
    return [(int(head[:3]), body) for head, body in parts]


@pytest.mark.parametrize(
    "headers",
    [
        b"Host: here\r\nContent-Length : %d\r\n" % len(HIDDEN),
        b"Host: here\r\nno colon\r\n" + LENGTH,
        b"Host: here\r\nX\0: y\r\n" + LENGTH,
        b"Host: here\r\n\r\r\n" + LENGTH,
        b" " + LENGTH + b"Host: here\r\n",
        b"Host: here\r\nContent-Type: multipart/form-data\r\nno colon\r\n" + LENGTH,
    ],
)
def test_a_body_whose_length_cannot_be_read_is_not_taken_for_a_request(
    connection: socket.socket, headers: bytes
) -> None:
    """Python's parser drops such a line, and often every header after it."""
    ((status, body),) = answers(connection, b"POST /taken HTTP/1.1\r\n" + headers + b"\r\n" + HIDDEN)

    assert (status, json.loads(body)["status"]) == (400, 400)


@pytest.mark.parametrize("kind", [b"multipart/form-data", b"multipart/form-data; boundary=x"])
def test_what_the_parser_says_about_a_multipart_body_is_no_fault_of_the_headers(
    connection: socket.socket, kind: bytes
) -> None:
    request = b"POST /taken HTTP/1.1\r\nHost: here\r\nContent-Type: " + kind + b"\r\n" + LENGTH + b"\r\n" + HIDDEN

    assert answers(connection, request) == [(200, b'{"bytes":%d}' % len(HIDDEN))]


@pytest.mark.parametrize("authorization", [b"", b"Authorization: Bearer x\r\n", b"Authorization: Bearer \xe9\r\n"])
def test_an_unknown_route_is_a_404_problem_whatever_the_token_is(
    connection: socket.socket, authorization: bytes
) -> None:
    ((status, body),) = answers(connection, b"GET /nowhere HTTP/1.1\r\nHost: here\r\n" + authorization + b"\r\n")

    assert (status, json.loads(body)["status"]) == (404, 404)
