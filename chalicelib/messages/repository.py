"""Where messages are kept: the archive in S3, and the index in DynamoDB that answers reads.

The archive is written first, so an index row never points at nothing. Both writes are conditional: the same message
again changes nothing, and another payload under the same key never overwrites the first.

Lists come from an index of the table, which the row's own write fills, and which shows it a moment later.

If a stage keeps messages for so many days only, both end that long after the message was archived. DynamoDB deletes
some days later, and S3 after the midnight that follows; until then, what has expired is taken for absent here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib import aws, exact_json
from chalicelib.faults import InvalidInput
from chalicelib.messages import listing
from chalicelib.messages.listing import ListedMessage, MessagePage, MessageQuery
from chalicelib.messages.model import Message, message_from
from chalicelib.messages.stored import DAY_S, NotARow, StoredMessage, has_expired
from chalicelib.telemetry import count, logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef
    from mypy_boto3_s3 import S3Client


# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (item size)
ROW_BYTES_MAX = 400 * 1024

# A look that failed is not soon followed by another.
NO_LOOK_AFTER_FAILURE_S = 30.0


class MessageConflict(Exception):
    """Another payload is stored under the same company and message id; the first one stays."""


class MessageTooLarge(Exception):
    """The index cannot keep a message this large. The API accepts none, but the queue takes up to 1 MiB."""


class ListsBeingMade(aws.DependencyUnavailable):
    """DynamoDB has not finished the index of the lists. It makes it once, after the deployment that adds it."""

    def __init__(self) -> None:
        super().__init__("DynamoDB", "the index of the lists is being made")


class Ambiguous(Exception):
    """Several companies have a message with this id, and the caller did not name one."""


class Storing(StrEnum):
    """The outcome of storing a message."""

    STORED = "stored"
    REPEATED = "repeated"


class Seen(StrEnum):
    """What a look in the index shows of a message."""

    STORED = "stored"
    ANOTHER = "another payload is stored under its company and id"
    UNKNOWN = "unknown"


class MessageStores(Protocol):
    """Where the messages are kept."""

    @property
    def message_archive_bucket_name(self) -> str:
        """The archive's bucket."""
        ...

    @property
    def message_table_name(self) -> str:
        """The index's table."""
        ...

    @property
    def archive_retention_days(self) -> str:
        """For how many days messages are kept, or 0 for ever."""
        ...


class MessageRepository:
    """The stage's archive bucket and index table. Safe to share between threads.

    Every method but `look_for` raises `aws.calling`'s errors.
    """

    def __init__(
        self,
        stores: MessageStores,
        s3: Callable[[], S3Client] = aws.s3,
        dynamodb: Callable[[], DynamoDBClient] = aws.dynamodb,
        hasty_dynamodb: Callable[[], DynamoDBClient] = aws.hasty_dynamodb,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the names of bucket and table and the days (read before each use), functions that return the clients,
        and one that returns the time in seconds since 1970.
        """
        self._stores = stores
        self._s3 = s3
        self._dynamodb = dynamodb
        self._hasty_dynamodb = hasty_dynamodb
        self._clock = clock
        self._no_look_before = clock()
        self._threads = ThreadPoolExecutor(listing.PARTS)

    def store(self, message: Message, accepted_ms: int | None = None) -> Storing:
        """Archive a message, then index it. Storing the same message again changes nothing and returns `REPEATED`.

        Takes when the queue accepted it, in ms since 1970; None is now. Raises `MessageConflict` if another payload
        has the key, and `MessageTooLarge`.
        """
        days = int(self._stores.archive_retention_days)
        row = StoredMessage.of(message).kept_for(days, self._clock())
        accepted_ms = int(self._clock() * 1000) if accepted_ms is None else accepted_ms
        row = row.listed_under(listing.keys(row.company_id, row.message_id, accepted_ms))
        if row.size_bytes > ROW_BYTES_MAX:
            raise MessageTooLarge(f"the index keeps at most {ROW_BYTES_MAX:,} bytes of a message")
        # The index is read first: rows from before retention was set outlive their archived objects until `make expire`
        # aligns them, and the archive would accept another payload.
        if present := self._row(row.message_id, row.company_id):
            return _compared(message, present[0])
        archived_at = self._archive(message, days)
        return self._index(message, row.kept_for(days, archived_at))

    def look_for(self, message: Message) -> Seen:
        """Return what the index shows of a message, without any guarantee: it may not show yet what was just stored.

        It never fails, and takes a second at most, if the settings are known. If the index cannot be asked, the message
        is `UNKNOWN`, and so is any other message for `NO_LOOK_AFTER_FAILURE_S`.
        """
        if self._clock() < self._no_look_before:
            return Seen.UNKNOWN
        try:
            item = self._glimpsed(message)
        except Exception:  # noqa: BLE001 - whatever happens, the queue can still take the message
            self._no_look_before = self._clock() + NO_LOOK_AFTER_FAILURE_S
            logger.warning("no look in the index for a while", exc_info=True)
            count("MessageLooksFailed")
            return Seen.UNKNOWN
        if item is None:
            return Seen.UNKNOWN
        return Seen.STORED if _holds(item, message) else Seen.ANOTHER

    def seen(self, message: Message) -> Seen:
        """Return what the index holds of a message, for certain."""
        stored = self.find(str(message.metadata.message_id), str(message.metadata.company_id))
        if stored is None:
            return Seen.UNKNOWN
        return Seen.STORED if stored.holds(message) else Seen.ANOTHER

    def find(self, message_id: str, company_id: str | None) -> StoredMessage | None:
        """Return a stored message, or None.

        If `company_id` is None (for operators), all companies are searched. Raises `Ambiguous` if several have the id.
        """
        rows = self._rows(message_id) if company_id is None else self._row(message_id, company_id)
        if len(rows) > 1:
            raise Ambiguous
        return StoredMessage.from_item(rows[0]) if rows else None

    def page(self, query: MessageQuery) -> MessagePage:
        """Return a company's messages, newest first. One that was stored a moment ago may be missing.

        Raises `ListsBeingMade` while DynamoDB makes the index.
        """
        low, high = query.range
        if low > high:
            return MessagePage([], None)
        reads = [
            self._threads.submit(copy_context().run, self._of_part, part, query)
            for part in listing.parts(query.company_id)
        ]
        found = dict(chain.from_iterable(read.result() for read in reads))
        newest = sorted(found, reverse=True)
        shown = newest[: query.limit]
        return MessagePage([found[key] for key in shown], shown[-1] if len(newest) > query.limit else None)

    def _of_part(self, part: str, query: MessageQuery) -> list[tuple[str, ListedMessage]]:
        """Return the newest messages of a part by their sort keys: those of a page, and one more."""
        low, high = query.range
        rows_max = query.limit + 1
        found: list[tuple[str, ListedMessage]] = []
        following: dict[str, Any] = {}
        while True:
            with _index_there(), aws.calling("DynamoDB"):
                answer = self._dynamodb().query(
                    TableName=self._stores.message_table_name,
                    IndexName=listing.INDEX,
                    KeyConditionExpression=(
                        f"{listing.COMPANY_PART} = :part AND {listing.ACCEPTED_AT_ID} BETWEEN :low AND :high"
                    ),
                    ExpressionAttributeValues={":part": {"S": part}, ":low": {"S": low}, ":high": {"S": high}},
                    ScanIndexForward=False,
                    Limit=rows_max + 1 - len(found),  # the key that the page comes before may be among them
                    **following,
                )
            found += self._listed(answer["Items"], query.before)
            if len(found) >= rows_max or "LastEvaluatedKey" not in answer:
                return found[:rows_max]
            following = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _listed(
        self, items: Iterable[dict[str, AttributeValueTypeDef]], before: str | None
    ) -> Iterator[tuple[str, ListedMessage]]:
        """Yield what is to be listed of a part's items, with its sort key."""
        for item in items:
            key = item[listing.ACCEPTED_AT_ID]["S"]
            if key != before and self._unless_expired(item):
                with contextlib.suppress(NotARow):
                    yield key, ListedMessage.from_item(item)

    def _archive(self, message: Message, days: int) -> float:
        """Archive a message that is not archived yet; return when it was archived, in seconds since 1970."""
        try:
            self._put(message, IfNoneMatch="*")
        except aws.DependencyFault as refused:
            if refused.status == 409:  # another conditional put of the key is under way
                raise aws.DependencyUnavailable("S3", refused.code) from refused
            if refused.status != 412:
                raise
            return self._archived_before(message, days)
        return self._clock()

    def _archived_before(self, message: Message, days: int) -> float:
        """Return when a message was archived that has its key already; one that has expired is replaced.

        Raises `MessageConflict` if another payload has the key.
        """
        with aws.calling("S3"):
            answer = self._s3().get_object(Bucket=self._stores.message_archive_bucket_name, Key=message.archive_key)
            archived = answer["Body"].read()
        archived_at = answer["LastModified"].timestamp()
        if days and archived_at + days * DAY_S <= self._clock():
            self._replace(message, answer["ETag"])
            return self._clock()
        _check_is_same(archived, message)
        return archived_at

    def _replace(self, expired: Message, etag: str) -> None:
        """Archive a message in the place of one that has expired, unless that has changed meanwhile."""
        try:
            self._put(expired, IfMatch=etag)
        except aws.DependencyFault as refused:
            if refused.status not in (404, 409, 412):  # S3 has just deleted it, or another consumer has replaced it
                raise
            raise aws.DependencyUnavailable("S3", refused.code) from refused

    def _put(self, message: Message, **condition: str) -> None:
        with aws.calling("S3"):
            self._s3().put_object(
                Bucket=self._stores.message_archive_bucket_name,
                Key=message.archive_key,
                Body=message.as_json(),
                ContentType="application/json",
                **condition,  # type: ignore[arg-type]
            )

    def _index(self, message: Message, row: StoredMessage) -> Storing:
        try:
            with aws.calling("DynamoDB"):
                self._dynamodb().put_item(
                    TableName=self._stores.message_table_name,
                    Item=row.as_item(),
                    ConditionExpression="attribute_not_exists(message_id) OR expires_at <= :now",
                    ExpressionAttributeValues={":now": {"N": str(int(self._clock()))}},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except aws.DependencyFault as refused:
            if refused.code != "ConditionalCheckFailedException":
                raise
            return _compared(message, refused.answer.get("Item", {}))
        return Storing.STORED

    def _glimpsed(self, message: Message) -> Mapping[str, Any] | None:
        table = self._stores.message_table_name  # known by now: whose token it is could not be told without settings
        with aws.calling("DynamoDB"):
            answer = self._hasty_dynamodb().get_item(
                TableName=table, Key=_key(str(message.metadata.message_id), str(message.metadata.company_id))
            )
        return self._unless_expired(answer.get("Item"))

    def _row(self, message_id: str, company_id: str) -> list[dict[str, AttributeValueTypeDef]]:
        with aws.calling("DynamoDB"):
            answer = self._dynamodb().get_item(
                TableName=self._stores.message_table_name,
                Key=_key(message_id, company_id),
                ConsistentRead=True,
            )
        row = self._unless_expired(answer.get("Item"))
        return [row] if row else []

    def _rows(self, message_id: str) -> list[dict[str, AttributeValueTypeDef]]:
        """Return the rows with this message id, but not more than two of them."""
        found: list[dict[str, AttributeValueTypeDef]] = []
        following: dict[str, Any] = {}
        while True:
            with aws.calling("DynamoDB"):
                answer = self._dynamodb().query(
                    TableName=self._stores.message_table_name,
                    KeyConditionExpression="message_id = :id",
                    ExpressionAttributeValues={":id": {"S": message_id}},
                    ConsistentRead=True,
                    Limit=2,
                    **following,
                )
            found += [row for row in answer["Items"] if self._unless_expired(row)]
            if len(found) > 1 or "LastEvaluatedKey" not in answer:
                return found[:2]
            following = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _unless_expired(self, item: dict[str, AttributeValueTypeDef] | None) -> dict[str, AttributeValueTypeDef] | None:
        return None if item is None or has_expired(item, self._clock()) else item


@contextlib.contextmanager
def _index_there() -> Iterator[None]:
    """Raise `ListsBeingMade` if DynamoDB says so in this block, in nothing but words:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.html
    """
    try:
        yield
    except aws.DependencyFault as refused:
        if "backfilling" in str(refused.answer.get("Error", {}).get("Message", "")):
            raise ListsBeingMade from refused
        raise


def _check_is_same(archived: bytes, message: Message) -> None:
    """Raise `MessageConflict` if what is archived is not this message."""
    try:
        same = message_from(exact_json.parse_object(archived)).digest() == message.digest()
    except (exact_json.MalformedJson, InvalidInput):
        same = False
    if not same:
        raise MessageConflict(f"{message.archive_key} is archived with another payload")


def _key(message_id: str, company_id: str) -> dict[str, AttributeValueTypeDef]:
    return {"message_id": {"S": message_id}, "company_id": {"S": company_id}}


def _compared(message: Message, present: Mapping[str, Any]) -> Storing:
    """Return `REPEATED` if the stored row holds this message. Raises `MessageConflict` if not."""
    if not _holds(present, message):
        raise MessageConflict(f"{message.archive_key} is indexed with another payload")
    return Storing.REPEATED


def _holds(item: Mapping[str, Any], message: Message) -> bool:
    try:
        return StoredMessage.from_item(item).holds(message)
    except NotARow:
        return False
