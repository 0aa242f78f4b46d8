"""What the service depends on: each is asked once, all at the same time, within a second in all.

Nothing that is asked changes anything. Amazon Cognito is not among them: API Gateway verifies the tokens, with keys
that it has fetched before.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Annotated, Literal

import msgspec

from chalicelib import aws
from chalicelib.dragons.dynamodb import PART, SORT_KEY
from chalicelib.settings import SettingError, Settings
from chalicelib.telemetry import logger

READY_WITHIN_S = 1.0
REASON_LENGTH_MAX = 200

Name = Literal["parameters", "registry", "submissions", "workflow", "queue", "dead-letters", "archive", "index"]

# What a row is asked for that no table has.
_NOBODY = "-"


class Missing(Exception):
    """Something that a setting names is not there. The message has no names, because clients get it."""


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the service depends on, and whether it answered. `reason` says why it is ill."""

    name: Name
    status: Literal["ok", "ill"]
    duration_ms: float
    reason: Annotated[str, msgspec.Meta(max_length=REASON_LENGTH_MAX)] | None


class Dependencies:
    """The stage's dependencies. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings that name what there is to ask."""
        self._settings = settings
        self._threads = ThreadPoolExecutor(len(self._questions))

    def ask(self) -> list[Dependency]:
        """Ask each dependency once, and return what became of it. Never raises, and takes `READY_WITHIN_S` at most.

        A dependency that has not answered by then is ill.
        """
        with aws.within(READY_WITHIN_S):
            asked = {
                name: self._threads.submit(copy_context().run, _answered, name, ask)
                for name, ask in self._questions.items()
            }
        wait(asked.values(), READY_WITHIN_S)
        return [_told(name, answer) for name, answer in asked.items()]

    @property
    def _questions(self) -> Mapping[Name, Callable[[], object]]:
        settings = self._settings
        return {
            "parameters": self._ask_parameters,
            "registry": self._ask_registry,
            "submissions": lambda: self._ask_table(settings.submission_table_name, "sub", "started_at_id"),
            "workflow": self._ask_workflow,
            "queue": lambda: self._ask_queue(settings.message_queue_url),
            "dead-letters": lambda: self._ask_queue(settings.message_dead_letter_queue_url),
            "archive": self._ask_archive,
            "index": lambda: self._ask_table(settings.message_table_name, "message_id", "company_id"),
        }

    def _ask_parameters(self) -> None:
        with aws.calling("Parameter Store"):
            found = aws.hasty_ssm().get_parameters(Names=[f"/dragonpost/{self._settings.stage}/dragon_store"])
        if not found["Parameters"]:
            raise Missing("Parameter Store lacks a setting")

    def _ask_registry(self) -> None:
        if self._settings.dragon_store == "dynamodb":
            self._ask_table(self._settings.dragon_table_name, PART, SORT_KEY)
            return
        with aws.calling("S3"):
            aws.hasty_s3().head_object(
                Bucket=self._settings.dragon_data_bucket_name, Key=self._settings.dragon_data_file_name
            )

    def _ask_archive(self) -> None:
        with aws.calling("S3"):
            aws.hasty_s3().head_bucket(Bucket=self._settings.message_archive_bucket_name)

    def _ask_table(self, table: str, *key: str) -> None:
        with aws.calling("DynamoDB"):
            aws.hasty_dynamodb().get_item(TableName=table, Key={name: {"S": _NOBODY} for name in key})

    def _ask_queue(self, url: str) -> None:
        with aws.calling("SQS"):
            aws.hasty_sqs().get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])

    def _ask_workflow(self) -> None:
        with aws.calling("Step Functions"):
            aws.hasty_stepfunctions().describe_state_machine(stateMachineArn=self._settings.dragon_workflow_arn)


def ill(dependencies: Sequence[Dependency]) -> list[Dependency]:
    """Return those that are ill."""
    return [each for each in dependencies if each.status == "ill"]


def _answered(name: Name, ask: Callable[[], object]) -> Dependency:
    started = time.perf_counter()
    try:
        ask()
        reason = None
    except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, the others have to be told, too
        logger.warning("a dependency is ill", exc_info=error, extra={"dependency": name})
        reason = _reason(error)[:REASON_LENGTH_MAX]
    took_ms = round((time.perf_counter() - started) * 1000, 1)
    return Dependency(name=name, status="ill" if reason else "ok", duration_ms=took_ms, reason=reason)


def _told(name: Name, answer: Future[Dependency]) -> Dependency:
    if answer.done():
        return answer.result()
    logger.warning("a dependency is ill", extra={"dependency": name, "why": "no answer in time"})
    reason = f"did not answer within {READY_WITHIN_S:g} s"
    return Dependency(name=name, status="ill", duration_ms=READY_WITHIN_S * 1000, reason=reason)


def _reason(error: Exception) -> str:
    """Return why, without the names of resources: these are in the log."""
    if isinstance(error, aws.DependencyError):
        return f"{error.service} {error.says}" + (f": {error.code}" if error.code else "")
    if isinstance(error, SettingError):
        return "a setting is missing or malformed"
    return str(error) if isinstance(error, Missing) else "broke"
