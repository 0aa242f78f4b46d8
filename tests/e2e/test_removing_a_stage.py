"""Removing a stage from an account: stage `dev`'s resources, beside the devstack's own stage in its embedded AWS."""

from __future__ import annotations

import json

from tests.e2e.account import run
from tests.e2e.running import Devstack

STACKS = ("dragonpost-dev-app", "dragonpost-dev-resources")
# In the place of the packaged app, which takes long to make.
LOG = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/aws/lambda/dragonpost-dev"}}
APP = json.dumps({"Resources": {"Log": LOG}})


def test_a_filled_stage_is_removed_whole_and_the_other_stage_stays(devstack: Devstack) -> None:
    run(devstack, "operations.deploy", "dev", "--resources-only")
    cloudformation, s3, logs = (devstack.client(name) for name in ("cloudformation", "s3", "logs"))
    cloudformation.create_stack(StackName="dragonpost-dev-app", TemplateBody=APP)
    ours = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"] if "-dev-" in bucket["Name"]]
    for bucket in ours:
        for number in range(3):
            s3.put_object(Bucket=bucket, Key=f"key-{number}", Body=b"1")
            s3.put_object(Bucket=bucket, Key=f"key-{number}", Body=b"2")
            s3.delete_object(Bucket=bucket, Key=f"key-{number}")
    logs.create_log_group(logGroupName="/aws/lambda/dragonpost-dev-add_dragon")
    before = devstack.running["outputs"]

    said = run(devstack, "operations.destroy", "dev")

    assert len(ours) == 2
    assert all(f"{bucket} is empty" in said for bucket in ours)
    assert "/aws/lambda/dragonpost-dev-add_dragon outlived its stack" in said
    assert said.count("stays:") == 1
    left = {stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]}
    assert left.isdisjoint(STACKS)
    buckets = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert buckets.isdisjoint(ours)
    assert {before["DragonBucketName"], before["MessageBucketName"]} <= buckets
    assert not logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/dragonpost-dev")["logGroups"]
    assert "dragonpost-dev-resources is gone" in run(devstack, "operations.destroy", "dev")
