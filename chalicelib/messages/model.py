"""What an order message is: its envelope, its order, and when two messages are the same."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib import exact_json
from chalicelib.checked import Amount, Timestamp, Uuid
from chalicelib.validation import decode


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sent the message, which one it is, and when it was written."""

    message_time: Timestamp
    company_id: Uuid
    message_id: Uuid


class Order(msgspec.Struct, frozen=True):
    """The members of `data` that every message has; any others are kept as they came."""

    order_id: Uuid
    order_time: Timestamp
    order_amount: Amount


class OrderMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /post-message` takes."""

    metadata: Metadata
    data: Order


class Message(msgspec.Struct, frozen=True):
    """A valid order message: the checked parts, and its members, `metadata` and `data`, as JSON takes them: whole, with
    texts in their normalised form and Decimals for numbers.
    """

    metadata: Metadata
    order: Order
    members: Mapping[str, Mapping[str, Any]]

    @property
    def data(self) -> Mapping[str, Any]:
        """What was sent as `data`."""
        return self.members["data"]

    @property
    def archive_key(self) -> str:
        """Where the archive keeps it: `<company_id>/<message_id>.json`."""
        return f"{self.metadata.company_id}/{self.metadata.message_id}.json"

    def as_json(self) -> bytes:
        """Return the message as the queue and the archive carry it: exact numbers, lower-case UUIDs, no white space."""
        return exact_json.encode(self.members)

    def canonical(self) -> bytes:
        """Return the form in which two messages are compared: equal messages give equal bytes.

        Clients compute it too: docs/api.md describes it (section "Digests"), so it must not change.
        """
        return exact_json.canonical(self.members)

    def digest(self) -> str:
        """Return the digest of the canonical form, which tells payloads apart: `sha-256:` and 64 hex digits."""
        return digest_of(self.canonical())


def canonical(metadata: Mapping[str, str], data: Mapping[str, Any]) -> bytes:
    """Return the canonical form of a message with these members: numbers are Decimals, UUIDs in lower case."""
    return exact_json.canonical({"metadata": metadata, "data": data})


def digest_of(canonical_form: bytes) -> str:
    """Return the digest of a message whose canonical form this is."""
    return f"sha-256:{hashlib.sha256(canonical_form).hexdigest()}"


def message_from(members: Mapping[str, Any]) -> Message:
    """Make a message from a parsed JSON object with exact numbers.

    Raises `InvalidInput` with every fault.
    """
    checked = decode(members, OrderMessage)
    envelope, order = checked.metadata, checked.data
    metadata = {
        **members["metadata"],
        "company_id": str(envelope.company_id),
        "message_id": str(envelope.message_id),
    }
    data = {**members["data"], "order_id": str(order.order_id)}
    return Message(envelope, order, {"metadata": metadata, "data": data})
