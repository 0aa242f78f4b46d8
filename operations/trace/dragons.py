"""What the registry, the table of submissions and Step Functions know of a dragon and its reports."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from chalicelib.dragons.document import Document, Entry, moved_to
from chalicelib.dragons.dynamodb import DRAGONS, ENTRY, PART, SORT_KEY
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.submission_table import SubmissionTable
from chalicelib.dragons.submissions import NotASubmission, Submission, is_expired, submission_of_row
from chalicelib.dragons.workflow import DragonWorkflow
from operations import PROJECT, logs
from operations.contents import PLACE
from operations.stores import EXECUTIONS_KEPT_DAYS, Standing
from operations.trace.lines import Linked
from operations.trace.timeline import Findings, Moment

REPORTS_SHOWN_MAX = 5
ROWS_KEPT = "kept for 90 days"
# An execution starts while its request is answered, or its answer is lost and the client sends it again.
STARTS_WITHIN = timedelta(seconds=30)
EXECUTIONS_LISTED_MAX = 10_000
EXECUTIONS_ASKED_MAX = 50  # Step Functions describes some 15 a second


@dataclass(frozen=True)
class Names:
    """Where submissions are, as the service's own reading wants to know it."""

    submission_table_name: str
    dragon_workflow_arn: str


class Dragons:
    """The dragons of a stage, and their reports."""

    def __init__(self, stage: Standing) -> None:
        self._stage = stage
        self._names = Names(stage.resources["SubmissionTable"], stage.resources["DragonWorkflow"])
        self._steps = stage.clients("stepfunctions")
        workflow = DragonWorkflow(self._names, lambda: self._steps)
        self._table = SubmissionTable(self._names, workflow, lambda: stage.clients("dynamodb"))

    @property
    def _workflow(self) -> str:
        return f"workflow {self._names.dragon_workflow_arn.rpartition(':')[2]}"

    @cached_property
    def _home(self) -> tuple[str, str, str]:
        """The registry's home in words, and its bucket and key, or its table and nothing."""
        if self._stage.parameter("dragon_store") == "dynamodb":
            table = self._stage.parameter("dragon_table_name")
            return f"table {table}", table, ""
        bucket, key = (self._stage.parameter(name) for name in PLACE)
        return f"bucket {bucket} ({key})", bucket, key

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield where dragons and reports are, with how long they are kept there."""
        yield f"table {self._names.submission_table_name}", f"reports by id and by their dragons' names, {ROWS_KEPT}"
        yield self._workflow, f"executions by name, kept for {EXECUTIONS_KEPT_DAYS} days after their end"
        yield self._home[0], "dragons by name, kept until they are removed"

    def reported(self, submission_id: str, findings: Findings, linked: Linked) -> bool:
        """Look for a report by its submission's id. Tell whether there is one."""
        found = self._table.find(submission_id)
        if found is not None:
            self._tell(found, findings, linked)
        return found is not None

    def registered(self, name: str) -> Entry | None:
        """Return the registry's entry of this name."""
        key = normalised_name(name)
        return self._entry(key) if key else None

    def named(self, name: str, findings: Findings, linked: Linked) -> bool:
        """Look for a dragon of this name, and for its reports. Tell whether there is anything."""
        key, entry = normalised_name(name), self.registered(name)
        if entry is not None:
            by = f"submission {entry.submission_id} added it" if entry.submission_id else "no report added it"
            findings.answers.append(f"dragon {entry.dragon_name_str} is in the registry, {self._home[0]}: {by}")
        reports = self._of_dragon(key) if key else []
        for report in reports[:REPORTS_SHOWN_MAX]:
            self._tell(report, findings, linked)
        if entry is not None and entry.submission_id not in {None, *(report.submission_id for report in reports)}:
            self.reported(str(entry.submission_id), findings, linked)
        if len(reports) > REPORTS_SHOWN_MAX:
            findings.limits.append(
                f"{len(reports)} reports have this name; the newest {REPORTS_SHOWN_MAX} are shown. The id of "
                "its submission shows an older one"
            )
        return entry is not None or bool(reports)

    def started_with(self, correlation_id: str, at: datetime, findings: Findings, linked: Linked) -> bool:
        """Look for what a request has started, which was answered at a time. Tell whether there is an execution."""
        around = [
            execution
            for execution in self._newest_since(at - STARTS_WITHIN, findings)
            if execution["startDate"] <= at + timedelta(seconds=1)
        ]
        if len(around) > EXECUTIONS_ASKED_MAX:
            findings.limits.append(
                f"{len(around)} executions began when the request was answered; {EXECUTIONS_ASKED_MAX} were asked "
                "for its id"
            )
        found = False
        for execution in around[:EXECUTIONS_ASKED_MAX]:
            if self._given(execution["executionArn"]) == correlation_id:
                found = self.reported(execution["name"], findings, linked) or found
        return found

    def _newest_since(self, since: datetime, findings: Findings) -> Iterator[Any]:
        listed = 0
        pages = self._steps.get_paginator("list_executions").paginate(stateMachineArn=self._names.dragon_workflow_arn)
        for page in pages:
            for execution in page["executions"]:
                listed += 1
                if execution["startDate"] < since:
                    return
                if listed > EXECUTIONS_LISTED_MAX:
                    findings.limits.append(
                        f"{self._workflow}: the newest {EXECUTIONS_LISTED_MAX:,} executions began after the request"
                    )
                    return
                yield execution

    def _tell(self, report: Submission, findings: Findings, linked: Linked) -> None:
        linked.submissions.add(report.submission_id)
        linked.correlations |= {text for text in (self._given(report.execution_arn),) if text}
        why = (f" ({report.refusal})" if report.refusal else "") + (f": {report.reason}" if report.reason else "")
        findings.answers.append(
            f"dragon {report.dragon.dragon_name_str}, reported at {report.started_at} (submission "
            f"{report.submission_id}): {report.status}{why}"
        )
        if report.status == "failed":
            findings.next.append(f"make logs STAGE={self._stage.name} ID={report.submission_id}")
        self._history(report, findings)
        if report.finished_at:
            ended = datetime.fromisoformat(report.finished_at)
            table = f"table {self._names.submission_table_name}"
            news = f", notification {report.notification}" if report.notification else ""
            what = f"{report.submission_id} is {report.status}{news}"
            findings.moments.append(Moment(ended, table, what))

    def _history(self, report: Submission, findings: Findings) -> None:
        try:
            for at, told in logs.history(self._steps, report.execution_arn):
                if told.removeprefix("entered ") in _states_that_only_decide():
                    continue
                findings.moments.append(Moment(at, self._workflow, f"{report.submission_id} {told}"))
        except ClientError as error:
            if not _is_gone(error):
                raise
            findings.limits.append(f"{self._workflow} has no execution {report.submission_id} any more")

    def _given(self, arn: str) -> str:
        """Return the correlation id that an execution was given, or "" if nobody knows."""
        try:
            return logs.correlation_id(self._steps.describe_execution(executionArn=arn)["input"])
        except ClientError as error:
            if not _is_gone(error):
                raise
            return ""

    def _entry(self, key: str) -> Entry | None:
        _, place, file = self._home
        if file:
            body = self._stage.clients("s3").get_object(Bucket=place, Key=file)["Body"].read()
            entries = [] if moved_to(body) else Document.parsed(body).entries(key)
            return entries[0] if entries else None
        where = {PART: {"S": DRAGONS}, SORT_KEY: {"S": key}}
        row = self._stage.clients("dynamodb").get_item(TableName=place, Key=where, ConsistentRead=True).get("Item")
        return msgspec.json.decode(row[ENTRY]["S"], type=Entry) if row else None

    def _of_dragon(self, key: str) -> list[Submission]:
        """Return the reports of dragons with this name, the newest first. All rows are read: none is kept by name."""
        pages = (
            self._stage.clients("dynamodb").get_paginator("scan").paginate(TableName=self._names.submission_table_name)
        )
        found = [report for page in pages for item in page["Items"] if (report := _report(item, key))]
        return sorted(found, key=lambda report: report.started_at, reverse=True)


def _report(item: Any, key: str) -> Submission | None:
    try:
        report = None if is_expired(item, time.time()) else submission_of_row(item)
    except NotASubmission:  # somebody else wrote the row
        return None
    return report if report and normalised_name(report.dragon.dragon_name_str) == key else None


@cache
def _states_that_only_decide() -> frozenset[str]:
    """Return the states that call nobody: what they decide shows in the state that follows."""
    workflow = json.loads((PROJECT / "infrastructure" / "dragons.asl.json").read_text(encoding="utf-8"))
    return frozenset(name for name, state in workflow["States"].items() if state["Type"] in ("Choice", "Pass"))


def _is_gone(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ExecutionDoesNotExist"
