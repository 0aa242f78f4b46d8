"""What a deployment removes from the artefact bucket, and what never."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from operations.deploy import artifacts
from operations.deploy.target import Target
from tests.fakes.aws_errors import client_error
from tests.integration.conftest import MockAWS

BUCKET = "dragonpost-artifacts-123456789012-us-east-1"
PACKAGE, DEFINITION, OLD = "dragonpost-dev/package", "dragonpost-dev/definition", "dragonpost-dev/old.template"
OTHERS = ["dragonpost-prod/old", "somebody/else", "dragonpost-dev2/old"]

Clients = Callable[[str], Any]


class Stacks:
    """CloudFormation's client, with the templates of the stacks that there are: a text, or what JSON says."""

    def __init__(self, templates: dict[str, Any]) -> None:
        self.templates = templates

    def get_template(self, *, StackName: str, TemplateStage: str) -> dict[str, Any]:  # noqa: N803
        assert TemplateStage == "Original"
        if StackName not in self.templates:
            missing = {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}
            raise ClientError({"Error": missing}, "GetTemplate")  # type: ignore[typeddict-item]
        return {"TemplateBody": self.templates[StackName]}


@pytest.fixture
def target(moto_aws: MockAWS, tmp_path: Path) -> Target:
    """A stage whose artefacts are in the bucket."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key in (PACKAGE, DEFINITION, OLD, *OTHERS):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    return Target("dev", tmp_path, BUCKET, {}, artifacts_owner="123456789012")


def clients(templates: dict[str, Any]) -> Clients:
    """Return the clients of a stage with these templates."""
    return lambda service: Stacks(templates) if service == "cloudformation" else boto3.client(service)


def keys() -> set[str]:
    return {item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])}


DEPLOYED = {
    "dragonpost-dev-resources": {"DefinitionS3Location": {"Bucket": BUCKET, "Key": DEFINITION}},
    "dragonpost-dev-app": f"CodeUri: s3://{BUCKET}/{PACKAGE}",
}


@pytest.fixture
def _all_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "KEPT", timedelta(seconds=-60))


@pytest.mark.usefixtures("_all_is_old")
def test_what_is_old_goes_unless_a_stack_refers_to_it_or_it_is_anothers(target: Target) -> None:
    artifacts.tidy(target, clients(DEPLOYED))

    assert keys() == {PACKAGE, DEFINITION, *OTHERS}


def test_what_was_deployed_lately_stays(target: Target) -> None:
    """Somebody may go back to it, and another deployment may have uploaded it a moment ago."""
    before = keys()

    artifacts.tidy(target, clients(DEPLOYED))

    assert keys() == before


@pytest.mark.usefixtures("_all_is_old")
def test_a_stage_whose_app_chalice_has_deployed_has_one_stack(target: Target) -> None:
    artifacts.tidy(target, clients({"dragonpost-dev-resources": DEPLOYED["dragonpost-dev-resources"]}))

    assert keys() == {DEFINITION, *OTHERS}


@pytest.mark.usefixtures("_all_is_old")
def test_nothing_goes_if_nobody_knows_what_is_needed(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    class Denied:
        def get_template(self, **_: Any) -> None:
            raise client_error("AccessDenied", 403)

    before = keys()

    artifacts.tidy(target, lambda service: Denied() if service == "cloudformation" else boto3.client(service))

    assert keys() == before
    assert f"old packages stay in {BUCKET}" in capsys.readouterr().err


@pytest.mark.usefixtures("_all_is_old")
def test_a_bucket_that_somebody_chose_is_left_alone(target: Target) -> None:
    before = keys()

    artifacts.tidy(replace(target, artifacts_owner=None), clients({}))

    assert keys() == before


def test_uploads_that_were_never_finished_end(target: Target) -> None:
    artifacts.tidy(target, clients(DEPLOYED))

    [rule] = boto3.client("s3").get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert "Expiration" not in rule, "it would delete what a stack refers to"


def test_rules_that_somebody_has_set_stay(target: Target) -> None:
    mine = {"ID": "mine", "Status": "Enabled", "Filter": {"Prefix": "x"}, "Expiration": {"Days": 1}}
    s3 = boto3.client("s3")
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [mine]})

    artifacts.tidy(target, clients(DEPLOYED))

    assert [rule["ID"] for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]] == ["mine"]
