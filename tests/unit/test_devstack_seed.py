"""What a start of the devstack says about the contents of its stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.aws import seed
from devstack.settings import Settings
from devstack.state import StateFolder
from operations.deploy.commands import DeployError


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pools in which people were created."""
    created: list[str] = []
    monkeypatch.setattr(seed, "client", lambda *_: None)
    monkeypatch.setattr(seed, "create_people", lambda _client, _state, pool: created.append(pool))
    return created


def put_everything(tmp_path: Path) -> list[str]:
    return seed.put_everything(Settings(1, 2, tmp_path), StateFolder(tmp_path), {"UserPoolId": "pool"})


def test_it_says_what_was_put_back(created: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[Any] = []

    def complete(stage: str, _clients: Any, document: bytes) -> list[str]:
        given.extend((stage, document[:1]))
        return ["the parameter x"]

    monkeypatch.setattr(seed.contents, "complete", complete)

    assert put_everything(tmp_path) == ["put the parameter x"]
    assert given == ["local", b"["]
    assert created == ["pool"]


def test_what_a_person_has_to_mend_does_not_end_the_emulator_that_it_is_mended_in(
    created: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def complete(*_: Any) -> Iterator[str]:
        yield "the parameter x"
        raise DeployError("the dragon document was deleted")

    monkeypatch.setattr(seed.contents, "complete", complete)

    assert put_everything(tmp_path) == [
        "put the parameter x",
        "not all is there: the dragon document was deleted",
    ]
    assert created == ["pool"]
