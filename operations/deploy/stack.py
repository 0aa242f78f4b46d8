"""A stack of CloudFormation: what it holds, and its deletion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from operations.deploy.commands import DeployError

POLL_S = 2.0
_SETTLED = frozenset({"DELETE_COMPLETE", "DELETE_SKIPPED"})

Say = Callable[[str], None]


class Stack:
    """A stack that exists, by its id: the id still finds it when it is deleted."""

    def __init__(self, name: str, stack_id: str, cloudformation: Any) -> None:
        self._name = name
        self._id = stack_id
        self._cloudformation = cloudformation

    @property
    def status(self) -> str:
        """The stack's status now."""
        try:
            [stack] = self._cloudformation.describe_stacks(StackName=self._id)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return "DELETE_COMPLETE"
            raise
        return str(stack["StackStatus"])

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

    def parameters(self) -> dict[str, str]:
        """Return the values of the stack's parameters by their names."""
        [stack] = self._cloudformation.describe_stacks(StackName=self._id)["Stacks"]
        return {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", ())}

    def of_types(self, types: frozenset[str]) -> list[str]:
        """Return the physical ids of the resources of these types that are not deleted yet."""
        return [
            each["PhysicalResourceId"]
            for each in self._resources()
            if each["ResourceType"] in types and each["ResourceStatus"] != "DELETE_COMPLETE"
        ]

    def delete(self, say: Say) -> dict[str, str]:
        """Delete the stack, wait until that is done, and tell how far it is.

        Return the physical ids of the resources that the template keeps, by their logical ids. Raises DeployError if
        CloudFormation cannot delete something.
        """
        say(f"deleting {self._name}")
        self._cloudformation.delete_stack(StackName=self._id)
        told = -1
        while (status := self.status) == "DELETE_IN_PROGRESS":
            left = sum(each["ResourceStatus"] not in _SETTLED for each in self._resources())
            if left != told:
                say(f"{self._name}: {left} resources left")
            told = left
            time.sleep(POLL_S)
        if status != "DELETE_COMPLETE":
            raise DeployError(
                f"{self._name} is {status}:\n{self.failures('DELETE_FAILED')}\nMend that, then run this again."
            )
        say(f"{self._name} is deleted")
        kept = [event for event in self._events() if event["ResourceStatus"] == "DELETE_SKIPPED"]
        return {event["LogicalResourceId"]: event["PhysicalResourceId"] for event in kept}

    def _resources(self) -> Iterator[Mapping[str, Any]]:
        for page in self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self._id):
            yield from page["StackResourceSummaries"]

    def _events(self) -> Iterator[Mapping[str, Any]]:
        for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self._id):
            yield from page["StackEvents"]

    def failures(self, status: str) -> str:
        """Return a line for each event with this status, such as `CREATE_FAILED`, the first one first."""
        failed = [event for event in self._events() if event["ResourceStatus"] == status]
        return "\n".join(
            f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', '')}" for each in failed[::-1]
        )
