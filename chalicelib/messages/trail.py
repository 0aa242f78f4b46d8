"""What the index of messages, their archive and the dead letters know of a message, for its timeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib import aws
from chalicelib.messages.dead_letters import DeadLetters, Letter
from chalicelib.messages.stored import has_expired
from chalicelib.timeline import Findings, Linked, Moment, one_line, uuid_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


class Stores(Protocol):
    """Where messages are."""

    @property
    def message_archive_bucket_name(self) -> str:
        """The archive's bucket."""
        ...

    @property
    def message_table_name(self) -> str:
        """The index's table."""
        ...

    @property
    def message_dead_letter_queue_url(self) -> str:
        """The queue of dead letters."""
        ...


class MessageTrail:
    """Looks for messages in all places that keep them. Every method raises `aws.calling`'s errors."""

    def __init__(
        self,
        stores: Stores,
        letters: Callable[[], DeadLetters],
        s3: Callable[[], S3Client] = aws.s3,
        dynamodb: Callable[[], DynamoDBClient] = aws.dynamodb,
    ) -> None:
        """Take where messages are, a function that returns a look at the dead letters, and the clients' functions."""
        self._stores = stores
        self._letters = letters
        self._s3 = s3
        self._dynamodb = dynamodb

    def stored(self, message_id: str, findings: Findings, linked: Linked) -> bool:
        """Look for a message of any company in the index, and in the archive. Tell whether it is there."""
        rows = self._rows(message_id)
        table = self._stores.message_table_name
        for row in rows:
            company = row["company_id"]["S"]
            linked.companies.add(company)
            linked.messages.add(message_id)
            expired = ", and has expired" if has_expired(row, time.time()) else ""
            findings.answers.append(f"message {message_id} of company {company}: stored{expired}")
            self._archived(row["message_s3_key"]["S"], findings, f"archived, and indexed in table {table}")
        return bool(rows)

    def archived_only(self, message_id: str, companies: Iterable[str], findings: Findings) -> bool:
        """Look for a message that the index lacks in the archive of these companies. Tell whether it is there."""
        found = False
        for company in sorted(companies):
            if self._archived(f"{company}/{message_id}.json", findings, "archived, and not indexed"):
                found = True
                findings.answers.append(
                    f"message {message_id} of company {company}: archived, but not in the index yet; the next delivery "
                    "completes it. If it was delivered before, its row was deleted"
                )
        return found

    def dead(self, ids: Iterable[str], findings: Findings, linked: Linked) -> bool:
        """Look for dead letters with one of these ids. Tell whether there is one. Nobody else sees any meanwhile."""
        wanted, look = set(ids), self._letters()
        found = [letter for letter in look.each() if wanted & _ids(letter)]
        for letter in found:
            self._tell(letter, findings, linked)
        if not look.read_whole:
            findings.limits.append(f"queue {self._queue} was not read to its end in time")
        return bool(found)

    @property
    def _queue(self) -> str:
        return self._stores.message_dead_letter_queue_url.rpartition("/")[2]

    def _rows(self, message_id: str) -> list[Any]:
        found: list[Any] = []
        following: dict[str, Any] = {}
        while True:
            with aws.calling("DynamoDB"):
                answer = self._dynamodb().query(
                    TableName=self._stores.message_table_name,
                    KeyConditionExpression="message_id = :id",
                    ExpressionAttributeValues={":id": {"S": message_id}},
                    ProjectionExpression="company_id, message_s3_key, expires_at",
                    ConsistentRead=True,
                    **following,
                )
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return found
            following = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _archived(self, key: str, findings: Findings, what: str) -> bool:
        bucket = self._stores.message_archive_bucket_name
        try:
            with aws.calling("S3"):
                head = self._s3().head_object(Bucket=bucket, Key=key)
        except aws.DependencyFault as refused:
            if refused.status != 404:
                raise
            return False
        told = f"{what}: {key} ({head['ContentLength']:,} bytes)"
        findings.moments.append(Moment(head["LastModified"], f"bucket {bucket}", told, to_the_second=True))
        return True

    def _tell(self, letter: Letter, findings: Findings, linked: Linked) -> None:
        message_id, company = letter.metadata("message_id").lower(), letter.metadata("company_id").lower()
        what = f"dead letter {letter.letter_id} of company {company}: {one_line(letter.reason)}"
        findings.moments.append(Moment(letter.sent_at, f"queue {self._queue}", what))
        findings.answers.append(f"message {message_id} of company {company} is a dead letter: {letter.reason}")
        linked.letters.add(letter.letter_id)
        linked.correlations |= {text for text in (letter.attribute("correlation_id"),) if text}
        for name, ids in (("message_id", linked.messages), ("company_id", linked.companies)):
            if known := uuid_of(letter.metadata(name)):
                ids.add(known)


def _ids(letter: Letter) -> set[str]:
    named = (letter.attribute("correlation_id"), letter.attribute("source_message_id"), letter.letter_id)
    return {text for text in named if text} | {letter.metadata("message_id").lower()}
