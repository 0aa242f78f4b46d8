"""The repository in memory keeps to the contract, so that other implementations may be compared with it."""

from __future__ import annotations

import pytest

from tests.contracts.dragon_repository import DragonRepositoryContract
from tests.fakes.dragon_repository import InMemoryDragonRepository


class TestInMemoryDragonRepository(DragonRepositoryContract):
    @pytest.fixture
    def dragons(self) -> InMemoryDragonRepository:
        return InMemoryDragonRepository()
