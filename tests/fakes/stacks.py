"""CloudFormation as far as the operators' commands use it, over resources that exist.

moto's own cannot deploy a user pool, and deletes buckets that are not empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from operations.stores import BUCKET


@dataclass
class FakeStack:
    """A stack: its resources' types and physical ids by their logical ids, and those that its template keeps."""

    resources: dict[str, tuple[str, str]]
    keeps: frozenset[str] = frozenset()
    status: str = "CREATE_COMPLETE"
    polls_until_deleted: int = 1
    failures: dict[str, str] = field(default_factory=dict)
    created: dict[str, str] = field(default_factory=dict)  # what failed when the stack was created, and why
    parameters: dict[str, str] = field(default_factory=dict)
    created_at: int = 0


class FakeCloudFormation:
    """Deletes stacks as AWS does: not one with a bucket that holds a version or a delete marker.

    Stacks are known by their names. Those of a name that are deleted already may be known by it with `#` and more.
    """

    def __init__(self, s3: Any, stacks: dict[str, FakeStack]) -> None:
        self._s3 = s3
        self.stacks = stacks
        self.deleted: list[str] = []

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        name = StackName.removeprefix("id-of-")
        stack = self.stacks.get(name)
        if stack is None or (stack.status == "DELETE_COMPLETE" and StackName == name):
            message = f"Stack with id {StackName} does not exist"
            raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")
        if stack.status == "DELETE_IN_PROGRESS":
            stack.polls_until_deleted -= 1
            if stack.polls_until_deleted < 0:
                self._end_deletion(stack)
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in stack.parameters.items()]
        described = {"StackName": name, "StackId": f"id-of-{name}", "StackStatus": stack.status}
        return {"Stacks": [{**described, "Parameters": parameters}]}

    def delete_stack(self, *, StackName: str) -> None:  # noqa: N803
        name = StackName.removeprefix("id-of-")
        self.deleted.append(name)
        self.stacks[name].status = "DELETE_IN_PROGRESS"

    def get_paginator(self, operation: str) -> Any:
        return FakePaginator(getattr(self, f"_{operation}"))

    def _end_deletion(self, stack: FakeStack) -> None:
        going = {key: each for key, each in stack.resources.items() if key not in stack.keeps}
        stack.failures = {
            key: "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            for key, (kind, bucket) in going.items()
            if kind == BUCKET and self._holds_something(bucket)
        }
        stack.status = "DELETE_FAILED" if stack.failures else "DELETE_COMPLETE"

    def _holds_something(self, bucket: str) -> bool:
        listed = self._s3.list_object_versions(Bucket=bucket)
        return bool(listed.get("Versions") or listed.get("DeleteMarkers"))

    def _list_stack_resources(self, name: str) -> Iterator[Any]:
        stack = self.stacks[name]
        for logical, (kind, physical) in stack.resources.items():
            status = "CREATE_COMPLETE"
            if stack.status == "DELETE_COMPLETE":
                status = "DELETE_SKIPPED" if logical in stack.keeps else "DELETE_COMPLETE"
            yield {
                "StackResourceSummaries": [
                    {
                        "LogicalResourceId": logical,
                        "PhysicalResourceId": physical,
                        "ResourceType": kind,
                        "ResourceStatus": status,
                    }
                ]
            }

    def _list_stacks(self, _name: str) -> Iterator[Any]:
        for key, stack in self.stacks.items():
            if stack.status == "DELETE_COMPLETE":
                listed = {"StackName": key.partition("#")[0], "StackId": f"id-of-{key}"}
                yield {"StackSummaries": [{**listed, "CreationTime": stack.created_at}]}

    def _describe_stack_events(self, name: str) -> Iterator[Any]:
        stack = self.stacks[name]
        kept = stack.keeps if stack.status == "DELETE_COMPLETE" else ()
        events = [
            *((key, "DELETE_SKIPPED", "") for key in kept),
            *((key, "DELETE_FAILED", why) for key, why in stack.failures.items()),
            *((key, "CREATE_FAILED", why) for key, why in stack.created.items()),
        ]
        yield {
            "StackEvents": [
                {
                    "LogicalResourceId": key,
                    "PhysicalResourceId": stack.resources[key][1],
                    "ResourceStatus": status,
                    "ResourceStatusReason": why,
                }
                for key, status, why in events[::-1]  # the newest first
            ]
        }


class FakePaginator:
    """Pages of one operation on one stack."""

    def __init__(self, pages: Any) -> None:
        self._pages = pages

    def paginate(self, *, StackName: str = "", StackStatusFilter: Sequence[str] = ("DELETE_COMPLETE",)) -> Any:  # noqa: N803
        assert tuple(StackStatusFilter) == ("DELETE_COMPLETE",)
        return self._pages(StackName.removeprefix("id-of-"))
