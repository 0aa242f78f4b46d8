"""A message as it is stored: one row of the index. Nothing here talks to AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import msgspec

from chalicelib import exact_json
from chalicelib.messages.model import Message, Metadata, canonical, digest_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import UniversalAttributeValueTypeDef


class NotARow(Exception):
    """An item of the index is no stored message: somebody else wrote it."""


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes that queries may want, `data` whole, as the exact JSON text that was accepted, and the digest."""

    message_id: str
    company_id: str
    message_time: str
    order_id: str
    order_time: str
    order_amount: str
    message_s3_key: str
    data: str
    digest: str

    @classmethod
    def of(cls, message: Message) -> Self:
        """Return the row that keeps a message."""
        metadata, order = message.metadata, message.order
        return cls(
            message_id=str(metadata.message_id),
            company_id=str(metadata.company_id),
            message_time=str(metadata.message_time),
            order_id=str(order.order_id),
            order_time=str(order.order_time),
            order_amount=str(exact_json.canonical_number(order.order_amount)),
            message_s3_key=message.archive_key,
            data=exact_json.encode(message.data).decode(),
            digest=message.digest(),
        )

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """Make a row from a DynamoDB item; rows from before 0.2.0 have no digest, which is then computed.

        Raises `NotARow` for an item that lacks another attribute, or whose digest cannot be computed.
        """
        try:
            attributes = {name: item[name][_type_of(name)] for name in cls.__struct_fields__ if name != "digest"}
            digest = item["digest"]["S"] if "digest" in item else _computed_digest(attributes)
        except (KeyError, exact_json.MalformedJson) as error:
            raise NotARow from error
        return cls(**attributes, digest=digest)

    def as_item(self) -> dict[str, UniversalAttributeValueTypeDef]:
        """Return the row as a DynamoDB item."""
        return {name: {_type_of(name): value} for name, value in msgspec.structs.asdict(self).items()}

    @property
    def size_bytes(self) -> int:
        """The item's size as DynamoDB counts it, or a little more: names and values in UTF-8, numbers as texts.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
        """
        return sum(len(name) + len(value.encode()) + 1 for name, value in msgspec.structs.asdict(self).items())

    def holds(self, message: Message) -> bool:
        """Tell whether this row holds that message, which has the same company and id."""
        return self.digest == message.digest()

    def as_json(self) -> bytes:
        """Return `{"metadata": {…, "message_s3_key"}, "data": {…}, "digest"}`, numbers exactly as they were sent."""
        metadata = {
            "message_time": self.message_time,
            "company_id": self.company_id,
            "message_id": self.message_id,
            "message_s3_key": self.message_s3_key,
        }
        return exact_json.encode({"metadata": metadata, "data": msgspec.Raw(self.data.encode()), "digest": self.digest})


def _computed_digest(attributes: Mapping[str, str]) -> str:
    """Return the digest of a stored message. Today's rules do not matter here: its own time's accepted it."""
    metadata = {name: attributes[name] for name in Metadata.__struct_fields__}
    return digest_of(canonical(metadata, exact_json.parse_object(attributes["data"])))


def _type_of(name: str) -> str:
    """Return an attribute's DynamoDB type."""
    return "N" if name == "order_amount" else "S"
