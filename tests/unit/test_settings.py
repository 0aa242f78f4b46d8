"""The cached read of Parameter Store."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.settings import RETRY_AFTER_FAILURE_S, MissingParameter, Settings, SettingsReader
from tests.fakes.aws_errors import client_error
from tests.fakes.clock import FakeClock
from tests.fakes.parameter_store import FakeParameterStore

NAMES = [field.name for field in fields(Settings)]


@pytest.fixture
def store() -> FakeParameterStore:
    """A complete set of parameters."""
    return FakeParameterStore("/dragonpost/local/", {name: f"value of {name}" for name in NAMES})


@pytest.fixture
def clock() -> FakeClock:
    """The reader's clock."""
    return FakeClock()


@pytest.fixture
def settings(store: FakeParameterStore, clock: FakeClock) -> SettingsReader:
    """A reader that has read nothing yet."""
    return SettingsReader("local", lambda: store, clock)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("sizes", [[4, 5], [0, 9], [8, 0, 1]], ids=str)
def test_settings_that_come_on_several_pages_are_read_whole(
    settings: SettingsReader, store: FakeParameterStore, sizes: list[int]
) -> None:
    """GetParametersByPath may return fewer than it was asked for, even none, and more with the next token."""
    store.page_sizes = sizes
    assert settings().user_pool_client_id == "value of user_pool_client_id"
    assert store.reads == len(sizes)


def test_one_read_serves_many_uses(settings: SettingsReader, store: FakeParameterStore) -> None:
    assert [settings() for _ in range(50)][-1].message_table_name == "value of message_table_name"
    assert store.reads == 1


def test_nothing_is_read_before_it_is_needed(settings: SettingsReader, store: FakeParameterStore) -> None:
    assert store.reads == 0


def test_changes_are_seen_after_a_while(settings: SettingsReader, store: FakeParameterStore, clock: FakeClock) -> None:
    settings()
    store.values["message_table_name"] = "new"
    clock.now += 40
    assert settings().message_table_name == "value of message_table_name"
    clock.now += 40

    assert settings().message_table_name == "new"


def test_readers_do_not_all_ask_in_the_same_second(store: FakeParameterStore, clock: FakeClock) -> None:
    readers = [SettingsReader("local", lambda: store, clock) for _ in range(50)]  # type: ignore[arg-type,return-value]
    for reader in readers:
        reader()

    assert len({reader._refresh_at for reader in readers}) > 40


@pytest.mark.parametrize("failure", [client_error("ThrottlingException"), client_error("AccessDeniedException")])
def test_a_failed_refresh_keeps_the_old_values_and_asks_again_soon(
    settings: SettingsReader, store: FakeParameterStore, clock: FakeClock, failure: Exception
) -> None:
    before = settings()
    store.failure = failure
    clock.now += 100
    assert settings() is before
    assert settings() is before
    assert store.reads == 2

    store.failure = None
    store.values["message_table_name"] = "new"
    clock.now += RETRY_AFTER_FAILURE_S
    assert settings().message_table_name == "new"


def test_a_parameter_that_goes_missing_later_changes_nothing(
    settings: SettingsReader, store: FakeParameterStore, clock: FakeClock
) -> None:
    before = settings()
    del store.values["message_queue_url"]
    clock.now += 100

    assert settings() is before


@pytest.mark.parametrize("missing", NAMES)
def test_a_missing_parameter_is_named_with_what_to_do(
    settings: SettingsReader, store: FakeParameterStore, missing: str
) -> None:
    store.values[missing] = ""

    with pytest.raises(MissingParameter, match=f"/dragonpost/local/{missing}: deploy"):
        settings()


def test_all_missing_parameters_are_named_at_once(settings: SettingsReader, store: FakeParameterStore) -> None:
    store.values.clear()

    with pytest.raises(MissingParameter) as missing:
        settings()
    assert all(f"/dragonpost/local/{name}" in str(missing.value) for name in NAMES)


def test_a_first_read_that_fails_is_tried_again_by_the_next_use(
    settings: SettingsReader, store: FakeParameterStore
) -> None:
    store.failure = client_error("ThrottlingException")
    with pytest.raises(aws.DependencyUnavailable):
        settings()
    store.failure = None

    assert settings().message_table_name


def test_parameters_that_the_service_does_not_know_are_left_alone(
    settings: SettingsReader, store: FakeParameterStore
) -> None:
    store.values["later"] = "x"

    assert settings().message_table_name


def test_threads_that_start_together_read_once(store: FakeParameterStore) -> None:
    together = threading.Barrier(8)

    class Slow(FakeParameterStore):
        def get_parameters_by_path(self, **parameters: Any) -> dict[str, Any]:
            together.wait(5)
            return super().get_parameters_by_path(**parameters)

    slow = Slow(store.path, store.values)
    settings = SettingsReader("local", lambda: slow)  # type: ignore[arg-type,return-value]

    def use(number: int) -> Settings:
        if number:
            together.wait(5)
        return settings()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(use, range(8)))

    assert slow.reads == 1
    assert all(each is found[0] for each in found)


def test_a_refresh_makes_one_short_attempt_and_other_threads_do_not_wait_for_it(
    store: FakeParameterStore, clock: FakeClock
) -> None:
    asked, answer = threading.Event(), threading.Event()
    beginnings = []

    class Hanging(FakeParameterStore):
        def get_parameters_by_path(self, **parameters: Any) -> dict[str, Any]:
            if self.reads:
                beginnings.append(aws._no_call_after.get() - time.monotonic())
                asked.set()
                answer.wait(5)
            return super().get_parameters_by_path(**parameters)

    hanging = Hanging(store.path, store.values)
    settings = SettingsReader("local", lambda: hanging, clock)  # type: ignore[arg-type,return-value]
    before = settings()
    clock.now += 100
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(settings)
        assert asked.wait(5)

        assert settings() is before, "another request goes on with what there is"
        answer.set()
        assert refreshing.result(5) is not before

    assert beginnings[0] < 1, "so that a second attempt never begins"
    assert hanging.reads == 2


@pytest.mark.parametrize(
    ("prefixes", "number", "allowed"),
    [
        ("+1,+44", "+15555550100", True),
        ("+1, +44", "+447700900123", True),
        ("+44", "+15555550100", False),
        ("none", "+15555550100", False),
        ("", "+15555550100", False),
        ("1", "+15555550100", False),
    ],
)
def test_texts_are_allowed_to_listed_countries_only(
    store: FakeParameterStore, prefixes: str, number: str, allowed: bool
) -> None:
    values = store.values | {"sms_allowed_prefixes": prefixes}

    assert Settings(**values).sms_allowed_to(number) is allowed
