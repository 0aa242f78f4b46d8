"""Where dragons live: what the service asks of any place that keeps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chalicelib.dragons.model import Dragon, normalised_name


class Addition(StrEnum):
    """What became of a dragon that was to be added."""

    ADDED = "added"
    DUPLICATE = "duplicate"


class Change(StrEnum):
    """What became of a dragon that was to be replaced or removed."""

    DONE = "done"
    ABSENT = "absent"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class DragonQuery:
    """Which dragons a page shows: filters as normalised names, the key to start after, and how many at most."""

    family: str | None = None
    name: str | None = None
    after: str | None = None
    limit: int = 100

    @classmethod
    def of(cls, family: str | None, name: str | None, after: str | None = None, limit: int = 100) -> DragonQuery:
        """Make a query of what a client typed."""
        return cls(
            None if family is None else normalised_name(family),
            None if name is None else normalised_name(name),
            after,
            limit,
        )


@dataclass(frozen=True, slots=True)
class DragonPage:
    """Dragons in the order of their keys; `next_after` is the last one's key if more follow."""

    dragons: list[Dragon]
    next_after: str | None


class DragonRepository(Protocol):
    """A registry of dragons. One contract suite, `tests/contracts/dragon_repository.py`, holds for every one."""

    def page(self, query: DragonQuery) -> DragonPage:
        """Return the dragons that match, in the order of their normalised names."""
        ...

    def get(self, name: str) -> Dragon | None:
        """Return the dragon of this name (compared normalised), or None."""
        ...

    def add(self, dragon: Dragon, submission_id: str) -> Addition:
        """Add a dragon whose name is free.

        Adding again under the same submission id answers `ADDED` and changes nothing; a name that another submission
        holds answers `DUPLICATE`.
        """
        ...

    def replace(self, dragon: Dragon, unchanged: Callable[[Dragon], bool]) -> Change:
        """Put a dragon in the place of the one of its name.

        `unchanged` returns True if the stored dragon is the one the caller saw; nobody can write between the question
        and the change. Answers `DONE`, `ABSENT` if there is no dragon of this name, `CHANGED` if `unchanged` says no.
        """
        ...

    def remove(self, name: str, unchanged: Callable[[Dragon], bool]) -> Change:
        """Remove the dragon of this name (compared normalised); answers as `replace` does."""
        ...
