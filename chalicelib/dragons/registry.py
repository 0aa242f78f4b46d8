"""The registry of dragons: whichever of its homes the setting `dragon_store` names, chosen anew for each use.

Parameters are kept for a minute, so a function may go to a home that the registry has left. It notices, because each
home says that, and then it reads the setting anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from chalicelib import aws
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import (
    Addition,
    Change,
    DragonPage,
    DragonQuery,
    DragonRepository,
    FamilyPage,
    RegistryMoved,
)

Answer = TypeVar("Answer")


class BeingMoved(aws.DependencyUnavailable):
    """The registry has left the home that the setting names. Whoever moves it has not changed the setting yet."""

    def __init__(self, place: str) -> None:
        super().__init__("The dragon registry", f"it is being moved to {place}")


class Choice(Protocol):
    """Which home the registry has."""

    @property
    def dragon_store(self) -> str:
        """The home's name."""
        ...

    def read_anew(self) -> None:
        """Read the settings again when they are next asked for."""
        ...


class DragonRegistry:
    """A `DragonRepository` in one of several homes. Safe to share between threads.

    Every method raises `BeingMoved`, and what the home raises.
    """

    def __init__(self, choice: Choice, homes: Mapping[str, DragonRepository]) -> None:
        """Take the choice (read before each use), and the homes by the names that it may have."""
        self._choice = choice
        self._homes = homes

    def page(self, query: DragonQuery) -> DragonPage:
        """See `DragonRepository.page`."""
        return self._asked(lambda home: home.page(query))

    def families(self, after: str | None, limit: int) -> FamilyPage:
        """See `DragonRepository.families`."""
        return self._asked(lambda home: home.families(after, limit))

    def get(self, name: str) -> Dragon | None:
        """See `DragonRepository.get`."""
        return self._asked(lambda home: home.get(name))

    def add(self, dragon: Dragon, submission_id: str) -> Addition:
        """See `DragonRepository.add`."""
        return self._asked(lambda home: home.add(dragon, submission_id))

    def replace(self, dragon: Dragon, unchanged: Callable[[Dragon], bool]) -> Change:
        """See `DragonRepository.replace`."""
        return self._asked(lambda home: home.replace(dragon, unchanged))

    def remove(self, name: str, unchanged: Callable[[Dragon], bool]) -> Change:
        """See `DragonRepository.remove`."""
        return self._asked(lambda home: home.remove(name, unchanged))

    def _asked(self, ask: Callable[[DragonRepository], Answer]) -> Answer:
        try:
            return ask(self._home())
        except RegistryMoved:
            self._choice.read_anew()
        try:
            return ask(self._home())
        except RegistryMoved as moved:
            raise BeingMoved(moved.place) from moved

    def _home(self) -> DragonRepository:
        return self._homes[self._choice.dragon_store]
