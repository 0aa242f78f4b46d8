"""The local server on a socket, in front of a small app."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from chalice.app import Chalice, CognitoUserPoolAuthorizer
from chalice.config import Config

from devstack.server import child
from devstack.server.authorizer import TokenRefused, TokenVerifier
from devstack.server.gateway import Gateway, Request
from tests.fakes.local_server import serving

pytestmark = pytest.mark.slow

POOL_ARN = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_abc"
RECORDED = Path(__file__).parents[1] / "events" / "api_gateway_proxy.json"
HIDDEN = b"GET /taken HTTP/1.1\r\nHost: here\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)


class App(Chalice):
    """Counts the bytes of a body, notes its events, and has a view that waits."""

    def __init__(self) -> None:
        super().__init__("of-this-test", configure_logs=False)
        self.events: list[dict[str, Any]] = []
        self.waiting = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.route("/taken", methods=["GET", "POST"], content_types=["*/*"])(self._take)
        self.route("/taken/{name}")(self._name)
        self.route("/slow")(self._wait)

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        self.events.append(event)
        return dict(super().__call__(event, context))

    def _take(self) -> dict[str, int]:
        return {"bytes": len(self.current_request.raw_body)}

    def _name(self, name: str) -> dict[str, str]:
        return {"name": name}

    def _wait(self) -> dict[str, str]:
        self.waiting.release()
        return {"went on": str(self.go_on.wait(20))}


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def place(app: App) -> Iterator[tuple[str, int]]:
    """Where the app is served."""
    gateway = Gateway(app, Config.create(), TokenVerifier("http://127.0.0.1:1", POOL_ARN, "client"))
    with serving(gateway) as place:
        yield place


@pytest.fixture
def connection(place: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(place, timeout=20) as client:
        yield client


def answer(connection: socket.socket, request: bytes) -> tuple[int, bytes]:
    connection.sendall(request)
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


@pytest.mark.parametrize(
    "headers",
    [
        b"Host: here\r\nContent-Length : %d\r\n" % len(HIDDEN),
        b"Host: here\r\nno colon\r\n" + LENGTH,
        b"Host: here\r\nX\0: y\r\n" + LENGTH,
        b"Host: here\r\n\r\r\n" + LENGTH,
        b" " + LENGTH + b"Host: here\r\n",
    ],
)
def test_a_body_whose_length_cannot_be_read_is_not_taken_for_a_request(
    app: App, connection: socket.socket, headers: bytes
) -> None:
    status, _ = answer(connection, b"POST /taken HTTP/1.1\r\n" + headers + b"\r\n" + HIDDEN)

    assert status == 400
    assert connection.recv(1) == b""
    assert not app.events


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("target", ["/taken?dragonName=Blåvinge", "/taken/Blåvinge"])
def test_a_target_that_is_not_ascii_is_a_400_and_not_another_target(
    app: App, connection: socket.socket, target: str, encoding: str
) -> None:
    status, _ = answer(connection, f"GET {target} HTTP/1.1\r\nHost: here\r\n\r\n".encode(encoding))

    assert (status, app.events) == (400, [])


@pytest.mark.parametrize(
    "host", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a b\r\n", b"Host: a/b\r\n", b"Host: a@b\r\n", b"Host: \xe5\r\n"]
)
def test_a_missing_repeated_or_malformed_host_is_a_400(app: App, connection: socket.socket, host: bytes) -> None:
    """RFC 9112 §3.2."""
    status, _ = answer(connection, b"GET /taken HTTP/1.1\r\n" + host + b"\r\n")

    assert (status, app.events) == (400, [])


@pytest.mark.parametrize("host", [b"", b"a", b"a:80", b"[::1]:8000", b"127.0.0.1", b"a_b.example.", b"a%20b"])
def test_a_well_formed_host_is_anything(connection: socket.socket, host: bytes) -> None:
    assert answer(connection, b"GET /taken HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")[0] == 200


@pytest.mark.parametrize("asked", [b"", b"Connection: keep-alive\r\n", b"Connection: close\r\n"])
def test_a_client_of_http_1_0_learns_that_its_connection_ends(connection: socket.socket, asked: bytes) -> None:
    connection.sendall(b"GET /taken HTTP/1.0\r\n" + asked + b"\r\n")
    response = HTTPResponse(connection)
    response.begin()

    assert (response.status, response.getheader("Connection")) == (200, "close")
    assert (response.read(), connection.recv(1)) == (b'{"bytes":0}', b"")


@pytest.mark.parametrize("authorization", [b"", b"Authorization: Bearer x\r\n", b"Authorization: Bearer \xe9\r\n"])
def test_an_unknown_route_is_a_404_problem_whatever_the_token_is(
    connection: socket.socket, authorization: bytes
) -> None:
    status, body = answer(connection, b"GET /nowhere HTTP/1.1\r\nHost: here\r\n" + authorization + b"\r\n")

    assert (status, json.loads(body)["status"]) == (404, 404)


@pytest.mark.parametrize("target", [b"/taken/Cinder;v=1", b"/taken/Cinder;v=1?x=y", b"http://here/taken/Cinder;v=1"])
def test_what_follows_a_semicolon_is_part_of_a_name(connection: socket.socket, target: bytes) -> None:
    status, body = answer(connection, b"GET " + target + b" HTTP/1.1\r\nHost: here\r\n\r\n")

    assert (status, json.loads(body)) == (200, {"name": "Cinder%3Bv=1"}), "encoded, as the app takes it"


@pytest.mark.parametrize("target", [b"/taken;v=1", b"/taken;", b"/;/taken", b";"])
def test_a_semicolon_is_no_end_of_a_route(app: App, connection: socket.socket, target: bytes) -> None:
    status, _ = answer(connection, b"GET " + target + b" HTTP/1.1\r\nHost: here\r\n\r\n")

    assert (status, app.events) == (404, [])


@pytest.mark.parametrize("target", [b"/taken#x", b"/taken/x#y", b"#", b"/taken?x=1#y", b"http://here/taken#x"])
def test_a_target_with_a_fragment_is_a_400(app: App, connection: socket.socket, target: bytes) -> None:
    """RFC 9112 §3.2 has none in a request; without it, the target would be another one."""
    status, body = answer(connection, b"GET " + target + b" HTTP/1.1\r\nHost: here\r\n\r\n")

    assert (status, json.loads(body)["status"], app.events) == (400, 400, [])


def test_the_app_gets_every_line_of_a_header_as_from_api_gateway(app: App, connection: socket.socket) -> None:
    lines = b'Host: here\r\nIf-Match: "a, b"\r\nPrefer: wait=1\r\nif-match: "c"\r\n'

    answer(connection, b"GET /taken HTTP/1.1\r\n" + lines + b"\r\n")

    (event,) = app.events
    assert event["multiValueHeaders"] == {"host": ["here"], "if-match": ['"a, b"', '"c"'], "prefer": ["wait=1"]}
    assert event["headers"] == {"host": "here", "if-match": '"c"', "prefer": "wait=1"}, "the last of each"
    assert event.keys() <= json.loads(RECORDED.read_text(encoding="utf-8")).keys()


@pytest.mark.parametrize(
    "tokens", [("good", "bad"), ("bad", "good"), ("good", "good"), ("good", ""), ("", "good")], ids="-".join
)
def test_several_authorizations_are_none_as_at_the_gateway(tokens: tuple[str, str]) -> None:
    """Otherwise which of them counts would depend on the target."""

    class Verifier:
        def claims(self, authorization: str | None) -> dict[str, str]:
            if authorization != "good":
                raise TokenRefused("bad")
            return {}

    app = App()
    app.route("/kept", authorizer=CognitoUserPoolAuthorizer("users", provider_arns=[POOL_ARN]))(dict)
    gateway = Gateway(app, Config.create(), Verifier())  # type: ignore[arg-type]

    def status(*tokens: str) -> int:
        return gateway.answer(Request("GET", "/kept", [("Authorization", token) for token in tokens])).status

    assert (status("good"), status(*tokens)) == (200, 401)


def test_a_body_arrives_byte_for_byte_and_an_empty_one_is_none(app: App, connection: socket.socket) -> None:
    for body in (b"\xff\0\r\n", b""):
        answer(connection, b"POST /taken HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    assert [event["body"] for event in app.events] == ["/wANCg==", None]


def test_views_that_wait_hold_up_nobody(app: App, place: tuple[str, int]) -> None:
    slow = [HTTPConnection(*place, timeout=20) for _ in range(30)]
    for each in slow:
        each.request("GET", "/slow")
    for _ in slow:
        assert app.waiting.acquire(timeout=20)

    with socket.create_connection(place, timeout=20) as quick:
        assert answer(quick, HIDDEN)[0] == 200
    app.go_on.set()
    assert [each.getresponse().status for each in slow] == [200] * 30
    for each in slow:
        each.close()


def test_a_server_that_is_told_to_end_finishes_what_it_is_answering(app: App) -> None:
    gateway = Gateway(app, Config.create(), TokenVerifier("http://127.0.0.1:1", POOL_ARN, "client"))
    with serving(gateway) as place:
        slow, idle = HTTPConnection(*place, timeout=20), HTTPConnection(*place, timeout=20)
        idle.connect()
        slow.request("GET", "/slow")
        assert app.waiting.acquire(timeout=20)
        threading.Timer(0.3, app.go_on.set).start()

    assert json.load(slow.getresponse()) == {"went on": "True"}
    assert idle.sock.recv(1) == b"", "the server does not wait for an idle client"
    slow.close()
    idle.close()


def test_a_setting_of_uvicorns_in_your_environment_stops_no_server(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "auto")
    gateway = Gateway(app, Config.create(), TokenVerifier("http://127.0.0.1:1", POOL_ARN, "client"))

    with serving(gateway) as place, socket.create_connection(place, timeout=20) as client:
        assert answer(client, HIDDEN)[0] == 200


def test_a_server_that_cannot_be_made_does_not_say_that_all_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it counts as ready, ends, and is started again and again."""

    def cannot(_gateway: object) -> None:
        raise ValueError("a setting")

    said = tmp_path / "status"
    status = os.open(said, os.O_WRONLY | os.O_CREAT)
    monkeypatch.setattr(sys, "argv", ["child", "--socket", "0", "--status", str(status)])
    monkeypatch.setattr(child, "end_with_parent", lambda: None)
    monkeypatch.setattr(child, "_load", lambda _: (child._Broken(), "ok"))
    monkeypatch.setattr(child, "server", cannot)

    with pytest.raises(ValueError, match="a setting"):
        child.main()

    assert said.read_text(encoding="utf-8") == ""
    os.close(status)


def test_an_idle_connection_is_closed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "IDLE_TIMEOUT_S", 1)
    gateway = Gateway(app, Config.create(), TokenVerifier("http://127.0.0.1:1", POOL_ARN, "client"))
    with serving(gateway) as place, socket.create_connection(place, timeout=20) as client:
        assert answer(client, HIDDEN)[0] == 200
        assert client.recv(1) == b""
