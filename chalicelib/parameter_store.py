"""Some of the stage's parameters: one cached read of Parameter Store, by their names under `/dragonpost/<stage>/`.

They are refreshed about once a minute. A refresh that fails keeps the old values, so an outage of Parameter Store
changes nothing for a function that has read them once.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from chalicelib import aws
from chalicelib.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

REFRESH_S = 60.0
RETRY_AFTER_FAILURE_S = 30.0
# A function that finds something moved asks at once where it is; Parameter Store answers 40 calls a second in all.
ANEW_AFTER_S = 2.0
# Enough for one attempt, and for a further call only if it begins within this time: the caller has earlier values to
# use, and a request to answer.
REFRESH_BEGINS_WITHIN_S = 0.2
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
NAMES_A_CALL = 10

Values = Mapping[str, str]


class ParameterStore:
    """Reads these parameters and keeps them; safe to share between threads."""

    def __init__(
        self,
        path: str,
        names: Iterable[str],
        is_usable: Callable[[str, str], bool],
        ssm: Callable[[], SSMClient] = aws.ssm,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the path (`/dragonpost/<stage>/`), the parameters' names below it, and a function that tells whether a
        parameter may have a value.

        A value that it refuses is kept only if there is no earlier one.
        """
        self.path = path
        self._names = list(names)
        self._is_usable = is_usable
        self._ssm = ssm
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Values | None = None
        self._refresh_at = 0.0
        self._anew_at = 0.0

    def values(self) -> Values:
        """Return those of the parameters that exist, by their names below the path. Reads them again when they are due.

        Raises `aws.calling`'s errors, but only if there are no earlier values.
        """
        held = self._held
        if not self._lock.acquire(blocking=held is None):
            assert held is not None  # noqa: S101 - mypy cannot tell
            return held  # another thread has just looked, or is refreshing them
        try:
            if self._held is None or self._clock() >= self._refresh_at:
                self._held = self._refreshed(self._held)
            return self._held
        finally:
            self._lock.release()

    def read_anew(self) -> None:
        """Read the parameters again when they are next asked for, but not more often than once in `ANEW_AFTER_S`."""
        now = self._clock()
        if now >= self._anew_at:
            self._anew_at = now + ANEW_AFTER_S
            self._refresh_at = now

    def _refreshed(self, held: Values | None) -> Values:
        if held is None:
            found = self._read()
        else:
            try:
                with aws.within(REFRESH_BEGINS_WITHIN_S):
                    found = self._read()
            except aws.DependencyError as error:
                self._refresh_at = self._clock() + RETRY_AFTER_FAILURE_S
                logger.warning("parameters were not refreshed; the old values stay", extra={"why": str(error)})
                return held
        unusable = {name for name, value in found.items() if not self._is_usable(name, value)}
        kept = {name: value for name, value in (held or {}).items() if name not in found or name in unusable}
        # Spread over time, or every warm function would ask in the same second.
        self._refresh_at = self._clock() + REFRESH_S * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, no secret
        if unusable or kept:
            self._refresh_at = self._clock() + RETRY_AFTER_FAILURE_S
            names = sorted(self.path + name for name in unusable | kept.keys())
            logger.warning("parameters are missing or malformed", extra={"names": names, "old_values_kept": len(kept)})
        return {**found, **kept}

    def _read(self) -> dict[str, str]:
        found = {}
        with aws.calling("Parameter Store"):
            for begin in range(0, len(self._names), NAMES_A_CALL):
                asked = [self.path + name for name in self._names[begin : begin + NAMES_A_CALL]]
                for entry in self._ssm().get_parameters(Names=asked)["Parameters"]:
                    found[entry["Name"].removeprefix(self.path)] = entry["Value"].strip()
        return found
