"""What the Python client sends again, and when (clients/python)."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest

from operations import PROJECT

URL = "https://dragonpost.example/prod"
WITH_KEY = {"Idempotency-Key": "k"}


@pytest.fixture(scope="module")
def patience() -> ModuleType:
    """The module alone: the package that it is part of has to be generated."""
    spec = importlib.util.spec_from_file_location(
        "patience", PROJECT / "clients" / "python" / "dragonpost_client" / "patience.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pauses(patience: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have slept."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(patience.time, "sleep", slept.append)
    monkeypatch.setattr(patience.asyncio, "sleep", sleep)
    return slept


class Service:
    """Answers with these statuses in turn, and keeps the requests."""

    def __init__(self, statuses: Iterable[int], retry_after: str | None = "2") -> None:
        self._statuses: Iterator[int] = iter(statuses)
        self._headers = {} if retry_after is None else {"Retry-After": retry_after}
        self.requests: list[tuple[str, bytes]] = []  # token and body; the request itself is sent again, changed

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append((request.headers["Authorization"], request.content))
        return httpx.Response(next(self._statuses), headers=self._headers)

    def asked(self, auth: httpx.Auth, method: str, path: str, **options: Any) -> int:
        """Send a request to it, and return the status of the answer."""
        with httpx.Client(transport=httpx.MockTransport(self), auth=auth) as client:
            return client.request(method, URL + path, **options).status_code


@pytest.mark.parametrize(
    ("status", "method", "path", "headers", "is_sent_again"),
    [
        (429, "POST", "/dragons", {}, True),
        (429, "DELETE", "/dragons/ember", {}, True),
        (503, "GET", "/dragons", {}, True),
        (504, "GET", "/dragons", {}, True),
        (503, "POST", "/dragons", WITH_KEY, True),
        (503, "POST", "/post-message", {}, True),
        (503, "POST", "/dragons", {}, False),
        (504, "POST", "/dragons", {}, False),
        (503, "PUT", "/dragons/ember", {}, False),
        (503, "DELETE", "/dragons/ember", {}, False),
        (500, "GET", "/dragons", {}, False),
        (404, "GET", "/dragons/ember", {}, False),
    ],
)
def test_a_request_is_sent_again_only_if_that_is_safe(
    patience: ModuleType,
    pauses: list[float],
    status: int,
    method: str,
    path: str,
    headers: dict[str, str],
    is_sent_again: bool,
) -> None:
    service = Service([status, 200])

    answered = service.asked(patience.Patience("t"), method, path, headers=headers, content=b"{}")

    assert answered == (200 if is_sent_again else status)
    assert pauses == ([2.0] if is_sent_again else [])
    assert {body for _, body in service.requests} == {b"{}"}


def test_the_last_answer_is_returned_after_so_many_tries(patience: ModuleType, pauses: list[float]) -> None:
    service = Service(itertools.repeat(429), retry_after=None)

    assert service.asked(patience.Patience("t", tries=3), "GET", "/dragons") == 429
    assert len(service.requests) == 3
    assert pauses == [1.0, 1.0]


def test_nobody_waits_for_longer_than_they_want(patience: ModuleType, pauses: list[float]) -> None:
    assert Service([429], "3600").asked(patience.Patience("t"), "GET", "/dragons") == 429
    assert pauses == []


@pytest.mark.usefixtures("pauses")
def test_each_try_has_a_token_that_is_valid_then(patience: ModuleType) -> None:
    service = Service([503, 200])
    tokens = iter(["old", "new"])

    service.asked(patience.Patience(lambda: next(tokens)), "GET", "/dragons")

    assert [token for token, _ in service.requests] == ["Bearer old", "Bearer new"]


def test_it_waits_in_asyncio_as_well(patience: ModuleType, pauses: list[float]) -> None:
    service = Service([503, 200])

    async def asked() -> int:
        async with httpx.AsyncClient(transport=httpx.MockTransport(service), auth=patience.Patience("t")) as client:
            return (await client.get(f"{URL}/dragons")).status_code

    assert asyncio.run(asked()) == 200
    assert pauses == [2.0]
