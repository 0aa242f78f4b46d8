"""What a deployment does about what earlier stacks left, on moto's AWS."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, WaiterError
from moto.core.models import MockAWS

from chalicelib import aws
from operations import PROJECT
from operations.deploy import adoption, stack
from operations.deploy.commands import DeployError
from operations.deploy.target import Target
from operations.stores import BUCKET, POOL, STORES, WORKFLOW
from tests.fakes.stacks import FakeCloudFormation, FakeStack
from tests.integration.stage import make_prods_stores

REGION = "us-east-1"
RESOURCES = "dragonpost-prod-resources"


class Importing(FakeCloudFormation):
    """A CloudFormation that takes every import, and keeps what it was asked for."""

    asked: Any = None
    refuses = ""

    def create_change_set(self, **asked: Any) -> None:
        self.asked = asked
        self.stacks[asked["StackName"]] = FakeStack({}, status="REVIEW_IN_PROGRESS")

    def get_waiter(self, name: str) -> Any:
        assert name == "change_set_create_complete"
        return self

    def wait(self, **_where: Any) -> None:
        if self.refuses:
            raise WaiterError("change_set_create_complete", self.refuses, {})

    def describe_change_set(self, **_where: Any) -> Any:
        return {"StatusReason": self.refuses}

    def execute_change_set(self, *, StackName: str, ChangeSetName: str) -> None:  # noqa: N803
        assert ChangeSetName == self.asked["ChangeSetName"]
        self.stacks[StackName].status = "IMPORT_COMPLETE"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "POLL_S", 0)


@pytest.fixture
def clients(moto_aws: MockAWS) -> Callable[[str], Any]:
    moto_aws.reset()
    made = {name: boto3.client(name, region_name=REGION) for name in ("cognito-idp", "sts")}  # type: ignore[call-overload]
    made |= {"s3": aws.s3(), "dynamodb": aws.dynamodb(), "sqs": aws.sqs()}
    made["cloudformation"] = Importing(aws.s3(), {})
    return made.__getitem__


@pytest.fixture
def kept(clients: Callable[[str], Any]) -> str:
    """What stage prod keeps when its stack is deleted. Returns the user pool's id."""
    return make_prods_stores(clients)


def resume(clients: Callable[[str], Any]) -> Importing:
    adoption.resume(Target("prod", PROJECT / "build", "the-artefacts", dict(os.environ)), clients)
    stacks: Importing = clients("cloudformation")
    return stacks


def test_every_store_that_a_deleted_stack_kept_is_taken_into_the_new_one(
    clients: Callable[[str], Any], kept: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without this, buckets and table fail with `already exists`, and a second, empty user pool is made."""
    asked = resume(clients).asked

    stands = {each["LogicalResourceId"]: each["ResourceIdentifier"] for each in asked["ResourcesToImport"]}
    assert set(stands) == {name for name, store in STORES.items() if store.type != WORKFLOW} | {"OperatorGroup"}
    assert stands["UserPool"] == {"UserPoolId": kept}
    assert stands["OperatorGroup"] == {"UserPoolId": kept, "GroupName": "operators"}
    assert stands["MessageBucket"] == {"BucketName": "dragonpost-prod-messages-123456789012"}
    assert asked["ChangeSetType"] == "IMPORT"
    assert "MessageTable dragonpost-prod-messages stands already" in capsys.readouterr().err


def test_the_import_names_what_it_imports_and_nothing_else_and_keeps_it_whatever_happens(
    clients: Callable[[str], Any], kept: str
) -> None:
    assert kept
    asked = resume(clients).asked
    template = json.loads(asked["TemplateBody"])

    assert set(template["Resources"]) == {each["LogicalResourceId"] for each in asked["ResourcesToImport"]}
    assert {each["DeletionPolicy"] for each in template["Resources"].values()} == {"Retain"}
    assert "Outputs" not in template
    assert "Transform" not in template
    assert {"ParameterKey": "Stage", "ParameterValue": "prod"} in asked["Parameters"]
    assert (
        len(asked["TemplateBody"]) <= 51_200
    )  # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html


@pytest.mark.parametrize("has_it", [False, True])
def test_a_table_is_taken_with_the_indexes_that_it_has_and_the_deployment_makes_the_others(
    clients: Callable[[str], Any], kept: str, has_it: bool
) -> None:
    assert kept
    table, index = "dragonpost-prod-messages", {"IndexName": "by-acceptance", "Projection": {"ProjectionType": "ALL"}}
    keys = [
        {"AttributeName": "company_part", "KeyType": "HASH"},
        {"AttributeName": "accepted_at_id", "KeyType": "RANGE"},
    ]
    if has_it:
        clients("dynamodb").update_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in keys],
            GlobalSecondaryIndexUpdates=[{"Create": index | {"KeySchema": keys}}],
        )
    properties = json.loads(resume(clients).asked["TemplateBody"])["Resources"]["MessageTable"]["Properties"]

    attributes = [each["AttributeName"] for each in properties["AttributeDefinitions"]]
    more = ["company_part", "accepted_at_id"] if has_it else []
    assert attributes == ["message_id", "company_id", *more]
    assert [each["IndexName"] for each in properties.get("GlobalSecondaryIndexes", [])] == ["by-acceptance"] * has_it


def test_the_new_stack_has_the_parameters_of_the_one_that_was_deleted_last(
    clients: Callable[[str], Any], kept: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise messages are kept for ever, and nobody hears of an alarm, until somebody thinks of it."""
    assert kept
    stacks = clients("cloudformation").stacks
    theirs = {"Stage": "prod", "AlarmEmail": "old@dragons.example", "ArchiveRetentionDays": "30"}
    ours = {**theirs, "AlarmEmail": "ada@dragons.example", "BucketNamesHaveRegion": "true", "NoLongerKnown": "1"}
    of_others = {**theirs, "ArchiveRetentionDays": "1"}
    for key, parameters, created_at in (
        (f"{RESOURCES}#2", ours, 2),
        (f"{RESOURCES}#1", theirs, 1),
        ("dragonpost-dev-resources", of_others, 3),
        (f"{RESOURCES}#3", {}, 4),  # an import that was never carried out
    ):
        stacks[key] = FakeStack({}, status="DELETE_COMPLETE", parameters=parameters, created_at=created_at)

    asked = resume(clients).asked

    assert {each["ParameterKey"]: each["ParameterValue"] for each in asked["Parameters"]} == {
        "Stage": "prod",
        "AlarmEmail": "ada@dragons.example",
        "ArchiveRetentionDays": "30",
        "BucketNamesHaveRegion": "false",  # as the buckets that stand say
    }
    assert "as before: AlarmEmail=ada@dragons.example ArchiveRetentionDays=30" in capsys.readouterr().err


def test_a_buckets_policy_goes_because_the_deployment_makes_it_anew(clients: Callable[[str], Any], kept: str) -> None:
    assert kept
    resume(clients)

    with pytest.raises(clients("s3").exceptions.ClientError, match="NoSuchBucketPolicy"):
        clients("s3").get_bucket_policy(Bucket="dragonpost-prod-messages-123456789012")


def test_a_new_stage_imports_nothing(clients: Callable[[str], Any]) -> None:
    assert resume(clients).asked is None


def test_a_stage_that_stands_imports_nothing(clients: Callable[[str], Any], kept: str) -> None:
    assert kept
    clients("cloudformation").stacks[RESOURCES] = FakeStack({})

    assert resume(clients).asked is None


def test_another_stages_stores_are_not_taken(clients: Callable[[str], Any]) -> None:
    clients("s3").create_bucket(Bucket="dragonpost-prod2-messages-123456789012")

    assert resume(clients).asked is None


def test_a_bucket_in_another_region_is_the_same_stages_there_and_is_left_alone(clients: Callable[[str], Any]) -> None:
    """Without the region in their names, its buckets are found from every region."""
    bucket, policy = "dragonpost-prod-dragons-123456789012", '{"Version": "2012-10-17", "Statement": []}'
    there = boto3.client("s3", region_name="eu-central-1")
    there.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    there.put_bucket_policy(Bucket=bucket, Policy=policy)

    assert resume(clients).asked is None

    assert there.get_bucket_policy(Bucket=bucket)["Policy"] == policy


def test_two_pools_of_one_name_are_a_persons_to_tell_apart(clients: Callable[[str], Any], kept: str) -> None:
    other = clients("cognito-idp").create_user_pool(PoolName="dragonpost-prod")["UserPool"]["Id"]

    with pytest.raises(DeployError, match=rf"several user pools are named dragonpost-prod: .*({kept}|{other})"):
        resume(clients)


def test_an_import_that_is_refused_is_named_and_the_next_run_begins_anew(
    clients: Callable[[str], Any], kept: str
) -> None:
    assert kept
    clients("cloudformation").refuses = "the table is another stack's"
    with pytest.raises(DeployError, match="the table is another stack's"):
        resume(clients)

    clients("cloudformation").refuses = ""
    assert resume(clients).stacks[RESOURCES].status == "IMPORT_COMPLETE"


def test_what_the_account_refuses_is_one_error(clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadBucket")

    monkeypatch.setattr(clients("s3"), "head_bucket", refuse)

    with pytest.raises(DeployError, match=r"whether dragonpost-prod-dragons-\S+ stands already cannot be told"):
        resume(clients)


@pytest.mark.parametrize("part", ["resources", "app"])
def test_a_stack_whose_first_create_failed_is_deleted_and_says_why_it_failed(
    clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str], part: str
) -> None:
    """CloudFormation refuses to update it: it can only be deleted."""
    stacks = clients("cloudformation").stacks
    name = f"dragonpost-prod-{part}"
    stacks[name] = FakeStack({"MessageBucket": (BUCKET, "b")}, frozenset({"MessageBucket"}), "ROLLBACK_COMPLETE")
    stacks[name].created = {"MessageBucket": "b already exists"}

    resume(clients)

    assert stacks[name].status == "DELETE_COMPLETE"
    said = capsys.readouterr().err
    assert f"{name} is ROLLBACK_COMPLETE" in said
    assert "it failed at MessageBucket: b already exists" in said
    assert "stays: MessageBucket b" in said


def test_what_a_failed_create_could_not_take_back_because_it_is_protected_is_taken_into_the_next_stack(
    clients: Callable[[str], Any],
) -> None:
    """Prod's tables and pool have deletion protection, so rolling its first create back fails on AWS."""
    pool = clients("cognito-idp").create_user_pool(PoolName="dragonpost-prod")["UserPool"]["Id"]
    stacks = clients("cloudformation").stacks
    stacks[RESOURCES] = FakeStack({"UserPool": (POOL, pool)}, frozenset({"UserPool"}), "ROLLBACK_FAILED")

    asked = resume(clients).asked

    assert [each["LogicalResourceId"] for each in asked["ResourcesToImport"]] == ["UserPool"]
    assert {"ParameterKey": "BucketNamesHaveRegion", "ParameterValue": "true"} in asked["Parameters"]


@pytest.mark.parametrize(
    "status", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "CREATE_IN_PROGRESS"]
)
def test_no_other_stack_is_ever_deleted(clients: Callable[[str], Any], status: str) -> None:
    for part in ("resources", "app"):
        clients("cloudformation").stacks[f"dragonpost-prod-{part}"] = FakeStack({}, status=status)

    assert resume(clients).deleted == []


def test_a_name_may_depend_on_a_condition() -> None:
    """Stages from before keep their buckets' names."""
    names = {"Fn::If": ["New", {"Fn::Sub": "a-${Stage}-${AWS::Region}"}, {"Fn::Sub": "a-${Stage}"}]}

    assert list(adoption._names(names, {"Stage": "prod", "AWS::Region": "r"})) == ["a-prod-r", "a-prod"]
