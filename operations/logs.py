"""Show what a stage's functions and workflow said: `.venv/bin/python -m operations.logs --stage prod`.

The functions' lines come from CloudWatch Logs. The workflow's steps come from the histories of its executions, because
its log has none of them. Inputs, outputs and the causes of failed steps are not shown: they may contain phone numbers.
For stage `local`, the lines of the local server (api.log) are among the others.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from chalicelib.dragons.submissions import correlation_id, event_in_words
from devstack.settings import Settings
from devstack.state import StateFolder
from operations.exit_status import exit_status
from operations.reach import reach
from operations.stages import EMBEDDED, STAGES
from operations.terminal import printable

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

WORKFLOW = "workflow"
SERVER = "server"  # the local server of `make run`
API = "api"
EXECUTIONS_MAX = 50  # each of those is asked for its input or history, and Step Functions answers some 20 a second
PAGE = 10_000
HOURS_MAX = 10 * 365 * 24  # ten years, the longest retention of CloudWatch Logs that has an end

# What Lambda itself writes around each invocation, and metrics (CloudWatch's embedded metric format).
_NOT_SAID = re.compile(r'(START|END|REPORT) RequestId: |INIT_START |\{"_aws":')


class LogsError(Exception):
    """An error that the operator has to see; the message says what to do."""


@dataclass(frozen=True)
class Line:
    """One thing that was said: when, by which function (or `workflow`, `server`), and the text."""

    at: datetime
    by: str
    text: str


def functions(logs: Any, stage: str) -> dict[str, str]:
    """Return the log group of each of the stage's functions that has one, by the function's name in app.py."""
    api = f"/aws/lambda/dragonpost-{stage}"
    found = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=api)
    groups = [group["logGroupName"] for page in found for group in page["logGroups"]]
    return {
        (group.removeprefix(f"{api}-") if group != api else API): group
        for group in groups
        if group == api or group.startswith(f"{api}-")
    }


def said_by_function(logs: Any, name: str, group: str, since: datetime, ids: Iterable[str]) -> Iterator[Line]:
    """Yield what a function said since then; with `ids`, the lines alone that contain one of them."""
    # A request for each id: the embedded AWS knows no "or" in a pattern.
    patterns = [f'"{each}"' for each in sorted(ids)] or [""]
    found = (page for pattern in patterns for page in pages(logs, group, since, pattern))
    yield from lines_of(name, (event for page in found for event in page))


def lines_of(name: str, events: Iterable[Any]) -> Iterator[Line]:
    """Yield each event of a function's log once, without what Lambda itself writes around invocations."""
    once = dict.fromkeys((event["timestamp"], event["logStreamName"], event["message"]) for event in events)
    for at, _, message in once:
        if not _NOT_SAID.match(message):
            yield Line(datetime.fromtimestamp(at / 1000, UTC), name, message.rstrip("\n"))


def pages(
    logs: Any, group: str, since: datetime, pattern: str = "", until: datetime | None = None
) -> Iterator[list[Any]]:
    """Yield a group's events by time, a page at a time; a page may be empty.

    The embedded AWS ends after `PAGE` events without a token, so the next request begins with the last millisecond.
    """
    since_ms = int(since.timestamp() * 1000)
    asked: dict[str, Any] = {"logGroupName": group, "filterPattern": pattern, "limit": PAGE}
    if until is not None:
        asked["endTime"] = int(until.timestamp() * 1000) + 1
    while True:
        answer = logs.filter_log_events(**asked, startTime=since_ms)
        events = answer["events"]
        if "nextToken" in answer:
            asked["nextToken"] = answer["nextToken"]
        elif len(events) == PAGE and events[-1]["timestamp"] > events[0]["timestamp"]:
            since_ms = events[-1]["timestamp"]
            events = [event for event in events if event["timestamp"] < since_ms]
        else:
            yield events
            return
        yield events


class Workflow:
    """The executions of a stage's workflow that began since a time, the newest first, at most `EXECUTIONS_MAX`."""

    def __init__(self, steps: SFNClient, stage: str, since: datetime) -> None:
        self._steps = steps
        found = steps.get_paginator("list_state_machines").paginate()
        name = f"dragonpost-{stage}-dragons"
        machines = [each["stateMachineArn"] for page in found for each in page["stateMachines"] if each["name"] == name]
        listed = [
            execution
            for machine in machines
            for execution in steps.list_executions(stateMachineArn=machine, maxResults=EXECUTIONS_MAX)["executions"]
        ]
        self.executions = {each["name"]: each["executionArn"] for each in listed if each["startDate"] >= since}

    def of(self, wanted: str) -> dict[str, str]:
        """Return the correlation id of each execution that has this id or was given it, by the execution's name."""
        found = {}
        for name, arn in self.executions.items():
            given = self._steps.describe_execution(executionArn=arn)["input"]
            if wanted == name or wanted in given:
                found[name] = correlation_id(given)
        return found

    def said(self, names: Iterable[str]) -> Iterator[Line]:
        """Yield the states that these executions entered, and how they began and ended."""
        for name in names:
            for at, told in history(self._steps, self.executions[name]):
                yield Line(at, WORKFLOW, f"{name}  {told}")


def history(steps: SFNClient, arn: str) -> Iterator[tuple[datetime, str]]:
    """Yield the states that an execution entered, and how it began and ended, each with its time."""
    found = steps.get_paginator("get_execution_history").paginate(executionArn=arn, includeExecutionData=False)
    for event in (event for page in found for event in page["events"]):
        if told := event_in_words(event):
            yield event["timestamp"].astimezone(UTC), told


def said_by_server(log: Path, since: datetime, ids: Iterable[str]) -> Iterator[Line]:
    """Yield the lines of the local server's log; one without a time, as in a traceback, has that of the line before."""
    at = since
    wanted = set(ids)
    for text in log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else ():
        if stamp := re.search(r'"timestamp":"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3})([+-]\d{4})"', text):
            at = datetime.strptime(f"{stamp[1]}.{stamp[2]}{stamp[3]}", "%Y-%m-%d %H:%M:%S.%f%z").astimezone(UTC)
        if at >= since and not _NOT_SAID.match(text) and (not wanted or any(each in text for each in wanted)):
            yield Line(at, SERVER, text)


def show(stage: str, since: datetime, function: str | None, wanted: str | None, server_log: Path | None) -> None:
    """Print what was said since then, by time. Raises `LogsError` if there is no such function."""
    logs = boto3.client("logs")
    groups = functions(logs, stage)
    known = [*groups, WORKFLOW, *([SERVER] if server_log else [])]
    if function and function not in known:
        raise LogsError(f"stage {stage} has no log of {function}; it has those of {', '.join(known)}")
    workflow = Workflow(boto3.client("stepfunctions"), stage, since)
    found = workflow.of(wanted) if wanted else {}
    ids = {each for each in (wanted, *found, *found.values()) if each}
    lines: list[Line] = []
    for name in [function] if function else known:
        if name == WORKFLOW:
            lines += workflow.said(found if wanted else workflow.executions)
        elif name == SERVER and server_log:
            lines += said_by_server(server_log, since, ids)
        else:
            lines += said_by_function(logs, name, groups[name], since, ids)
    width = max((len(line.by) for line in lines), default=0)
    for line in sorted(lines, key=lambda line: line.at):
        print(
            printable(f"{line.at:%Y-%m-%d %H:%M:%S}.{line.at.microsecond // 1000:03}Z  {line.by:{width}}  {line.text}")
        )
    if not lines:
        print(f"nothing was said since {since:%Y-%m-%d %H:%M:%S}Z; HOURS=… looks further back", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parse(arguments)

    def work() -> None:
        server_log = StateFolder(Settings.from_environment().state).api_log if options.stage == EMBEDDED else None
        reach(options.stage)
        since = datetime.now(UTC) - timedelta(hours=options.hours)
        show(options.stage, since, options.function, options.id, server_log)

    return exit_status(work, LogsError, may="read its logs and executions")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.logs", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument(
        "--function", help=f"a function's name in app.py, {API}, {WORKFLOW}, or {SERVER} (`make run`'s)"
    )
    parser.add_argument("--id", type=_an_id, help="an X-Request-Id, a submission's id, a message's id")
    parser.add_argument("--hours", type=hours, default=1, help="how far to look back (default: 1)")
    return parser.parse_args(arguments)


def hours(text: str) -> float:
    """Return how many hours an option looks back. Raises ArgumentTypeError."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found <= HOURS_MAX:
        raise argparse.ArgumentTypeError(f"hours are a number above 0, of at most {HOURS_MAX} (ten years)")
    return found


def _an_id(text: str) -> str:
    if not re.fullmatch(r"[\w.:=-]+", text, re.ASCII):
        raise argparse.ArgumentTypeError("an id consists of letters, digits and .:=-_")
    return text


if __name__ == "__main__":
    sys.exit(main())
