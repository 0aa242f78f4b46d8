"""Why CloudFormation failed: the resources that failed first, with their reasons, which its command does not tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from operations.deploy import commands
from operations.deploy.commands import DeployError
from operations.deploy.target import Target

# What `aws cloudformation deploy` says if the change of the stack began (exceptions.py in awscli). Otherwise
# CloudFormation refused it, and the newest events are those of an earlier deployment.
BEGAN_AND_FAILED = "Failed to create/update the stack"

_STACK = "AWS::CloudFormation::Stack"
_EVENTS_MAX = "500"
_SHOWN = 3  # those that follow are mostly their consequences


def explained(target: Target, stack: str, error: DeployError) -> DeployError:
    """Return the error that tells why deploying a stack failed, given that of the command: the same if none knows."""
    if BEGAN_AND_FAILED not in str(error):
        return error
    try:
        failures = _while_provisioned(target, stack) or _while_validated(target, stack)
    except DeployError:  # events may not be read
        failures = []
    return DeployError("\n".join([f"{stack} could not be deployed:", *failures[:_SHOWN]])) if failures else error


def _while_provisioned(target: Target, stack: str) -> list[str]:
    """Return what failed in the newest operation on a stack, the first failure first."""
    failures = []
    for event in _ask(target, "describe-stack-events", "--stack-name", stack)["StackEvents"]:
        if event["ResourceType"] == _STACK:
            if event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
                break
        elif event["ResourceStatus"].endswith("_FAILED"):
            reason = event.get("ResourceStatusReason", "no reason given")
            if "cancelled" not in reason:  # because another resource failed
                failures.append(_line(event, reason))
    return failures[::-1]


def _while_validated(target: Target, stack: str) -> list[str]:
    """Return what CloudFormation found before it began, or what a hook refused.

    Only this call tells: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_OperationEvent.html
    """
    events = ("describe-events", "--stack-name", stack, "--filters", "FailedEvents=true")
    found = _ask(target, *events)["OperationEvents"]
    refusals = [
        (event, reason)
        for event in found
        if (reason := event.get("ValidationStatusReason") or event.get("HookStatusReason"))
    ]
    newest = max((event["Timestamp"], event["OperationId"]) for event, _ in refusals)[1] if refusals else None
    return [_line(event, reason) for event, reason in refusals if event["OperationId"] == newest]


def _ask(target: Target, *question: str) -> Any:
    limits = ("--max-items", _EVENTS_MAX, "--output", "json")
    return json.loads(commands.run("aws", "cloudformation", *question, *limits, env=target.environment))


def _line(event: Mapping[str, Any], reason: str) -> str:
    return f"  {event.get('LogicalResourceId', '-')} ({event.get('ResourceType', '-')}): {reason}"
