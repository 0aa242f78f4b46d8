"""What earlier stacks left, which a deployment goes on from: a first create that failed, and stores that were kept.

CloudFormation can only delete a stack whose first create failed. And a new stack cannot make a bucket or table whose
name is taken, so what stands is imported first: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
(by hand, not automatically, because that cannot do with names that depend on a parameter).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from operations import resources
from operations.deploy import stack
from operations.deploy.commands import DeployError
from operations.deploy.stack import Stack
from operations.deploy.target import Target
from operations.stores import BUCKET, POOL, QUEUE, TABLE, Clients

GROUP = "AWS::Cognito::UserPoolGroup"
_ACCOUNT = re.compile(r"-[0-9]{12}$")
CHANGE_SET = "adoption"
_GONE = frozenset({"404", "NoSuchBucket", "ResourceNotFoundException", "AWS.SimpleQueueService.NonExistentQueue"})
# Rolled back whole, or an import that was never carried out: it has nothing, but for what its template keeps.
_FAILED_CREATES = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"})


@dataclass(frozen=True)
class Kept:
    """A resource that stands although no stack holds it: its type, its name, and how an import identifies it."""

    type: str
    name: str
    identifier: Mapping[str, str]

    @property
    def physical_id(self) -> str:
        """What CloudFormation calls it: the name of a bucket, table or group, a queue's URL, a pool's id."""
        return list(self.identifier.values())[-1]


def resume(target: Target, clients: Clients) -> None:
    """Make the next deployment possible; say what stands in its way, and what is done about it. Raises DeployError."""
    try:
        for name in (target.resources_stack, target.app_stack):
            _delete_failed(target, name, clients)
        if Stack.found(target.resources_stack, clients("cloudformation")) is None:
            kept = standing(target.stage, clients)
            if kept:
                _adopt(target, resources.template(), kept, clients)
    except (BotoCoreError, ClientError) as error:
        raise DeployError(f"stage {target.stage} cannot go on from what earlier stacks left: {error}") from error


def _delete_failed(target: Target, name: str, clients: Clients) -> None:
    failed = Stack.found(name, clients("cloudformation"))
    if failed is None or (status := failed.status) not in _FAILED_CREATES:
        return
    target.say(f"{name} is {status}: its first deployment did not succeed, and CloudFormation can only delete it")
    for line in failed.failures("CREATE_FAILED").splitlines():
        target.say(f"it failed at {line}")
    for logical, physical in failed.delete(target.say).items():
        target.say(f"stays: {logical} {physical}")


def standing(stage: str, clients: Clients) -> dict[str, Kept]:
    """Return the stores of a stage's template that exist, by their logical ids, whether or not a stack holds them.

    Raises DeployError if nobody can tell whether one exists, or which of several user pools is the stage's.
    """
    return dict(_standing(stage, clients))


def _standing(stage: str, clients: Clients) -> Iterator[tuple[str, Kept]]:
    account = {"AWS::AccountId": clients("sts").get_caller_identity()["Account"], "Stage": stage}
    account["AWS::Region"] = str(clients("sts").meta.region_name)
    pool = None
    for logical, resource in resources.template()["Resources"].items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        found: Kept | None = None
        if kind in _NAMES:
            names = _names(properties[_NAMES[kind]], account)
            found = next((each for name in names if (each := _found(kind, name, account, clients))), None)
            pool = found.identifier["UserPoolId"] if found and kind == POOL else pool
        elif kind == GROUP and pool:
            group = {"UserPoolId": pool, "GroupName": properties["GroupName"]}
            found = Kept(kind, group["GroupName"], group) if _has_group(clients("cognito-idp"), group) else None
        if found:
            yield logical, found


_NAMES = {BUCKET: "BucketName", TABLE: "TableName", QUEUE: "QueueName", POOL: "UserPoolName"}
IMPORTED = frozenset({*_NAMES, GROUP})


def _names(value: Any, known: Mapping[str, str]) -> Iterator[str]:
    """Yield each name that the template may give a resource: a name may depend on a condition."""
    if isinstance(value, str):
        yield value
    elif "Fn::Sub" in value:
        name = value["Fn::Sub"]
        for variable, meaning in known.items():
            name = name.replace(f"${{{variable}}}", meaning)
        yield name
    else:
        for option in value["Fn::If"][1:]:
            yield from _names(option, known)


def _found(kind: str, name: str, account: Mapping[str, str], clients: Clients) -> Kept | None:
    try:
        if kind == BUCKET:
            bucket = clients("s3").head_bucket(Bucket=name, ExpectedBucketOwner=account["AWS::AccountId"])
            # Every region sees a bucket. One that is elsewhere belongs to the stage of this name there.
            here = bucket.get("BucketRegion", account["AWS::Region"]) == account["AWS::Region"]
            return Kept(kind, name, {"BucketName": name}) if here else None
        if kind == TABLE:
            clients("dynamodb").describe_table(TableName=name)
            return Kept(kind, name, {"TableName": name})
        if kind == QUEUE:
            return Kept(kind, name, {"QueueUrl": clients("sqs").get_queue_url(QueueName=name)["QueueUrl"]})
        return _found_pool(name, clients("cognito-idp"))
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return None
        raise DeployError(f"whether {name} stands already cannot be told: {error}") from error


def _found_pool(name: str, cognito: Any) -> Kept | None:
    """Return the pool of this name. Names of pools are not unique, so another one would be made beside it."""
    pages = cognito.get_paginator("list_user_pools").paginate(MaxResults=60)
    ids = [pool["Id"] for page in pages for pool in page["UserPools"] if pool["Name"] == name]
    if len(ids) > 1:
        raise DeployError(f"several user pools are named {name}: {', '.join(ids)}. Delete all but the stage's")
    return Kept(POOL, name, {"UserPoolId": ids[0]}) if ids else None


def _has_group(cognito: Any, group: Mapping[str, str]) -> bool:
    try:
        cognito.get_group(**group)
    except cognito.exceptions.ResourceNotFoundException:
        return False
    return True


def _adopt(target: Target, template: Mapping[str, Any], kept: Mapping[str, Kept], clients: Clients) -> None:
    """Import what stands into a new stack. The deployment that follows makes the rest, and sets what differs."""
    for logical, each in kept.items():
        target.say(f"{logical} {each.name} stands already, and no stack holds it: taking it into the new stack")
    cloudformation, name = clients("cloudformation"), target.resources_stack
    for each in kept.values():
        if each.type == BUCKET:
            # The deployment sets the policy again. It would fail if there were one that no stack holds.
            clients("s3").delete_bucket_policy(Bucket=each.name)
    named = {"StackName": name, "ChangeSetName": CHANGE_SET}
    cloudformation.create_change_set(
        **named,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(_template_of(template, kept, clients)),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in _parameters(target, template, kept, cloudformation).items()
        ],
        ResourcesToImport=[
            {"ResourceType": each.type, "LogicalResourceId": logical, "ResourceIdentifier": dict(each.identifier)}
            for logical, each in kept.items()
        ],
    )
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(**named, WaiterConfig={"Delay": 2})
    except WaiterError as error:
        why = cloudformation.describe_change_set(**named).get("StatusReason", error)
        raise DeployError(f"what stands cannot be taken into {name}: {why}") from error
    cloudformation.execute_change_set(**named)
    new = Stack.found(name, cloudformation)
    while new and (status := new.status) != "IMPORT_COMPLETE":
        if status.endswith(("FAILED", "ROLLBACK_COMPLETE")):
            raise DeployError(f"{name} is {status}:\n{new.failures('IMPORT_FAILED')}")
        time.sleep(stack.POLL_S)
    target.say(f"{name} holds it")


def _template_of(template: Mapping[str, Any], kept: Mapping[str, Kept], clients: Clients) -> dict[str, Any]:
    """Return the template with these resources alone: an import may make nothing else, and has no outputs.

    Each has to have a deletion policy. Until the deployment sets it as the stage has it, none is ever deleted.
    """
    policies = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    return {
        **{
            part: template[part]
            for part in ("AWSTemplateFormatVersion", "Parameters", "Conditions")
            if part in template
        },
        "Resources": {
            logical: {**_with_its_indexes(template["Resources"][logical], each, clients), **policies}
            for logical, each in kept.items()
        },
    }


def _with_its_indexes(resource: Mapping[str, Any], kept: Kept, clients: Clients) -> Mapping[str, Any]:
    """Return a resource with the indexes that a table has by now.

    The deployment makes those that an earlier version did not have. If the import named them, it would not.
    """
    properties = resource.get("Properties", {})
    if kept.type != TABLE or "GlobalSecondaryIndexes" not in properties:
        return resource
    table = clients("dynamodb").describe_table(TableName=kept.name)["Table"]
    standing = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])}
    indexes = [index for index in properties["GlobalSecondaryIndexes"] if index["IndexName"] in standing]
    keys = {key["AttributeName"] for each in (properties, *indexes) for key in each["KeySchema"]}
    as_it_stands = {
        **{name: value for name, value in properties.items() if name != "GlobalSecondaryIndexes"},
        "AttributeDefinitions": [each for each in properties["AttributeDefinitions"] if each["AttributeName"] in keys],
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    }
    return {**resource, "Properties": as_it_stands}


def _parameters(
    target: Target, template: Mapping[str, Any], kept: Mapping[str, Kept], cloudformation: Any
) -> dict[str, str]:
    """Return the new stack's parameters: those of the deleted one, but for what the stores' names depend on."""
    names = {"Stage": target.stage}
    if "BucketNamesHaveRegion" in template["Parameters"]:
        buckets = [each.name for each in kept.values() if each.type == BUCKET]
        # Those that stand keep their names, whatever new stages' are.
        names["BucketNamesHaveRegion"] = str(not any(_ACCOUNT.search(name) for name in buckets)).lower()
    before = _of_the_deleted(target.resources_stack, cloudformation)
    same = {key: before[key] for key in template["Parameters"] if key in before and key not in names}
    if same:
        target.say(f"as before: {' '.join(f'{key}={value}' for key, value in same.items())}")
    return names | same


def _of_the_deleted(name: str, cloudformation: Any) -> dict[str, str]:
    """Return the parameters of the last stack of this name. CloudFormation knows a deleted one for 90 days.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStacks.html
    One whose first change set was never carried out may have none, and does not count.
    """
    pages = cloudformation.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
    deleted = [each for page in pages for each in page["StackSummaries"] if each["StackName"] == name]
    for each in sorted(deleted, key=lambda each: each["CreationTime"], reverse=True):
        [described] = cloudformation.describe_stacks(StackName=each["StackId"])["Stacks"]
        if found := described.get("Parameters"):
            return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in found}
    return {}
