"""Unit tests reach no AWS, however the machine they run on is configured."""

import pytest

from chalicelib import aws


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"a unit test asked for the {name} client")

    monkeypatch.setattr(aws, "_client", refuse)
