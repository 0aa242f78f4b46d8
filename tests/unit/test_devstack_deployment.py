"""Files of the project that are half saved, or lack what the devstack needs, are named when they are deployed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from devstack.aws import deployment
from devstack.settings import DevstackError, Settings
from devstack.state import StateFolder
from operations.deploy.commands import DeployError
from operations.deploy.target import Target

SETTINGS = Settings(8000, 4566, Path("nowhere"))
NOW = datetime(2026, 11, 26, tzinfo=UTC)
OUTPUTS = dict.fromkeys(deployment.NEEDED_OUTPUTS, "a value")


@pytest.fixture
def overrides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    (tmp_path / "infrastructure").mkdir()
    monkeypatch.setattr(deployment, "PROJECT", tmp_path)
    return tmp_path / "infrastructure" / "app-overrides.json"


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "state")
    folder.build.mkdir(parents=True)
    folder.deployed.write_text("{}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("half", [b"", b'{"Resources": {', b"\xff", None])
def test_overrides_that_are_half_saved_are_named_before_anything_is_touched(
    overrides: Path, state: StateFolder, half: bytes | None
) -> None:
    if half is not None:
        overrides.write_bytes(half)

    with pytest.raises(DevstackError, match=r"infrastructure/app-overrides\.json cannot be read"):
        deployment.bring_up_to_date(SETTINGS, state)
    assert state.deployed.exists(), "what stands is still known"


@pytest.mark.parametrize("missing", OUTPUTS)
def test_an_output_that_was_renamed_is_named(
    overrides: Path, state: StateFolder, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    def deploy_resources(_target: Any) -> dict[str, str]:
        return {name: value for name, value in OUTPUTS.items() if name != missing}

    overrides.write_text('{"Resources": {}}', encoding="utf-8")
    monkeypatch.setattr(deployment.stage, "ensure_artifacts_bucket", lambda _: None)
    monkeypatch.setattr(deployment.stage, "deploy_resources", deploy_resources)

    with pytest.raises(DevstackError, match=rf"infrastructure/resources\.yaml has no output {missing}"):
        deployment.bring_up_to_date(SETTINGS, state)


def test_what_is_deployed_suits_this_machine_and_an_emulator_without_tls(
    overrides: Path, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = []

    def package_app(target: Target, *_: Any) -> None:
        targets.append(target)
        raise DeployError

    overrides.write_text('{"Resources": {}}', encoding="utf-8")
    monkeypatch.setattr(deployment.stage, "ensure_artifacts_bucket", lambda _: None)
    monkeypatch.setattr(deployment.stage, "deploy_resources", lambda _: OUTPUTS)
    monkeypatch.setattr(deployment.package, "package_app", package_app)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    with pytest.raises(DevstackError):
        deployment.bring_up_to_date(SETTINGS, state)

    assert [(target.architecture, target.require_tls) for target in targets] == [("arm64", False)]


def test_stage_local_publishes_no_versions_and_sam_takes_what_is_left() -> None:
    """Every change would publish some, and the saved state would keep them all."""
    left = deployment._without_versions(deployment._overrides())

    integrations = left["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    swagger = {"swagger": "2.0", "info": {"title": "dragonpost"}, "paths": {}}
    for name, resource in left["Resources"].items():
        if "FunctionName" in resource.get("Properties", {}):
            code = {"CodeUri": "s3://artefacts/zip", "Handler": "app.app", "Runtime": "python3.13"}
            resource |= {"Type": "AWS::Serverless::Function", "Properties": resource["Properties"] | code}
        if name == "RestAPI":
            api = resource["Properties"] | {"StageName": "local", "DefinitionBody": swagger}
            resource |= {"Type": "AWS::Serverless::Api", "Properties": api}
    region = SimpleNamespace(region_name="us-east-1")
    made = Translator({}, Parser(), boto_session=region).translate(left, {"AllowOrigin": "*"})

    assert "Aliaslive" not in json.dumps(left["Resources"])
    assert "functions/${OperatorApi.Arn}/invocations" in json.dumps(integrations["/ready"])
    assert "functions/${APIHandler.Arn}/invocations" in json.dumps(integrations["/dragons"])
    assert not {"AWS::Lambda::Version", "AWS::Lambda::Alias"} & {each["Type"] for each in made["Resources"].values()}


def test_artefacts_of_earlier_deployments_do_not_pile_up() -> None:
    stored = {f"artefact-{age}": NOW - timedelta(hours=age) for age in range(deployment.ARTEFACTS_KEPT + 2)}

    class Bucket:
        def list_objects_v2(self, **_where: str) -> dict[str, list[dict[str, object]]]:
            return {"Contents": [{"Key": key, "LastModified": when} for key, when in stored.items()]}

        def delete_object(self, *, Key: str, **_where: str) -> None:  # noqa: N803 - as boto3 names it
            deleted.append(Key)

    deleted: list[str] = []

    deployment._delete_old_artefacts(Bucket(), "artefacts")

    oldest = [f"artefact-{deployment.ARTEFACTS_KEPT + 1}", f"artefact-{deployment.ARTEFACTS_KEPT}"]
    assert deleted == oldest
