"""What `make diff` says before a stage exists, and that it leaves nothing behind."""

from __future__ import annotations

import re
import subprocess
import sys

from operations import PROJECT
from tests.e2e.account import environment
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


def test_of_a_stage_that_does_not_exist_everything_is_told_and_nothing_is_left(devstack: Devstack) -> None:
    """Of one that stands, tests/deploy/test_prod_over_tls.py looks at it."""
    before = left(devstack)

    said = diff(devstack)

    assert before[0] == set()
    assert re.match(r"dragonpost-dev-resources: \d+ to add\n", said)
    assert "  add          MessageTable  AWS::DynamoDB::Table" in said
    assert "dragonpost-dev-app: everything in it would be new" in said
    assert "  add          APIHandler  AWS::Serverless::Function" in said
    assert left(devstack) == before
