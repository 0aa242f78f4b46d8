"""Show on one screen whether a stage is well: `.venv/bin/python -m operations.status --stage prod`.

Health, version and commit, the last deployment, the consumer, queue, dead letters and alarms. It changes nothing,
delays no message, and does not sign in: `make smoke` goes through both pipelines. What is ill is told with the next
command, and then the exit status is 1.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from devstack.settings import DevstackError
from operations import functions, resources
from operations.api import ApiNotFound, api_of
from operations.contents import of_this_environment
from operations.deploy.target import app_stack, resources_stack
from operations.reach import reach
from operations.stages import EMBEDDED, STAGES
from operations.stores import Clients, StageOutdated, Standing
from operations.terminal import printable

CONSUMER = "store_messages"
# SQS says how old its oldest message is every minute, while there are any.
AGE_IS_OF = timedelta(minutes=10)

_DEPLOYED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"})
# https://docs.aws.amazon.com/lambda/latest/api/API_GetEventSourceMapping.html (State)
_READING = frozenset({"Creating", "Enabling", "Enabled", "Updating"})
_TAKEN_BACK = "docs/operations.md#a-release-is-taken-back"
_RUNBOOK = re.compile(r"Runbook: (\S+[^.\s])")


class How(StrEnum):
    """How a thing is: well, ill, or nobody can tell."""

    WELL = "ok"
    ILL = "ILL"
    UNKNOWN = "?"


@dataclass(frozen=True)
class Finding:
    """What was found of one thing, and what to do next if it is not well."""

    how: How
    what: str
    found: str
    next: str = ""


class Status:
    """One look at a stage."""

    def __init__(self, name: str, clients: Clients, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Take the stage's name, its account's clients, and a clock."""
        self._name = name
        self._clients = clients
        self._clock = clock
        self._stage = Standing.found(name, clients)

    def all(self) -> Iterator[Finding]:
        """Look at one thing after the other. What cannot be looked at is a finding, too."""
        looks = {
            "api": self.api,
            "deployed": self.deployed,
            "consumer": self.consumer,
            "queue": self.queue,
            "dead letters": self.dead_letters,
            "alarms": self.alarms,
        }
        for what, look in looks.items():
            try:
                yield from look()
            except (ApiNotFound, StageOutdated, ClientError, BotoCoreError, OSError) as error:
                yield Finding(How.UNKNOWN, what, str(error), "see whether the stage is deployed, and what you may read")

    def api(self) -> Iterator[Finding]:
        """Ask the API for its health, its version and its commit, as anybody can."""
        api = api_of(self._name, self._clients)
        begun = time.perf_counter()
        health = api.send("GET", "/health")
        took = f"GET /health answers {health.status} in {(time.perf_counter() - begun) * 1000:.0f} ms"
        if health.status != 200:
            yield Finding(How.ILL, "health", f"{took}, at {api.url}", self._make("logs", "FUNCTION=api"))
            return
        yield Finding(How.WELL, "health", f"{took}, at {api.url}")
        told = health.json if isinstance(health.json, dict) else {}
        if "version" in told:
            yield Finding(How.WELL, "version", f"{told['version']}, commit {told.get('commit') or 'unknown'}")
        else:
            found = "GET /health tells none: the stage is older than 0.2.0"
            yield Finding(How.UNKNOWN, "version", found, self._make("deploy"))

    def deployed(self) -> Iterator[Finding]:
        """Tell when both stacks were last deployed, and how that ended."""
        for stack in (resources_stack(self._name), app_stack(self._name)):
            described = _described(stack, self._clients)
            if described is None:
                yield self._deployed_by_chalice()
                continue
            status = described["StackStatus"]
            at = self._ago(described.get("LastUpdatedTime") or described["CreationTime"])
            if status in _DEPLOYED:
                yield Finding(How.WELL, "deployed", f"{stack} {at}")
            elif status.endswith("IN_PROGRESS"):
                yield Finding(How.WELL, "deployed", f"{stack} is being deployed ({status}), since {at}")
            else:
                yield Finding(How.ILL, "deployed", f"{stack} is {status}, since {at}", after(self._name, stack, status))

    def consumer(self) -> Iterator[Finding]:
        """Tell whether the consumer gets messages."""
        url = self._stage.resources["MessageQueue"]
        arn = self._clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        mappings = self._clients("lambda").list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
        for mapping in mappings:
            function, state = mapping["FunctionArn"].partition(":function:")[2], mapping["State"]
            if state in _READING:
                yield Finding(How.WELL, "consumer", f"{function} gets messages ({state})")
            else:
                enable = f".venv/bin/aws lambda update-event-source-mapping --uuid {mapping['UUID']} --enabled"
                yield Finding(How.ILL, "consumer", f"{function} gets no messages ({state})", enable)
        if not mappings:
            yield Finding(How.ILL, "consumer", "no function reads the message queue", self._make("deploy"))

    def queue(self) -> Iterator[Finding]:
        """Tell how many accepted messages are not stored yet, and how old the oldest is."""
        url = self._stage.resources["MessageQueue"]
        waiting, in_flight, delayed = self._depth(url)
        depth = f"{waiting} waiting, {in_flight} being delivered" + (f", {delayed} delayed" if delayed else "")
        age_s = self._age_s(url)
        if age_s is None:
            yield Finding(How.WELL, "queue", f"{depth}; the age of the oldest is not known: CloudWatch has no value")
            return
        found = f"{depth}; the oldest has been there for {_long(age_s)}"
        if age_s > _threshold("MessageAgeAlarm"):
            after = f"docs/operations.md#messages-are-not-stored, {self._make('logs', f'FUNCTION={CONSUMER}')}"
            yield Finding(How.ILL, "queue", found, after)
        else:
            yield Finding(How.WELL, "queue", found)

    def dead_letters(self) -> Iterator[Finding]:
        """Count the dead letters."""
        count = sum(self._depth(self._stage.resources["MessageDeadLetterQueue"]))
        if count:
            yield Finding(How.ILL, "dead letters", str(count), self._make("dead-letters"))
        else:
            yield Finding(How.WELL, "dead letters", "none")

    def alarms(self) -> Iterator[Finding]:
        """Tell which alarms go off."""
        pages = self._clients("cloudwatch").get_paginator("describe_alarms")
        found = [
            alarm
            for page in pages.paginate(AlarmNamePrefix=f"dragonpost-{self._name}-")
            for alarm in page["MetricAlarms"]
        ]
        on = [alarm for alarm in found if alarm["StateValue"] == "ALARM"]
        for alarm in on:
            at = self._ago(alarm["StateUpdatedTimestamp"])
            runbook = _RUNBOOK.search(alarm.get("AlarmDescription", ""))
            after = runbook[1] if runbook else "docs/operations.md#alarms"
            yield Finding(How.ILL, "alarm", f"{alarm['AlarmName']} since {at}", after)
        if not found:
            yield Finding(How.ILL, "alarms", "there are none", self._make("deploy"))
        elif not on:
            yield Finding(How.WELL, "alarms", f"none of {len(found)} goes off")

    def _deployed_by_chalice(self) -> Finding:
        api = functions.deployed_name(functions.API, self._name)
        configuration = self._clients("lambda").get_function_configuration(FunctionName=api)
        at = self._ago(datetime.fromisoformat(configuration["LastModified"]))
        return Finding(How.WELL, "deployed", f"{api} {at}, by `chalice deploy`")

    def _depth(self, url: str) -> tuple[int, int, int]:
        """Return how many messages of a queue wait, are being delivered, and are delayed."""
        names = ("", "NotVisible", "Delayed")
        asked = [f"ApproximateNumberOfMessages{name}" for name in names]
        attributes = self._clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=asked)["Attributes"]
        waiting, in_flight, delayed = (int(attributes[name]) for name in asked)
        return waiting, in_flight, delayed

    def _age_s(self, url: str) -> float | None:
        now = self._clock()
        points = self._clients("cloudwatch").get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": url.rpartition("/")[2]}],
            StartTime=now - AGE_IS_OF,
            EndTime=now,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        newest = max(points, key=lambda point: point["Timestamp"], default=None)
        return None if newest is None else float(newest["Maximum"])

    def _ago(self, at: datetime) -> str:
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ} ({_long((self._clock() - at).total_seconds())} ago)"

    def _make(self, target: str, *more: str) -> str:
        return " ".join(["make", target, f"STAGE={self._name}", *more])


def _described(stack: str, clients: Clients) -> Any:
    """Return what CloudFormation says of a stack, or None if there is none."""
    try:
        return clients("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def _threshold(alarm: str) -> float:
    return float(resources.template()["Resources"][alarm]["Properties"]["Threshold"])


def _long(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def after(name: str, stack: str, status: str) -> str:
    """Return what to do about a stack of a stage that is in a status which no deployment should end with."""
    if name == EMBEDDED:
        return "`make run` again"
    if status == "UPDATE_ROLLBACK_FAILED":
        return f".venv/bin/aws cloudformation continue-update-rollback --stack-name {stack}, {_TAKEN_BACK}"
    if status == "UPDATE_ROLLBACK_COMPLETE" and stack == app_stack(name):
        return _TAKEN_BACK
    return f"make deploy STAGE={name}"


def told(name: str, at: datetime, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines of the screen: the verdict, what was found, and for what is not well the next command."""
    ill = sum(finding.how is not How.WELL for finding in findings)
    verdict = "all is well" if not ill else f"{ill} of {len(findings)} things need you"
    yield f"dragonpost {name} at {at:%Y-%m-%d %H:%M:%SZ}: {verdict}"
    for finding in findings:
        yield printable(f"{finding.how:3}  {finding.what:12}  {finding.found}")
        if finding.how is not How.WELL:
            yield printable(f"{'':19}next: {finding.next}")


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns 0 if all is well, and 1 if something is not, or if nobody can tell."""
    stage = _parse(arguments).stage
    try:
        reach(stage)
        if _described(resources_stack(stage), clients) is None:
            deploy = "make run" if stage == EMBEDDED else f"make deploy STAGE={stage}"
            print(f"error: there is no stage {stage} here. `{deploy}` makes it", file=sys.stderr)
            return 1
        status = Status(stage, clients)
    except (DevstackError, StageOutdated) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:
        print(f"error: {error}. Is the stage deployed, and may you read its stacks?", file=sys.stderr)
        return 1
    findings = list(status.all())
    for line in told(stage, datetime.now(UTC), findings):
        print(line)
    return 0 if all(finding.how is How.WELL for finding in findings) else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.status", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
