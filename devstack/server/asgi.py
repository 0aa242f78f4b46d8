"""The gateway as an ASGI application, which is what uvicorn serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Protocol

from devstack.server import log
from devstack.server.gateway import GATEWAY_BODY_BYTES_MAX, Answer, Request

ANSWERED_AT_ONCE_MAX = 128  # further requests wait for a thread
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Answering(Protocol):
    """Answers requests, and may block meanwhile. Never raises."""

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request."""


class Application:
    """The ASGI application. The views block, so every request is answered in a thread."""

    def __init__(self, gateway: Answering) -> None:
        self._gateway = gateway
        self._threads = ThreadPoolExecutor(ANSWERED_AT_ONCE_MAX, thread_name_prefix="answering")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request (https://asgi.readthedocs.io/en/latest/specs/www.html), unless its client has gone."""
        if (body := await _body(receive)) is None:
            return
        request = _request(scope, body)
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._gateway.answer, request)
        log.write(f'{time.strftime("%d/%b/%Y %H:%M:%S")} "{request.method} {request.target}" {answer.status}')
        headers = list(_headers(request, answer))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


async def _body(receive: Receive) -> bytes | None:
    """Return the body, or None if the client has gone. Of one that is too large, return just enough to tell."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if len(body) <= GATEWAY_BODY_BYTES_MAX:
            body += message["body"]
        if not message["more_body"]:
            return bytes(body)


def _request(scope: Message, body: bytes) -> Request:
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Request(scope["method"], (scope["raw_path"] + query).decode("latin-1"), headers, body)


def _headers(request: Request, answer: Answer) -> Iterator[tuple[bytes, bytes]]:
    for name, value in answer.headers:
        yield name.encode("latin-1"), value.encode("latin-1")
    # The app does not say how long the answer to a GET would have been.
    if request.method != "HEAD" and answer.status not in _WITHOUT_BODY:
        yield b"content-length", b"%d" % len(answer.body)
