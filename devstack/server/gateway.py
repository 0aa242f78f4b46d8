"""Chalice's local gateway, with real authorization, every line of a header, and answers that are problems.

Chalice does the routing, the events and the answers to preflights (chalice/local.py, 1.34).
"""

from __future__ import annotations

import base64
import importlib
import json
import re
import traceback
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from chalice.app import CORSConfig
from chalice.local import LocalGateway

from devstack.server import log
from devstack.server.authorizer import TokenRefused, TokenVerifier
from devstack.server.keys import KeysUnavailable

GATEWAY_BODY_BYTES_MAX = 10 * 1024 * 1024  # https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")  # RFC 9110 §7.2
_NOT_ONLY_PREFLIGHT = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers")


class Refused(Exception):
    """The request ends here, with this status."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, title: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title or status.phrase
        self.detail = detail
        self.headers = dict(headers or {})


def _malformed_target() -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "The request target is malformed.")


@dataclass(frozen=True)
class Request:
    """What a client sent: method, target and header lines as they stand in the request, and the body's bytes."""

    method: str
    target: str
    headers: Iterable[tuple[str, str]]
    body: bytes = b""

    def path_and_query(self) -> str:
        """Return the target's path and query; a client may also send the whole URL (RFC 9112 §3.2.2).

        Several slashes at the beginning become one: Chalice would take what follows them for a host. It would also
        drop what follows a `;`, so that is encoded. A target has no fragment (RFC 9112 §3.2).
        """
        try:
            whole = urlsplit(re.sub("^/+", "/", self.target))
        except ValueError as error:
            raise _malformed_target() from error
        if "#" in self.target:
            raise _malformed_target()
        path = re.sub("^/*", "/", whole.path).replace(";", "%3B")
        return path + (f"?{whole.query}" if whole.query else "")

    def header_lines(self) -> dict[str, list[str]]:
        """Return the values of every header by its name in lower case."""
        lines: dict[str, list[str]] = {}
        for name, value in self.headers:
            lines.setdefault(name.lower(), []).append(value)
        return lines


@dataclass(frozen=True)
class Answer:
    """What the client gets."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


class Gateway(LocalGateway):
    """Answers requests as API Gateway does for an API whose binary types are `*/*`."""

    def __init__(self, app_object: Any, config: Any, verifier: TokenVerifier) -> None:
        super().__init__(app_object, config)
        self._authorizer: Any = _Authorizer(app_object, verifier)
        self._cors = _cors_headers(app_object.api.cors)

    def answer(self, request: Request) -> Answer:
        """Return the app's answer, or a problem. Never raises."""
        try:
            if len(request.body) > GATEWAY_BODY_BYTES_MAX:
                raise _refused_as_on_aws("REQUEST_TOO_LARGE")
            lines = request.header_lines()
            if not all(map(_HOST.fullmatch, lines.get("host", ()))):
                raise Refused(HTTPStatus.BAD_REQUEST, "The Host header is malformed.")
            return _answer(self.handle_request(request.method, request.path_and_query(), lines, request.body))
        except Refused as refused:
            return problem(refused, self._cors)
        except Exception:  # noqa: BLE001 - whatever breaks, the client gets an answer and the log the reason
            traceback.print_exc()
            return problem(_refused_as_on_aws("DEFAULT_5XX"), self._cors)

    def _generate_lambda_event(
        self, method: str, path: str, headers: dict[str, Any], body: bytes | None
    ) -> dict[str, Any]:
        """Return the event, with every line of a header, a request id, and the body in base64."""
        last = {name: lines[-1] for name, lines in headers.items()}
        try:
            event: dict[str, Any] = super()._generate_lambda_event(method, path, last, None)
        except ValueError as error:  # Chalice would quote the Authorization header, and fail if that is not ASCII
            raise _refused_as_on_aws("RESOURCE_NOT_FOUND") from error
        event["multiValueHeaders"] = headers
        event["requestContext"]["requestId"] = str(uuid.uuid4())
        event["httpMethod"] = method
        event["path"] = event["requestContext"]["path"]
        if body:
            event["body"] = base64.b64encode(body).decode("ascii")
            event["isBase64Encoded"] = True
        return event


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
            request["authorizer"] = {"claims": self._claims(event["multiValueHeaders"].get("authorization", ()))}
        return event, context

    def _claims(self, lines: Sequence[str]) -> dict[str, str]:
        try:
            if len(lines) > 1:  # which of them counts would be up to whoever reads them
                raise TokenRefused("there are several Authorization headers")
            return self._verifier.claims(next(iter(lines), None))
        except TokenRefused as refused:
            log.write(f"token refused: {refused}")
            raise _refused_as_on_aws("UNAUTHORIZED") from refused
        except KeysUnavailable as error:
            detail = "Tokens cannot be checked: the embedded AWS does not answer."
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "5"}) from error


def _refused_as_on_aws(response_type: str) -> Refused:
    """Return what API Gateway answers with by itself, which is one of the service's problems.

    It is imported late: this module has to work while the service cannot be imported.
    """
    said = importlib.import_module("operations.generate.gateway_responses").PROBLEMS[response_type]
    return Refused(HTTPStatus(said.status), said.detail, said.headers, said.document("")["title"])


def problem(refused: Refused, cors: Mapping[str, str] | None = None) -> Answer:
    """Return an answer in the form of the app's own problems, without chalicelib: that may be what is broken."""
    always = _on_every_answer()
    content = {
        "type": "about:blank",
        "title": refused.title,
        "status": int(refused.status),
        "detail": refused.detail,
        "request_id": always["X-Request-Id"],
    }
    headers = {"Content-Type": "application/problem+json", **always, **(cors or {}), **refused.headers}
    return Answer(int(refused.status), list(headers.items()), json.dumps(content, separators=(",", ":")).encode())


def _answer(response: Mapping[str, Any]) -> Answer:
    """Return what a Lambda proxy integration's response stands for."""
    headers = list({**_on_every_answer(), **response["headers"]}.items())
    headers += [(name, value) for name, values in response["multiValueHeaders"].items() for value in values]
    body = response.get("body") or ""
    if response.get("isBase64Encoded"):
        return Answer(response["statusCode"], headers, base64.b64decode(body))
    return Answer(response["statusCode"], headers, body.encode())


def _on_every_answer() -> dict[str, str]:
    """Return the headers that the app puts on its own answers, for preflights and for the problems made here."""
    return {"X-Request-Id": str(uuid.uuid4()), "X-Content-Type-Options": "nosniff"}


def _cors_headers(cors: CORSConfig | bool | None) -> dict[str, str]:
    given = cors.get_access_control_headers() if isinstance(cors, CORSConfig) else {}
    return {name: value for name, value in given.items() if name in _NOT_ONLY_PREFLIGHT}
