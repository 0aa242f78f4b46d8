"""Every implementation of the registry passes the same contract tests, and answers like the one in memory."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from chalicelib.dragons.s3 import S3DragonRepository
from tests.fakes.dragon_repository import InMemoryDragonRepository
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
def test_any_history_of_the_registry_in_s3_reads_as_it_would_in_memory() -> None:
    class OnS3(DragonHistory):
        def made(self) -> S3DragonRepository:
            return on_s3()

    run_state_machine_as_test(OnS3, settings=settings(max_examples=100, stateful_step_count=30, deadline=None))
