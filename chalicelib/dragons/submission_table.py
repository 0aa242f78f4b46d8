"""What the API reads of submissions: their rows in DynamoDB, which the workflow writes.

Step Functions describes only 15 executions a second in an account
(https://docs.aws.amazon.com/step-functions/latest/dg/limits.html), so it is asked only where a row does not tell:
before the first write is visible, after a write that failed, and for an execution that ended without a word.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from chalicelib import aws
from chalicelib.dragons.submissions import NotASubmission, Submission, is_expired, submission_of_row
from chalicelib.dragons.workflow import DragonWorkflow
from chalicelib.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

POLL_FIRST_S = 0.3
POLL_MAX_S = 2.0
# The index that finds a row by the submission's id (infrastructure/resources.yaml).
INDEX = "by-id"
SORT_KEY_BYTES_MAX = 1024  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
# The time limit of infrastructure/dragons.asl.json: no execution that is older still runs.
WORKFLOW_ENDS_WITHIN_S = 3600

# So many submissions of a page are asked of Step Functions at most. The others are shown as their rows are.
ASKED_FOR_A_PAGE_MAX = 5

_SUBMISSION_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


def is_sort_key(text: str) -> bool:
    """Tell whether a row can have this sort key."""
    return 1 <= len(text.encode()) <= SORT_KEY_BYTES_MAX


class Table(Protocol):
    """Which table holds the rows."""

    @property
    def submission_table_name(self) -> str:
        """The table's name."""
        ...


class SubmissionPage(msgspec.Struct, frozen=True):
    """A user's submissions, newest first; `next_before` is the last one's sort key if older ones follow."""

    submissions: Sequence[Submission]
    next_before: str | None


class SubmissionTable:
    """The stage's submissions. Safe to share between threads."""

    def __init__(
        self,
        table: Table,
        workflow: DragonWorkflow,
        dynamodb: Callable[[], DynamoDBClient] = aws.dynamodb,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the table's name (read before each use), the workflow to ask where a row does not tell, a function that
        returns the client, a clock (seconds since 1970) and a sleep.
        """
        self._table = table
        self._workflow = workflow
        self._dynamodb = dynamodb
        self._clock = clock
        self._sleep = sleep

    def find(self, submission_id: str) -> Submission | None:
        """Return the submission with this id, or None if there is none (any more).

        The table's index is eventually consistent: a status may be seen a moment late. Raises `aws.calling`'s errors.
        """
        if not _SUBMISSION_ID.fullmatch(submission_id):
            return None
        found = self._row(submission_id)
        if found is None:
            return self._workflow.find(submission_id)
        return self._settled(found) if self._is_overdue(found) else found

    def page(self, sub: str, before: str | None, limit: int) -> SubmissionPage:
        """Return at most `limit` submissions of a user, newest first: those before this sort key, or the newest.

        A page asks Step Functions about the first `ASKED_FOR_A_PAGE_MAX` that are overdue, and about none if it has no
        time to answer. Raises `aws.calling`'s errors.
        """
        rows = self._rows(sub, before, limit + 1)
        shown = [submission for _, submission in rows[:limit]]
        try:
            for place in [place for place, found in enumerate(shown) if self._is_overdue(found)][:ASKED_FOR_A_PAGE_MAX]:
                shown[place] = self._settled(shown[place])
        except aws.DependencyUnavailable:
            logger.warning("overdue submissions are shown as pending", exc_info=True)
        return SubmissionPage(shown, rows[limit - 1][0] if len(rows) > limit else None)

    def wait(self, submission: Submission, timeout_s: float) -> Submission:
        """Wait until a submission that has just been started is settled, for at most `timeout_s`.

        Returns it as it is then, settled or still pending. If the row has not been seen by then, Step Functions is
        asked, once. It never fails: whatever happens, the workflow has started, so the wait ends at once with the
        submission as it was last seen.
        """
        deadline = self._clock() + timeout_s
        pause_s = POLL_FIRST_S
        seen: Submission | None = None
        try:
            while (left_s := deadline - self._clock()) > 0:
                self._sleep(min(pause_s, left_s))
                pause_s = min(POLL_MAX_S, pause_s * 1.5)
                seen = self._row(submission.submission_id) or seen
                if seen is not None and seen.status != "pending":
                    return seen
            if seen is None:
                seen = self._workflow.find(submission.submission_id)
        except Exception:  # noqa: BLE001 - a client that gets an error would report the dragon again
            logger.warning("nobody waits any longer for a submission", exc_info=True)
        return seen or submission

    def _is_overdue(self, found: Submission) -> bool:
        """Tell whether a row is pending although its execution has ended: it was stopped, ran out of time, or its last
        write failed.
        """
        return found.status == "pending" and found.started_s() + WORKFLOW_ENDS_WITHIN_S < self._clock()

    def _settled(self, overdue: Submission) -> Submission:
        """Return what Step Functions says about a submission. If nobody knows of it any more, it cannot end."""
        return self._workflow.find(overdue.submission_id) or overdue.as_failed()

    def _rows(self, sub: str, before: str | None, rows_max: int) -> list[tuple[str, Submission]]:
        """Return a user's newest rows before a sort key, each with its own."""
        rows: list[tuple[str, Submission]] = []
        asked: dict[str, Any] = {
            "KeyConditionExpression": "#sub = :sub" if before is None else "#sub = :sub AND started_at_id < :before",
            "ExpressionAttributeNames": {"#sub": "sub"},
            "ExpressionAttributeValues": {":sub": {"S": sub}} | ({} if before is None else {":before": {"S": before}}),
        }
        while len(rows) < rows_max:
            with aws.calling("DynamoDB"):
                answer = self._dynamodb().query(
                    TableName=self._table.submission_table_name,
                    **asked,
                    ConsistentRead=True,
                    ScanIndexForward=False,
                    Limit=rows_max - len(rows),
                )
            for item in answer["Items"]:
                if is_expired(item, self._clock()):
                    return rows  # and so are all that are older
                with contextlib.suppress(NotASubmission):
                    rows.append((item["started_at_id"]["S"], submission_of_row(item)))
            if "LastEvaluatedKey" not in answer:
                break
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return rows

    def _row(self, submission_id: str) -> Submission | None:
        """Return what the submission's newest row says, or None if there is no row, or none of a submission."""
        with aws.calling("DynamoDB"):
            answer = self._dynamodb().query(
                TableName=self._table.submission_table_name,
                IndexName=INDEX,
                KeyConditionExpression="id = :id",
                ExpressionAttributeValues={":id": {"S": submission_id}},
                ScanIndexForward=False,
                Limit=1,
            )
        # DynamoDB may show what has expired for some days:
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ttl-expired-items.html
        items = [item for item in answer["Items"] if not is_expired(item, self._clock())]
        try:
            return submission_of_row(items[0]) if items else None
        except NotASubmission:
            return None
