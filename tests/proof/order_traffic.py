"""Order messages of every kind that may arrive, and the hash that distinguishes payloads."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from typing import Any, Literal

from chalicelib import exact_json
from chalicelib.messages.model import Message, message_from

Kind = Literal["good", "again", "conflict", "unreadable", "invalid"]

SHARES: dict[Kind, float] = {"good": 0.6, "again": 0.15, "conflict": 0.1, "unreadable": 0.075, "invalid": 0.075}
BESIDE = 0.3
HOPELESS = ("unreadable", "invalid")


@dataclass(frozen=True)
class Sent:
    """A message as text, and its kind. Every text of a run contains `mark`, which distinguishes it from others."""

    kind: Kind
    body: str

    @property
    def payload(self) -> str:
        """The hash that identifies its content: of the canonical form, or of the text if it has no canonical form."""
        if self.kind in HOPELESS:
            return text_hash(self.body)
        return payload_of(self.body)


def payload_of(body: str | bytes) -> str:
    """Return the hash of a message's canonical form, which equal messages share."""
    return hashlib.sha256(message_in(body).canonical()).hexdigest()


def text_hash(text: str) -> str:
    """Return the hash of a text that has no canonical form."""
    return hashlib.sha256(text.encode()).hexdigest()


def message_in(body: str | bytes) -> Message:
    """Return the message that a text holds."""
    return message_from(exact_json.parse_object(body))


def traffic(count: int, companies: list[str], mark: str, rng: Random) -> list[Sent]:
    """Return messages of all kinds in random order. A conflicting one may come before the one it conflicts with.

    Some come right after the good one that they are made from, so that a batch has both.
    """
    good = [(rng.random(), _good(companies, mark, rng)) for _ in range(round(count * SHARES["good"]))]
    sent = [(place, Sent("good", json.dumps(members))) for place, members in good]
    for kind, share in SHARES.items():
        for _ in range(round(count * share) if kind != "good" else 0):
            place, members = rng.choice(good)
            other = Sent(kind, _other(kind, members, mark, rng))
            sent.append((place if rng.random() < BESIDE else rng.random(), other))
    return [each for _, each in sorted(sent, key=itemgetter(0))]


def batches(sent: list[Sent], rng: Random, size_max: int = 10) -> Iterator[list[Sent]]:
    """Split messages into batches of random sizes."""
    at = 0
    while at < len(sent):
        size = rng.randint(1, size_max)
        yield sent[at : at + size]
        at += size


def _good(companies: list[str], mark: str, rng: Random) -> dict[str, Any]:
    data: dict[str, Any] = {
        "order_id": _uuid(rng),
        "order_time": "2023-12-10T22:00:00.5z",
        "order_amount": rng.choice([20, 0, 19.5, 1e-7, rng.randrange(10**15)]),
        "mark": mark,
    }
    if rng.random() < 0.3:
        data["lines"] = [{"text": "Grüße \u2028 \uffff", "price": rng.randrange(1000) / 4} for _ in range(3)]
    metadata = {"message_time": "2023-12-10T22:02:38+01:00", "company_id": rng.choice(companies)}
    return {"metadata": {**metadata, "message_id": _uuid(rng)}, "data": data}


def _other(kind: Kind, good: dict[str, Any], mark: str, rng: Random) -> str:
    if kind == "again":
        return _again(good)
    if kind == "conflict":
        return json.dumps({**good, "data": {**good["data"], "order_amount": 10**16 + rng.randrange(10**9)}})
    if kind == "unreadable":
        whole = json.dumps({**good, "salt": _uuid(rng)})
        return rng.choice([f"{mark} {_uuid(rng)} {{", f"[{whole}]", f"{whole} {whole}", f"\ufeff{whole}"])
    broken = {**good, "data": {**good["data"], "salt": _uuid(rng)}}
    return json.dumps(rng.choice([
        {**broken, "metadata": {**good["metadata"], "message_id": "no uuid"}},
        {**broken, "metadata": {**good["metadata"], "more": 1}},
        {**broken, "data": {**broken["data"], "order_amount": -1}},
        {"metadata": {"note": mark}, "salt": _uuid(rng)},
    ]))  # fmt: skip


def _again(good: dict[str, Any]) -> str:
    """Return the same message in another form: another order, upper-case ids, numbers in another notation."""
    metadata = {name: good["metadata"][name] for name in reversed(good["metadata"])}
    metadata["message_id"] = metadata["message_id"].upper()
    text = json.dumps({"data": dict(reversed(good["data"].items())), "metadata": metadata}, indent=1)
    return text.replace('"order_amount": 20,', '"order_amount": 2.0e1,')


def _uuid(rng: Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
