"""HTTP on the local machine: what Chalice's local server leaves undone between a socket and the app.

Chalice's parts do the routing, the events and the CORS preflight (chalice/local.py, 1.34). What is added: tokens are
verified, chunked bodies are read, broken requests and crashes are answered with a problem, and answers that have no
body have none.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import traceback
import uuid
from collections.abc import Mapping
from email.errors import FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from chalice.local import ChaliceRequestHandler, LambdaEventConverter, LocalGateway

from devstack.server.authorizer import TokenRefused, TokenVerifier
from devstack.server.keys import KeysUnavailable

BODY_BYTES_MAX = 10 * 1024 * 1024  # API Gateway's own limit
CHUNK_LINE_BYTES_MAX = 1024
LINGER_BYTES_MAX = 64 * 1024 * 1024
LINGER_S = 2
IDLE_TIMEOUT_S = 75
_UNPRINTABLE = re.compile("[^ -~]")
# What Python's parser notes where it drops a line, or that line and every header after it.
_HEADERS_DROPPED = (FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect)
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Refused(Exception):
    """The request ends here, with this status."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class EventConverter(LambdaEventConverter):
    """Makes the event as API Gateway does for an API whose binary types are `*/*`."""

    def create_lambda_event(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> dict[str, Any]:
        """Return the event: with a request id, and with the body's own bytes in base64. Raises Refused."""
        try:
            event: dict[str, Any] = super().create_lambda_event(method, path, headers, None)
        except ValueError as error:  # Chalice would quote the Authorization header, and fail if that is not ASCII
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing at this address and method.") from error
        event["requestContext"]["requestId"] = str(uuid.uuid4())
        event["httpMethod"] = method
        event["path"] = event["requestContext"]["path"]
        if body is not None:
            event["body"] = base64.b64encode(body).decode("ascii")
            event["isBase64Encoded"] = True
        return event


class Gateway(LocalGateway):
    """Chalice's local gateway, with real authorization in the place of its pretended one."""

    def __init__(self, app_object: Any, config: Any, verifier: TokenVerifier) -> None:
        super().__init__(app_object, config)
        self.event_converter = EventConverter(self.event_converter._route_matcher)  # noqa: SLF001 - not public
        self._authorizer: Any = _Authorizer(app_object, verifier)


class _Authorizer:
    """Stands in for LocalGatewayAuthorizer, which decodes tokens and verifies nothing."""

    def __init__(self, app_object: Any, verifier: TokenVerifier) -> None:
        self._routes = app_object.routes
        self._verifier = verifier

    def authorize(self, _path: str, event: dict[str, Any], context: Any) -> tuple[dict[str, Any], Any]:
        request = event["requestContext"]
        # An unknown method has no entry. The app answers that one, token or not.
        entry = self._routes[request["resourcePath"]].get(request["httpMethod"])
        if entry is not None and entry.authorizer:
            request["authorizer"] = {"claims": self._claims(event["headers"].get("authorization"))}
        return event, context

    def _claims(self, authorization: str | None) -> dict[str, str]:
        try:
            return self._verifier.claims(authorization)
        except TokenRefused as refused:
            _log(f"token refused: {refused}")
            detail = "A valid ID token is needed: Authorization: Bearer <token>."
            raise Refused(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"}) from refused
        except KeysUnavailable as error:
            detail = "Tokens cannot be checked: the embedded AWS does not answer."
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "5"}) from error


class RequestHandler(ChaliceRequestHandler):
    """Serves one connection."""

    # Chalice writes head and body apart. With Nagle's algorithm that costs 44 ms on a kept-alive connection.
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_TIMEOUT_S
    default_request_version = "HTTP/1.1"  # so that even an unreadable request line gets a status line back
    _left_unread = False
    server_version = "dragonpost-devstack"
    sys_version = ""

    def __init__(self, *connection: Any, gateway: Any, cors: Mapping[str, str]) -> None:
        self.local_gateway = gateway
        self._cors = cors
        # Past Chalice's own __init__, which would make a gateway for every connection.
        super(ChaliceRequestHandler, self).__init__(*connection)

    def _generic_handle(self) -> None:
        with self.server.busy():
            self._answer()

    # http.server looks for methods of these names; HTTP verbs have no lower case.
    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_QUERY = _generic_handle  # noqa: N815

    def _answer(self) -> None:
        try:
            body = self._read_body()
            response = self.local_gateway.handle_request(
                method=self.command, path=self._target(), headers=dict(self.headers), body=body
            )
            content = response.get("body") or ""
            if response.get("isBase64Encoded"):
                content = base64.b64decode(content)
            headers = {**_on_every_answer(), **response["headers"], **response["multiValueHeaders"]}
            self._send_http_response(response["statusCode"], headers, content)
        except Refused as refused:
            self._send_problem(refused.status, refused.detail, refused.headers)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:  # noqa: BLE001 - whatever breaks, the client gets an answer and the log the reason
            traceback.print_exc()
            self._send_problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The request could not be completed.")

    def _target(self) -> str:
        """Return path and query; a client may also send the whole URL (RFC 9112, 3.2.2)."""
        target: str = self.path
        if target.startswith("/"):
            return target
        try:
            whole = urlsplit(target)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "The request target is malformed.") from error
        return (whole.path or "/") + (f"?{whole.query}" if whole.query else "")

    # Reading

    def _read_body(self) -> bytes | None:
        if self._headers_were_dropped():
            raise self._unreadable("A header line is malformed.")
        lengths = self.headers.get_all("Content-Length", [])
        if codings := self.headers.get_all("Transfer-Encoding", []):
            if lengths:
                raise self._unreadable("Content-Length and Transfer-Encoding exclude each other.")
            if [coding.strip().lower() for coding in codings] != ["chunked"]:
                raise self._unreadable("The only transfer coding here is chunked.", HTTPStatus.NOT_IMPLEMENTED)
            return self._read_chunks()
        if not lengths:
            return None
        if len(set(lengths)) > 1 or not (lengths[0].isascii() and lengths[0].isdigit() and len(lengths[0]) < 19):
            raise self._unreadable("Content-Length is malformed.")
        length = int(lengths[0])
        if length > BODY_BYTES_MAX:
            raise self._too_large()
        return self._read_exactly(length) if length else None

    def _headers_were_dropped(self) -> bool:
        """Tell whether the length of the body may be among what the parser could not read (RFC 9112, 5.1)."""
        noted = any(isinstance(defect, _HEADERS_DROPPED) for defect in self.headers.defects)
        unread = self.headers.get_payload()  # after a line that only a carriage return makes empty, without a note
        return noted or (isinstance(unread, str) and unread != "")

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := self._chunk_size():
            if len(body) + size > BODY_BYTES_MAX:
                raise self._too_large()
            body += self._read_exactly(size)
            if self._read_line() != b"":
                raise self._unreadable("A chunk is longer than it says.")
        while self._read_line() != b"":
            pass  # trailers
        return bytes(body)

    def _chunk_size(self) -> int:
        digits = self._read_line().split(b";")[0].strip()
        if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
            raise self._unreadable("The size of a chunk is malformed.")
        return int(digits, 16)

    def _read_line(self) -> bytes:
        line: bytes = self.rfile.readline(CHUNK_LINE_BYTES_MAX)
        if not line.endswith(b"\n"):
            raise self._unreadable("A chunk's line is too long or cut off.")
        return line.rstrip(b"\r\n")

    def _read_exactly(self, length: int) -> bytes:
        body: bytes = self.rfile.read(length)
        if len(body) < length:
            raise self._unreadable("The body is shorter than announced.")
        return body

    def _unreadable(self, detail: str, status: int = HTTPStatus.BAD_REQUEST) -> Refused:
        """Nobody knows where the next request would begin, so the connection ends with this one."""
        self._left_unread = self.close_connection = True
        return Refused(status, detail)

    def _too_large(self) -> Refused:
        return self._unreadable(f"The body is larger than {BODY_BYTES_MAX} bytes.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def finish(self) -> None:
        """Close the connection; first take in what a refused client still sends.

        Closing with unread bytes resets the connection, and the client would lose the answer (RFC 9112, 9.6).
        """
        if self._left_unread:
            with contextlib.suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_WR)
                self.connection.settimeout(LINGER_S)
                left = LINGER_BYTES_MAX
                while left > 0 and (read := self.rfile.read1(65536)):
                    left -= len(read)
        with contextlib.suppress(OSError):
            super().finish()

    def handle_expect_100(self) -> bool:
        """Tell the client to go on at once; the response is buffered here, and it would wait for that."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    # Answering

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what http.server itself refuses (a malformed request line, say) with a problem."""
        self.log_error("code %d, %s %s", code, message or "", explain or "")
        self._left_unread = self.close_connection = True
        self._send_problem(code, "The request is not valid HTTP, or uses what this server does not know.")

    def _send_problem(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer in the form of the app's own problems, without chalicelib: that may be what is broken."""
        always = _on_every_answer()
        content = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": int(status),
            "detail": detail,
            "request_id": always["X-Request-Id"],
        }
        headers = {"Content-Type": "application/problem+json", **always, **self._cors, **(headers or {})}
        self._send_http_response(status, headers, json.dumps(content, separators=(",", ":")))

    def _send_http_response(self, code: int, headers: dict[str, Any], body: str | bytes | None) -> None:
        content = body.encode("utf-8") if isinstance(body, str) else body or b""
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        if code in _WITHOUT_BODY or self.command == "HEAD":
            content = b""  # and no length: the app does not say what a GET would have had
        else:
            headers["Content-Length"] = str(len(content))
        if self.close_connection:
            headers["Connection"] = "close"
        self.send_response(code)
        self._send_headers(headers)
        self.wfile.write(content)

    def version_string(self) -> str:
        """Name the server, without versions."""
        return self.server_version

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002 - http.server's own name
        """Write one short line to the log, in ASCII: what a client sends can neither end it nor move a cursor."""
        line = f"{self.log_date_time_string()} {format % values}"
        _log(_UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", line))


def _log(line: str) -> None:
    """Write a line at once, its end included: requests are answered by many threads."""
    print(f"{line}\n", end="", flush=True)


def _on_every_answer() -> dict[str, str]:
    """What the app's answers have by themselves, and the preflight and the problems made here need, too."""
    return {"X-Request-Id": str(uuid.uuid4()), "X-Content-Type-Options": "nosniff"}
