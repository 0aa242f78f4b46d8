"""Dragons in memory: the simplest implementation of the protocol, with which tests compare the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.dragons.model import Dragon
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.repository import Addition, Change, DragonPage, DragonQuery, FamilyPage, counted_family


@dataclass
class _Kept:
    dragon: Dragon
    submission_id: str


class InMemoryDragonRepository:
    """A `DragonRepository` that does everything under one lock."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def page(self, query: DragonQuery) -> DragonPage:
        """See `DragonRepository.page`."""
        with self._lock:
            matching = [
                (key, kept.dragon)
                for key, kept in sorted(self._kept.items())
                if query.family in (None, normalised_name(kept.dragon.family_str))
                and query.name in (None, key)
                and query.begins(key)
                and (query.after is None or key > query.after)
            ]
        shown = matching[: query.limit]
        return DragonPage([dragon for _, dragon in shown], shown[-1][0] if len(matching) > query.limit else None)

    def families(self, after: str | None, limit: int) -> FamilyPage:
        """See `DragonRepository.families`."""
        counts: dict[str, Counter[str]] = {}
        with self._lock:
            for kept in self._kept.values():
                counts.setdefault(normalised_name(kept.dragon.family_str), Counter())[kept.dragon.family_str] += 1
        there = [(name, counted_family(counts[name])) for name in sorted(counts) if after is None or name > after]
        shown = there[:limit]
        return FamilyPage([family for _, family in shown if family], shown[-1][0] if len(there) > limit else None)

    def get(self, name: str) -> Dragon | None:
        """See `DragonRepository.get`."""
        with self._lock:
            kept = self._kept.get(normalised_name(name))
        return kept.dragon if kept else None

    def add(self, dragon: Dragon, submission_id: str) -> Addition:
        """See `DragonRepository.add`."""
        with self._lock:
            kept = self._kept.setdefault(dragon.key, _Kept(dragon, submission_id))
        return Addition.ADDED if kept.submission_id == submission_id else Addition.DUPLICATE

    def replace(self, dragon: Dragon, unchanged: Callable[[Dragon], bool]) -> Change:
        """See `DragonRepository.replace`."""
        with self._lock:
            change = self._change(dragon.key, unchanged)
            if change is Change.DONE:
                self._kept[dragon.key].dragon = dragon
            return change

    def remove(self, name: str, unchanged: Callable[[Dragon], bool]) -> Change:
        """See `DragonRepository.remove`."""
        with self._lock:
            change = self._change(normalised_name(name), unchanged)
            if change is Change.DONE:
                del self._kept[normalised_name(name)]
            return change

    def _change(self, key: str, unchanged: Callable[[Dragon], bool]) -> Change:
        if key not in self._kept:
            return Change.ABSENT
        return Change.DONE if unchanged(self._kept[key].dragon) else Change.CHANGED
