"""The registry in one of its homes: which one is asked, and what happens when it has just been moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from chalicelib.dragons.dynamodb import HERE, REGISTRY_IS_IN, DynamoDBDragonRepository, fences
from chalicelib.dragons.registry import BeingMoved, DragonRegistry
from chalicelib.dragons.repository import Addition, DragonQuery, RegistryMoved
from tests.fakes.dragon_repository import InMemoryDragonRepository
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.settings import FakeSettings
from tests.protocols.dragon_repository import DragonRepositoryContract, always
from tests.samples import dragon


@dataclass
class Choice:
    """A setting that is read anew only when somebody asks for that."""

    present: str = "s3"
    dragon_store: str = "s3"
    read: list[None] = field(default_factory=list)

    def read_anew(self) -> None:
        self.read.append(None)
        self.dragon_store = self.present


class Left:
    """A home that the registry has left."""

    def __getattr__(self, _name: str) -> Any:
        def moved(*_: object) -> None:
            raise RegistryMoved("dynamodb")

        return moved


USES: dict[str, Callable[[DragonRegistry], Any]] = {
    "page": lambda dragons: dragons.page(DragonQuery()),
    "families": lambda dragons: dragons.families(None, 10),
    "get": lambda dragons: dragons.get("Ember"),
    "add": lambda dragons: dragons.add(dragon("Ember"), "s1"),
    "replace": lambda dragons: dragons.replace(dragon("Ember"), always),
    "remove": lambda dragons: dragons.remove("Ember", always),
}


class TestDragonRegistry(DragonRepositoryContract):
    @pytest.fixture
    def dragons(self) -> DragonRegistry:
        return DragonRegistry(Choice(), {"s3": InMemoryDragonRepository()})


def test_the_home_that_the_setting_names_is_asked() -> None:
    homes = {"s3": InMemoryDragonRepository(), "dynamodb": InMemoryDragonRepository()}
    choice = Choice()
    dragons = DragonRegistry(choice, homes)
    dragons.add(dragon("Ember"), "s1")
    choice.dragon_store = "dynamodb"

    assert dragons.get("Ember") is None
    assert homes["s3"].get("Ember") == dragon("Ember")
    assert choice.read == []


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_function_that_does_not_know_yet_finds_the_registry_in_its_new_home(
    use: Callable[[DragonRegistry], Any],
) -> None:
    home, same = InMemoryDragonRepository(), InMemoryDragonRepository()
    for each in (home, same):
        each.add(dragon("Ember"), "s1")
    choice = Choice(present="dynamodb")

    found = use(DragonRegistry(choice, {"s3": Left(), "dynamodb": home}))  # type: ignore[dict-item]
    assert found == use(DragonRegistry(Choice(), {"s3": same}))
    assert len(choice.read) == 1


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_while_the_setting_names_the_home_that_was_left_the_failure_may_pass(
    use: Callable[[DragonRegistry], Any],
) -> None:
    with pytest.raises(BeingMoved, match="The dragon registry is not available: it is being moved to dynamodb"):
        use(DragonRegistry(Choice(), {"s3": Left(), "dynamodb": InMemoryDragonRepository()}))  # type: ignore[dict-item]


def test_a_registry_that_moves_back_and_forth_is_followed() -> None:
    table = FakeDynamoDB(FakeSettings().dragon_table_name, fences(HERE))
    choice = Choice("dynamodb", "dynamodb")
    homes = {
        "s3": InMemoryDragonRepository(),
        "dynamodb": DynamoDBDragonRepository(FakeSettings(), lambda: table),  # type: ignore[arg-type,return-value]
    }
    dragons = DragonRegistry(choice, homes)
    assert dragons.add(dragon("Ember"), "s1") is Addition.ADDED

    for fence in fences("s3"):
        table.items[fence["part"]["S"], fence["sort_key"]["S"]] = {**fence, REGISTRY_IS_IN: {"S": "s3"}}
    choice.present = "s3"
    assert dragons.get("Ember") is None
    assert dragons.add(dragon("Ash"), "s1") is Addition.ADDED
    assert homes["s3"].get("Ash") == dragon("Ash")
