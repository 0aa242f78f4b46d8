"""AWS clients, made here and nowhere else, and what their failures mean to the rest of the service.

Clients are shared (they are thread-safe once made, sessions are not) and made on first use: a function pays only for
the ones it needs. Time limits and retries are bounded so that a slow dependency cannot outlive API Gateway's 29 s:
three attempts of at most 2 s to connect and 5 s to answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

CONNECTIONS_MAX = 16

_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=CONNECTIONS_MAX,
)

_THROTTLED = frozenset({
    "Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded",
    "ProvisionedThroughputExceededException", "SlowDown", "RequestThrottled", "OverLimit", "LimitExceededException",
    "ExecutionLimitExceeded",
})  # fmt: skip

_lock = threading.Lock()
_clients: dict[str, Any] = {}


class DependencyUnavailable(Exception):
    """An AWS service throttles, fails or cannot be reached: the same call may succeed later."""

    def __init__(self, service: str, why: str, retry_after_s: int = 2) -> None:
        super().__init__(f"{service} is not available: {why}")
        self.service = service
        self.retry_after_s = retry_after_s


class DependencyTimeout(DependencyUnavailable):
    """An AWS service took the call and did not answer in time; whether it was carried out is not known."""


class DependencyFault(Exception):
    """An AWS service refuses a call that should be right (access denied, no such table): a person has to mend it."""

    def __init__(self, service: str, why: str) -> None:
        super().__init__(f"{service} refused: {why}")
        self.service = service


def s3() -> S3Client:
    """Return the shared S3 client."""
    return cast("S3Client", _client("s3"))


def dynamodb() -> DynamoDBClient:
    """Return the shared DynamoDB client."""
    return cast("DynamoDBClient", _client("dynamodb"))


def sqs() -> SQSClient:
    """Return the shared SQS client."""
    return cast("SQSClient", _client("sqs"))


def ssm() -> SSMClient:
    """Return the shared Systems Manager client."""
    return cast("SSMClient", _client("ssm"))


def stepfunctions() -> SFNClient:
    """Return the shared Step Functions client."""
    return cast("SFNClient", _client("stepfunctions"))


def forget_clients() -> None:
    """Make new clients from now on, as a new process would."""
    with _lock:
        _clients.clear()


def error_code(error: ClientError) -> str:
    """Return the service's code for an error, such as `NoSuchKey`, or the HTTP status where there is no code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def error_status(error: ClientError) -> int:
    """Return the HTTP status of an error answer, 0 if it had none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def calling(service: str) -> Iterator[None]:
    """Turn what botocore raises inside the block into this module's errors.

    Takes the service's name for messages. Catch the codes that mean something to the domain inside the block.
    Raises `DependencyTimeout`, `DependencyUnavailable` or `DependencyFault`.
    """
    try:
        yield
    except ClientError as error:
        code, status = error_code(error), error_status(error)
        if code in _THROTTLED or code.startswith("Throttl"):
            raise DependencyUnavailable(service, code) from error
        if status >= 500:
            raise DependencyUnavailable(service, f"{code} ({status})") from error
        raise DependencyFault(service, f"{code} ({status})") from error
    except ReadTimeoutError as error:
        raise DependencyTimeout(service, type(error).__name__) from error
    except NoCredentialsError as error:
        raise DependencyFault(service, "no AWS credentials were found") from error
    except (HTTPClientError, BotoCoreError) as error:
        raise DependencyUnavailable(service, type(error).__name__) from error


def _client(name: str) -> Any:
    client = _clients.get(name)
    if client is None:
        with _lock:
            client = _clients.get(name)
            if client is None:
                session = boto3.DEFAULT_SESSION or boto3.Session()
                boto3.DEFAULT_SESSION = session
                client = _clients[name] = session.client(name, config=_CONFIG)  # type: ignore[call-overload]
    return client
