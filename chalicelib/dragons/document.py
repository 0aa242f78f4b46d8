"""One version of the dragon document, parsed: a JSON array in the course's format. Nothing here talks to AWS.

A name is unique in the registry, but people and the course write the document too. If several entries share a
(normalised) name, the first one is the dragon: it alone is listed, filtered, shown, replaced and removed. The others
stay in the document as they are. Once the first is removed, the next one is the dragon.
"""

from __future__ import annotations

import codecs
import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import compress
from typing import TypeVar

import msgspec

from chalicelib.dragons.model import Dragon
from chalicelib.dragons.names import normalised_name, normalised_names
from chalicelib.dragons.repository import CountedFamily, DragonPage, DragonQuery, FamilyPage, counted_family

# How many dragons may be on the pages that are kept with a version; a page counts as one more. A dragon takes about
# 1 kB of memory there (as bytes, text and gzip), and at most 20 kB if the API has accepted it: 5 MB in all, or 100.
DRAGONS_ON_KEPT_PAGES_MAX = 5_000

_JSON_WHITE_SPACE = b" \t\n\r"  # RFC 8259 §2


class DocumentCorrupt(Exception):
    """The dragon document is not in the form that this service writes. It is left as it is, for a person to look at."""


class Moved(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is left in the document's place once the registry was moved: no document, and no empty one.

    `from_version` is there until the move is finished: the version of the object that is moved. `run` is there while
    the registry is moved back: it tells the object from what other runs have left.
    """

    moved_to: str
    from_version: str | None = None
    run: str | None = None


def moved(body: bytes) -> Moved | None:
    """Return what was left in the document's place, or None if that is something else."""
    try:
        return msgspec.json.decode(body, type=Moved)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def moved_to(body: bytes) -> str | None:
    """Return the place that the registry was moved to, if that is what is left in the document's place."""
    found = moved(body)
    return None if found is None else found.moved_to


def left_for(place: str, from_version: str | None = None, run: str | None = None) -> bytes:
    """Return what is to be left in the document's place."""
    return msgspec.json.encode(Moved(place, from_version, run))


class Entry(Dragon, frozen=True, kw_only=True, gc=False):
    """A dragon as the document holds it. Entries made by hand or by the course have no submission id."""

    submission_id: str | None = None


class Document:
    """One version of the document. Its dragons are decoded once, and their submission ids only if somebody asks for
    them; orders and pages are made when they are asked for, and kept.

    Safe to share between threads: if two of them make the same thing at once, either will do.
    """

    def __init__(self, text: bytes, dragons: dict[str, Dragon], several: dict[str, list[Dragon]]) -> None:
        """Take the text, the first dragon of each key, and all dragons of those keys that have several."""
        self._text = text
        self.dragons = dragons
        self.several = several
        self._ordered: dict[str | None, list[str]] = {}
        self._pages: dict[DragonQuery, DragonPage] = {}
        self._weight_kept = 0
        self._keeping = threading.Lock()

    @classmethod
    def parsed(cls, body: bytes) -> Document:
        """Parse the document's bytes. Raises `DocumentCorrupt`, also for a blank one: an empty registry is `[]`.

        Some editors put a byte order mark at the beginning. It is ignored (RFC 8259 §8.1); the next version has none.
        """
        text = body.removeprefix(codecs.BOM_UTF8)
        if not text.strip():
            raise DocumentCorrupt("not a JSON array of dragons: it is blank")
        written = _decoded(text, list[Dragon])
        keys = normalised_names([dragon.dragon_name_str for dragon in written])
        dragons = dict(zip(reversed(keys), reversed(written), strict=True))
        return cls(text, dragons, {} if len(dragons) == len(written) else _several(written))

    def followed_by(self, body: bytes) -> Document | None:
        """Return a later version, of which nothing else is decoded, if it only has more entries at its end."""
        added = self._added_in(body)
        if added is None:
            return None
        later = Document(body, self.dragons | added, {})
        later._ordered = {family: keys.copy() for family, keys in list(self._ordered.items())}
        for key, dragon in added.items():
            for family in (None, normalised_name(dragon.family_str)):
                if family in later._ordered:
                    insort(later._ordered[family], key)
        return later

    def entries(self, key: str) -> list[Entry]:
        """Return the entries with this normalised name; the first one is the dragon. Raises `DocumentCorrupt`."""
        return [entry for entry in self._entries if entry.key == key] if key in self.dragons else []

    def page(self, query: DragonQuery) -> DragonPage:
        """Return the dragons that match, in the order of their keys. The same query gets the same page, if it is kept.

        At most `DRAGONS_ON_KEPT_PAGES_MAX` are kept; one page more, and the others are forgotten.
        """
        page = self._pages.get(query)
        if page is None:
            page = self._found(query)
            self._keep(query, page)
        return page

    def families(self, after: str | None, limit: int) -> FamilyPage:
        """Return the families after this one, in the order of their normalised names."""
        names = list(self._counted)
        begin = 0 if after is None else bisect_right(names, after)
        shown = names[begin : begin + limit]
        more = begin + limit < len(names)
        return FamilyPage([self._counted[name] for name in shown], shown[-1] if more else None)

    def namesakes(self) -> list[str]:
        """Return the names of the entries that are not shown because an earlier one has their name."""
        return [dragon.dragon_name_str for _, *others in self.several.values() for dragon in others]

    def with_addition(self, dragon: Dragon, submission_id: str) -> bytes:
        """Return the document with one more dragon at its end."""
        return bytes(self._opened) + (b"," if self.dragons else b"") + entry_of(dragon, submission_id) + b"]"

    def with_change(self, key: str, wanted: Dragon | None) -> bytes:
        """Return the document with the first entry of this key replaced, or left out if `wanted` is None."""
        raw = _decoded(self._text, list[msgspec.Raw])
        place = next(place for place, item in enumerate(raw) if _decoded(item, Dragon).key == key)
        changed = [] if wanted is None else [msgspec.Raw(changed_entry(raw[place], wanted))]
        return msgspec.json.encode([*raw[:place], *changed, *raw[place + 1 :]])

    @property
    def _opened(self) -> memoryview:
        """The text up to its closing bracket."""
        return memoryview(self._text)[: self._text.rindex(b"]")]

    def _added_in(self, body: bytes) -> dict[str, Dragon] | None:
        """Return what a version has after this one's entries, by key. None if it is not this one with more dragons."""
        opened = self._opened
        if not self.dragons or self.several or not body.startswith(opened):
            return None
        rest = body[len(opened) :].strip(_JSON_WHITE_SPACE)
        if rest == b"]":
            return {}
        if not rest.startswith(b","):
            return None
        try:
            written = _decoded(b"[" + rest[1:], list[Dragon])
        except DocumentCorrupt:
            return None  # the whole document tells what is wrong, and where
        added = {dragon.key: dragon for dragon in written}
        is_new = len(added) == len(written) > 0 and added.keys().isdisjoint(self.dragons)
        return added if is_new else None

    def _keep(self, query: DragonQuery, page: DragonPage) -> None:
        weight = 1 + len(page.dragons)
        with self._keeping:
            if self._weight_kept + weight > DRAGONS_ON_KEPT_PAGES_MAX:
                self._pages.clear()
                self._weight_kept = 0
            self._pages[query] = page
            self._weight_kept += weight

    def _found(self, query: DragonQuery) -> DragonPage:
        keys = self._matching(query)
        first, last = _beginning_with(query.prefix, keys)
        begin = first if query.after is None else max(first, bisect_right(keys, query.after))
        end = min(begin + query.limit, last)
        shown = [self.dragons[key] for key in keys[begin:end]]
        return DragonPage(shown, keys[end - 1] if end < last else None)

    def _matching(self, query: DragonQuery) -> list[str]:
        """Return the keys of the dragons that the query's filters let through, in their order."""
        if query.name is None:
            return self._in_order(query.family)
        dragon = self.dragons.get(query.name)
        if dragon is None or query.family not in (None, normalised_name(dragon.family_str)):
            return []
        return [query.name]

    def _in_order(self, family: str | None) -> list[str]:
        """Return the keys of this family's dragons, or of all, in their order."""
        if family not in self._ordered:
            if family is None:
                self._ordered[family] = sorted(self.dragons)
            elif family in self._spellings:
                is_written_so = self._spellings[family].__contains__
                self._ordered[family] = sorted(compress(self.dragons, map(is_written_so, self._families)))
            else:  # there may be any number of families without dragons, so nothing is kept for them
                return []
        return self._ordered[family]

    @cached_property
    def _entries(self) -> list[Entry]:
        return _decoded(self._text, list[Entry])

    @cached_property
    def _families(self) -> list[str]:
        """The family of each of the dragons, as it is written."""
        return [dragon.family_str for dragon in self.dragons.values()]

    @cached_property
    def _spellings(self) -> dict[str, set[str]]:
        """How each family is written, by its normalised name."""
        spellings: dict[str, set[str]] = {}
        for family in set(self._families):
            spellings.setdefault(normalised_name(family), set()).add(family)
        return spellings

    @cached_property
    def _counted(self) -> dict[str, CountedFamily]:
        """The families in their order, by their normalised names."""
        dragons = Counter(self._families)
        counted = {
            name: counted_family({spelling: dragons[spelling] for spelling in spellings})
            for name, spellings in sorted(self._spellings.items())
        }
        return {name: family for name, family in counted.items() if family is not None}


def _beginning_with(prefix: str | None, keys: Sequence[str]) -> tuple[int, int]:
    """Return where the keys that begin so are among sorted ones: the first one's place, and that after the last."""
    if prefix is None:
        return 0, len(keys)
    first = bisect_left(keys, prefix)
    return first, bisect_right(keys, prefix, first, key=lambda key: key[: len(prefix)])


def entries_in(body: bytes) -> list[bytes]:
    """Return the entries of a document's bytes, each as it is written there. Raises `DocumentCorrupt`."""
    return [bytes(entry) for entry in _decoded(body.removeprefix(codecs.BOM_UTF8), list[msgspec.Raw])]


def entry_of(dragon: Dragon, submission_id: str) -> bytes:
    """Return the entry of a dragon that a submission adds."""
    return msgspec.json.encode(Entry(**msgspec.structs.asdict(dragon), submission_id=submission_id))


def changed_entry(entry: bytes | msgspec.Raw, wanted: Dragon) -> bytes:
    """Return an entry with another dragon in it. Raises `DocumentCorrupt`.

    It keeps everything else that it holds: its submission id, and members that are not ours.
    """
    return msgspec.json.encode(_decoded(entry, dict[str, msgspec.Raw]) | msgspec.structs.asdict(wanted))


def _several(dragons: Sequence[Dragon]) -> dict[str, list[Dragon]]:
    """Return the dragons of each key that several of them have."""
    by_key: dict[str, list[Dragon]] = {}
    for dragon in dragons:
        by_key.setdefault(dragon.key, []).append(dragon)
    return {key: found for key, found in by_key.items() if len(found) > 1}


Decoded = TypeVar("Decoded")


def _decoded(text: bytes | msgspec.Raw, kind: type[Decoded]) -> Decoded:
    """Decode the document, or an entry of it. Raises `DocumentCorrupt`."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentCorrupt(f"not a JSON array of dragons: {error}") from error
    except RecursionError as error:
        raise DocumentCorrupt("nested too deeply") from error
