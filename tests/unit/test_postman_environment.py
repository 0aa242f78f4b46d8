"""`make postman-environment`: what it fills in. tests/e2e/test_postman.py runs newman with what it writes."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from devstack.people import PEOPLE
from devstack.state import StateFolder
from operations import postman_environment
from operations.postman_environment import TEMPLATE, filled_in, main

STACKS = SimpleNamespace(
    describe_stacks=lambda **_: {
        "Stacks": [{"Outputs": [{"OutputKey": "EndpointURL", "OutputValue": "https://api.example/prod/"}]}]
    },
    get_paginator=lambda _: SimpleNamespace(
        paginate=lambda **_: [
            {"StackResourceSummaries": [{"LogicalResourceId": "UserPoolClient", "PhysicalResourceId": "the-client"}]}
        ]
    ),
)
COGNITO = SimpleNamespace(meta=SimpleNamespace(endpoint_url="https://cognito.example"))
CLIENTS = {"cloudformation": STACKS, "cognito-idp": COGNITO}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setenv("DRAGONPOST_STATE", str(tmp_path))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return StateFolder(tmp_path)


def values_at(printed: str) -> dict[str, str]:
    return {each["key"]: each["value"] for each in json.loads(Path(printed.strip()).read_text())["values"]}


def test_the_devstacks_has_everything_and_only_you_may_read_it(
    state: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    running = {"local_url": "http://127.0.0.1:1", "aws_url": "http://127.0.0.1:2", "user_pool_client_id": "client"}
    state.run.write_text(json.dumps(running), encoding="utf-8")
    state.users.write_text(json.dumps({person.email: f"of {person.name}" for person in PEOPLE}), encoding="utf-8")

    assert main(["--stage", "local"]) == 0

    printed = capsys.readouterr().out
    values = values_at(printed)
    assert {name for name, value in values.items() if not value} == {"stage_prefix"}
    assert (values["base_url"], values["cognito_url"]) == ("http://127.0.0.1:1", "http://127.0.0.1:2/")
    assert (values["password"], values["operator_password"]) == ("of amber", "of operator")
    assert stat.S_IMODE(Path(printed.strip()).stat().st_mode) == 0o600


def test_resetting_the_devstack_removes_it(state: StateFolder) -> None:
    state.postman("local").write_text("{}", encoding="utf-8")

    state.reset()

    assert not state.path.exists()


def test_a_stages_has_its_addresses_and_nobody(state: StateFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stage", "prod"], CLIENTS.__getitem__) == 0

    values = values_at(capsys.readouterr().out)
    assert {name: value for name, value in values.items() if value} == {
        "base_url": "https://api.example/prod",
        "stage_prefix": "/prod",
        "cognito_url": "https://cognito.example/",
        "client_id": "the-client",
    }
    assert state.postman("prod").exists()


@pytest.mark.usefixtures("state")
def test_without_a_running_devstack_it_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stage", "local"]) == 1
    assert "make run" in capsys.readouterr().err


def test_a_value_that_the_collections_environment_lacks_is_a_mistake() -> None:
    template: dict[str, Any] = json.loads(TEMPLATE.read_text(encoding="utf-8"))

    with pytest.raises(LookupError, match="shoe_size"):
        filled_in(template, "any", {"base_url": "https://api.example", "shoe_size": "46"})


def test_postman_knows_the_environment_of_the_same_stage_again() -> None:
    template = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    one, again, other = (
        filled_in(template, name, {"base_url": "https://api.example"})["id"] for name in ("dev", "dev", "prod")
    )

    assert one == again != other
    assert set(postman_environment._WHOSE) == {person.name for person in PEOPLE}
