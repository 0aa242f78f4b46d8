"""What holds a stage's data, and what the commands that forget and restore leave in it.

These are the resources of infrastructure/resources.yaml that hold data, by their logical ids. A test fails if one is
missing here, or if a command neither handles a store nor says why not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from operations.deploy.target import resources_stack

BUCKET = "AWS::S3::Bucket"
TABLE = "AWS::DynamoDB::Table"
QUEUE = "AWS::SQS::Queue"
WORKFLOW = "AWS::StepFunctions::StateMachine"
POOL = "AWS::Cognito::UserPool"

COMPANY, PERSON, RESTORE = "company", "person", "restore"  # forgetting either, restoring

NOTHING = ""  # there is nothing in it that the command is about

# https://docs.aws.amazon.com/step-functions/latest/dg/limits.html
EXECUTIONS_KEPT_DAYS = 90
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
RECOVERY_DAYS = 35
# In words, because a stage may have chosen others.
LOGS_KEPT = "as many days as the parameter LogRetentionDays says (90 unless somebody set it)"


# Returns a boto3 client by its service's name.
Clients = Callable[[str], Any]


@dataclass(frozen=True)
class Store:
    """One store: its CloudFormation type, what it holds, and `leaves`.

    `leaves` says what a command (`COMPANY`, `PERSON`, `RESTORE`) leaves there and why, in words for the operator.
    """

    type: str
    holds: str
    leaves: Mapping[str, str]


STORES: Mapping[str, Store] = {
    "DragonBucket": Store(
        BUCKET,
        "the dragon document",
        {
            COMPANY: NOTHING,
            PERSON: "the dragons, each with the id of its submission alone. Such an id is random, or a SHA-256 hash of "
            "the person's sub and an Idempotency-Key, from which neither can be told",
        },
    ),
    "DragonTable": Store(TABLE, "the dragons, if the registry is in DynamoDB", {COMPANY: NOTHING}),
    "MessageBucket": Store(BUCKET, "the archived messages", {PERSON: NOTHING}),
    "MessageTable": Store(
        TABLE,
        "the messages' index",
        {
            COMPANY: f"what point-in-time recovery keeps of the rows, for {RECOVERY_DAYS} days: restoring to an "
            "earlier time would bring them back",
            PERSON: NOTHING,
        },
    ),
    "SubmissionTable": Store(
        TABLE,
        "the submissions of the last 90 days",
        {
            COMPANY: NOTHING,
            PERSON: f"what point-in-time recovery keeps of the rows, for {RECOVERY_DAYS} days: restoring to an "
            "earlier time would bring them back",
        },
    ),
    "MessageQueue": Store(
        QUEUE,
        "accepted messages that are not stored yet",
        {PERSON: NOTHING, RESTORE: "SQS keeps no earlier state; senders may send a message again"},
    ),
    "MessageDeadLetterQueue": Store(
        QUEUE,
        "dead letters",
        {PERSON: NOTHING, RESTORE: "SQS keeps no earlier state; `make dead-letters` saves letters"},
    ),
    "DragonWorkflow": Store(
        WORKFLOW,
        "the executions of the last 90 days",
        {
            COMPANY: NOTHING,
            PERSON: "the executions, which cannot be deleted. Step Functions keeps each for "
            f"{EXECUTIONS_KEPT_DAYS} days after its end, with the reported dragon, the person's sub and phone number",
            RESTORE: "Step Functions changes no execution",
        },
    ),
    "UserPool": Store(
        POOL,
        "users",
        {
            COMPANY: "the company's users: forget each of them with PERSON=",
            RESTORE: "Cognito keeps no earlier state; users have to be invited again",
        },
    ),
}


def of_type(kind: str) -> list[str]:
    """Return the logical ids of the stores of a type."""
    return [name for name, store in STORES.items() if store.type == kind]


def leaves(command: str) -> list[str]:
    """Return what a command leaves behind, store by store, in words for the operator."""
    return [store.leaves[command] for store in STORES.values() if store.leaves.get(command)]


def resources(stack: str, cloudformation: Any) -> dict[str, str]:
    """Return the physical ids of a stack's resources by their logical ids: names of buckets and tables, URLs of queues.

    `stack` is a name or an id. Raises ClientError if there is no such stack.
    """
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource.get("PhysicalResourceId")
    }


class StageOutdated(Exception):
    """A stage lacks stores that this version has; the message names them and says what to do."""


class _Resources(dict[str, str]):
    """The physical ids of a stage's resources. Asking for one that it lacks raises StageOutdated."""

    def __init__(self, stage: str, found: Mapping[str, str]) -> None:
        super().__init__(found)
        self._stage = stage

    def __missing__(self, name: str) -> str:
        raise StageOutdated(
            f"stage {self._stage} has no {name}: an earlier version is deployed, or deploying failed. "
            f"Run `make deploy STAGE={self._stage}` first"
        )


@dataclass(frozen=True)
class Standing:
    """A deployed stage: its name, clients of its account, and the physical ids of its resources stack's resources."""

    name: str
    clients: Clients
    resources: Mapping[str, str]

    @classmethod
    def found(cls, name: str, clients: Clients) -> Standing:
        """Return a stage as it is deployed. Raises ClientError if it is not."""
        return cls(name, clients, _Resources(name, resources(resources_stack(name), clients("cloudformation"))))

    def parameter(self, name: str) -> str:
        """Return a parameter's value."""
        found = self.clients("ssm").get_parameter(Name=f"/dragonpost/{self.name}/{name}")
        return str(found["Parameter"]["Value"]).strip()
