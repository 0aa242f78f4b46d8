"""Remove a stage: `.venv/bin/python -m operations.destroy --stage dev`.

It deletes the app, then what the buckets hold, then the resources stack, then log groups that outlived them.
CloudFormation deletes no bucket that holds anything, and in a versioned bucket every version and delete marker counts.
In prod the data stores stay, as the template says; then nothing is emptied, and what stays is listed.

What is gone already is no error, so an interrupted run is finished by the next one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operations import PROJECT, functions, versions
from operations.contents import of_this_environment
from operations.deploy import commands
from operations.deploy.commands import DeployError
from operations.deploy.stage import chalice_recorded_something
from operations.deploy.target import APP_NAME, Target, default_artifacts_bucket
from operations.stages import EMBEDDED, STAGES
from operations.stores import BUCKET, KEEPS_DATA, POOL, QUEUE, STORES, TABLE, WORKFLOW, Clients

# What CloudFormation deletes together with what it holds, and what has to be emptied first.
DELETED_WHOLE = frozenset({TABLE, QUEUE, POOL, WORKFLOW})
EMPTIED_FIRST = frozenset({BUCKET})

POLL_S = 5.0
_SETTLED = frozenset({"DELETE_COMPLETE", "DELETE_SKIPPED"})

Say = Callable[[str], None]


class DestroyError(Exception):
    """An error that the operator has to see; the message says what to do."""


def destroy(target: Target, clients: Clients) -> None:
    """Remove a stage, and say on stderr what is removed and what stays. Raises DestroyError, DeployError."""
    keeps = target.stage == KEEPS_DATA
    cloudformation = clients("cloudformation")
    _delete_app(target, clients)
    stack = Stack.found(target.resources_stack, cloudformation)
    if stack and not keeps:
        for bucket in stack.of_types(EMPTIED_FIRST):
            _empty(clients("s3"), bucket, target.say)
    kept = stack.delete(target.say) if stack else {}
    if not stack:
        target.say(f"{target.resources_stack} is gone")
    for group in _log_groups(clients("logs"), target.stage):
        clients("logs").delete_log_group(logGroupName=group)
        target.say(f"log group {group} outlived its stack, and is deleted")
    for name, physical in kept.items():
        holds = f" ({STORES[name].holds})" if name in STORES else ""
        target.say(f"stays: {name} {physical}{holds}")
    target.say(f"stays: s3://{target.artifacts_bucket}, with templates and packages in {APP_NAME}-{target.stage}/")


def _delete_app(target: Target, clients: Clients) -> None:
    """Delete what deploying made of app.py, whichever way it was deployed. After this, nothing writes any more."""
    if chalice_recorded_something(target):
        target.say(f"chalice delete --stage {target.stage}")
        commands.run("chalice", "delete", "--stage", target.stage, env=target.environment, cwd=target.project)
    stack = Stack.found(target.app_stack, clients("cloudformation"))
    if stack:
        stack.delete(target.say)
    if left := _functions(clients("lambda"), target.stage):
        raise DestroyError(
            f"no stack holds {', '.join(left)}. `chalice deploy` made them in another folder, whose .chalice/deployed/ "
            f"has the record: run `.venv/bin/chalice delete --stage {target.stage}` there, then this again."
        )
    if not stack:
        target.say(f"{target.app_stack} is gone")


class Stack:
    """A stack that exists, by its id: the id still finds it when it is deleted."""

    def __init__(self, name: str, stack_id: str, cloudformation: Any) -> None:
        self._name = name
        self._id = stack_id
        self._cloudformation = cloudformation

    @classmethod
    def found(cls, name: str, cloudformation: Any) -> Stack | None:
        """Return the stack of this name, or None."""
        try:
            [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if stack["StackStatus"] == "DELETE_COMPLETE" else cls(name, stack["StackId"], cloudformation)

    def of_types(self, types: frozenset[str]) -> list[str]:
        """Return the physical ids of the resources of these types that are not deleted yet."""
        return [
            each["PhysicalResourceId"]
            for each in self._resources()
            if each["ResourceType"] in types and each["ResourceStatus"] != "DELETE_COMPLETE"
        ]

    def delete(self, say: Say) -> dict[str, str]:
        """Delete the stack, wait until that is done, and tell how far it is.

        Return the physical ids of the resources that the template keeps, by their logical ids. Raises DestroyError if
        CloudFormation cannot delete something.
        """
        say(f"deleting {self._name}")
        self._cloudformation.delete_stack(StackName=self._id)
        told = -1
        while (status := self._status()) == "DELETE_IN_PROGRESS":
            left = sum(
                each["ResourceStatus"] not in ("DELETE_COMPLETE", "DELETE_SKIPPED") for each in self._resources()
            )
            if left != told:
                say(f"{self._name}: {left} resources left")
            told = left
            time.sleep(POLL_S)
        if status != "DELETE_COMPLETE":
            raise DestroyError(f"{self._name} is {status}:\n{self._failures()}\nMend that, then run this again.")
        say(f"{self._name} is deleted")
        kept = [event for event in self._events() if event["ResourceStatus"] == "DELETE_SKIPPED"]
        return {event["LogicalResourceId"]: event["PhysicalResourceId"] for event in kept}

    def _status(self) -> str:
        try:
            [stack] = self._cloudformation.describe_stacks(StackName=self._id)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return "DELETE_COMPLETE"
            raise
        return str(stack["StackStatus"])

    def _resources(self) -> Iterator[Mapping[str, Any]]:
        for page in self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self._id):
            yield from page["StackResourceSummaries"]

    def _events(self) -> Iterator[Mapping[str, Any]]:
        for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self._id):
            yield from page["StackEvents"]

    def _failures(self) -> str:
        failed = [event for event in self._events() if event["ResourceStatus"] == "DELETE_FAILED"]
        return "\n".join(f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', '')}" for each in failed)


def _empty(s3: Any, bucket: str, say: Say) -> None:
    """Delete every version of every object. A bucket that is gone is empty."""
    try:
        for deleted in versions.delete(s3, bucket):
            say(f"{bucket}: {deleted} versions deleted")
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
    say(f"{bucket} is empty")


def _functions(aws_lambda: Any, stage: str) -> list[str]:
    ours = {functions.deployed_name(name, stage) for name in functions.names()}
    pages = aws_lambda.get_paginator("list_functions").paginate()
    return sorted(each["FunctionName"] for page in pages for each in page["Functions"] if each["FunctionName"] in ours)


def _log_groups(logs: Any, stage: str) -> list[str]:
    """Return the stage's log groups. A function that ran last as its group was deleted has made another one."""
    name = f"{APP_NAME}-{stage}"
    found = []
    for prefix in (f"/aws/lambda/{name}", f"/aws/vendedlogs/states/{name}", f"/aws/apigateway/{name}"):
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        groups = [group["logGroupName"] for page in pages for group in page["logGroups"]]
        found += [group for group in groups if group == prefix or group.startswith(f"{prefix}-")]
    return found


def _confirm(stage: str) -> None:
    """Have the name of the stage that keeps data typed. Raises DestroyError if anything else is."""
    print(
        f"This takes {stage} away from its users. Its data stays. Type the stage's name to go on: ", end="", flush=True
    )
    if sys.stdin.readline().strip() != stage:
        raise DestroyError(f"that was not {stage}; nothing was done")


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns the exit status."""
    stage = _parse(arguments).stage
    try:
        if stage == KEEPS_DATA:
            _confirm(stage)
        destroy(_target(stage), clients)
    except (DestroyError, DeployError, versions.VersionsRemain) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:
        print(f"error: {error}. May you delete the stage's stacks, and what its buckets hold?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to finish", file=sys.stderr)
        return 130
    return 0


def _target(stage: str) -> Target:
    environment = dict(os.environ)
    bucket, owner = default_artifacts_bucket(environment)
    build = PROJECT / ".local" / "build" / stage
    return Target(stage, build, artifacts_bucket=bucket, artifacts_owner=owner, environment=environment)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.destroy", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    options = parser.parse_args(arguments)
    if options.stage == EMBEDDED:
        parser.error(f"`make reset` removes the stage {EMBEDDED}, which is the one of `make run`")
    return options


if __name__ == "__main__":
    sys.exit(main())
