"""Where messages are kept: the archive in S3, and the index in DynamoDB that answers reads.

The archive is written first, so an index row never points at nothing (until the object expires). Both writes are
conditional: the same message again changes nothing, and another payload under the same key never overwrites the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib import aws, exact_json
from chalicelib.faults import InvalidInput
from chalicelib.messages.model import Message, message_from
from chalicelib.messages.stored import StoredMessage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef
    from mypy_boto3_s3 import S3Client


# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (item size)
ROW_BYTES_MAX = 400 * 1024


class MessageConflict(Exception):
    """Another payload is stored under the same company and message id; the first one stays."""


class MessageTooLarge(Exception):
    """The index cannot keep a message this large. The API accepts none, but the queue takes up to 1 MiB."""


class Ambiguous(Exception):
    """Several companies have a message with this id, and the caller did not name one."""


class Storing(StrEnum):
    """The outcome of storing a message."""

    STORED = "stored"
    REPEATED = "repeated"


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


class MessageRepository:
    """The stage's archive bucket and index table. Safe to share between threads.

    Every method raises `aws.calling`'s errors.
    """

    def __init__(
        self,
        stores: MessageStores,
        s3: Callable[[], S3Client] = aws.s3,
        dynamodb: Callable[[], DynamoDBClient] = aws.dynamodb,
    ) -> None:
        """Take the names of bucket and table (read before each use), and functions that return the clients."""
        self._stores = stores
        self._s3 = s3
        self._dynamodb = dynamodb

    def store(self, message: Message) -> Storing:
        """Archive a message, then index it. Storing the same message again changes nothing and returns `REPEATED`.

        Raises `MessageConflict` if another payload has the key, and `MessageTooLarge`.
        """
        row = StoredMessage.of(message)
        if row.size_bytes > ROW_BYTES_MAX:
            raise MessageTooLarge(f"the index keeps at most {ROW_BYTES_MAX:,} bytes of a message")
        # The index is read first: the archived object may have expired while its row remains (ArchiveRetentionDays),
        # and the archive would then accept another payload.
        if present := self._row(row.message_id, row.company_id):
            return _compared(message, present[0])
        self._archive(message)
        return self._index(message, row)

    def find(self, message_id: str, company_id: str | None) -> StoredMessage | None:
        """Return a stored message, or None.

        If `company_id` is None (for operators), all companies are searched. Raises `Ambiguous` if several have the id.
        """
        rows = self._rows(message_id) if company_id is None else self._row(message_id, company_id)
        if len(rows) > 1:
            raise Ambiguous
        return StoredMessage.from_item(rows[0]) if rows else None

    def _archive(self, message: Message) -> None:
        try:
            with aws.calling("S3"):
                self._s3().put_object(
                    Bucket=self._stores.message_archive_bucket_name,
                    Key=message.archive_key,
                    Body=message.as_json(),
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
        except aws.DependencyFault as refused:
            if refused.status == 409:  # another conditional put of the key is under way
                raise aws.DependencyUnavailable("S3", refused.code) from refused
            if refused.status != 412:
                raise
            self._check_archived_is_same(message)

    def _check_archived_is_same(self, message: Message) -> None:
        with aws.calling("S3"):
            answer = self._s3().get_object(Bucket=self._stores.message_archive_bucket_name, Key=message.archive_key)
            archived = answer["Body"].read()
        try:
            same = message_from(exact_json.parse_object(archived)).canonical() == message.canonical()
        except (exact_json.MalformedJson, InvalidInput):
            same = False
        if not same:
            raise MessageConflict(f"{message.archive_key} is archived with another payload")

    def _index(self, message: Message, row: StoredMessage) -> Storing:
        try:
            with aws.calling("DynamoDB"):
                self._dynamodb().put_item(
                    TableName=self._stores.message_table_name,
                    Item=row.as_item(),
                    ConditionExpression="attribute_not_exists(message_id)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except aws.DependencyFault as refused:
            if refused.code != "ConditionalCheckFailedException":
                raise
            return _compared(message, refused.answer.get("Item", {}))
        return Storing.STORED

    def _row(self, message_id: str, company_id: str) -> list[dict[str, AttributeValueTypeDef]]:
        with aws.calling("DynamoDB"):
            answer = self._dynamodb().get_item(
                TableName=self._stores.message_table_name,
                Key={"message_id": {"S": message_id}, "company_id": {"S": company_id}},
                ConsistentRead=True,
            )
        return [answer["Item"]] if "Item" in answer else []

    def _rows(self, message_id: str) -> list[dict[str, AttributeValueTypeDef]]:
        with aws.calling("DynamoDB"):
            answer = self._dynamodb().query(
                TableName=self._stores.message_table_name,
                KeyConditionExpression="message_id = :id",
                ExpressionAttributeValues={":id": {"S": message_id}},
                ConsistentRead=True,
                Limit=2,
            )
        return answer["Items"]


def _compared(message: Message, present: Mapping[str, Any]) -> Storing:
    """Return `REPEATED` if the stored row holds this message. Raises `MessageConflict` if not."""
    try:
        same = StoredMessage.from_item(present).holds(message)
    except KeyError:  # somebody else wrote this row
        same = False
    if not same:
        raise MessageConflict(f"{message.archive_key} is indexed with another payload")
    return Storing.REPEATED
