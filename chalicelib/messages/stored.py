"""A message as it is stored: one row of the index. Nothing here talks to AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import msgspec

from chalicelib import exact_json
from chalicelib.messages.model import Message, Metadata, canonical, digest_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import UniversalAttributeValueTypeDef


EXPIRES_AT = "expires_at"
_NOT_OF_EVERY_ROW = frozenset({"digest", EXPIRES_AT, "company_part", "accepted_at_id"})
DAY_S = 86_400


class NotARow(Exception):
    """An item of the index is no stored message: somebody else wrote it."""


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes that queries may want, `data` whole, as the exact JSON text that was accepted, and the digest.

    `expires_at` is when the row's time is over, in seconds since 1970, or None for never. `company_part` and
    `accepted_at_id` are the keys under which it is listed (see `messages/listing`), which older rows lack until
    somebody fills them in. These three are only written: others read them.
    """

    message_id: str
    company_id: str
    message_time: str
    order_id: str
    order_time: str
    order_amount: str
    message_s3_key: str
    data: str
    digest: str
    expires_at: int | None = None
    company_part: str | None = None
    accepted_at_id: str | None = None

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
            attributes = {
                name: item[name][_type_of(name)] for name in cls.__struct_fields__ if name not in _NOT_OF_EVERY_ROW
            }
            digest = item["digest"]["S"] if "digest" in item else _computed_digest(attributes)
        except (KeyError, exact_json.MalformedJson) as error:
            raise NotARow from error
        return cls(**attributes, digest=digest)

    def kept_for(self, days: int, since_s: float) -> Self:
        """Return the row with the time at which it expires: so many days after the message was archived, at `since_s`.

        0 days are for ever.
        """
        return msgspec.structs.replace(self, expires_at=expiry(days, since_s))

    def listed_under(self, keys: Mapping[str, str]) -> Self:
        """Return the row with the keys under which it is listed."""
        return msgspec.structs.replace(self, **keys)

    def as_item(self) -> dict[str, UniversalAttributeValueTypeDef]:
        """Return the row as a DynamoDB item."""
        return {name: {_type_of(name): value} for name, value in self._texts().items()}

    @property
    def size_bytes(self) -> int:
        """The item's size as DynamoDB counts it, or a little more: names and values in UTF-8, numbers as texts.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
        """
        return sum(len(name) + len(value.encode()) + 1 for name, value in self._texts().items())

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

    def _texts(self) -> dict[str, str]:
        """Return the attributes that the row has, as DynamoDB takes texts and numbers."""
        return {name: str(value) for name, value in msgspec.structs.asdict(self).items() if value is not None}


def expiry(days: int, since_s: float) -> int | None:
    """Return when a row expires that is kept for so many days from a time (both in seconds), or None for 0 days."""
    return int(since_s) + days * DAY_S if days else None


def has_expired(item: Mapping[str, Any], now_s: float) -> bool:
    """Tell whether an item's time is over. DynamoDB deletes it some days later, and shows it until then.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ttl-expired-items.html
    """
    expires_at = item.get(EXPIRES_AT, {}).get("N")
    return expires_at is not None and float(expires_at) <= now_s


def _computed_digest(attributes: Mapping[str, str]) -> str:
    """Return the digest of a stored message. Today's rules do not matter here: its own time's accepted it."""
    metadata = {name: attributes[name] for name in Metadata.__struct_fields__}
    return digest_of(canonical(metadata, exact_json.parse_object(attributes["data"])))


def _type_of(name: str) -> str:
    """Return an attribute's DynamoDB type."""
    return "N" if name in ("order_amount", EXPIRES_AT) else "S"
