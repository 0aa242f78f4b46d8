"""What is put right inside the emulator: still needed, and doing what AWS does."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from devstack.aws import shims

BY_NAME = {"x-amz-target": "AmazonSSM.GetParameters"}
BY_PATH = {"x-amz-target": "AmazonSSM.GetParametersByPath"}
ISSUER = {"jwtConfiguration": {"issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_a"}}


def ministack(name: str) -> Any:
    return importlib.import_module(f"ministack.{name}")


def source(name: str) -> str:
    """Return a module's source, without importing it: MiniStack's app does a lot when it is imported."""
    spec = importlib.util.find_spec(name)
    assert spec
    assert spec.origin
    return Path(spec.origin).read_text(encoding="utf-8")


def resource(module: Any, headers: dict[str, str], asked: object) -> str:
    body = json.dumps(asked).encode()
    return module.extract_resource_arn("ssm", "POST", "/", headers, body, {}, "us-east-1", "000000000000")


def action(module: Any, service: str, target: str) -> str | None:
    authorized: str | None = module.extract_iam_action(service, "POST", "/", {"x-amz-target": target}, b"{}", {})
    return authorized


def test_they_were_written_for_the_emulator_that_is_installed() -> None:
    """For another one, look at each of them again, and change `WRITTEN_FOR`."""
    assert version("ministack") == shims.WRITTEN_FOR


PARAMETER = "arn:aws:ssm:us-east-1:000000000000:parameter/dragonpost"


def asked_of_policies(headers: dict[str, str], asked: object, *refused: str) -> tuple[list[str], str | None]:
    """Return the ARNs by which a call is authorized with the shim, and the first one that is refused."""
    made: list[str] = []

    def enforce(_key: str, *, resource_arn: str = "*") -> str | None:
        made.append(str(resource_arn))
        return resource_arn if resource_arn in refused else None

    actions = SimpleNamespace(extract_resource_arn=ministack("core.iam_actions").extract_resource_arn)
    evaluator = SimpleNamespace(enforce=enforce)
    shims.authorize_parameters(actions, evaluator)
    return made, evaluator.enforce("key", resource_arn=resource(actions, headers, asked))


class TestParameters:
    @pytest.mark.parametrize(
        ("headers", "asked"), [(BY_NAME, {"Names": ["/dragonpost/dev/a"]}), (BY_PATH, {"Path": "/dragonpost/dev/"})]
    )
    def test_without_the_shim_neither_names_nor_path_count(self, headers: dict[str, str], asked: object) -> None:
        assert resource(ministack("core.iam_actions"), headers, asked) == "*"

    @pytest.mark.parametrize(
        ("headers", "asked", "arns"),
        [
            (BY_NAME, {"Names": ["/dragonpost/a/b", "/dragonpost/c"]}, [f"{PARAMETER}/a/b", f"{PARAMETER}/c"]),
            (BY_NAME, {"Names": []}, ["*"]),
            (BY_NAME, {}, ["*"]),
            (BY_PATH, {"Path": "/dragonpost/dev/"}, [f"{PARAMETER}/dev/"]),
            (BY_PATH, {}, ["*"]),
            (BY_PATH, [], ["*"]),
            ({"x-amz-target": "AmazonSSM.GetParameter"}, {"Name": "/dragonpost/dev/a"}, [f"{PARAMETER}/dev/a"]),
        ],
    )
    def test_with_it_each_name_or_the_path_is_a_resource(
        self, headers: dict[str, str], asked: object, arns: list[str]
    ) -> None:
        assert asked_of_policies(headers, asked) == (arns, None)

    @pytest.mark.parametrize("refused", ["a", "b", "c"])
    def test_with_it_one_name_that_a_policy_refuses_refuses_all(self, refused: str) -> None:
        names = [f"/dragonpost/{name}" for name in "abc"]

        _, denied = asked_of_policies(BY_NAME, {"Names": names}, f"{PARAMETER}/{refused}")

        assert denied == f"{PARAMETER}/{refused}"

    def test_the_emulator_asks_for_each_call_where_the_shim_is(self) -> None:
        """Its app takes both functions from their modules anew, or it would have those from before the shim."""
        app = source("ministack.app")
        for name, module in (("extract_resource_arn", "iam_actions"), ("enforce", "iam_evaluator")):
            imports = re.findall(rf"^( *)from ministack\.core\.{module} import[^)]*?\b{name}\b", app, re.MULTILINE)
            assert imports, name
            assert all(imports), "it is imported where the module begins"


class TestBatches:
    @pytest.mark.parametrize("operation", ["SendMessage", "DeleteMessage", "ChangeMessageVisibility"])
    def test_without_the_shim_they_need_an_action_that_iam_does_not_know(self, operation: str) -> None:
        assert action(ministack("core.iam_actions"), "sqs", f"AmazonSQS.{operation}Batch") == f"sqs:{operation}Batch"

    @pytest.mark.parametrize(
        ("service", "target", "authorized"),
        [
            ("sqs", "AmazonSQS.SendMessageBatch", "sqs:SendMessage"),
            ("sqs", "AmazonSQS.DeleteMessageBatch", "sqs:DeleteMessage"),
            ("sqs", "AmazonSQS.DeleteMessage", "sqs:DeleteMessage"),
            ("sqs", "", None),
            ("sns", "SNS.PublishBatch", "sns:PublishBatch"),
        ],
    )
    def test_with_it_the_call_that_they_stand_for_counts(
        self, service: str, target: str, authorized: str | None
    ) -> None:
        module = SimpleNamespace(extract_iam_action=ministack("core.iam_actions").extract_iam_action)

        shims.authorize_batches(module)

        assert action(module, service, target) == authorized


class TestChangedBuckets:
    def test_without_the_shim_every_change_may_replace_one(self) -> None:
        module = ministack("services.cloudformation.stacks")

        assert module._property_recreation("AWS::S3::Bucket", "LifecycleConfiguration") == "Conditionally"

    @pytest.mark.parametrize(
        ("resource_type", "name", "recreated"),
        [
            ("AWS::S3::Bucket", "LifecycleConfiguration", "Never"),
            ("AWS::S3::Bucket", "BucketName", "Always"),
            ("AWS::SQS::Queue", "VisibilityTimeout", "Never"),
            ("AWS::SQS::Queue", "QueueName", "Always"),
        ],
    )
    def test_with_it_only_a_new_name_does(self, resource_type: str, name: str, recreated: str) -> None:
        plain = ministack("services.cloudformation.stacks")._property_recreation
        module = SimpleNamespace(_property_recreation=plain)

        shims.keep_changed_buckets(module)

        assert module._property_recreation(resource_type, name) == recreated


class Running:
    """A worker of MiniStack's, with a call that has as long as its function's time limit."""

    def __init__(self, *, in_use: bool, timeout_s: float = 30) -> None:
        self.in_use = in_use
        self.config = {"Timeout": timeout_s}
        self.killed = threading.Event()
        self._proc = SimpleNamespace(poll=lambda: None, terminate=self.killed.set, wait=lambda **_: 0)

    def _discard_tmpdir(self) -> None:
        """It has none."""


class TestReservedConcurrency:
    """A function that reserves none, called by a version of it, which has no such member."""

    FUNCTION: Mapping[str, Any] = {"concurrency": 0}
    VERSION: Mapping[str, Any] = {"config": {"FunctionName": "dragons"}}

    def test_without_the_shim_it_does_not_bound_a_version(self) -> None:
        reserved = ministack("services.lambda_svc")._reserved_concurrency

        assert reserved(self.FUNCTION, {}) == 0
        assert reserved(self.VERSION, self.VERSION["config"]) is None

    def test_with_it_it_does(self) -> None:
        plain = ministack("services.lambda_svc")._reserved_concurrency
        module = SimpleNamespace(_reserved_concurrency=plain, _functions={"dragons": self.FUNCTION})

        shims.reserve_for_all_versions(module)

        assert module._reserved_concurrency(self.VERSION, self.VERSION["config"]) == 0
        assert module._reserved_concurrency({"concurrency": 3}, {"FunctionName": "another"}) == 3


class TestRunningCalls:
    def test_without_the_shim_they_are_killed(self) -> None:
        busy = Running(in_use=True)

        ministack("core.lambda_runtime").kill_workers([busy])

        assert busy.killed.is_set()

    def test_with_it_each_ends_before_its_worker_does(self) -> None:
        module = SimpleNamespace(kill_workers=ministack("core.lambda_runtime").kill_workers)
        busy, idle = Running(in_use=True), Running(in_use=False)

        shims.let_calls_end(module)
        module.kill_workers([busy, None, idle])

        assert idle.killed.is_set()
        assert not busy.killed.wait(0.2)
        busy.in_use = False
        assert busy.killed.wait(5)

    def test_with_it_a_call_has_its_functions_time_limit_and_no_more(self) -> None:
        module = SimpleNamespace(kill_workers=ministack("core.lambda_runtime").kill_workers)
        endless = Running(in_use=True, timeout_s=0.1)

        shims.let_calls_end(module)
        module.kill_workers([endless])

        assert endless.killed.wait(5)

    def test_a_change_of_a_function_comes_to_the_function_that_is_replaced(self) -> None:
        """`invalidate_worker` looks it up when it is called."""
        runtime = ministack("core.lambda_runtime")

        assert "kill_workers" in runtime.invalidate_worker.__code__.co_names
        assert runtime.invalidate_worker.__globals__ is vars(runtime)


class Late:
    """A worker's error output that is read a moment after it was written, as on a busy machine."""

    def __init__(self, pipe: IO[str]) -> None:
        self.fileno, self._pipe = pipe.fileno, pipe
        self.begun, self._due = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[str]:
        self.begun.set()
        threading.Timer(0.2, self._due.set).start()
        self._due.wait()
        yield from self._pipe


class TestLogs:
    def logged(self, worker_class: type, *, failed: bool) -> str:
        """Return what the log of a call has whose function wrote two lines."""
        worker = object.__new__(worker_class)
        code = "import sys; sys.stderr.write('first\\nlast\\n')"
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
            process.wait(30)
            assert process.stderr
            worker._proc = SimpleNamespace(stderr=Late(process.stderr))
            worker._stderr_queue = queue.Queue()
            worker._stderr_thread = threading.Thread(target=worker._read_stderr)
            worker._stderr_thread.start()
            assert worker._proc.stderr.begun.wait(5)
            if failed:
                worker._proc = None
            told: str = worker._drain_stderr_bounded()
            worker._stderr_thread.join()
            return told

    @pytest.mark.parametrize("failed", [False, True])
    def test_without_the_shim_lines_that_are_read_late_are_missing(self, *, failed: bool) -> None:
        assert not self.logged(ministack("core.lambda_runtime").Worker, failed=failed)

    @pytest.mark.parametrize("failed", [False, True])
    def test_with_it_the_log_has_each(self, *, failed: bool) -> None:
        worker_class = type("Worker", (ministack("core.lambda_runtime").Worker,), {})

        shims.log_to_the_last_line(worker_class)

        assert self.logged(worker_class, failed=failed) == "first\nlast"


class TestKeys:
    def test_without_the_shim_they_are_asked_for_over_plain_http(self) -> None:
        url = asyncio.run(ministack("services.apigateway")._resolve_jwks_url(ISSUER))

        assert url.startswith("http://")

    def test_with_it_both_gateways_ask_over_tls(self) -> None:
        plain = ministack("services.apigateway")._resolve_jwks_url
        modules = [SimpleNamespace(_resolve_jwks_url=plain), SimpleNamespace(_resolve_jwks_url=plain)]

        shims.fetch_keys_over_tls(*modules)

        for module in modules:
            url = asyncio.run(module._resolve_jwks_url(ISSUER))
            assert url.startswith("https://localhost:")
            assert url.endswith("/us-east-1_a/.well-known/jwks.json")
        assert asyncio.run(modules[0]._resolve_jwks_url({})) is None

    def test_the_rest_api_uses_the_function_that_is_replaced(self) -> None:
        modules = ministack("services.apigateway"), ministack("services.apigateway_v1")

        assert modules[0]._resolve_jwks_url is modules[1]._resolve_jwks_url


def test_asyncio_reads_the_time_limit_when_a_connection_begins() -> None:
    """Not when it is imported: then it would be too late to change it."""
    assert "ssl_shutdown_timeout = constants.SSL_SHUTDOWN_TIMEOUT" in source("asyncio.sslproto")
    module = SimpleNamespace(SSL_SHUTDOWN_TIMEOUT=30.0)

    shims.end_idle_connections(module)

    assert module.SSL_SHUTDOWN_TIMEOUT == 1.0


def test_the_emulator_has_one_port() -> None:
    assert "_port_is_bindable(bind_host, 443)" in source("ministack.app")
    module = SimpleNamespace()

    shims.serve_one_port(module)

    assert module._port_is_bindable("127.0.0.1", 443) is False
