"""Signing requests in, and sending those again that are safe to send again."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping

import httpx

Token = str | Callable[[], str]


class Patience(httpx.Auth):
    """Sends a request again, when `Retry-After` says: after a 429, and after a 503 or 504 if that is safe."""

    def __init__(self, token: Token, tries: int = 5, pause_s_max: float = 30) -> None:
        """Take an ID token or a function that returns one that is valid now, how often to send a request at most, and
        the longest pause. An answer that asks for a longer one is returned as it is.
        """
        self._token = token
        self._tries = tries
        self._pause_s_max = pause_s_max

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request until its answer is one to return."""
        for left in reversed(range(self._tries)):
            pause_s = self._pause_s((yield self._signed_in(request)))
            if not left or pause_s is None:
                return
            time.sleep(pause_s)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do the same for `asyncio`."""
        for left in reversed(range(self._tries)):
            pause_s = self._pause_s((yield self._signed_in(request)))
            if not left or pause_s is None:
                return
            await asyncio.sleep(pause_s)

    def _signed_in(self, request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Bearer {self._token if isinstance(self._token, str) else self._token()}"
        return request

    def _pause_s(self, response: httpx.Response) -> float | None:
        """Return how long to wait before the request is sent again, or None if this is its answer."""
        pause_s = retry_after_s(response.headers)
        if pause_s > self._pause_s_max or not _may_be_sent_again(response.request, response.status_code):
            return None
        return pause_s


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return what `Retry-After` says, in seconds; the service never gives a date (RFC 9110 §10.2.3)."""
    return float(headers.get("Retry-After", 1))


def _may_be_sent_again(request: httpx.Request, status: int) -> bool:
    """Tell whether sending it again is safe. After a 429, nothing was done; after a 503 or 504, it may have been."""
    if status in (503, 504):
        is_message = request.url.path.endswith("/post-message")
        return request.method in ("GET", "HEAD") or "Idempotency-Key" in request.headers or is_message
    return status == 429
