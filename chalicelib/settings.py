"""The stage's settings: one table that says where each comes from, its form, and who may change it.

A setting is read when it is needed, stripped, and checked against its form. A missing or malformed one raises one clear
error that names it. That stops whatever needs the setting, and nothing else.

Two modules read variables that do not belong to this service: `telemetry` those of Powertools (`POWERTOOLS_…`), and
`web/pages` those of the AWS SDK (`AWS_ENDPOINT_URL`, `AWS_REGION`).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Self, overload

from chalicelib import aws
from chalicelib.parameter_store import ParameterStore

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class SettingError(Exception):
    """A setting that the service needs is missing or malformed. The message names it and says what to do."""


class Source(Enum):
    """Where a setting comes from, which depends on who changes it."""

    ENVIRONMENT = "the function's environment, or the default: whoever deploys changes it"
    STACK = "the function's environment, or else Parameter Store: the resources stack makes it, and nobody changes it"
    PARAMETER_STORE = "Parameter Store alone: people may change it while the service runs"


class Setting:
    """One setting, a member of `Settings`. Its environment variable is `DRAGONPOST_<MEMBER>`, its parameter
    `/dragonpost/<stage>/<member>`.
    """

    def __init__(self, source: Source, form: str, example: str, default: str | None = None) -> None:
        """Take the source, the regular expression that the whole value must match, an example, and a default if any."""
        self.source = source
        self._form = form
        self.example = example
        self.default = default

    def __set_name__(self, _owner: type[Settings], name: str) -> None:
        self.name = name
        self.variable = f"DRAGONPOST_{name.upper()}"

    @overload
    def __get__(self, settings: None, _owner: type[Settings]) -> Self: ...

    @overload
    def __get__(self, settings: Settings, _owner: type[Settings]) -> str: ...

    def __get__(self, settings: Settings | None, _owner: type[Settings]) -> Self | str:
        """Return the setting's value. Raises `SettingError`, and `aws.calling`'s errors if Parameter Store is read."""
        return self if settings is None else settings.value(self)

    @cached_property
    def form(self) -> re.Pattern[str]:
        """What the whole value must match; a function needs few of them."""
        return re.compile(self._form)

    def parameter(self, path: str, values: Mapping[str, str]) -> str:
        """Return the value that the parameters below a path, stripped, have for this setting. Raises `SettingError`."""
        given = values.get(self.name)
        if not given:
            raise SettingError(
                f"Parameter Store lacks {path}{self.name}: deploy the stage again (locally, start `make run` again), "
                "which puts it back, or add it by hand."
            )
        return self.checked(given, f"the parameter {path}{self.name}")

    def checked(self, given: str, place: str) -> str:
        """Return a value that was found in this place, if it has the setting's form. Raises `SettingError` if not."""
        if not self.form.fullmatch(given):
            raise SettingError(f"{place} is malformed: it must look like {self.example}")
        return given


_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_TABLE = r"[A-Za-z0-9_.-]{3,255}"
_QUEUE_URL = r"https?://[^\s/]+/[0-9]{12}/[A-Za-z0-9_.-]+"
_PREFIX = r"\+[1-9][0-9]{0,6}"


# A commit as Git names it, and whether the code was changed since.
COMMIT = r"[0-9a-f]{40,64}(-dirty)?"


class Settings:
    """The settings of one stage; safe to share between threads."""

    stage = Setting(Source.ENVIRONMENT, r"[a-z][a-z0-9]{0,19}", "prod", default="local")
    allow_origin = Setting(Source.ENVIRONMENT, r"\*|https?://[^'/\s]+", "https://dragonpost.example", default="*")
    # Known while the API is deployed, and needed only then.
    user_pool_arn = Setting(
        Source.ENVIRONMENT, r"|arn:\S+:userpool/\S+", "arn:aws:cognito-idp:…:userpool/…", default=""
    )

    # The commit that the package was made of, if whoever deployed it knew; Git's own words for one that was changed.
    commit = Setting(
        Source.ENVIRONMENT,
        rf"unknown|{COMMIT}",
        "5ad1f6d0c7c24f6a0a3a3b3c1f0e9d8c7b6a5940",
        default="unknown",
    )

    # How many batches of messages may be stored at once. Needed only while the consumer is deployed. From 2 to 1000:
    # https://docs.aws.amazon.com/lambda/latest/dg/API_ScalingConfig.html
    consumer_concurrency = Setting(Source.ENVIRONMENT, r"[2-9]|[1-9][0-9]{1,2}|1000", "10", default="10")

    user_pool_client_id = Setting(Source.STACK, r"[A-Za-z0-9_+]+", "4p5ld3k2nq8f1v7c9h6r0sjt2u")
    message_archive_bucket_name = Setting(Source.STACK, _BUCKET, "dragonpost-prod-messages-123456789012")
    message_table_name = Setting(Source.STACK, _TABLE, "dragonpost-prod-messages")
    message_queue_url = Setting(Source.STACK, _QUEUE_URL, "https://sqs.<region>.amazonaws.com/123456789012/<queue>")
    message_dead_letter_queue_url = Setting(
        Source.STACK, _QUEUE_URL, "https://sqs.<region>.amazonaws.com/123456789012/<queue>"
    )
    dragon_table_name = Setting(Source.STACK, _TABLE, "dragonpost-prod-dragons")
    submission_table_name = Setting(Source.STACK, _TABLE, "dragonpost-prod-submissions")
    dragon_workflow_arn = Setting(Source.STACK, r"arn:\S+:stateMachine:[\w-]+", "arn:aws:states:…:stateMachine:…")

    # Which of the registry's two places holds it. Move the registry before you change this: each place knows whether it
    # is the one, and refuses if not.
    dragon_store = Setting(Source.PARAMETER_STORE, r"s3|dynamodb", "s3, or dynamodb")
    dragon_data_bucket_name = Setting(Source.PARAMETER_STORE, _BUCKET, "dragonpost-prod-dragons-123456789012")
    dragon_data_file_name = Setting(Source.PARAMETER_STORE, r"\S(.{0,1022}\S)?", "dragons.json")
    sms_allowed_prefixes = Setting(
        Source.PARAMETER_STORE, rf"none|{_PREFIX}(\s*,\s*{_PREFIX})*", "+1,+44, or none to text nobody"
    )
    # Change it with the stack's parameter ArchiveRetentionDays, which sets the archive's rule as well.
    archive_retention_days = Setting(Source.PARAMETER_STORE, r"[0-9]{1,5}", "90, or 0 to keep messages for ever")

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        ssm: Callable[[], SSMClient] = aws.ssm,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the function's environment, a function that returns the SSM client (called if needed), and a clock."""
        self._environment = environment
        path = f"/dragonpost/{self.stage}/"
        # Apart, because a function that has the resources' names in its environment needs only the others.
        self._parameters = {
            source: ParameterStore(path, _names(source), _is_usable, ssm, clock)
            for source in (Source.STACK, Source.PARAMETER_STORE)
        }

    @classmethod
    def table(cls) -> dict[str, Setting]:
        """Return every setting by its name."""
        return {name: member for name, member in vars(cls).items() if isinstance(member, Setting)}

    def value(self, setting: Setting) -> str:
        """Return the value of a setting of this stage. Raises `SettingError`, and `aws.calling`'s errors."""
        if setting.source is not Source.PARAMETER_STORE:
            given = self._environment.get(setting.variable, "").strip()
            if given:
                checked = setting.checked(given, f"the environment variable {setting.variable}")
                vars(self)[setting.name] = checked  # the environment does not change, so nothing asks again
                return checked
            if setting.default is not None:
                return setting.default
        parameters = self._parameters[setting.source]
        return setting.parameter(parameters.path, parameters.values())

    def read_anew(self) -> None:
        """Read what may change while the service runs again when it is next asked for, unless that was just done."""
        self._parameters[Source.PARAMETER_STORE].read_anew()

    def sms_allowed_to(self, phone_number: str) -> bool:
        """Tell whether this stage may text the number (E.164), which must begin with a listed prefix."""
        prefixes = (prefix.strip() for prefix in self.sms_allowed_prefixes.split(","))
        return any(phone_number.startswith(prefix) for prefix in prefixes)


def _names(source: Source) -> list[str]:
    return [name for name, setting in Settings.table().items() if setting.source is source]


def _is_usable(name: str, value: str) -> bool:
    return bool(Settings.table()[name].form.fullmatch(value))
