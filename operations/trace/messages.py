"""What the messages' index, their archive, the dead letters and the queue know of a message."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from botocore.exceptions import ClientError

from chalicelib.checked import Uuid
from chalicelib.messages.dead_letters import HELD_S, DeadLetters, Letter, Queues
from chalicelib.messages.stored import DAY_S, has_expired
from operations.stores import Standing
from operations.trace.lines import Linked
from operations.trace.timeline import Findings, Moment, one_line


class Messages:
    """The messages of a stage."""

    def __init__(self, stage: Standing) -> None:
        self._stage = stage
        self._table = stage.resources["MessageTable"]
        self._bucket = stage.resources["MessageBucket"]
        self._letters = stage.resources["MessageDeadLetterQueue"]
        self._queue = stage.resources["MessageQueue"]

    @property
    def queue(self) -> str:
        """The message queue's name."""
        return _name(self._queue)

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield where messages are, with how long they are kept there."""
        days = self._stage.parameter("archive_retention_days")
        kept = "kept for ever" if days == "0" else f"kept for {days} days"
        yield f"table {self._table}", f"stored messages, {kept}"
        yield f"queue {_name(self._letters)}", f"dead letters, kept for {self._days(self._letters)} days"
        waiting = f"{self._depth()}, for {self._days(self._queue)} days at most"
        reason = "not looked into, because that would delay messages"
        yield f"queue {self.queue}", f"{reason}: {waiting}. Only the sender's X-Request-Id leads to them"

    def stored(self, message_id: str, findings: Findings, linked: Linked) -> bool:
        """Look for a message of any company in the index, and in the archive. Tell whether it is there."""
        pages = (
            self._stage.clients("dynamodb")
            .get_paginator("query")
            .paginate(
                TableName=self._table,
                KeyConditionExpression="message_id = :id",
                ExpressionAttributeValues={":id": {"S": message_id}},
                ProjectionExpression="company_id, message_s3_key, expires_at",
                ConsistentRead=True,
            )
        )
        rows = [row for page in pages for row in page["Items"]]
        for row in rows:
            company = row["company_id"]["S"]
            linked.companies.add(company)
            linked.messages.add(message_id)
            expired = ", and has expired" if has_expired(row, time.time()) else ""
            findings.answers.append(f"message {message_id} of company {company}: stored{expired}")
            self._archived(row["message_s3_key"]["S"], findings, f"archived, and indexed in table {self._table}")
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

    def letters(self, ids: Iterable[str], findings: Findings, linked: Linked) -> bool:
        """Look for dead letters with one of these ids. Tell whether there is one. Nobody else sees any meanwhile."""
        wanted, queue = set(ids), self._dead_letters()
        found = [letter for letter in queue.each() if wanted & _ids(letter)]
        for letter in found:
            self._tell(letter, findings, linked)
        if not queue.read_whole:
            findings.limits.append(f"queue {_name(self._letters)} was not read to its end within {HELD_S} s")
        return bool(found)

    def _dead_letters(self) -> DeadLetters:
        return DeadLetters(Queues(self._queue, self._letters), lambda: self._stage.clients("sqs"))

    def unsettled(self, findings: Findings) -> None:
        """Say what is known of messages that were accepted and are not settled."""
        kept = f"{self._depth()}), which keeps them for {self._days(self._queue)} days"
        findings.answers.append(
            f"the message is not stored yet, and is no dead letter: it is one of those on queue {self.queue} ({kept}. "
            "Looking for it there would delay it"
        )
        findings.next.append(f"make status STAGE={self._stage.name}")

    def _depth(self) -> str:
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        waiting, in_flight = self._attributes(self._queue, *names)
        return f"{waiting} waiting, {in_flight} being delivered"

    def _days(self, url: str) -> int:
        """Return how many days a queue keeps messages."""
        [seconds] = self._attributes(url, "MessageRetentionPeriod")
        return int(seconds) // DAY_S

    def _attributes(self, url: str, *names: str) -> list[str]:
        found = self._stage.clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
        return [found[name] for name in names]

    def _archived(self, key: str, findings: Findings, what: str) -> bool:
        try:
            head = self._stage.clients("s3").head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            return False
        source, size = f"bucket {self._bucket}", f"{head['ContentLength']:,} bytes"
        findings.moments.append(Moment(head["LastModified"], source, f"{what}: {key} ({size})", to_the_second=True))
        return True

    def _tell(self, letter: Letter, findings: Findings, linked: Linked) -> None:
        message_id, company = letter.metadata("message_id").lower(), letter.metadata("company_id").lower()
        what = f"dead letter {letter.letter_id} of company {company}: {one_line(letter.reason)}"
        findings.moments.append(Moment(letter.sent_at, f"queue {_name(self._letters)}", what))
        findings.answers.append(f"message {message_id} of company {company} is a dead letter: {letter.reason}")
        findings.next.append(f'make dead-letters STAGE={self._stage.name} DO="show {letter.letter_id}"')
        linked.correlations |= {text for text in (letter.attribute("correlation_id"),) if text}
        for name, ids in (("message_id", linked.messages), ("company_id", linked.companies)):
            if known := uuid_of(letter.metadata(name)):
                ids.add(known)


def uuid_of(text: str) -> str | None:
    """Return a UUID as the index has it, or None if the text is none."""
    try:
        return str(Uuid.parse(text))
    except ValueError:
        return None


def _ids(letter: Letter) -> set[str]:
    named = (letter.attribute("correlation_id"), letter.attribute("source_message_id"), letter.letter_id)
    return {text for text in named if text} | {letter.metadata("message_id").lower()}


def _name(url: str) -> str:
    return url.rpartition("/")[2]
