"""The keys that a user pool publishes: fetched when one is missing, kept while they cannot be fetched.

PyJWT's own client would do, except in an outage: it fetches again for every token whose key it does not know, and each
time waits for as long as a hanging server lets it.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable

import jwt

from devstack.opener import opener

FETCH_TIMEOUT_S = 2
FETCH_BYTES_MAX = 1024 * 1024
AFTER_SUCCESS_S = 10.0
AFTER_FAILURE_S = 2.0


class KeysUnavailable(Exception):
    """The emulator does not publish its keys, so a token whose key is not known cannot be checked."""


class KeySet:
    """A user pool's keys by their ids. Safe to share between threads."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the URL of the keys (RFC 7517 §5). Nothing is fetched yet."""
        self._url = url
        self._clock = clock
        self._opener = opener()
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._failure: str | None = None
        self._fetch_at = float("-inf")

    def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key of this id, or None if the pool has none.

        A missing key causes a fetch, but not sooner than `AFTER_SUCCESS_S` after the last fetch, or `AFTER_FAILURE_S`
        after one that failed. Raises `KeysUnavailable` for a missing key if the last fetch failed.
        """
        if (known := self._keys.get(key_id)) is not None:
            return known
        with self._lock:
            if key_id not in self._keys and self._clock() >= self._fetch_at:
                self._fetch()
            if (found := self._keys.get(key_id)) is None and self._failure is not None:
                raise KeysUnavailable(self._failure)
            return found

    def _fetch(self) -> None:
        try:
            with self._opener.open(self._url, timeout=FETCH_TIMEOUT_S) as answer:
                published = jwt.PyJWKSet.from_dict(json.loads(answer.read(FETCH_BYTES_MAX)))
            self._keys = {key.key_id: key for key in published.keys if key.key_id is not None}
            self._failure = None
        except (OSError, http.client.HTTPException, ValueError, AttributeError, TypeError, jwt.PyJWTError) as error:
            self._failure = f"{self._url}: {type(error).__name__}: {error}"
        self._fetch_at = self._clock() + (AFTER_SUCCESS_S if self._failure is None else AFTER_FAILURE_S)
