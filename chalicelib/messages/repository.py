"""Where messages are kept: the archive in S3, and the index in DynamoDB that answers reads.

The archive is written first, so an index row never points at nothing (until the archive forgets it). Both writes are
conditional: the same message again changes nothing, another payload under the same key never overwrites the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib import aws, exact_json
from chalicelib.messages.model import Message, message_from
from chalicelib.validation import InvalidInput

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, UniversalAttributeValueTypeDef
    from mypy_boto3_s3 import S3Client


# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (item size)
ROW_BYTES_MAX = 400 * 1024


class MessageConflict(Exception):
    """Another payload is stored under the same company and message id; the first one stays."""


class MessageTooLarge(Exception):
    """The index cannot keep a message of this size. The API takes none, but the queue does: 1 MiB."""


class Ambiguous(Exception):
    """Several companies have a message of this id, and the reader did not say which is meant."""


class Storing(StrEnum):
    """What became of a message that was to be stored."""

    STORED = "stored"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as the index holds it; `data_json` is the exact JSON text of its `data`."""

    message_time: str
    company_id: str
    message_id: str
    message_s3_key: str
    data_json: bytes

    def as_json(self) -> bytes:
        """Return `{"metadata": {…, "message_s3_key"}, "data": {…}}` with exactly the numbers that were sent."""
        metadata = exact_json.encode({
            "message_time": self.message_time,
            "company_id": self.company_id,
            "message_id": self.message_id,
            "message_s3_key": self.message_s3_key,
        })  # fmt: skip
        return b'{"metadata":' + metadata + b',"data":' + self.data_json + b"}"


class MessageRepository:
    """The stage's archive bucket and index table. Safe to share between threads."""

    def __init__(
        self,
        bucket: Callable[[], str],
        table: Callable[[], str],
        s3: Callable[[], S3Client] = aws.s3,
        dynamodb: Callable[[], DynamoDBClient] = aws.dynamodb,
    ) -> None:
        """Take the bucket's and the table's name (asked before each use), and how to reach S3 and DynamoDB."""
        self._bucket = bucket
        self._table = table
        self._s3 = s3
        self._dynamodb = dynamodb

    def store(self, message: Message) -> Storing:
        """Archive a message, then index it. Storing the same message again changes nothing and answers `REPEATED`.

        Raises `MessageConflict` if another payload has the key, `MessageTooLarge`, and `aws.calling`'s errors.
        """
        row = _row_of(message)
        if _bytes_of(row) > ROW_BYTES_MAX:
            raise MessageTooLarge(f"the index keeps at most {ROW_BYTES_MAX:,} bytes of a message")
        # The index is asked first: the archive may have forgotten a message whose row stays (ArchiveRetentionDays),
        # and would take another one in its place.
        if present := self._row(message.metadata.message_id, message.metadata.company_id):
            return _compared(message, present[0])
        self._archive(message)
        return self._index(message, row)

    def find(self, message_id: str, company_id: str | None) -> StoredMessage | None:
        """Return a stored message, or None.

        Without a company (for operators) it is looked for in all of them; raises `Ambiguous` if several have the id.
        """
        rows = self._rows(message_id) if company_id is None else self._row(message_id, company_id)
        if len(rows) > 1:
            raise Ambiguous
        return _stored(rows[0]) if rows else None

    def _archive(self, message: Message) -> None:
        with aws.calling("S3"):
            try:
                self._s3().put_object(
                    Bucket=self._bucket(),
                    Key=message.archive_key,
                    Body=message.as_json(),
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if aws.error_status(error) != 412:
                    if aws.error_status(error) == 409:  # another conditional put of the key is under way
                        raise aws.DependencyUnavailable("S3", aws.error_code(error)) from error
                    raise
            else:
                return
        self._check_archived_is_same(message)

    def _check_archived_is_same(self, message: Message) -> None:
        with aws.calling("S3"):
            archived = self._s3().get_object(Bucket=self._bucket(), Key=message.archive_key)["Body"].read()
        try:
            same = message_from(exact_json.parse_object(archived)).canonical() == message.canonical()
        except (exact_json.MalformedJson, InvalidInput):
            same = False
        if not same:
            raise MessageConflict(f"{message.archive_key} is archived with another payload")

    def _index(self, message: Message, row: Mapping[str, UniversalAttributeValueTypeDef]) -> Storing:
        with aws.calling("DynamoDB"):
            try:
                self._dynamodb().put_item(
                    TableName=self._table(),
                    Item=row,
                    ConditionExpression="attribute_not_exists(message_id)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if aws.error_code(error) != "ConditionalCheckFailedException":
                    raise
                present: dict[str, Any] = error.response.get("Item", {})  # type: ignore[assignment]
            else:
                return Storing.STORED
        return _compared(message, present)

    def _row(self, message_id: str, company_id: str) -> list[dict[str, AttributeValueTypeDef]]:
        with aws.calling("DynamoDB"):
            answer = self._dynamodb().get_item(
                TableName=self._table(),
                Key={"message_id": {"S": message_id}, "company_id": {"S": company_id}},
                ConsistentRead=True,
            )
        return [answer["Item"]] if "Item" in answer else []

    def _rows(self, message_id: str) -> list[dict[str, AttributeValueTypeDef]]:
        with aws.calling("DynamoDB"):
            answer = self._dynamodb().query(
                TableName=self._table(),
                KeyConditionExpression="message_id = :id",
                ExpressionAttributeValues={":id": {"S": message_id}},
                ConsistentRead=True,
                Limit=2,
            )
        return answer["Items"]


def _compared(message: Message, present: dict[str, Any]) -> Storing:
    """Return `REPEATED` if the row that is there holds this message. Raises `MessageConflict` if not."""
    if not _is_row_of(message, present):
        raise MessageConflict(f"{message.archive_key} is indexed with another payload")
    return Storing.REPEATED


def _bytes_of(row: Mapping[str, Any]) -> int:
    """Return an item's size as DynamoDB counts it, or a little more: names and values in UTF-8, numbers as texts.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name) + len(text.encode()) + 1 for name, value in row.items() for text in value.values())


def _row_of(message: Message) -> dict[str, UniversalAttributeValueTypeDef]:
    """Return the index row: the attributes that queries may want, and `data` as exact JSON text."""
    metadata, order = message.metadata, message.order
    return {
        "message_id": {"S": str(metadata.message_id)},
        "company_id": {"S": str(metadata.company_id)},
        "message_time": {"S": str(metadata.message_time)},
        "order_id": {"S": str(order.order_id)},
        "order_time": {"S": str(order.order_time)},
        "order_amount": {"N": str(exact_json.canonical_number(order.order_amount))},
        "message_s3_key": {"S": message.archive_key},
        "data": {"S": exact_json.encode(message.data).decode()},
    }


def _stored(row: dict[str, Any]) -> StoredMessage:
    return StoredMessage(
        message_time=row["message_time"]["S"],
        company_id=row["company_id"]["S"],
        message_id=row["message_id"]["S"],
        message_s3_key=row["message_s3_key"]["S"],
        data_json=row["data"]["S"].encode(),
    )


def _is_row_of(message: Message, row: dict[str, Any]) -> bool:
    """Tell whether an index row holds this message; a row that holds no valid message holds another one."""
    try:
        members = exact_json.parse_object(_stored(row).as_json())
        del members["metadata"]["message_s3_key"]
        return message_from(members).canonical() == message.canonical()
    except (KeyError, exact_json.MalformedJson, InvalidInput):
        return False
