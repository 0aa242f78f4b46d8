"""The devstack's copy of the pool's keys, against a server that behaves badly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from devstack.server.keys import AFTER_FAILURE_S, AFTER_SUCCESS_S, KeySet, KeysUnavailable
from tests.fakes.clock import FakeClock
from tests.fakes.key_server import MOODS, KeyServer

OURS = rsa.generate_private_key(65537, 2048)


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer(ours=OURS).serving() as serving:
        yield serving


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(server: KeyServer, clock: FakeClock) -> KeySet:
    return KeySet(server.url, clock)


def test_a_known_key_is_fetched_once(keys: KeySet, server: KeyServer) -> None:
    assert [keys.key("ours") is not None for _ in range(5)] == [True] * 5
    assert server.asked == 1


@pytest.mark.parametrize("mood", [mood for mood in MOODS if mood != "hang"])
def test_a_known_key_stays_known_when_its_server_fails_and_a_missing_one_is_nobodys_fault(
    keys: KeySet, server: KeyServer, clock: FakeClock, mood: str
) -> None:
    assert keys.key("ours") is not None
    server.mood = mood
    clock.sleep(AFTER_SUCCESS_S)

    with pytest.raises(KeysUnavailable):
        keys.key("theirs")
    assert keys.key("ours") is not None


def test_keys_that_the_pool_does_not_have_cost_one_fetch_per_interval(
    keys: KeySet, server: KeyServer, clock: FakeClock
) -> None:
    for number in range(100):
        assert keys.key(f"made up {number}") is None
    assert server.asked == 1

    clock.sleep(AFTER_SUCCESS_S)
    assert keys.key("made up") is None
    assert server.asked == 2


def test_a_server_that_fails_is_asked_once_per_interval(keys: KeySet, server: KeyServer, clock: FakeClock) -> None:
    server.mood = "fail"
    for _ in range(100):
        with pytest.raises(KeysUnavailable):
            keys.key("ours")
    assert server.asked == 1

    server.mood = "answer"
    clock.sleep(AFTER_FAILURE_S)
    assert keys.key("ours") is not None


def test_a_key_that_is_withdrawn_is_forgotten_with_the_next_fetch(
    keys: KeySet, server: KeyServer, clock: FakeClock
) -> None:
    assert keys.key("ours") is not None
    server.keys = {"new": OURS}
    clock.sleep(AFTER_SUCCESS_S)

    assert keys.key("new") is not None
    assert keys.key("ours") is None


def test_the_environments_proxy_is_not_used(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert KeySet(server.url).key("ours") is not None
