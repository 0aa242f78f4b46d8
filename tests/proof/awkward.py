"""Clients of S3 and DynamoDB that are slow, lose answers and requests, and say what they do."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.fakes.aws_errors import client_error

WRITES = frozenset({"put_object", "transact_write_items"})


class Awkward:
    """A client that is slow between reading and writing, and that loses answers and requests.

    If an answer is lost, the write was done, and the caller sees a timeout, or the result of the SDK's second attempt.
    If a request is lost, the connection is cut and nothing was done. `chance` is the probability that a write goes
    wrong.
    """

    def __init__(self, client: Any, rng: Random, *, chance: float = 0.0, latency_s: float = 0.0) -> None:
        self._client = client
        self._rng = rng
        self._lock = threading.Lock()
        self._chance = chance
        self._latency_s = latency_s
        self.lost: dict[str, int] = {}

    def _written(self, write: Callable[[], Any]) -> Any:
        kind = self._fate()
        if kind == "the request":
            raise ConnectionClosedError(endpoint_url="http://aws", request=None)
        try:
            answer = write()
        except ClientError as error:
            if kind == "the request, then the SDK tried again":
                error.response["ResponseMetadata"]["RetryAttempts"] = 1
            raise
        if kind == "the answer":
            raise ReadTimeoutError(endpoint_url="http://aws")
        if kind == "the answer, and the SDK tried again":
            try:
                answer = write()
            except ClientError as error:
                error.response["ResponseMetadata"]["RetryAttempts"] = 1
                raise
        return answer

    def _fate(self) -> str | None:
        with self._lock:
            if self._rng.random() >= self._chance:
                return None
            kinds = (
                "the answer",
                "the answer, and the SDK tried again",
                "the request",
                "the request, then the SDK tried again",
            )
            kind = self._rng.choice(kinds)
            self.lost[kind] = self.lost.get(kind, 0) + 1
            return kind

    def _dawdle(self) -> None:
        if self._latency_s:
            with self._lock:
                pause_s = self._rng.uniform(0, self._latency_s)
            time.sleep(pause_s)


class AwkwardS3(Awkward):
    """An S3 client that is awkward."""

    def get_object(self, **parameters: Any) -> Any:
        answer = self._client.get_object(**parameters)
        self._dawdle()
        return answer

    def put_object(self, **parameters: Any) -> Any:
        self._dawdle()
        return self._written(lambda: self._client.put_object(**parameters))


class AwkwardDynamoDB(Awkward):
    """A DynamoDB client that is awkward.

    Transactions take their time, and of two that have an item in common meanwhile, the later one is refused. The
    embedded AWS does one after the other (devstack/differences.toml). If `rests_s` is not 0, so much time has to pass
    after a transaction before there can be another one: the table is throttled.
    """

    def __init__(
        self, client: Any, rng: Random, *, chance: float = 0.0, latency_s: float = 0.0, rests_s: float = 0.0
    ) -> None:
        super().__init__(client, rng, chance=chance, latency_s=latency_s)
        self._under_way: set[str] = set()
        self._rests_s = rests_s
        self._rests_until = 0.0
        self.refused = 0

    def get_item(self, **parameters: Any) -> Any:
        answer = self._client.get_item(**parameters)
        self._dawdle()
        return answer

    def query(self, **parameters: Any) -> Any:
        return self._client.query(**parameters)

    def transact_write_items(self, **parameters: Any) -> Any:
        once = {"ClientRequestToken": str(uuid.uuid4()), **parameters}  # the SDK's, for all attempts of a call
        with self._alone_with(parameters["TransactItems"]):
            answer = self._written(lambda: self._client.transact_write_items(**once))
            self._dawdle()
            return answer

    @contextlib.contextmanager
    def _alone_with(self, actions: Sequence[dict[str, Any]]) -> Iterator[None]:
        """Refuse if another transaction is under way with one of these items, or if the table is throttled.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
        """
        items = [_key_of(what) for action in actions for what in action.values()]
        with self._lock:
            if taken := self._under_way & set(items):
                raise self._refusal("TransactionConflict", [item in taken for item in items])
            if time.monotonic() < self._rests_until:
                raise self._refusal("ThrottlingError", [item == items[1] for item in items])
            self._rests_until = time.monotonic() + self._rests_s
            self._under_way |= set(items)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= set(items)

    def _refusal(self, code: str, at: Sequence[bool]) -> ClientError:
        self.refused += 1
        reasons = [{"Code": code if is_meant else "None"} for is_meant in at]
        return client_error("TransactionCanceledException", CancellationReasons=reasons)


def _key_of(what: dict[str, Any]) -> str:
    key = what.get("Key") or what["Item"]
    return f"{key['part']['S']}/{key['sort_key']['S']}"


class Announced:
    """A client that prints a line when it has read, and another when it is about to write."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        call = getattr(self._client, operation)
        return self._write(call) if operation in WRITES else self._read(call)

    @staticmethod
    def _read(call: Callable[..., Any]) -> Callable[..., Any]:
        def announced(**parameters: Any) -> Any:
            try:
                return call(**parameters)
            finally:  # "not modified" is an answer, too
                print("read", flush=True)

        return announced

    @staticmethod
    def _write(call: Callable[..., Any]) -> Callable[..., Any]:
        def announced(**parameters: Any) -> Any:
            print("write", flush=True)
            return call(**parameters)

        return announced
