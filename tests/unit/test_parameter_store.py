"""How parameters are read from Parameter Store and cached, whatever they are."""

from __future__ import annotations

import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.parameter_store import ANEW_AFTER_S, RETRY_AFTER_FAILURE_S, ParameterStore, Values
from tests.fakes.aws_errors import client_error
from tests.fakes.clock import FakeClock
from tests.fakes.parameter_store import FakeParameterStore

PATH = "/dragonpost/local/"
NAMES = [str(number) for number in range(9)]


def is_usable(name: str, value: str) -> bool:
    """Accept every value except this one."""
    return value != "malformed"


@pytest.fixture
def store() -> FakeParameterStore:
    """Nine parameters."""
    return FakeParameterStore(PATH, {name: f"value of {name}" for name in NAMES})


@pytest.fixture
def clock() -> FakeClock:
    """The reader's clock."""
    return FakeClock()


@pytest.fixture
def parameters(store: FakeParameterStore, clock: FakeClock) -> ParameterStore:
    """A reader that has read nothing yet."""
    return ParameterStore(PATH, NAMES, is_usable, lambda: store, clock)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(("count", "calls"), [(1, 1), (10, 1), (11, 2), (20, 2), (23, 3)])
def test_parameters_are_read_completely_ten_in_a_call(count: int, calls: int) -> None:
    """GetParameters refuses more than ten names, and none."""
    values = {f"name{number}": f"value of {number}" for number in range(count)}
    store = FakeParameterStore(PATH, values)

    assert ParameterStore(PATH, values, is_usable, lambda: store).values() == values  # type: ignore[arg-type,return-value]
    assert store.reads == calls


def test_a_batch_that_fails_leaves_the_others_unused(clock: FakeClock) -> None:
    """Half of what is new beside half of what is old may belong to two places of the registry."""

    class Breaking(FakeParameterStore):
        def get_parameters(self, **parameters: Any) -> dict[str, Any]:
            if self.reads == 3:
                self.failure = client_error("ThrottlingException")
            return super().get_parameters(**parameters)

    store = Breaking(PATH, {f"name{number}": "old" for number in range(11)})
    parameters = ParameterStore(PATH, list(store.values), is_usable, lambda: store, clock)  # type: ignore[arg-type,return-value]
    before = parameters.values()
    store.values = dict.fromkeys(before, "new")
    clock.now += 100

    assert parameters.values() is before
    assert store.reads == 4


def test_parameters_that_do_not_exist_are_left_out(parameters: ParameterStore, store: FakeParameterStore) -> None:
    del store.values["4"]

    assert parameters.values() == store.values


def test_parameters_are_read_once_for_many_uses(parameters: ParameterStore, store: FakeParameterStore) -> None:
    assert [parameters.values() for _ in range(50)][-1]["3"] == "value of 3"
    assert store.reads == 1


def test_nothing_is_read_before_it_is_needed(parameters: ParameterStore, store: FakeParameterStore) -> None:
    assert store.reads == 0


def test_changes_are_seen_after_a_while(
    parameters: ParameterStore, store: FakeParameterStore, clock: FakeClock
) -> None:
    parameters.values()
    store.values["3"] = "new"
    clock.now += 40
    assert parameters.values()["3"] == "value of 3"
    clock.now += 40

    assert parameters.values()["3"] == "new"


def test_changes_are_seen_at_once_by_whoever_asks_for_that_but_not_again_and_again(
    parameters: ParameterStore, store: FakeParameterStore, clock: FakeClock
) -> None:
    clock.now += 1000
    parameters.values()
    for value, seen in (("new", "new"), ("newer", "new")):
        store.values["3"] = value
        parameters.read_anew()
        assert parameters.values()["3"] == seen
    assert store.reads == 2
    clock.now += ANEW_AFTER_S
    parameters.read_anew()

    assert parameters.values()["3"] == "newer"


def test_readers_do_not_all_refresh_in_the_same_second(store: FakeParameterStore, clock: FakeClock) -> None:
    readers = [ParameterStore(PATH, NAMES, is_usable, lambda: store, clock) for _ in range(50)]  # type: ignore[arg-type,return-value]
    for reader in readers:
        reader.values()

    assert len({reader._refresh_at for reader in readers}) > 40


@pytest.mark.parametrize("failure", [client_error("ThrottlingException"), client_error("AccessDeniedException")])
def test_a_failed_refresh_keeps_the_old_values_and_is_tried_again_soon(
    parameters: ParameterStore, store: FakeParameterStore, clock: FakeClock, failure: Exception
) -> None:
    before = parameters.values()
    store.failure = failure
    clock.now += 100
    assert parameters.values() is before
    assert parameters.values() is before
    assert store.reads == 2

    store.failure = None
    store.values["3"] = "new"
    clock.now += RETRY_AFTER_FAILURE_S
    assert parameters.values()["3"] == "new"


def test_a_parameter_that_disappears_later_changes_nothing(
    parameters: ParameterStore, store: FakeParameterStore, clock: FakeClock
) -> None:
    before = parameters.values()
    del store.values["4"]
    store.values["3"] = "malformed"
    store.values["2"] = "new"
    clock.now += 100

    assert parameters.values() == {**before, "2": "new"}


def test_a_missing_or_malformed_parameter_is_read_again_soon(
    parameters: ParameterStore, store: FakeParameterStore, clock: FakeClock, log: io.StringIO
) -> None:
    parameters.values()
    store.values["3"] = "malformed"
    clock.now += 100
    parameters.values()
    assert json.loads(log.getvalue())["names"] == [f"{PATH}3"]

    store.values["3"] = "new"
    clock.now += RETRY_AFTER_FAILURE_S
    assert parameters.values()["3"] == "new"


def test_a_parameter_that_went_missing_is_logged_and_read_again_soon_but_not_at_once(
    parameters: ParameterStore, store: FakeParameterStore, clock: FakeClock, log: io.StringIO
) -> None:
    parameters.values()
    lost = store.values.pop("4")
    clock.now += 100
    parameters.values()
    line = json.loads(log.getvalue())
    assert (line["level"], line["message"]) == ("WARNING", "parameters are missing or malformed")
    assert (line["names"], line["old_values_kept"]) == ([f"{PATH}4"], 1)

    store.values["4"] = f"{lost}, found"
    clock.now += RETRY_AFTER_FAILURE_S - 1
    assert parameters.values()["4"] == lost
    clock.now += 1
    assert parameters.values()["4"] == f"{lost}, found"


def test_a_value_that_was_malformed_from_the_start_is_looked_at_again_soon(
    parameters: ParameterStore, store: FakeParameterStore, clock: FakeClock, log: io.StringIO
) -> None:
    good, store.values["3"] = store.values["3"], "malformed"
    parameters.values()
    line = json.loads(log.getvalue())
    assert (line["names"], line["old_values_kept"]) == ([f"{PATH}3"], 0)

    store.values["3"] = good
    clock.now += RETRY_AFTER_FAILURE_S
    assert parameters.values()["3"] == good


def test_the_log_says_why_a_refresh_failed(
    parameters: ParameterStore, store: FakeParameterStore, clock: FakeClock, log: io.StringIO
) -> None:
    parameters.values()
    store.failure = client_error("ThrottlingException")
    clock.now += 100
    parameters.values()

    line = json.loads(log.getvalue())
    assert (line["level"], line["message"]) == ("WARNING", "parameters were not refreshed; the old values stay")
    assert line["why"] == "Parameter Store is not available: ThrottlingException"


def test_whether_a_value_is_usable_depends_on_its_name(store: FakeParameterStore, clock: FakeClock) -> None:
    asked: list[tuple[str, str]] = []

    def remembered(name: str, value: str) -> bool:
        asked.append((name, value))
        return True

    ParameterStore(PATH, NAMES, remembered, lambda: store, clock).values()  # type: ignore[arg-type,return-value]

    assert asked == list(store.values.items())


def test_a_malformed_value_is_kept_if_there_is_no_earlier_one_so_that_an_error_can_name_it(
    parameters: ParameterStore, store: FakeParameterStore
) -> None:
    store.values["3"] = "malformed"

    assert parameters.values()["3"] == "malformed"


def test_white_space_around_a_value_is_removed(parameters: ParameterStore, store: FakeParameterStore) -> None:
    store.values["3"] = " name\n"

    assert parameters.values()["3"] == "name"


def test_a_first_read_that_fails_is_tried_again_by_the_next_use(
    parameters: ParameterStore, store: FakeParameterStore
) -> None:
    store.failure = client_error("ThrottlingException")
    with pytest.raises(aws.DependencyUnavailable):
        parameters.values()
    store.failure = None

    assert parameters.values()["3"]


def test_parameters_that_the_service_does_not_know_are_left_alone(
    parameters: ParameterStore, store: FakeParameterStore
) -> None:
    store.values["later"] = "x"

    assert parameters.values().keys() == set(NAMES)


def test_threads_that_start_together_read_once(store: FakeParameterStore) -> None:
    together = threading.Barrier(8)

    class Slow(FakeParameterStore):
        def get_parameters(self, **parameters: Any) -> dict[str, Any]:
            together.wait(5)
            return super().get_parameters(**parameters)

    slow = Slow(store.path, store.values)
    parameters = ParameterStore(PATH, NAMES, is_usable, lambda: slow)  # type: ignore[arg-type,return-value]

    def use(number: int) -> Values:
        if number:
            together.wait(5)
        return parameters.values()

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
        def get_parameters(self, **parameters: Any) -> dict[str, Any]:
            if self.reads:
                beginnings.append(aws._no_call_after.get() - time.monotonic())
                asked.set()
                answer.wait(5)
            return super().get_parameters(**parameters)

    hanging = Hanging(store.path, store.values)
    parameters = ParameterStore(PATH, NAMES, is_usable, lambda: hanging, clock)  # type: ignore[arg-type,return-value]
    before = parameters.values()
    clock.now += 100
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(parameters.values)
        assert asked.wait(5)

        assert parameters.values() is before, "another request uses the values there are"
        answer.set()
        assert refreshing.result(5) is not before

    assert beginnings[0] < 1, "so that a second attempt never begins"
    assert hanging.reads == 2
