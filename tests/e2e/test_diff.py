"""What `make diff` says before a stage exists and when it stands, and that it leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys

from operations import PROJECT
from tests.e2e.account import environment, run
from tests.e2e.running import Devstack

STACKS = ("dragonpost-dev-resources", "dragonpost-dev-app")
BUCKET = "dragonpost-artifacts-000000000000-us-east-1"


def diff(devstack: Devstack) -> str:
    """Return what the command says of stage `dev`."""
    ran = subprocess.run(
        [sys.executable, "-m", "operations.deploy.diff", "--stage", "dev"],
        cwd=PROJECT,
        env=environment(devstack),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def left(devstack: Devstack) -> tuple[set[str], list[str], set[str]]:
    """Return the stacks of the stage, their change sets, and what of the stage is in the artefact bucket."""
    cloudformation = devstack.client("cloudformation")
    stacks = {each["StackName"] for each in cloudformation.describe_stacks()["Stacks"]} & set(STACKS)
    change_sets = [
        each["ChangeSetName"]
        for stack in stacks
        for each in cloudformation.list_change_sets(StackName=stack)["Summaries"]
        if each["ChangeSetName"].startswith("diff-")
    ]
    listed = devstack.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="dragonpost-dev/").get("Contents", [])
    return stacks, change_sets, {each["Key"] for each in listed}


def test_what_deploying_would_change_is_told_and_nothing_is_left(devstack: Devstack) -> None:
    before = left(devstack)

    new = diff(devstack)
    after_new = left(devstack)
    run(devstack, "operations.deploy", "dev", "--resources-only")
    deployed = left(devstack)
    standing = diff(devstack)
    after_standing = left(devstack)
    run(devstack, "operations.destroy", "dev")

    assert before[0] == set()
    assert "dragonpost-dev-resources: " in new
    assert "  add          MessageTable  AWS::DynamoDB::Table" in new
    assert "dragonpost-dev-app: everything in it would be new" in new
    assert after_new == before
    assert "dragonpost-dev-resources: nothing would change" in standing
    assert "  add          APIHandler  AWS::Lambda::Function" in standing
    assert after_standing == deployed
    assert deployed[0] == {STACKS[0]}
