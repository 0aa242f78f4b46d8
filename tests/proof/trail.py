"""Which AWS calls the deployed functions made, and under which role, from the embedded AWS's CloudTrail."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from tests.e2e.running import Served
from tests.proof.policies import Call

ACCOUNT, REGION = "000000000000", "us-east-1"

# What a transaction calls each action on an item.
_OF_A_TRANSACTION = {
    "dynamodb:ConditionCheckItem": "ConditionCheck",
    "dynamodb:PutItem": "Put",
    "dynamodb:UpdateItem": "Update",
    "dynamodb:DeleteItem": "Delete",
}

# Calls that need the action of another one:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_ALSO_ALLOWED = {"s3:GetObject": "HeadObject", "s3:ListBucket": "HeadBucket"}


class Trail:
    """The calls recorded while `recording` runs."""

    def __init__(self, devstack: Served) -> None:
        self._devstack = devstack

    def calls(self, function_name: str, actions: set[str]) -> set[Call]:
        """Return a function's calls of these actions.

        LookupEvents returns the latest 50 events that match and no further pages, so each action has its own request
        (one of SQS, and one that a transaction of DynamoDB may need, has two).
        """
        return {call for action in actions for call in self.each(function_name, action)}

    def each(self, function_name: str, action: str) -> list[Call]:
        """Return each of a function's calls of this action, the latest 50 of them (of one of SQS, twice as many)."""
        keys = _access_keys(self._devstack, function_name)
        return [call for key in keys for event in _events_of(action) for call in self._of(key, action, event)]

    def _of(self, access_key: str, action: str, event_name: str) -> Iterator[Call]:
        wanted = {"AccessKeyId": access_key, "EventName": event_name}
        found = self._devstack.client("cloudtrail").lookup_events(
            LookupAttributes=[{"AttributeKey": name, "AttributeValue": value} for name, value in wanted.items()],
            MaxResults=50,
        )
        for event in found["Events"]:
            service = event["EventSource"].partition(".")[0]
            if service == action.partition(":")[0]:
                yield from (Call(action, resource) for resource in _resources(action, event))


@contextlib.contextmanager
def recording(devstack: Served) -> Iterator[Trail]:
    """Record every AWS call inside the block."""
    _record(devstack, on=True)
    try:
        yield Trail(devstack)
    finally:
        _record(devstack, on=False)


def _record(devstack: Served, *, on: bool) -> None:
    setting = {"cloudtrail._recording_enabled": str(on).lower()}
    url = devstack.client("cloudtrail").meta.endpoint_url
    with requests.Session() as http:
        http.trust_env = False
        http.verify = devstack.running.get("ca_bundle", True)
        answer = http.post(f"{url}/_ministack/config", json=setting, timeout=10)
    assert answer.json()["applied"], answer.text


def _events_of(action: str) -> list[str]:
    """Return the names of the calls that an action allows: SQS's batch calls have none of their own.

    Nor have DynamoDB's transactions, which need the action of each item:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    """
    service, _, operation = action.partition(":")
    if action in _OF_A_TRANSACTION:
        return [operation, "TransactWriteItems"]
    if action in _ALSO_ALLOWED:
        return [operation, _ALSO_ALLOWED[action]]
    return [operation, f"{operation}Batch"] if service == "sqs" else [operation]


def _access_keys(devstack: Served, function_name: str) -> set[str]:
    """Return the keys that a function and its versions sign with (`execution_credentials` in MiniStack 1.5.33)."""
    aws = devstack.client("lambda")
    published = aws.list_versions_by_function(FunctionName=function_name)["Versions"]
    return set(map(_access_key, [aws.get_function_configuration(FunctionName=function_name), *published]))


def _access_key(function: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(f"{function['FunctionArn']}:{function['Role']}".encode()).hexdigest()
    return f"ASIA{digest[:16].upper()}"


def _resources(action: str, event: dict[str, Any]) -> list[str]:
    """Return the ARNs of what a recorded call did this to."""
    service = action.partition(":")[0]
    asked = json.loads(event["CloudTrailEvent"])["requestParameters"]
    if "TransactItems" in asked:
        kind = _OF_A_TRANSACTION[action]
        return [_resource(service, event, item[kind]) for item in asked["TransactItems"] if kind in item]
    if service == "ssm":
        return [f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}" for name in asked["Names"]]
    return [_resource(service, event, asked)]


def _resource(service: str, event: dict[str, Any], asked: dict[str, Any]) -> str:
    """Return the ARN of a recorded call's resource, given what it asked for."""
    if service == "s3":
        return "arn:aws:s3:::" + "/".join(named["ResourceName"] for named in event["Resources"])
    if service == "states":
        return str(asked.get("executionArn") or asked["stateMachineArn"])
    names = {
        "sqs": lambda: asked["QueueUrl"].rpartition("/")[2],
        "dynamodb": lambda: "/index/".join(("table/" + asked["TableName"], *filter(None, [asked.get("IndexName")]))),
    }
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{names[service]()}"
