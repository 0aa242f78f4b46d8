"""A user of an embedded AWS who may do what infrastructure/deployer.yaml allows, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from tests.deployer import ONLY_NEW, policies

USER = "deployer"

# How the embedded AWS's CloudTrail names what was called, where that is not the action's name. It names calls of S3 by
# method alone, so what was asked of a bucket cannot be told apart.
_NAMED = {
    "lambda:GET.lambda": {"lambda:GetAccountSettings"},
    "s3:CreateBucket": {"s3:CreateBucket", "s3:PutLifecycleConfiguration"},
    "s3:DeleteBucket": {"s3:DeleteBucketPolicy"},
    "s3:HeadBucket": {"s3:ListBucket"},
    "s3:HeadObject": {"s3:GetObject"},
    "s3:ListObjects": {"s3:GetLifecycleConfiguration", "s3:ListBucket", "s3:ListBucketVersions"},
}


def _known(policy: dict[str, Any]) -> dict[str, Any]:
    """Return a policy without the condition that no document is replaced: the emulator does not know its key."""
    kept = [
        {key: value for key, value in statement.items() if (key, value) != ("Condition", ONLY_NEW)}
        for statement in policy["Statement"]
    ]
    return {**policy, "Statement": kept}


class Deployer:
    """The user, whose calls are recorded from the beginning. `client` makes clients of the emulator's root."""

    def __init__(self, stage: str, client: Any, ca_bundle: str) -> None:
        self._trail = client("cloudtrail")
        iam = client("iam")
        iam.create_user(UserName=USER)
        for name, policy in policies(stage).items():
            made = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(_known(policy)))["Policy"]["Arn"]
            iam.attach_user_policy(UserName=USER, PolicyArn=made)
        self._key = iam.create_access_key(UserName=USER)["AccessKey"]
        self._trail.lookup_events(MaxResults=1)  # the emulator loads its CloudTrail when it is first asked
        with requests.Session() as http:
            http.trust_env = False
            url = f"{self._trail.meta.endpoint_url}/_ministack/config"
            told = http.post(url, json={"cloudtrail._recording_enabled": "true"}, verify=ca_bundle, timeout=10)
        assert told.json()["applied"], told.text

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes a command's calls this user's."""
        return {
            "AWS_ACCESS_KEY_ID": self._key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": self._key["SecretAccessKey"],
        }

    def called(self) -> set[str]:
        """Return the actions that the user has called."""
        found = set()
        for event in self._events():
            service = event["EventSource"].partition(".")[0]
            asked = json.loads(event["CloudTrailEvent"])["requestParameters"]
            action = f"{service}:{asked.get('Action', event['EventName'])}"
            found |= _NAMED.get(action, {action})
        return found

    def _events(self) -> Iterator[dict[str, Any]]:
        """Yield each recorded call, the latest first: an answer has 50 of them, and there are no further pages."""
        mine = [{"AttributeKey": "AccessKeyId", "AttributeValue": self._key["AccessKeyId"]}]
        seen: set[str] = set()
        end = datetime.now(UTC) + timedelta(seconds=1)
        while True:
            found = self._trail.lookup_events(LookupAttributes=mine, EndTime=end, MaxResults=50)["Events"]
            fresh = [event for event in found if event["EventId"] not in seen]
            if not fresh:
                return
            yield from fresh
            seen |= {event["EventId"] for event in fresh}
            end = found[-1]["EventTime"]
