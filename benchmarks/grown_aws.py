"""AWS with a registry of any size in it, in either home. Standard library alone.

The document is made when it is first read, and takes what is put in its place. The table's items are made as they are
asked for, from their place in the order: a million of them take no room, and none of the time that is measured. It
counts what DynamoDB reads, and knows the requests that the service makes; any other raises `UnknownCall`.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.aws import FAMILIES, SETTINGS, Aws, UnknownCall, dragon

S3, DYNAMODB = "s3", "dynamodb"
HOMES = (S3, DYNAMODB)
Registry = tuple[str, int]  # its home, and how many dragons it has

_UNIT_BYTES = 4_096  # of a consistent read; a transaction writes units of 1 KiB, which nothing here counts
_QUERY_BYTES_MAX = 1_048_576
_JOINED_AT_ONCE = 10_000

Item = Mapping[str, Mapping[str, str]]


@dataclass
class GrownAws(Aws):
    """The services as one function sees them, with a registry of `entries` dragons in its `home`.

    `items` counts what DynamoDB has read, or checked and written, and `read_units` what that was billed.
    """

    home: str = DYNAMODB
    read_units: int = 0
    _answers: dict[tuple[object, ...], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = {**SETTINGS, "dragon_store": self.home}
        super().__post_init__()
        self._first = self._present = b""

    def document(self, known_etag: str | None) -> tuple[str, bytes | None]:
        """Answer GetObject for the dragon document."""
        self._arrived("GetObject")
        if not self._present:
            self._first = self._present = _document(self.entries)
        etag = f'"{self._version:032x}"'
        return etag, None if etag == known_etag else self._present

    def put(self, body: bytes) -> str:
        """Answer PutObject: this is the document from now on."""
        self._arrived("PutObject")
        self._version += 1
        self._present = body
        return f'"{self._version:032x}"'

    def restore(self) -> None:
        """Have everything as it was at first. To a function that read the document since, it is another version."""
        super().restore()
        if self._present is not self._first:
            self._version += 1
            self._present = self._first

    def answer(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return a service's JSON answer to an operation. Raises `UnknownCall`."""
        match operation:
            case "GetItem":
                self._arrived(operation)
                return self._item(parameters)
            case "Query":
                self._arrived(operation)
                return self._query(parameters)
            case "TransactWriteItems":
                self._arrived(operation)
                self.items += len(parameters["TransactItems"])
                return {}
        return super().answer(operation, parameters)

    def _item(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        part, key = (parameters["Key"][name]["S"] for name in ("part", "sort_key"))
        self.items += 1
        self.read_units += 1
        if part.startswith("fence#"):
            return {"Item": {**parameters["Key"], "registry_is_in": {"S": self.home}}}
        place = _place(key)
        return {"Item": _row(part, place)} if place < self.entries else {}

    def _query(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Read a part's items after a key, as many as are wanted, or a megabyte of them."""
        values = parameters["ExpressionAttributeValues"]
        start = parameters.get("ExclusiveStartKey", {}).get("sort_key") or values.get(":after")
        asked = (values[":part"]["S"], start["S"] if start else None, parameters.get("Limit"))
        if asked not in self._answers:
            self._answers[asked] = self._found(*asked)
        answer = self._answers[asked]
        self.items += len(answer["Items"])
        self.read_units += math.ceil(sum(map(_size, answer["Items"])) / _UNIT_BYTES)
        return answer

    def _found(self, part: str, after: str | None, limit: int | None) -> dict[str, Any]:
        places = self._places(part, after)
        found, size = [], 0
        for place in places:
            found.append(_row(part, place))
            size += _size(found[-1])
            if len(found) == limit or size > _QUERY_BYTES_MAX:
                return {"Items": found, "LastEvaluatedKey": {name: found[-1][name] for name in ("part", "sort_key")}}
        return {"Items": found}

    def _places(self, part: str, after: str | None) -> range:
        """Return the places of a part's dragons after a key."""
        begin, step = 0, 1
        if part != "dragon":
            begin, step = FAMILIES.index(part.removeprefix("family#")), len(FAMILIES)
        if after is not None:
            begin += max(0, (_place(after) - begin) // step + 1) * step
        return range(begin, self.entries, step)


def key_of(place: int) -> str:
    """Return the key of the dragon at a place: its normalised name."""
    return dragon(place)["dragon_name_str"].lower()


def _place(key: str) -> int:
    digits = "".join(filter(str.isdigit, key))
    if not digits or key_of(int(digits)) != key:
        raise UnknownCall(f"a dragon with the key {key!r}")
    return int(digits)


def _row(part: str, place: int) -> Item:
    return {
        "part": {"S": part},
        "sort_key": {"S": key_of(place)},
        "entry": {"S": json.dumps(dragon(place), separators=(",", ":"))},
        "entry_version": {"S": f"{place:024x}"},
    }


def _size(item: Item) -> int:
    """Return what an item counts: the bytes of its names and values."""
    return sum(len(name) + len(value["S"].encode()) for name, value in item.items())


def _document(entries: int) -> bytes:
    """Return the document, without having all of its entries as objects."""
    text = io.BytesIO()
    text.write(b"[")
    for part in _parts(entries):
        text.write(part)
    text.write(b"]")
    return text.getvalue()


def _parts(entries: int) -> Iterator[bytes]:
    for begin in range(0, entries, _JOINED_AT_ONCE):
        places = range(begin, min(entries, begin + _JOINED_AT_ONCE))
        joined = ",".join(json.dumps(dragon(place), separators=(",", ":")) for place in places)
        yield (b"," if begin else b"") + joined.encode()
