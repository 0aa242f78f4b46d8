"""The templates that `make synth` writes, and what it says where nobody knows the stage's user pool."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from operations import resources
from operations.deploy import package, stage, synth
from operations.deploy.commands import DeployError
from operations.deploy.target import Target

POOL = {"OutputKey": "UserPoolArn", "OutputValue": "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_x"}
MISSING = ClientError({"Error": {"Code": "ValidationError", "Message": "Stack does not exist"}}, "DescribeStacks")


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """What the app was packaged with, in the place of `chalice package`."""
    given: list[Mapping[str, str]] = []

    def package_app(target: Target, outputs: Mapping[str, str]) -> Path:
        given.append(outputs)
        return target.build / "app" / "sam.json"

    monkeypatch.setattr(package, "package_app", package_app)
    monkeypatch.setattr(synth, "PROJECT", tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return given


@pytest.fixture(autouse=True)
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The templates that were made ready to be released."""
    made: list[Path] = []
    monkeypatch.setattr(stage, "prepare_app", lambda *given: made.append(given[2]))
    return made


def clients(answer: Any) -> Callable[[str], Any]:
    """Return CloudFormation's client, which answers with a stack's outputs, or raises."""

    def describe_stacks(*, StackName: str) -> Any:  # noqa: N803
        assert StackName == "dragonpost-dev-resources"
        if isinstance(answer, Exception):
            raise answer
        return {"Stacks": [{"Outputs": answer}]}

    return lambda _: SimpleNamespace(describe_stacks=describe_stacks)


def test_both_templates_are_written_and_named(
    packaged: list[Mapping[str, str]], prepared: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert synth.main(["--stage", "dev"], clients([POOL])) == 0

    folder, said = tmp_path / ".local" / "synth" / "dev", capsys.readouterr()
    assert json.loads((folder / "resources.json").read_text(encoding="utf-8")) == resources.template()
    assert (folder / "dragons.asl.json").exists(), "the template refers to it"
    named = {words.split()[0]: words.split()[1] for words in said.out.splitlines()}
    assert {what: Path(file).resolve() for what, file in named.items()} == {
        "resources": folder / "resources.json",
        "app": folder / "app" / "sam.json",
    }
    assert packaged == [{"UserPoolArn": POOL["OutputValue"]}]
    assert prepared == [folder / "app" / "sam.json"], "or a parameter that changes alone is not served"
    assert said.err == ""


@pytest.mark.parametrize(
    ("fault", "why"),
    [(NoCredentialsError(), "Unable to locate credentials"), (MISSING, "stage dev does not stand yet")],
)
def test_without_a_stage_or_an_account_the_app_names_no_pool_and_the_command_says_so(
    packaged: list[Mapping[str, str]],
    prepared: list[Path],
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    why: str,
) -> None:
    assert synth.main(["--stage", "dev"], clients(fault)) == 0

    assert capsys.readouterr().err == (
        f"the app's authorizer names no user pool, and its versions no parameters: {why}\n"
    )
    assert packaged == [synth.NO_POOL]
    assert prepared == []


@pytest.mark.usefixtures("packaged")
def test_an_app_that_cannot_be_packaged_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise DeployError("no wheel")

    monkeypatch.setattr(package, "package_app", fails)

    assert synth.main(["--stage", "dev"], clients([POOL])) == 1
    assert capsys.readouterr().err == "error: no wheel\n"
