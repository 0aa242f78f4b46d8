"""The AWS clients, which are made nowhere else, and what their failures mean to the rest of the service.

Clients are shared (they are thread-safe once made, sessions are not) and made on first use: a function pays only for
the ones it needs. They are boto3's, which has botocore make them. So does this module: boto3 itself adds resources and
a transfer manager, which nothing here uses, and which every cold start would import.

A call has three attempts of at most 2 s to connect and 5 s to answer. Several slow calls in a row would still outlive
API Gateway's 29 s, so a caller with a time limit makes its calls `within` a shorter one. A call that its caller can do
without has a client of its own, with one short attempt.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from botocore import __version__ as sdk_version
from botocore import exceptions as botocore
from botocore.config import Config
from botocore.handlers import add_expect_header
from botocore.loaders import JSONFileLoader
from botocore.parsers import ResponseParserError
from botocore.session import Session

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

CONNECTIONS_MAX = 16
ATTEMPT_MAX_S = 7
# For one request, step or delivery. The last attempt begins within this time, and ends within the functions' 29 s.
CALLS_BEGIN_WITHIN_S = 20

_CONFIG = Config(
    connect_timeout=2,
    read_timeout=ATTEMPT_MAX_S - 2,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=CONNECTIONS_MAX,
    user_agent=f"dragonpost botocore/{sdk_version}",  # botocore would put one together anew for each call
)
# Settings are small, and the request that waits for them still has its own work to do.
_CONFIGS = {"ssm": _CONFIG.merge(Config(connect_timeout=1, read_timeout=2))}
_ONE_SHORT_ATTEMPT = _CONFIG.merge(
    Config(connect_timeout=0.3, read_timeout=0.5, retries={"mode": "standard", "total_max_attempts": 1})
)

_AMAZON_ROOTS = Path(__file__).with_name("amazon_roots.crt")
_SIGNED_BY_AMAZON = frozenset({"aws", "aws-us-gov"})  # partitions

_REFUSED_FOR_NOW = frozenset({
    "Throttling", "ThrottlingException", "ThrottledException", "EC2ThrottledException", "TooManyRequestsException",
    "RequestThrottled", "RequestThrottledException", "RequestLimitExceeded", "BandwidthLimitExceeded", "SlowDown",
    "ProvisionedThroughputExceededException", "LimitExceededException", "OverLimit", "ExecutionLimitExceeded",
    # Refused this time, though not for too many requests; botocore retries these, too.
    "PriorRequestNotComplete", "TransactionInProgressException", "RequestTimeout", "RequestTimeoutException",
})  # fmt: skip

_REQUEST_ID_HEADERS = ("x-amzn-requestid", "x-amz-request-id")
_json_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

_lock = threading.Lock()
_clients: dict[str, Any] = {}
_session: Session | None = None  # for the lock's holder alone, and so is what connections trust
_trust: Any = None  # an SSLContext, if it is Amazon's roots
_no_call_after: ContextVar[float] = ContextVar("no_call_after", default=float("inf"))
_last = threading.local()  # its `call` is what this thread calls, for an error's message

# The parameters that name a resource: an operator who reads the log has to find out which name is wrong.
_NAMES_OF_RESOURCES = ("Bucket", "TableName", "QueueUrl", "stateMachineArn", "Names")
_NAMES_SHOWN_MAX = 3  # of a list, which a call for parameters has


class DependencyError(Exception):
    """A call to an AWS service failed.

    `code` is the service's name for the error, such as `NoSuchKey`, and `status` its HTTP status. They are empty and 0
    if no answer came. `answer` is the answer as botocore parsed it.
    """

    def __init__(self, service: str, why: str, answer: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{service} {self.says}: {why}")
        self.service = service
        self.answer = answer or {}
        self.code = str(self.answer.get("Error", {}).get("Code", ""))
        self.status = int(self.answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))

    says: ClassVar[str] = "failed"

    @property
    def was_retried(self) -> bool:
        """Whether the SDK had tried before. If so, an earlier attempt may have been carried out."""
        return bool(self.answer.get("ResponseMetadata", {}).get("RetryAttempts"))


class DependencyUnavailable(DependencyError):
    """An AWS service throttles, fails or cannot be reached. The same call may succeed later."""

    says = "is not available"
    retry_after_s: ClassVar[int] = 2


class DependencyTimeout(DependencyUnavailable):
    """No answer came in time, or no time was left to ask; nobody knows whether a call was carried out."""


class DependencyFault(DependencyError):
    """An AWS service refused a call.

    Some refusals mean something to the domain; `code` and `status` tell which. Any other (access denied, no such table)
    is for a person to fix.
    """

    says = "refused"


class DependencyMisconfigured(DependencyFault):
    """The SDK cannot call an AWS service as it is set up here: no region, an unknown profile, a bucket named `s3://…`.

    A person has to mend that; calling again does not.
    """

    says = "cannot be called"


# What botocore's own errors mean: the first row that fits counts. What may pass by itself is listed; any other error
# is for a person to mend. (`_meaning` knows one exception.)
_MEANINGS: tuple[tuple[type[Exception], type[DependencyError]], ...] = (
    # Between here and AWS.
    (botocore.ReadTimeoutError, DependencyTimeout),
    (botocore.HTTPClientError, DependencyUnavailable),
    (botocore.ConnectionError, DependencyUnavailable),
    # The answer was cut off or damaged on its way.
    (botocore.IncompleteReadError, DependencyUnavailable),
    (botocore.ChecksumError, DependencyUnavailable),
    (botocore.FlexibleChecksumError, DependencyUnavailable),
    (ResponseParserError, DependencyUnavailable),
    # Whatever gives out credentials did not answer.
    (botocore.CredentialRetrievalError, DependencyUnavailable),
    (botocore.MetadataRetrievalError, DependencyUnavailable),
    # The SDK holds a call back while too many fail.
    (botocore.CapacityNotAvailableError, DependencyUnavailable),
    (botocore.BotoCoreError, DependencyMisconfigured),
)


def s3() -> S3Client:
    """Return the shared S3 client."""
    client: S3Client = _client("s3")
    return client


def dynamodb() -> DynamoDBClient:
    """Return the shared DynamoDB client."""
    client: DynamoDBClient = _client("dynamodb")
    return client


def hasty_dynamodb() -> DynamoDBClient:
    """Return the shared DynamoDB client for calls that the caller can do without, or that must not take long.

    They have one attempt, of at most 0.3 s to connect and 0.5 s to answer. So have those of the other hasty clients.
    """
    client: DynamoDBClient = _client("dynamodb", hasty=True)
    return client


def sqs() -> SQSClient:
    """Return the shared SQS client."""
    client: SQSClient = _client("sqs")
    return client


def ssm() -> SSMClient:
    """Return the shared Systems Manager client."""
    client: SSMClient = _client("ssm")
    return client


def stepfunctions() -> SFNClient:
    """Return the shared Step Functions client."""
    client: SFNClient = _client("stepfunctions")
    return client


def hasty_s3() -> S3Client:
    """Return the shared S3 client with one short attempt."""
    client: S3Client = _client("s3", hasty=True)
    return client


def hasty_sqs() -> SQSClient:
    """Return the shared SQS client with one short attempt."""
    client: SQSClient = _client("sqs", hasty=True)
    return client


def hasty_ssm() -> SSMClient:
    """Return the shared Systems Manager client with one short attempt."""
    client: SSMClient = _client("ssm", hasty=True)
    return client


def hasty_stepfunctions() -> SFNClient:
    """Return the shared Step Functions client with one short attempt."""
    client: SFNClient = _client("stepfunctions", hasty=True)
    return client


def make_early(clients: Iterable[Callable[[], object]]) -> None:
    """Make these of the clients above before they are needed.

    One that cannot be made is left to whoever calls it, who gets the error and a place to report it.
    """
    with suppress(DependencyMisconfigured, botocore.BotoCoreError):
        for client in clients:
            client()


def forget_clients() -> None:
    """Make new clients from now on, from a new session, as a new process would."""
    global _session, _trust  # noqa: PLW0603 - the process has one of each
    with _lock:
        _clients.clear()
        _session = _trust = None


class within:  # noqa: N801 - it is read as a word: with within(2)
    """Allow calls in this block, and their retries, to begin only within this many seconds.

    A later one raises `DependencyTimeout`. A block inside another cannot have more time than the outer one.
    """

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._token = _no_call_after.set(min(_no_call_after.get(), time.monotonic() + self._seconds))

    def __exit__(self, *_: object) -> None:
        _no_call_after.reset(self._token)


class calling:  # noqa: N801 - it is read as a word: with calling("S3")
    """Turn what botocore raises inside the block into this module's errors.

    Takes the service's name for messages. Raises `DependencyTimeout` or `DependencyUnavailable` for what may pass by
    itself, and `DependencyFault` for what a person has to mend. Any other error propagates unchanged.
    """

    __slots__ = ("_service",)

    def __init__(self, service: str) -> None:
        self._service = service

    def __enter__(self) -> None:
        _last.call = ""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            return
        if isinstance(error, botocore.ClientError):
            raise _error_of_answer(self._service, error.response) from error
        if isinstance(error, botocore.BotoCoreError | ResponseParserError):
            raise _meaning(error)(self._service, type(error).__name__) from error
        if isinstance(error, DependencyError):
            error.service = self._service  # what the hooks below raise has botocore's name for it


def _meaning(error: Exception) -> type[DependencyError]:
    if isinstance(error, botocore.SSLError) and _is_about_certificates(error):
        return DependencyMisconfigured
    return next(meaning for kind, meaning in _MEANINGS if isinstance(error, kind))


def _is_about_certificates(error: BaseException | None) -> bool:
    """Tell whether TLS failed for a certificate that is not trusted, or for a bundle (`AWS_CA_BUNDLE`) that is missing.

    Any other failure of TLS, such as a connection that ended meanwhile, may pass.
    """
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError | FileNotFoundError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _error_of_answer(service: str, answer: Mapping[str, Any]) -> DependencyError:
    code = str(answer.get("Error", {}).get("Code", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _REFUSED_FOR_NOW or code.startswith("Throttl"):
        return DependencyUnavailable(service, code, answer)
    if status >= 500:
        return DependencyUnavailable(service, f"{code} ({status})", answer)
    return DependencyFault(service, f"{code} ({status}){_last.call}", answer)


class PlainData(JSONFileLoader):
    """Reads botocore's own data into plain dicts, which keep their order, too. botocore makes OrderedDicts, which take
    three times as long.
    """

    def load_file(self, file_path: str) -> Any:
        """Return what is in a file, given without its ending, or None if there is none."""
        try:
            return msgspec.json.decode(Path(f"{file_path}.json").read_bytes())
        except FileNotFoundError:
            return super().load_file(file_path)


def _client(name: str, *, hasty: bool = False) -> Any:
    key = f"hasty {name}" if hasty else name
    client = _clients.get(key)
    if client is None:
        with _lock:
            client = _clients.get(key)
            if client is None:
                client = _made(name, _ONE_SHORT_ATTEMPT if hasty else _CONFIGS.get(name, _CONFIG))
                client.meta.events.register(f"provide-client-params.{name}", _note_call)
                client.meta.events.register(f"request-created.{name}", _check_time)
                client.meta.events.register(f"before-parse.{name}", _check_came_from_aws)
                if name == "s3":  # it would ask first whether it may send the body: a round trip for each object
                    client.meta.events.unregister("before-call.s3", add_expect_header)
                _clients[key] = client
    return client


def _made(name: str, config: Config) -> Any:
    global _session  # noqa: PLW0603 - the process has one
    if _session is None:
        _session = Session()
        _session.get_component("data_loader").file_loader = PlainData()
    roots = _roots(_session)
    try:
        client = _session.create_client(name, config=config, verify=roots)
    except botocore.BotoCoreError:
        raise
    except ValueError as error:  # the environment has an endpoint that is no URL, or text in place of a number
        raise DependencyMisconfigured(name, "its client cannot be made") from error
    if roots is not None:
        _share(roots, client)
    return client


def _share(roots: str, client: Any) -> None:
    """Have the connections of all clients share these roots, which each would load from the file: 1 ms of CPU for each,
    a fifth of what a function's first batch of messages takes.
    """
    global _trust  # noqa: PLW0603 - the process has one
    connections = client._endpoint.http_session._manager.connection_pool_kw  # noqa: SLF001 - there is no public place
    if _trust is None:
        _trust = connections["ssl_context"]
        _trust.load_verify_locations(roots)
        _trust.check_hostname = True  # by OpenSSL: urllib3 would have every certificate decoded
        _trust.load_verify_locations = _loaded_already
    connections["ssl_context"] = _trust


def _loaded_already(*_: object) -> None:
    """Stand for loading the roots: urllib3 asks for it before each connection."""


def _roots(session: Session) -> str | None:
    """Return the file of the roots to trust, or None for botocore's choice: those that are set, or all that it has.

    Amazon's file has five roots (https://www.amazontrust.com/repository/), botocore's
    120 more, which take twenty times as long. Where others may sign AWS's certificates, they are trusted all the same.
    """
    if os.environ.get("REQUESTS_CA_BUNDLE") or session.get_config_variable("ca_bundle"):
        return None
    try:
        partition = session.get_partition_for_region(session.get_config_variable("region") or "")
    except botocore.UnknownRegionError:
        return None
    return str(_AMAZON_ROOTS) if partition in _SIGNED_BY_AMAZON else None


def _note_call(params: Mapping[str, Any], model: OperationModel, **_: Any) -> None:
    """Keep for an error's message what is called, and the resource that is named."""
    named = [_shown(params[name]) for name in _NAMES_OF_RESOURCES if name in params]
    _last.call = f", {model.name}" + "".join(f" of {name}" for name in named)


def _shown(names: str | Sequence[str]) -> str:
    """Return a resource's name, or the first of several, in one line."""
    if isinstance(names, str):
        return names
    more = len(names) - _NAMES_SHOWN_MAX
    return ", ".join(names[:_NAMES_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")


def _check_time(operation_name: str, **_: Any) -> None:
    """Refuse to begin an attempt that is too late; botocore asks before each (`Endpoint._send_request`)."""
    if time.monotonic() > _no_call_after.get():
        raise DependencyTimeout(operation_name, "no time is left for another attempt")


def _check_came_from_aws(operation_model: OperationModel, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Refuse an answer that only looks like a success: something on the way sent it, or it is damaged.

    botocore takes a 200 whose body is not JSON for a success without members, and any 200 to a PutObject for a success,
    whatever its body. A message that no queue holds would count as sent, and a row that no table holds as written.
    AWS's own answers carry a request id (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html,
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html).
    """
    if response_dict["status_code"] >= 400:
        return
    service = str(operation_model.service_model.service_name)
    if not any(name in response_dict["headers"] for name in _REQUEST_ID_HEADERS):
        raise DependencyUnavailable(service, "something else answered in its place")
    if operation_model.service_model.resolved_protocol == "json" and operation_model.output_shape is not None:
        try:
            _json_object.decode(response_dict["body"])
        except msgspec.DecodeError as error:
            raise DependencyUnavailable(service, "its answer is not JSON") from error
