"""What MiniStack gets wrong and cannot be told by a setting, put right inside its own process.

Nothing that ships knows of these. A test fails for another version of MiniStack, and for a shim that it no longer
needs: then look at each again.
"""

from __future__ import annotations

import fcntl
import json
import struct
import termios
import threading
import time
from asyncio import constants
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ministack.core import iam_actions, iam_evaluator, lambda_runtime, tls  # type: ignore[import-untyped]
from ministack.services import apigateway, apigateway_v1, lambda_svc  # type: ignore[import-untyped]
from ministack.services.cloudformation import stacks  # type: ignore[import-untyped]

WRITTEN_FOR = "1.5.33"
TLS_ENDS_WITHIN_S = 1.0
CALL_LOOKED_AT_EVERY_S = 0.05
LINES_READ_WITHIN_S = 10.0


def apply(app: Any) -> None:
    """Apply those that this run needs, before MiniStack serves. Takes the module `ministack.app`."""
    authorize_parameters(iam_actions, iam_evaluator)
    authorize_batches(iam_actions)
    keep_changed_buckets(stacks)
    let_calls_end(lambda_runtime)
    log_to_the_last_line(lambda_runtime.Worker)
    reserve_for_all_versions(lambda_svc)
    if tls.use_ssl_enabled():
        fetch_keys_over_tls(apigateway, apigateway_v1)
        end_idle_connections(constants)
        serve_one_port(app)


def authorize_parameters(actions: Any, evaluator: Any) -> None:
    """Authorize reads of several parameters by each name, or by the path, as Parameter Store does.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/ps-retrieval-authorization.html
    `extract_resource_arn` (ministack/core/iam_actions.py) looks for a `Name`, finds none, and takes `*`: only a policy
    that allows every parameter would let the calls through. And `enforce` (iam_evaluator.py) is asked once for a call.
    """
    otherwise: Callable[..., str] = actions.extract_resource_arn
    enforce_one: Callable[..., Any] = evaluator.enforce

    def extract_resource_arn(  # noqa: PLR0913, PLR0917 - these are MiniStack's
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        query_params: Mapping[str, Any],
        region: str,
        account_id: str,
    ) -> str:
        member = _SEVERAL.get(headers.get("x-amz-target", "")) if service == "ssm" else None
        if not member:
            return otherwise(service, method, path, headers, body, query_params, region, account_id)
        before = f"arn:aws:ssm:{region}:{account_id}:parameter/"
        return _Arns([before + name.lstrip("/") for name in _named(body, member)])

    def enforce(*request: Any, resource_arn: str = "*", **about: Any) -> Any:
        each = resource_arn.each if isinstance(resource_arn, _Arns) else [resource_arn]
        return next(filter(None, (enforce_one(*request, resource_arn=arn, **about) for arn in each)), None)

    actions.extract_resource_arn = extract_resource_arn
    evaluator.enforce = enforce


# The calls, and the member that has the names.
_SEVERAL = {"AmazonSSM.GetParameters": "Names", "AmazonSSM.GetParametersByPath": "Path"}


class _Arns(str):
    """The ARNs of the resources of one call. As a text it is the first, which a refusal names."""

    __slots__ = ("each",)
    each: list[str]

    def __new__(cls, arns: list[str]) -> _Arns:
        made = super().__new__(cls, arns[0] if arns else "*")
        made.each = arns or ["*"]
        return made


def _named(body: bytes, member: str) -> list[str]:
    try:
        named = json.loads(body)[member]
    except (ValueError, TypeError, LookupError):  # the call itself is going to be refused
        return []
    return [str(name) for name in named] if isinstance(named, list) else [str(named)]


def authorize_batches(module: Any) -> None:
    """Authorize SQS's batch calls as the calls that they stand for, since IAM has no actions of their own for them.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html (ActionName.N)
    `extract_iam_action` (ministack/core/iam_actions.py) takes the operation's name: a policy that holds on AWS would
    not let a function delete a batch.
    """
    otherwise: Callable[..., str | None] = module.extract_iam_action

    def extract_iam_action(service: str, *request: Any) -> str | None:
        action = otherwise(service, *request)
        return action.removesuffix("Batch") if service == "sqs" and action else action

    module.extract_iam_action = extract_iam_action


def keep_changed_buckets(module: Any) -> None:
    """Have a change set say that only a new name replaces a bucket.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-s3-bucket.html ("Update requires")
    `_property_recreation` (ministack/services/cloudformation/provisioners.py, and imported by stacks.py) does not know
    buckets, and says `Conditional` of every change: a deployment would refuse it, to keep the data.
    """
    otherwise: Callable[[str, str], str] = module._property_recreation  # noqa: SLF001

    def _property_recreation(resource_type: str, name: str) -> str:
        if resource_type == "AWS::S3::Bucket":
            return "Always" if name == "BucketName" else "Never"
        return otherwise(resource_type, name)

    module._property_recreation = _property_recreation  # noqa: SLF001


def let_calls_end(module: Any) -> None:
    """Let the calls of a function end that run while its code or configuration is changed.

    On AWS they do: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html. `invalidate_worker`
    (ministack/core/lambda_runtime.py) has `kill_workers` kill them: a caller of the API gets a 502, and a message that
    was being stored is delivered again three minutes later.
    """
    kill: Callable[[Iterable[Any]], None] = module.kill_workers

    def kill_workers(workers: Iterable[Any]) -> None:
        running = [worker for worker in workers if worker is not None]
        busy = [worker for worker in running if worker.in_use]
        for worker in busy:
            threading.Thread(target=_kill_afterwards, args=(worker, kill), daemon=True).start()
        kill([worker for worker in running if worker not in busy])

    module.kill_workers = kill_workers


def _kill_afterwards(worker: Any, kill: Callable[[Iterable[Any]], None]) -> None:
    """Kill a worker once its call has ended, which it does within the function's time limit."""
    deadline = time.monotonic() + float(worker.config["Timeout"])
    while worker.in_use and time.monotonic() < deadline:
        time.sleep(CALL_LOOKED_AT_EVERY_S)
    kill([worker])


def log_to_the_last_line(worker_class: Any) -> None:
    """Have a call's log hold every line that the function wrote before it answered.

    `_drain_stderr_bounded` (ministack/core/lambda_runtime.py) gives up 5 ms after a line, or 50 ms without one. On a
    busy machine the thread that reads the worker's lines is later than that: they would be in the log of its next call,
    and if there is none, in no log. A worker whose call failed has ended by then, so that the thread ends as well.
    """
    drain: Callable[..., str] = worker_class._drain_stderr_bounded  # noqa: SLF001

    def _drain_stderr_bounded(self: Any, **waits: float) -> str:
        deadline = time.monotonic() + LINES_READ_WITHIN_S
        if self._proc is None and self._stderr_thread:
            self._stderr_thread.join(LINES_READ_WITHIN_S)
        while self._proc and _unread_bytes(self._proc.stderr) and time.monotonic() < deadline:
            time.sleep(0.001)
        return drain(self, **waits)

    worker_class._drain_stderr_bounded = _drain_stderr_bounded  # noqa: SLF001


def _unread_bytes(pipe: Any) -> int:
    """Return how many bytes a pipe holds (FIONREAD, ioctl_tty(2))."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return int(count)


def reserve_for_all_versions(module: Any) -> None:
    """Have the concurrency that a function reserves bound the calls of its versions and aliases, too.

    On AWS it does: https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html. `_reserved_concurrency`
    (ministack/services/lambda_svc.py) looks for it in what is called, and a version has none.
    """
    otherwise: Callable[..., int | None] = module._reserved_concurrency  # noqa: SLF001

    def _reserved_concurrency(func: Any, config: Mapping[str, Any]) -> int | None:
        function = module._functions.get(config.get("FunctionName"))  # noqa: SLF001
        return otherwise(function or func, config)

    module._reserved_concurrency = _reserved_concurrency  # noqa: SLF001


def fetch_keys_over_tls(*modules: Any) -> None:
    """Have the gateway's authorizers fetch a user pool's keys over TLS.

    `_resolve_jwks_url` (ministack/services/apigateway.py, and imported by apigateway_v1.py) says `http://` for the
    emulator's own port, whatever that speaks. Every token would be a 401.
    """
    resolve = modules[0]._resolve_jwks_url  # noqa: SLF001 - MiniStack has no other place for it

    async def _resolve_jwks_url(authorizer: Mapping[str, Any]) -> str | None:
        url: str | None = await resolve(authorizer)
        return "https" + url.removeprefix("http") if url and url.startswith("http://") else url

    for module in modules:
        module._resolve_jwks_url = _resolve_jwks_url  # noqa: SLF001


def end_idle_connections(module: Any) -> None:
    """Give up on a TLS connection sooner whose other side does not say goodbye, when the emulator ends.

    asyncio waits 30 s for that (https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_server,
    `ssl_shutdown_timeout`), hypercorn has no setting for it, and a kept-alive connection of any client is enough.
    """
    module.SSL_SHUTDOWN_TIMEOUT = TLS_ENDS_WITHIN_S


def serve_one_port(module: Any) -> None:
    """Keep the emulator from listening on port 443 as well.

    `main` (ministack/app.py) does so over TLS wherever it may, for clients that take a token's issuer for an address.
    There are none here, and nobody asked for that port.
    """
    module._port_is_bindable = lambda *_: False  # noqa: SLF001
