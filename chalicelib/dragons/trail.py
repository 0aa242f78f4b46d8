"""What the registry, the table of submissions and Step Functions know of a dragon and its reports, for a timeline."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from chalicelib import aws
from chalicelib.dragons.document import Document, Entry, moved_to
from chalicelib.dragons.dynamodb import DRAGONS, ENTRY, PART, SORT_KEY
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.submission_table import SubmissionTable
from chalicelib.dragons.submissions import Submission, correlation_id, event_in_words
from chalicelib.timeline import Findings, Linked, Moment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient


REPORTS_SHOWN_MAX = 5


class Places(Protocol):
    """Where dragons and submissions are."""

    @property
    def dragon_store(self) -> str:
        """The registry's home."""
        ...

    @property
    def dragon_data_bucket_name(self) -> str:
        """The bucket of one."""
        ...

    @property
    def dragon_data_file_name(self) -> str:
        """Its document's key."""
        ...

    @property
    def dragon_table_name(self) -> str:
        """The table of the other."""
        ...

    @property
    def submission_table_name(self) -> str:
        """The submissions' table."""
        ...

    @property
    def dragon_workflow_arn(self) -> str:
        """The state machine."""
        ...


class DragonTrail:
    """Looks for dragons and reports in all places that keep them. Every method raises `aws.calling`'s errors."""

    def __init__(
        self,
        places: Places,
        submissions: SubmissionTable,
        s3: Callable[[], S3Client] = aws.s3,
        dynamodb: Callable[[], DynamoDBClient] = aws.dynamodb,
        stepfunctions: Callable[[], SFNClient] = aws.stepfunctions,
    ) -> None:
        """Take where they are, the table of submissions, and the clients' functions."""
        self.places = places
        self._submissions = submissions
        self._s3 = s3
        self._dynamodb = dynamodb
        self._stepfunctions = stepfunctions

    @property
    def home(self) -> str:
        """The registry's home in words."""
        if self.places.dragon_store == "dynamodb":
            return f"table {self.places.dragon_table_name}"
        return f"bucket {self.places.dragon_data_bucket_name} ({self.places.dragon_data_file_name})"

    @property
    def workflow(self) -> str:
        """The workflow in words."""
        return f"workflow {self.places.dragon_workflow_arn.rpartition(':')[2]}"

    def reported(self, submission_id: str, findings: Findings, linked: Linked) -> bool:
        """Look for a report by its submission's id. Tell whether there is one."""
        found = self._submissions.find(submission_id)
        if found is not None:
            self.tell(found, findings, linked)
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
            findings.answers.append(f"dragon {entry.dragon_name_str} is in the registry, {self.home}: {by}")
        reports = self.reports_of(key, findings) if key else []
        for report in reports[:REPORTS_SHOWN_MAX]:
            self.tell(report, findings, linked)
        if entry is not None and entry.submission_id not in {None, *(report.submission_id for report in reports)}:
            self.reported(str(entry.submission_id), findings, linked)
        return entry is not None or bool(reports)

    def reports_of(self, key: str, findings: Findings) -> Sequence[Submission]:  # noqa: ARG002 - others read the key
        """Return the reports of dragons with this normalised name, which takes reading all reports: none, here."""
        findings.limits.append("reports of this name that added no dragon are not looked for: `make trace` does")
        return ()

    def tell(self, report: Submission, findings: Findings, linked: Linked) -> None:
        """Add a report to the findings: how it stands, and what its execution did."""
        linked.submissions.add(report.submission_id)
        linked.correlations |= {text for text in (self.given(report.execution_arn),) if text}
        why = (f" ({report.refusal})" if report.refusal else "") + (f": {report.reason}" if report.reason else "")
        findings.answers.append(
            f"dragon {report.dragon.dragon_name_str}, reported at {report.started_at} (submission "
            f"{report.submission_id}): {report.status}{why}"
        )
        self._tell_history(report, findings)
        if report.finished_at:
            ended = datetime.fromisoformat(report.finished_at)
            news = f", notification {report.notification}" if report.notification else ""
            what = f"{report.submission_id} is {report.status}{news}"
            findings.moments.append(Moment(ended, f"table {self.places.submission_table_name}", what))

    def given(self, execution_arn: str) -> str:
        """Return the correlation id that an execution was given, or "" if nobody knows."""
        try:
            with aws.calling("Step Functions"):
                return correlation_id(self._stepfunctions().describe_execution(executionArn=execution_arn)["input"])
        except aws.DependencyFault as refused:
            if refused.code != "ExecutionDoesNotExist":
                raise
            return ""

    def states_left_out(self) -> Collection[str]:
        """Return the workflow's states that are not worth telling: none, here."""
        return ()

    def _tell_history(self, report: Submission, findings: Findings) -> None:
        try:
            for at, told in self._history(report.execution_arn):
                if told.removeprefix("entered ") not in self.states_left_out():
                    findings.moments.append(Moment(at, self.workflow, f"{report.submission_id} {told}"))
        except aws.DependencyFault as refused:
            if refused.code != "ExecutionDoesNotExist":
                raise
            findings.limits.append(f"{self.workflow} has no execution {report.submission_id} any more")

    def _history(self, execution_arn: str) -> Iterator[tuple[datetime, str]]:
        following: dict[str, Any] = {}
        while True:
            with aws.calling("Step Functions"):
                page = self._stepfunctions().get_execution_history(
                    executionArn=execution_arn, includeExecutionData=False, **following
                )
            for event in page["events"]:
                if told := event_in_words(event):
                    yield event["timestamp"].astimezone(UTC), told
            if "nextToken" not in page:
                return
            following = {"nextToken": page["nextToken"]}

    def _entry(self, key: str) -> Entry | None:
        if self.places.dragon_store == "dynamodb":
            where: Any = {PART: {"S": DRAGONS}, SORT_KEY: {"S": key}}
            with aws.calling("DynamoDB"):
                answer = self._dynamodb().get_item(
                    TableName=self.places.dragon_table_name, Key=where, ConsistentRead=True
                )
            row = answer.get("Item")
            return msgspec.json.decode(row[ENTRY]["S"], type=Entry) if row else None
        with aws.calling("S3"):
            body = (
                self._s3()
                .get_object(Bucket=self.places.dragon_data_bucket_name, Key=self.places.dragon_data_file_name)["Body"]
                .read()
            )
        entries = [] if moved_to(body) else Document.parsed(body).entries(key)
        return entries[0] if entries else None
