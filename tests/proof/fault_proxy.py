"""A proxy that stands between the deployed functions and the embedded AWS, and misbehaves as the test tells it to.

It forwards requests byte for byte (they are signed, `Host` included). It recognises the service and operation of each
request, records it, and applies the first rule that matches. All faults come from here; no shipped code knows of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from enum import StrEnum
from random import Random
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HEAD_BYTES_MAX = 128 * 1024
UPSTREAM_IDLE_MAX_S = 1.0  # the emulator closes idle connections after 5 s; a stale one would look like a fault
STARTS_WITHIN_S = 5

# Names such as AWS puts into its errors. No client of the service may ever see them.
SECRET = "arn:aws:sts::000000000000:assumed-role/dragonpost-inside/secret-session"
SECRET_HOST = "secret-host.internal.amazonaws.com"


class Fault(StrEnum):
    """What the proxy does to a request."""

    THROTTLE = "throttled"
    DENY = "denied"
    ERROR = "500"
    GARBAGE = "garbage"
    REFUSE = "refused"
    CUT_BEFORE = "cut before it was done"
    CUT_AFTER = "cut after it was done"
    DELAY = "delayed"
    HANG = "timed out"


@dataclass(frozen=True)
class Request:
    """What a request asks for, as far as it shows from outside.

    `resource` is `bucket/key` for S3, and the table, queue URL, parameters, state machine or execution for others;
    `access_key` says who asked. The SDK numbers the attempts of a call, and gives each call an id: `sdk_call`.
    """

    service: str
    operation: str
    resource: str
    access_key: str
    sdk_call: str
    attempt: int


@dataclass
class Call:
    """A request that arrived, what the proxy did to it, and the status of the answer (0: none)."""

    request: Request
    at: float
    fault: Fault | None = None
    status: int = 0


@dataclass
class Rule:
    """Which requests a fault applies to.

    A request matches by `service`, `operation`, `resource` (a regular expression, searched) and `access_key`, and if it
    is one of the first `attempts` of its call. Of the matching requests, the fault applies to the `first`-th and those
    after it, `times` in all, each with the probability `chance`. `seconds` is for `DELAY` and `HANG`.
    """

    fault: Fault
    service: str = ""
    operation: str = ""
    resource: str = ""
    access_key: str = ""
    first: int = 1
    times: int | None = None
    attempts: int | None = None
    chance: float = 1.0
    seconds: float = 0.0
    met: int = 0

    def applies_to(self, request: Request, dice: Random) -> bool:
        """Return True if the fault applies to this request; counts the requests that match."""
        matches = (
            self.service in ("", request.service)
            and self.operation in ("", request.operation)
            and self.access_key in ("", request.access_key)
            and (self.attempts is None or request.attempt <= self.attempts)
            and re.search(self.resource, request.resource) is not None
        )
        if not matches:
            return False
        self.met += 1
        last = None if self.times is None else self.first + self.times - 1
        return self.met >= self.first and (last is None or self.met <= last) and dice.random() < self.chance


@dataclass
class FaultProxy:
    """The proxy: `with FaultProxy(upstream, rng) as proxy`, then send requests to `proxy.url`.

    What happens to the n-th request for an operation depends only on `rng` and n, because the requests of several
    threads arrive in another order each time.
    """

    upstream: str
    rng: InitVar[Random]
    calls: list[Call] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _rules: list[Rule] = field(default_factory=list)
    _changing: threading.Lock = field(default_factory=threading.Lock)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _port: int = 0

    def __post_init__(self, rng: Random) -> None:
        self._seed = rng.getrandbits(64)

    def __enter__(self) -> FaultProxy:
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), daemon=True)
        self._thread.start()
        assert listening.wait(STARTS_WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STARTS_WITHIN_S)

    @property
    def url(self) -> str:
        """The endpoint for clients."""
        return f"http://127.0.0.1:{self._port}"

    @contextlib.contextmanager
    def misbehaving(self, *rules: Rule) -> Iterator[None]:
        """Inside the block, apply these rules too, after those that apply already. The first that matches wins."""
        with self._changing:  # several threads may have rules of their own at the same time
            self._rules = [*self._rules, *rules]
        try:
            yield
        finally:
            with self._changing:
                self._rules = [rule for rule in self._rules if not any(rule is ended for ended in rules)]

    def since(self, mark: int, service: str = "", operation: str = "") -> list[Call]:
        """Return the calls recorded after `mark` (an earlier `len(proxy.calls)`), of one service and operation."""
        return [
            call
            for call in self.calls[mark:]
            if service in ("", call.request.service) and operation in ("", call.request.operation)
        ]

    def _run(self, listening: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._converse, "127.0.0.1", 0, limit=HEAD_BYTES_MAX, backlog=1024)
        )
        self._port = server.sockets[0].getsockname()[1]
        listening.set()
        self._loop.run_forever()
        server.close()
        conversations = asyncio.all_tasks(self._loop)
        for conversation in conversations:
            conversation.cancel()
        self._loop.run_until_complete(asyncio.gather(*conversations, return_exceptions=True))
        self._loop.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until the client or a fault closes it."""
        upstream = _Upstream(self.upstream)
        try:
            while (request := await _received(reader, writer)) is not None and await self._answer(
                request, writer, upstream
            ):
                pass
        except (OSError, asyncio.IncompleteReadError):  # one side has closed the connection
            pass
        except asyncio.CancelledError:  # the proxy is closing; asyncio's server would print the error
            pass
        finally:
            upstream.close()
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    def _dice(self, request: Request) -> Random:
        """Return the generator for this request, which is the next one of its kind."""
        kind = f"{request.service}:{request.operation}"
        self._counts[kind] += 1
        return Random(f"{self._seed}:{kind}:{self._counts[kind]}")

    async def _answer(self, message: _Message, writer: asyncio.StreamWriter, upstream: _Upstream) -> bool:
        """Answer one request; return True if the connection stays open."""
        request = _identified(message)
        dice = self._dice(request)
        rule = next((rule for rule in self._rules if rule.applies_to(request, dice)), None)
        call = Call(request, time.monotonic(), rule.fault if rule else None)
        self.calls.append(call)
        fault = call.fault
        if fault in (Fault.REFUSE, Fault.CUT_BEFORE):
            if fault is Fault.CUT_BEFORE:  # half of an answer's first line, and then nothing
                writer.write(b"HTTP/1.1 2")
                await writer.drain()
            writer.transport.abort()
            return False
        if fault in _STATUS:
            answer = _faulty(fault, request)
            if message.method == "HEAD":  # whose answer has no body, but the headers of one
                answer = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        else:
            if fault is Fault.DELAY and rule:
                await asyncio.sleep(rule.seconds)
            answer = await upstream.answer(message)
            if fault is Fault.HANG and rule:
                await asyncio.sleep(rule.seconds)
            if fault is Fault.CUT_AFTER:
                writer.transport.abort()
                return False
        call.status = int(answer.split(b" ", 2)[1])
        writer.write(answer)
        await writer.drain()
        return True


@dataclass(frozen=True)
class _Message:
    """An HTTP request as it arrived."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    def header(self, name: str) -> str:
        return _header(self.head, name)


class _Upstream:
    """One connection to the embedded AWS, opened when needed."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._used = 0.0

    async def answer(self, message: _Message) -> bytes:
        """Forward a request, and return the whole answer unchanged."""
        if self._reader is None or self._reader.at_eof() or time.monotonic() - self._used > UPSTREAM_IDLE_MAX_S:
            self.close()
            self._reader, self._writer = await asyncio.open_connection(
                self._address.hostname, self._address.port, limit=HEAD_BYTES_MAX
            )
        assert self._reader
        assert self._writer
        self._writer.write(message.head + message.body)
        await self._writer.drain()
        head = await self._reader.readuntil(b"\r\n\r\n")
        answer = head + await _body(self._reader, head, has_body=_answers_with_body(message, head))
        self._used = time.monotonic()
        return answer

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._reader = self._writer = None


async def _received(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Message | None:
    """Read one request; return None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    if _header(head, "Expect").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = re.sub(rb"(?im)^expect:[^\r\n]*\r\n", b"", head)
    return _Message(head, await _body(reader, head, has_body=True))


async def _body(reader: asyncio.StreamReader, head: bytes, *, has_body: bool) -> bytes:
    if not has_body:
        return b""
    if _header(head, "Transfer-Encoding").lower() == "chunked":
        body = b""
        while not body.endswith(b"0\r\n\r\n") or not _last_chunk(body):
            size = await reader.readuntil(b"\r\n")
            body += size + await reader.readexactly(int(size.split(b";")[0], 16) + 2)
        return body
    return await reader.readexactly(int(_header(head, "Content-Length") or 0))


def _last_chunk(body: bytes) -> bool:
    return body == b"0\r\n\r\n" or body.endswith(b"\r\n0\r\n\r\n")


def _answers_with_body(message: _Message, head: bytes) -> bool:
    return message.method != "HEAD" and head.split(b" ", 2)[1] not in (b"204", b"304")


def _header(head: bytes, name: str) -> str:
    found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*([^\r\n]*)", head)
    return found[1].decode("latin-1").strip() if found else ""


def _identified(message: _Message) -> Request:
    """Return what a request asks for, from the credential's scope, the target header, the form or the path."""
    scope = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/", message.header("Authorization"))
    access_key, service = (scope[1], scope[2]) if scope else ("", "")
    numbered = re.search(r"\battempt=(\d+)", message.header("amz-sdk-request"))
    asking = (access_key, message.header("amz-sdk-invocation-id"), int(numbered[1]) if numbered else 1)
    target = message.header("X-Amz-Target")
    if target:
        operation = target.rpartition(".")[2]
        return Request(service, operation, _resource(_json(message.body)), *asking)
    url = urlsplit(message.target)
    if message.header("Content-Type").startswith("application/x-www-form-urlencoded"):
        form = dict(parse_qsl(message.body.decode(errors="replace")))
        return Request(service, form.get("Action", ""), _resource(form), *asking)
    path = unquote(url.path).lstrip("/")
    operation = _s3_operation(message.method, path, url.query) if service == "s3" else f"{message.method} /{path}"
    return Request(service, operation, path, *asking)


def _s3_operation(method: str, path: str, query: str) -> str:
    has_key = "/" in path.rstrip("/")
    names = {
        ("GET", True): "GetObject",
        ("PUT", True): "PutObject",
        ("HEAD", True): "HeadObject",
        ("DELETE", True): "DeleteObject",
        ("GET", False): "ListObjectsV2",
        ("HEAD", False): "HeadBucket",
    }
    return names.get((method, has_key), f"{method} ?{query}")


# The members that name a call's resource, in all services that this project uses.
_NAMING = ("TableName", "QueueUrl", "Names", "Name", "stateMachineArn", "executionArn", "TopicArn", "FunctionName")


def _resource(members: dict[str, Any]) -> str:
    found = next((members[name] for name in _NAMING if name in members), "")
    return ",".join(map(str, found)) if isinstance(found, list) else str(found)


def _json(body: bytes) -> dict[str, Any]:
    try:
        members = json.loads(body)
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}


_STATUS: dict[Fault | None, int] = {Fault.THROTTLE: 400, Fault.DENY: 400, Fault.ERROR: 500, Fault.GARBAGE: 200}

# These come from the services' API references (Common Errors, and the errors of each operation).
_CODES: dict[str, dict[Fault, str]] = {
    "s3": {Fault.THROTTLE: "SlowDown", Fault.DENY: "AccessDenied", Fault.ERROR: "InternalError"},
    "sqs": {Fault.THROTTLE: "RequestThrottled", Fault.DENY: "AccessDenied", Fault.ERROR: "InternalFailure"},
    "dynamodb": {
        Fault.THROTTLE: "ProvisionedThroughputExceededException",
        Fault.DENY: "AccessDeniedException",
        Fault.ERROR: "InternalServerError",
    },
    "ssm": {Fault.THROTTLE: "ThrottlingException", Fault.DENY: "AccessDeniedException", Fault.ERROR: "InternalFailure"},
    "states": {
        Fault.THROTTLE: "ThrottlingException",
        Fault.DENY: "AccessDeniedException",
        Fault.ERROR: "InternalFailure",
    },
}
_S3_STATUS = {Fault.THROTTLE: 503, Fault.DENY: 403}


def _faulty(fault: Fault, request: Request) -> bytes:
    """Return an answer that AWS could have given (or, for garbage, that something in between could have)."""
    if fault is Fault.GARBAGE:
        started = b'{"secret": "' if request.service != "s3" else b"<?xml version='1.0'?><html><secret>"
        return _http(200, started + SECRET.encode(), "text/html")
    code = _CODES.get(request.service, _CODES["states"])[fault]
    said = f"User: {SECRET} may not perform {request.service}:{request.operation} on {request.resource}"
    request_id = str(uuid.uuid4())
    if request.service == "s3":
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{said}</Message>'
            f"<RequestId>{request_id}</RequestId><HostId>{SECRET_HOST}</HostId></Error>"
        )
        status = _S3_STATUS.get(fault, _STATUS[fault])
        return _http(status, body.encode(), "application/xml", f"x-amz-request-id: {request_id}")
    body = json.dumps({"__type": f"com.amazonaws.{request.service}#{code}", "message": said, "Message": said})
    return _http(_STATUS[fault], body.encode(), "application/x-amz-json-1.0", f"x-amzn-RequestId: {request_id}")


def _http(status: int, body: bytes, content_type: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
