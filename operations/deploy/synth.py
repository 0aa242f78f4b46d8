"""Write what would be deployed: `.venv/bin/python -m operations.deploy.synth --stage dev`.

Two templates: that of the resources, and that of the app, as `chalice package` makes it and the overrides are merged
into it. Nothing is sent anywhere. Without a stage that stands, or without credentials, nobody knows the user pool that
the app's template names, nor the parameters that it would be deployed with. Then it names none and is not made ready to
be released (operations/deploy/release.py), and the command says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from operations import PROJECT, resources
from operations.contents import of_this_environment
from operations.deploy import package
from operations.deploy import stage as stacks
from operations.deploy.commands import DeployError
from operations.deploy.target import Target, resources_stack
from operations.stages import STAGES
from operations.stores import Clients

REGION_IF_NONE = "us-east-1"  # Chalice wants one; the templates do not depend on it
WORKFLOW = "dragons.asl.json"
# A pool's ARN has to have an ARN's form: Chalice takes it apart.
NO_POOL = {"UserPoolArn": "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_notknown"}


def outputs(stage: str, clients: Clients) -> dict[str, str]:
    """Return the outputs of a stage's resources stack, or none if it does not stand. Raises ClientError."""
    try:
        [stack] = clients("cloudformation").describe_stacks(StackName=resources_stack(stage))["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return {}
        raise
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def write(target: Target, known: Mapping[str, str]) -> tuple[Path, Path]:
    """Write both templates; return where they are: the resources', and the app's beside its package.

    `known` are the outputs of the resources stack, if there is one. Raises DeployError.
    """
    target.build.mkdir(parents=True, exist_ok=True)
    resources_file = target.build / "resources.json"
    resources_file.write_text(json.dumps(resources.template(), indent=2) + "\n", encoding="utf-8")
    shutil.copy(target.project / "infrastructure" / WORKFLOW, target.build)  # the template refers to it
    return resources_file, package.package_app(target, NO_POOL | dict(known))


def target_of(stage: str, folder: str, bucket: str = "", owner: str | None = None) -> Target:
    """Return a stage whose templates are written below `.local/<folder>`, and whose artefacts are in a bucket."""
    build = PROJECT / ".local" / folder / stage
    region = boto3.Session().region_name or REGION_IF_NONE
    environment = {**os.environ, "AWS_DEFAULT_REGION": region}
    return Target(stage, build, artifacts_bucket=bucket, artifacts_owner=owner, environment=environment)


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.deploy.synth", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    stage = parser.parse_args(arguments).stage
    try:
        known = outputs(stage, clients)
        why = "" if known else f"stage {stage} does not stand yet"
    except (ClientError, BotoCoreError) as error:
        known, why = {}, str(error)
    try:
        target = target_of(stage, "synth")
        written = write(target, known)
        if known:
            stacks.prepare_app(target, known, written[1], clients)
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    for what, file in zip(("resources", "app"), written, strict=True):
        print(f"{what:9}  {os.path.relpath(file)}")
    if why:
        print(f"the app's authorizer names no user pool, and its versions no parameters: {why}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
