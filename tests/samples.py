"""Valid input to start from; a test changes the one thing it is about."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from chalicelib.dragons.model import Dragon, example_dragons
from tests.people import COMPANIES

COMPANY = COMPANIES["amber"]
OTHER_COMPANY = "5b8c1a52-3a3e-4c62-9a0e-3c1d0c7f5a11"
MESSAGE_ID = "fc0daad3-4f10-4d15-b8c6-276cca111e87"
ORDER_ID = "a929b88e-bc47-4f7d-9584-61c3c94ad2f2"
MESSAGE_TIME = "2023-12-10T22:02:38Z"
ORDER_TIME = "2023-12-10T22:00:00Z"

MESSAGE_METADATA: dict[str, str] = {
    "message_time": f'"{MESSAGE_TIME}"',
    "company_id": f'"{COMPANY}"',
    "message_id": f'"{MESSAGE_ID}"',
}
ORDER_DATA: dict[str, str] = {
    "order_id": f'"{ORDER_ID}"',
    "order_time": f'"{ORDER_TIME}"',
    "order_amount": "19.99",
}


def dragon_members(name: str = "Ember", **changes: Any) -> dict[str, Any]:
    """Return a dragon as a client sends it; a change to None leaves the member out."""
    members = msgspec.structs.asdict(example_dragons()[1]) | {"dragon_name_str": name}
    return {name: value for name, value in (members | changes).items() if value is not None}


def dragon(name: str = "Ember", **changes: Any) -> Dragon:
    """Return a dragon as the model has it."""
    return Dragon(**dragon_members(name, **changes))


def dragon_body(name: str = "Ember", **changes: Any) -> bytes:
    """Return the body of a `POST /dragons`."""
    return json.dumps(dragon_members(name, **changes)).encode()


def message_body(metadata: dict[str, str] | None = None, data: dict[str, str] | None = None) -> bytes:
    """Return the body of a `POST /post-message`.

    Takes changes to the members, each value as JSON text (so that `1e-7` and `-0` stay as they are); an empty text
    leaves the member out.
    """
    parts = {"metadata": raw_object(MESSAGE_METADATA | (metadata or {})), "data": raw_object(ORDER_DATA | (data or {}))}
    return raw_object(parts).encode()


def raw_object(members: dict[str, str]) -> str:
    """Return the text of a JSON object whose values are JSON texts."""
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in members.items() if text) + "}"
