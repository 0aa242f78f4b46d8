"""What the service knows of a dragon (`chalicelib/dragons/trail.py`), and what only an operator's command asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from chalicelib.dragons import trail
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.submission_table import SubmissionTable
from chalicelib.dragons.submissions import NotASubmission, Submission, is_expired, submission_of_row
from chalicelib.dragons.trail import DragonTrail
from chalicelib.dragons.workflow import DragonWorkflow
from chalicelib.timeline import Findings, Linked
from operations import PROJECT
from operations.stores import EXECUTIONS_KEPT_DAYS, Standing
from operations.trace.places import Places

ROWS_KEPT = "kept for 90 days"
# An execution starts while its request is answered, or its answer is lost and the client sends it again.
STARTS_WITHIN = timedelta(seconds=30)
EXECUTIONS_LISTED_MAX = 10_000
EXECUTIONS_ASKED_MAX = 50  # Step Functions describes some 15 a second


class Dragons(DragonTrail):
    """The dragons of a stage, and their reports."""

    def __init__(self, stage: Standing) -> None:
        self._stage, places = stage, Places(stage)
        self._steps = stage.clients("stepfunctions")
        workflow = DragonWorkflow(places, lambda: self._steps)
        submissions = SubmissionTable(places, workflow, lambda: stage.clients("dynamodb"))
        super().__init__(
            places,
            submissions,
            lambda: stage.clients("s3"),
            lambda: stage.clients("dynamodb"),
            lambda: self._steps,
        )

    def kept(self) -> Iterator[tuple[str, str]]:
        """Yield where dragons and reports are, with how long they are kept there."""
        yield f"table {self.places.submission_table_name}", f"reports by id and by their dragons' names, {ROWS_KEPT}"
        yield self.workflow, f"executions by name, kept for {EXECUTIONS_KEPT_DAYS} days after their end"
        yield self.home, "dragons by name, kept until they are removed"

    def tell(self, report: Submission, findings: Findings, linked: Linked) -> None:
        """Do as `DragonTrail.tell`, and name the command that goes on from a failed report."""
        super().tell(report, findings, linked)
        if report.status == "failed":
            findings.next.append(f"make logs STAGE={self._stage.name} ID={report.submission_id}")

    def states_left_out(self) -> frozenset[str]:
        """Return the states that call nobody: what they decide shows in the state that follows."""
        return _states_that_only_decide()

    def reports_of(self, key: str, findings: Findings) -> Sequence[Submission]:
        """Return the reports of dragons with this normalised name, the newest first. All rows are read."""
        reports = self._of_dragon(key)
        if len(reports) > trail.REPORTS_SHOWN_MAX:
            findings.limits.append(
                f"{len(reports)} reports have this name; the newest {trail.REPORTS_SHOWN_MAX} are shown. The id of "
                "its submission shows an older one"
            )
        return reports

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
            if self.given(execution["executionArn"]) == correlation_id:
                found = self.reported(execution["name"], findings, linked) or found
        return found

    def _newest_since(self, since: datetime, findings: Findings) -> Iterator[Any]:
        listed = 0
        pages = self._steps.get_paginator("list_executions").paginate(stateMachineArn=self.places.dragon_workflow_arn)
        for page in pages:
            for execution in page["executions"]:
                listed += 1
                if execution["startDate"] < since:
                    return
                if listed > EXECUTIONS_LISTED_MAX:
                    findings.limits.append(
                        f"{self.workflow}: the newest {EXECUTIONS_LISTED_MAX:,} executions began after the request"
                    )
                    return
                yield execution

    def _of_dragon(self, key: str) -> list[Submission]:
        """Return the reports of dragons with this name, the newest first. All rows are read: none is kept by name."""
        pages = (
            self._stage.clients("dynamodb").get_paginator("scan").paginate(TableName=self.places.submission_table_name)
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
    workflow = json.loads((PROJECT / "infrastructure" / "dragons.asl.json").read_text(encoding="utf-8"))
    return frozenset(name for name, state in workflow["States"].items() if state["Type"] in ("Choice", "Pass"))
