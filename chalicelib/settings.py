"""The stage's configuration: one cached read of Parameter Store under `/dragonpost/<stage>/`.

The values are refreshed about once a minute. A refresh that fails keeps the old values, so Parameter Store going away
changes nothing for a function that has started. A parameter that is missing at the first read is one clear error.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from chalicelib import aws
from chalicelib.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

REFRESH_S = 60.0
RETRY_AFTER_FAILURE_S = 30.0
# One attempt, and another page only if it begins as soon: whoever asks has earlier values to go on with, and a request
# to answer.
REFRESH_BEGINS_WITHIN_S = 0.2


class MissingParameter(Exception):
    """Parameter Store lacks a parameter that the service needs; the message names it and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The stage's parameters, by their names in Parameter Store."""

    dragon_data_bucket_name: str
    dragon_data_file_name: str
    message_archive_bucket_name: str
    message_table_name: str
    message_queue_url: str
    message_dead_letter_queue_url: str
    dragon_workflow_arn: str
    user_pool_client_id: str
    sms_allowed_prefixes: str

    def sms_allowed_to(self, phone_number: str) -> bool:
        """Tell whether this stage may text the number (E.164): its country's prefix is listed. `none` lists none."""
        prefixes = (prefix.strip() for prefix in self.sms_allowed_prefixes.split(","))
        return any(prefix.startswith("+") and phone_number.startswith(prefix) for prefix in prefixes)


class SettingsReader:
    """Reads the settings of one stage and keeps them; safe to share between threads."""

    def __init__(
        self, stage: str, ssm: Callable[[], SSMClient] = aws.ssm, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = f"/dragonpost/{stage}/"
        self._ssm = ssm
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Settings | None = None
        self._refresh_at = 0.0

    def __call__(self) -> Settings:
        """Return the settings, read anew when they are due.

        Raises `MissingParameter`, or `aws.calling`'s errors, only if there are no earlier values to go on with.
        """
        held = self._held
        if held is not None and self._clock() < self._refresh_at:
            return held
        if not self._lock.acquire(blocking=held is None):
            assert held is not None  # noqa: S101 - mypy cannot tell
            return held  # another thread is refreshing them
        try:
            if self._held is None or self._clock() >= self._refresh_at:
                self._refresh()
            assert self._held is not None  # noqa: S101 - _refresh raises otherwise
            return self._held
        finally:
            self._lock.release()

    def _refresh(self) -> None:
        try:
            if self._held is None:
                self._held = self._read()
            else:
                with aws.within(REFRESH_BEGINS_WITHIN_S):
                    self._held = self._read()
            # Spread over time, or every warm function would ask in the same second.
            self._refresh_at = self._clock() + REFRESH_S * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, no secret
        except (MissingParameter, aws.DependencyUnavailable, aws.DependencyFault) as error:
            if self._held is None:
                raise
            self._refresh_at = self._clock() + RETRY_AFTER_FAILURE_S
            logger.warning("settings were not refreshed, the old ones stay", extra={"why": str(error)})

    def _read(self) -> Settings:
        with aws.calling("Parameter Store"):
            values = {name.removeprefix(self._path): value for name, value in self._parameters()}
        missing = [field.name for field in fields(Settings) if not values.get(field.name)]
        if missing:
            names = ", ".join(self._path + name for name in missing)
            raise MissingParameter(
                f"Parameter Store lacks {names}: deploy infrastructure/resources.yaml for this stage, "
                "which creates them, or add them by hand."
            )
        return Settings(**{field.name: values[field.name] for field in fields(Settings)})

    def _parameters(self) -> Iterator[tuple[str, str]]:
        """Yield the stage's parameters. One call mostly has them all; it may have fewer, even none, and a token.

        https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
        """
        following: dict[str, Any] = {}
        while True:
            answer = self._ssm().get_parameters_by_path(Path=self._path, MaxResults=10, **following)
            yield from ((entry["Name"], entry["Value"]) for entry in answer["Parameters"])
            if not answer.get("NextToken"):
                return
            following = {"NextToken": answer["NextToken"]}
