"""One version of the dragon document, parsed: a JSON array in the course's format. Nothing here talks to AWS.

A name is unique in the registry, but people and the course write the document too. If several entries share a
(normalised) name, the first one is the dragon: it alone is listed, filtered, shown, replaced and removed. The others
stay in the document as they are. Once the first is removed, the next one is the dragon.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from chalicelib.dragons.model import Dragon
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.repository import DragonPage, DragonQuery


class DocumentCorrupt(Exception):
    """The dragon document is not in the form that this service writes. It is left as it is, for a person to look at."""


class Entry(Dragon, frozen=True, kw_only=True):
    """A dragon as the document holds it. Entries made by hand or by the course have no submission id."""

    submission_id: str | None = None

    @property
    def dragon(self) -> Dragon:
        """The dragon, without what clients must not see."""
        return Dragon(**{field: getattr(self, field) for field in Dragon.__struct_fields__})


@dataclass(frozen=True, slots=True)
class _Row:
    """A dragon with what it is ordered and filtered by."""

    key: str
    family: str
    dragon: Dragon


@dataclass(frozen=True, slots=True)
class Document:
    """The entries as they were read (`raw`), the entries of each key in their order, and the dragons in key order."""

    raw: Sequence[msgspec.Raw]
    by_key: dict[str, list[Entry]]
    rows: Sequence[_Row]

    @classmethod
    def parsed(cls, body: bytes) -> Document:
        """Parse the document's bytes. Raises `DocumentCorrupt`, also for a blank one: an empty registry is `[]`.

        Some editors put a byte order mark at the beginning. It is ignored (RFC 8259 §8.1); the next version has none.
        """
        text = body.removeprefix(codecs.BOM_UTF8)
        if not text.strip():
            raise DocumentCorrupt("not a JSON array of dragons: it is blank")
        entries = _decoded(text, list[Entry])
        raw = _decoded(text, list[msgspec.Raw])
        by_key: dict[str, list[Entry]] = {}
        for entry in entries:
            by_key.setdefault(entry.key, []).append(entry)
        rows = [_Row(key, normalised_name(first.family_str), first.dragon) for key, (first, *_) in by_key.items()]
        return cls(raw, by_key, sorted(rows, key=lambda row: row.key))

    def entries(self, key: str) -> list[Entry]:
        """Return the entries with this normalised name; the first one is the dragon."""
        return self.by_key.get(key, [])

    def page(self, query: DragonQuery) -> DragonPage:
        """Return the dragons that match, in the order of their keys."""
        found: list[_Row] = []
        for row in self._matching(query):
            if len(found) == query.limit:
                return DragonPage([each.dragon for each in found], found[-1].key)
            found.append(row)
        return DragonPage([each.dragon for each in found], None)

    def namesakes(self) -> list[str]:
        """Return the names of the entries that are not shown because an earlier one has their name."""
        return [entry.dragon_name_str for _, *others in self.by_key.values() for entry in others]

    def with_addition(self, dragon: Dragon, submission_id: str) -> bytes:
        """Return the document with one more dragon at its end."""
        return msgspec.json.encode([*self.raw, Entry(**msgspec.structs.asdict(dragon), submission_id=submission_id)])

    def with_change(self, key: str, wanted: Dragon | None) -> bytes:
        """Return the document with the first entry of this key replaced, or left out if `wanted` is None.

        A replaced entry keeps everything else that it holds: its submission id, and members that are not ours.
        """
        place = next(place for place, item in enumerate(self.raw) if _decoded(item, Dragon).key == key)
        changed: list[object] = []
        if wanted is not None:
            members = _decoded(self.raw[place], dict[str, msgspec.Raw])
            changed = [members | msgspec.structs.asdict(wanted)]
        return msgspec.json.encode([*self.raw[:place], *changed, *self.raw[place + 1 :]])

    def _matching(self, query: DragonQuery) -> Iterator[_Row]:
        for row in self.rows:
            if query.after is not None and row.key <= query.after:
                continue
            if query.family is not None and row.family != query.family:
                continue
            if query.name is not None and row.key != query.name:
                continue
            yield row


Decoded = TypeVar("Decoded")


def _decoded(text: bytes | msgspec.Raw, kind: type[Decoded]) -> Decoded:
    """Decode the document, or an entry of it. Raises `DocumentCorrupt`."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentCorrupt(f"not a JSON array of dragons: {error}") from error
    except RecursionError as error:
        raise DocumentCorrupt("nested too deeply") from error
