"""The fault proxy itself: what it forwards, what it recognises, and how each fault looks to a client."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from tests.proof.fault_proxy import SECRET, Fault, FaultProxy, Rule

SESSION = boto3.Session("AKIDTEST", "secret", region_name="us-east-1")
QUEUE = "http://queue.example/000000000000/q"


class Aws(http.server.BaseHTTPRequestHandler):
    """Answers as AWS would, and remembers the requests."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one write, and nobody waits for it
    asked: list[tuple[str, str, bytes]]

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.asked.append((f"{self.command} {self.path}", self.headers["Host"], self.rfile.read(length)))
        body = b'{"MessageId": "m1", "Item": {}}' if self.command == "POST" else b""
        self.send_response(200)
        self.send_header("x-amzn-requestid", "r1")
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    do_GET = do_PUT = do_POST = do_HEAD = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def upstream() -> Iterator[str]:
    """A server that answers as AWS would."""
    Aws.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Aws) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def proxy(upstream: str) -> Iterator[FaultProxy]:
    """A proxy in front of it."""
    with FaultProxy(upstream, Random(1)) as running:
        yield running


@pytest.fixture(autouse=True)
def _attempts_follow_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda *_, **__: 0)


def client(proxy: FaultProxy, service: str, attempts: int = 1) -> Any:
    """Return a client that makes that many attempts of at most one second each."""
    config = Config(retries={"total_max_attempts": attempts}, read_timeout=1)
    return SESSION.client(service, endpoint_url=proxy.url, config=config)  # type: ignore[call-overload]


def send(proxy: FaultProxy) -> Any:
    return client(proxy, "sqs").send_message(QueueUrl=QUEUE, MessageBody="x")


def test_a_request_is_forwarded_unchanged(proxy: FaultProxy) -> None:
    s3 = client(proxy, "s3")
    body = bytes(range(256)) * 8192
    s3.put_object(Bucket="bbb", Key="a/b c.json", Body=body)
    s3.head_object(Bucket="bbb", Key="k")

    (put, host, arrived), (head, *_) = Aws.asked
    assert put == "PUT /bbb/a/b%20c.json"
    assert host == proxy.url.removeprefix("http://"), "the signature covers it"
    assert arrived == body
    assert head == "HEAD /bbb/k"


def test_it_recognises_who_asks_which_service_for_what(proxy: FaultProxy) -> None:
    send(proxy)
    client(proxy, "s3").get_object(Bucket="bbb", Key="k")
    client(proxy, "dynamodb").get_item(TableName="t", Key={"a": {"S": "b"}})
    client(proxy, "ssm").get_parameters(Names=["/a/b", "/a/c"])
    client(proxy, "stepfunctions").describe_execution(executionArn="arn:aws:states:us-east-1:1:execution:a:b")

    seen = [(call.request.service, call.request.operation, call.request.resource) for call in proxy.calls]
    assert seen == [
        ("sqs", "SendMessage", QUEUE),
        ("s3", "GetObject", "bbb/k"),
        ("dynamodb", "GetItem", "t"),
        ("ssm", "GetParameters", "/a/b,/a/c"),
        ("states", "DescribeExecution", "arn:aws:states:us-east-1:1:execution:a:b"),
    ]
    assert {call.request.access_key for call in proxy.calls} == {"AKIDTEST"}


@pytest.mark.parametrize("service", ["s3", "sqs", "dynamodb", "ssm", "states"])
@pytest.mark.parametrize(("fault", "kind"), [(Fault.THROTTLE, "thrott|SlowDown|Throughput"), (Fault.DENY, "AccessDen")])
def test_refusals_have_the_form_of_the_service(proxy: FaultProxy, service: str, fault: Fault, kind: str) -> None:
    calls = {
        "s3": lambda: client(proxy, "s3").get_object(Bucket="bbb", Key="k"),
        "sqs": lambda: send(proxy),
        "dynamodb": lambda: client(proxy, "dynamodb").get_item(TableName="t", Key={"a": {"S": "b"}}),
        "ssm": lambda: client(proxy, "ssm").get_parameters(Names=["/a/b", "/a/c"]),
        "states": lambda: client(proxy, "stepfunctions").list_state_machines(),
    }
    with proxy.misbehaving(Rule(fault, service)), pytest.raises(ClientError, match=f"(?i){kind}") as raised:
        calls[service]()

    assert SECRET in str(raised.value), "so that a leak would be noticed"
    assert not Aws.asked


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.CUT_BEFORE])
def test_cut_before_means_that_the_request_was_not_carried_out(proxy: FaultProxy, fault: Fault) -> None:
    with proxy.misbehaving(Rule(fault)), pytest.raises(HTTPClientError):
        send(proxy)

    assert not Aws.asked


def test_cut_after_means_that_the_request_was_carried_out(proxy: FaultProxy) -> None:
    with proxy.misbehaving(Rule(Fault.CUT_AFTER)), pytest.raises(HTTPClientError):
        send(proxy)

    assert len(Aws.asked) == 1


def test_a_slow_answer_takes_longer_than_the_client_waits(proxy: FaultProxy) -> None:
    with proxy.misbehaving(Rule(Fault.HANG, seconds=3)), pytest.raises(HTTPClientError, match="timeout"):
        send(proxy)
    began = time.monotonic()
    with proxy.misbehaving(Rule(Fault.DELAY, seconds=0.2)):
        send(proxy)

    assert time.monotonic() - began >= 0.2
    assert len(Aws.asked) == 2


def test_garbage_is_a_success_without_content(proxy: FaultProxy) -> None:
    with proxy.misbehaving(Rule(Fault.GARBAGE)):
        assert "MessageId" not in send(proxy)

    assert not Aws.asked


def test_rules_select_requests_and_end_with_their_block(proxy: FaultProxy) -> None:
    sqs = client(proxy, "sqs")
    second = Rule(Fault.ERROR, "sqs", "SendMessage", resource="/q$", first=2, times=1)
    half = Rule(Fault.ERROR, "sqs", "DeleteMessage", chance=0.5)

    def statuses(times: int, operation: str, **parameters: str) -> list[int]:
        mark = len(proxy.calls)
        for _ in range(times):
            with contextlib.suppress(ClientError):
                getattr(sqs, operation)(QueueUrl=QUEUE, **parameters)
        return [call.status for call in proxy.since(mark)]

    with proxy.misbehaving(second, half):
        assert statuses(3, "send_message", MessageBody="x") == [200, 500, 200]
        assert 5 < statuses(40, "delete_message", ReceiptHandle="r").count(500) < 35
        assert statuses(1, "receive_message") == [200]
    assert statuses(3, "send_message", MessageBody="x") == [200] * 3


def test_it_recognises_the_attempts_of_one_call(proxy: FaultProxy) -> None:
    sqs = client(proxy, "sqs", attempts=2)
    with proxy.misbehaving(Rule(Fault.ERROR, attempts=1)):
        sqs.send_message(QueueUrl=QUEUE, MessageBody="x")
        sqs.send_message(QueueUrl=QUEUE, MessageBody="x")

    first, again, other, _ = (call.request.sdk_call for call in proxy.calls)
    assert first
    assert first == again
    assert first != other
    assert [call.request.attempt for call in proxy.calls] == [1, 2, 1, 2]
    assert [call.status for call in proxy.calls] == [500, 200, 500, 200]


def test_the_fault_of_the_nth_call_of_a_kind_does_not_depend_on_calls_of_another_kind(upstream: str) -> None:
    def faulted(others_between: int, seed: int = 1) -> list[Fault | None]:
        rules = [Rule(Fault.ERROR, chance=0.3), Rule(Fault.THROTTLE, chance=0.3)]
        with FaultProxy(upstream, Random(seed)) as proxy, proxy.misbehaving(*rules):
            sqs = client(proxy, "sqs")
            for _ in range(20):
                with contextlib.suppress(ClientError):
                    sqs.send_message(QueueUrl=QUEUE, MessageBody="x")
                for _ in range(others_between):
                    with contextlib.suppress(ClientError):
                        sqs.receive_message(QueueUrl=QUEUE)
            return [call.fault for call in proxy.since(0, "sqs", "SendMessage")]

    alone = faulted(0)
    assert faulted(1) == alone
    assert faulted(0, seed=2) != alone
    assert set(alone) == {None, Fault.ERROR, Fault.THROTTLE}
