"""Remove a stage: `.venv/bin/python -m operations.destroy --stage dev`.

It deletes the app, then what the buckets hold, then the resources stack, then log groups that outlived them.
CloudFormation deletes no bucket that holds anything, and in a versioned bucket every version and delete marker counts.
A stage may keep its data stores (`keeps_data` in infrastructure/stages.toml, which deploying tells the stack): then
nothing is emptied, and what stays is listed. If the file and the stack differ, nothing is done.

What is gone already is no error, so an interrupted run is finished by the next one, which lists what stays, too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operations import PROJECT, functions, versions
from operations.contents import of_this_environment
from operations.deploy import adoption, commands
from operations.deploy.commands import DeployError
from operations.deploy.stack import Say, Stack
from operations.deploy.stage import chalice_recorded_something
from operations.deploy.target import APP_NAME, Target, default_artifacts_bucket
from operations.stages import EMBEDDED, STAGES
from operations.stores import BUCKET, POOL, QUEUE, STORES, TABLE, WORKFLOW, Clients

# What CloudFormation deletes together with what it holds, and what has to be emptied first.
DELETED_WHOLE = frozenset({TABLE, QUEUE, POOL, WORKFLOW})
EMPTIED_FIRST = frozenset({BUCKET})


class DestroyError(Exception):
    """An error that the operator has to see; the message says what to do."""


def destroy(target: Target, clients: Clients) -> None:
    """Remove a stage, and say on stderr what is removed and what stays. Raises DestroyError, DeployError."""
    keeps, cloudformation = STAGES[target.stage].keeps_data, clients("cloudformation")
    _check_both_say(keeps, Stack.found(target.resources_stack, cloudformation), target.stage)
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
    if keeps and not stack:  # no stack tells any more what it kept
        kept = {name: each.physical_id for name, each in adoption.standing(target.stage, clients).items()}
    for name, physical in kept.items():
        holds = f" ({STORES[name].holds})" if name in STORES else ""
        target.say(f"stays: {name} {physical}{holds}")
    target.say(f"stays: s3://{target.artifacts_bucket}, with templates and packages in {APP_NAME}-{target.stage}/")


def _check_both_say(keeps: bool, stack: Stack | None, stage: str) -> None:
    """Raise DestroyError if the stack that stands does with its data anything else than the file says.

    The file may have changed since the stage was deployed, and stages of version 0.1.0 do not say what they do.
    """
    wanted = str(keeps).lower()
    if stack and (said := stack.parameters().get("KeepData", "not said")) != wanted:
        raise DestroyError(
            f"KeepData is {said} in the stack of stage {stage}, and {wanted} by infrastructure/stages.toml: "
            f"run `make deploy STAGE={stage}` first, then this again. Nothing was done."
        )


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
        if STAGES[stage].keeps_data:
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
