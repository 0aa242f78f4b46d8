"""Deploying over what earlier stacks left: a first create that failed, and what stage `prod` keeps."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from operations.deploy import adoption
from operations.deploy.target import Target
from tests.e2e.account import run
from tests.e2e.running import Devstack


def test_a_first_create_that_failed_is_named_with_its_cause_and_the_next_try_succeeds(devstack: Devstack) -> None:
    ssm, name = devstack.client("ssm"), "/dragonpost/dev/sms_allowed_prefixes"
    ssm.put_parameter(Name=name, Value="in the way", Type="String")
    failed = run(devstack, "operations.deploy", "dev", "--resources-only", succeeds=False)
    assert "dragonpost-dev-resources" in failed
    ssm.delete_parameter(Name=name)

    said = run(devstack, "operations.deploy", "dev", "--resources-only")

    assert "dragonpost-dev-resources is ROLLBACK_COMPLETE" in said
    assert "it failed at SmsAllowedPrefixesParameter:" in said
    [stack] = devstack.client("cloudformation").describe_stacks(StackName="dragonpost-dev-resources")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    run(devstack, "operations.destroy", "dev")


def over_tls(devstack: Devstack, service: str) -> Any:
    """Return a client that the embedded AWS takes for one over TLS: prod's queues, which stayed, refuse any other."""
    session = boto3.Session("test", "test", region_name="us-east-1")
    made: Any = session.client(service, endpoint_url=devstack.running["aws_url"])  # type: ignore[call-overload]

    def forge(request: Any, **_: Any) -> None:
        request.headers["X-Forwarded-Proto"] = "https"

    made.meta.events.register("before-send", forge)
    return made


def test_what_a_destroyed_prod_stage_kept_is_taken_into_its_next_stack(
    devstack: Devstack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(devstack, "operations.deploy", "prod", "--resources-only")
    cloudformation, table = devstack.client("cloudformation"), "dragonpost-prod-messages"

    def outputs() -> dict[str, str]:
        [stack] = cloudformation.describe_stacks(StackName="dragonpost-prod-resources")["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    before = outputs()
    key = {"message_id": {"S": str(uuid.uuid4())}, "company_id": {"S": str(uuid.uuid4())}}
    devstack.client("dynamodb").put_item(TableName=table, Item=key)
    devstack.client("s3").put_object(Bucket=before["MessageBucketName"], Key="kept", Body=b"1")

    gone = run(devstack, "operations.destroy", "prod", typed="prod\n")
    adoption.resume(Target("prod", tmp_path, "the-artefacts", {}), lambda service: over_tls(devstack, service))
    run(devstack, "operations.deploy", "prod", "--resources-only")

    assert f"stays: MessageTable {table} (the messages' index)" in gone
    assert f"MessageTable {table} stands already" in capsys.readouterr().err
    after = outputs()
    assert after.items() >= {name: before[name] for name in before if name != "UserPoolClientId"}.items()
    assert devstack.client("dynamodb").get_item(TableName=table, Key=key)["Item"] == key
    assert devstack.client("s3").get_object(Bucket=after["MessageBucketName"], Key="kept")["Body"].read() == b"1"
    held = cloudformation.list_stack_resources(StackName="dragonpost-prod-resources")["StackResourceSummaries"]
    assert {"MessageTable", "MessageBucket", "UserPool", "MessageBucketPolicy"} <= {
        each["LogicalResourceId"] for each in held
    }
