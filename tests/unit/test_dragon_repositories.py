"""Every implementation of the registry passes the same contract tests, and answers like the one in memory."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from chalicelib.dragons.dynamodb import (
    HERE,
    PART_BYTES_MAX,
    SORT_KEY_BYTES_MAX,
    DynamoDBDragonRepository,
    family_part,
    fences,
)
from chalicelib.dragons.model import Dragon, DragonName, Family
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.s3 import S3DragonRepository
from tests.fakes.dragon_repository import InMemoryDragonRepository
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.s3 import FakeS3
from tests.fakes.settings import FakeSettings
from tests.protocols.dragon_histories import DragonHistory
from tests.protocols.dragon_repository import DragonRepositoryContract


def on_s3() -> S3DragonRepository:
    """Return a repository on an S3 of its own with an empty document, which never really sleeps."""
    place = FakeSettings()
    s3 = FakeS3(place.dragon_data_bucket_name)
    s3.objects[place.dragon_data_file_name] = b"[]"
    return S3DragonRepository(place, lambda: s3, lambda _: None)  # type: ignore[arg-type,return-value]


def in_dynamodb(client: FakeDynamoDB) -> DynamoDBDragonRepository:
    """Return a repository on this DynamoDB, which never really sleeps."""
    return DynamoDBDragonRepository(FakeSettings(), lambda: client, lambda _: None)  # type: ignore[arg-type,return-value]


def empty_table() -> FakeDynamoDB:
    """Return a DynamoDB with an empty registry."""
    return FakeDynamoDB(FakeSettings().dragon_table_name, fences(HERE))


class TestInMemoryDragonRepository(DragonRepositoryContract):
    @pytest.fixture
    def dragons(self) -> InMemoryDragonRepository:
        return InMemoryDragonRepository()


class TestS3DragonRepository(DragonRepositoryContract):
    """The same tests as in tests/integration, but within milliseconds, because they need no moto."""

    @pytest.fixture
    def dragons(self) -> S3DragonRepository:
        return on_s3()


@pytest.mark.slow
def test_every_name_and_family_that_the_api_accepts_fits_into_a_key_of_dynamodb() -> None:
    longest = max(len(normalised_name(chr(code)).encode()) for code in range(0x110000) if chr(code).isprintable())

    assert longest * DragonName.length_max <= SORT_KEY_BYTES_MAX
    assert len(family_part("")) + longest * Family.length_max <= PART_BYTES_MAX


class TestDynamoDBDragonRepository(DragonRepositoryContract):
    """The same tests as in tests/integration, but within milliseconds, because they need no moto."""

    @pytest.fixture
    def dragons(self) -> DynamoDBDragonRepository:
        return in_dynamodb(empty_table())


@pytest.mark.slow
def test_any_history_of_the_registry_in_s3_reads_as_it_would_in_memory() -> None:
    class OnS3(DragonHistory):
        def made(self) -> S3DragonRepository:
            return on_s3()

    run_state_machine_as_test(OnS3, settings=settings(max_examples=100, stateful_step_count=30, deadline=None))


@pytest.mark.slow
def test_any_history_of_the_registry_in_dynamodb_reads_as_it_would_in_memory() -> None:
    class InDynamoDB(DragonHistory):
        def made(self) -> DynamoDBDragonRepository:
            self.client = empty_table()
            return in_dynamodb(self.client)

        @invariant()
        def every_dragon_has_one_copy_and_is_counted_once(self) -> None:
            entries = {
                family_part(msgspec.json.decode(row["entry"]["S"], type=Dragon).family_str) + key: row["entry"]
                for key, row in self.part("dragon").items()
            }
            assert {part + key: row["entry"] for part, key, row in self.copies()} == entries
            assert sum(int(row["dragons"]["N"]) for row in self.part("families").values()) == len(entries)

        def part(self, part: str) -> dict[str, Any]:
            return {key: row for (name, key), row in self.client.items.items() if name == part}

        def copies(self) -> list[tuple[str, str, Any]]:
            return [(*place, row) for place, row in self.client.items.items() if place[0].startswith("family#")]

    run_state_machine_as_test(InDynamoDB, settings=settings(max_examples=100, stateful_step_count=30, deadline=None))
