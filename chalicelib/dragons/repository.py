"""Where dragons live: what the service asks of any place that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Protocol

import msgspec

from chalicelib.dragons.model import Dragon
from chalicelib.dragons.names import normalised_name, normalised_prefix
from chalicelib.representation import Representation

# A count that every reader of JSON keeps exactly (RFC 8259 §6). No registry gets there.
COUNT_MAX = 2**53 - 1


class Addition(StrEnum):
    """The outcome of adding a dragon."""

    ADDED = "added"
    DUPLICATE = "duplicate"


class Change(StrEnum):
    """The outcome of replacing or removing a dragon."""

    DONE = "done"
    ABSENT = "absent"
    CHANGED = "changed"


class RegistryMoved(Exception):
    """The registry is in another place than where it was looked for: `place` is the value of `dragon_store` then."""

    def __init__(self, place: str) -> None:
        super().__init__(f"The registry of dragons was moved to {place}.")
        self.place = place


class DragonQuery(msgspec.Struct, frozen=True):
    """Which dragons a page shows: filters as normalised names, the key to start after, and how many at most.

    `prefix` is what a dragon's key begins with; it is None rather than empty.
    """

    family: str | None = None
    name: str | None = None
    after: str | None = None
    limit: int = 100
    prefix: str | None = None

    @classmethod
    def of(
        cls, family: str | None, name: str | None, after: str | None = None, limit: int = 100, prefix: str | None = None
    ) -> DragonQuery:
        """Make a query from the names as a client wrote them."""
        return cls(
            None if family is None else normalised_name(family),
            None if name is None else normalised_name(name),
            after,
            limit,
            normalised_prefix(prefix or "") or None,
        )

    def begins(self, key: str) -> bool:
        """Tell whether a key begins with the prefix, if there is one."""
        return self.prefix is None or key.startswith(self.prefix)


class DragonPage(msgspec.Struct, frozen=True, dict=True):
    """Dragons in the order of their keys; `next_after` is the last one's key if more follow."""

    dragons: list[Dragon]
    next_after: str | None

    @cached_property
    def shown(self) -> Representation:
        """The dragons as clients get them, encoded once."""
        return Representation(msgspec.json.encode(self.dragons))


class CountedFamily(msgspec.Struct, frozen=True, kw_only=True):
    """A family, written as most of its dragons have it, and how many dragons it has."""

    family_str: str
    count: Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX, extra_json_schema={"format": "int64"})]


class FamilyPage(msgspec.Struct, frozen=True):
    """Families in the order of their normalised names; `next_after` is the last one's if more follow."""

    families: list[CountedFamily]
    next_after: str | None


def counted_family(spellings: Mapping[str, int]) -> CountedFamily | None:
    """Return a family whose spellings have so many dragons, or None if it has none.

    Of two spellings with as many dragons, the first in the order of code points is shown.
    """
    count = sum(spellings.values())
    if count <= 0:
        return None
    written = min(spellings, key=lambda spelling: (-spellings[spelling], spelling))
    return CountedFamily(family_str=written, count=count)


class DragonRepository(Protocol):
    """A registry of dragons. Every implementation has to pass `tests/protocols/dragon_repository.py`."""

    def page(self, query: DragonQuery) -> DragonPage:
        """Return the dragons that match, in the order of their normalised names."""
        ...

    def families(self, after: str | None, limit: int) -> FamilyPage:
        """Return at most `limit` families that have dragons, in the order of their normalised names, after this one."""
        ...

    def get(self, name: str) -> Dragon | None:
        """Return the dragon with this name (compared normalised), or None."""
        ...

    def add(self, dragon: Dragon, submission_id: str) -> Addition:
        """Add a dragon whose name is free.

        Adding again under the same submission id returns `ADDED` and changes nothing. Returns `DUPLICATE` if another
        submission holds the name.
        """
        ...

    def replace(self, dragon: Dragon, unchanged: Callable[[Dragon], bool]) -> Change:
        """Replace the dragon of the same name with this one.

        `unchanged` returns True if the stored dragon is the one the caller saw; nobody can write between that check and
        the change. Returns `DONE`, `ABSENT` if there is no dragon with this name, `CHANGED` if `unchanged` says no.
        """
        ...

    def remove(self, name: str, unchanged: Callable[[Dragon], bool]) -> Change:
        """Remove the dragon with this name (compared normalised). Takes `unchanged` and returns as `replace` does."""
        ...
