"""What the operators' commands find of a stage: its resources, its workflow, and the stack that they belong to."""

from __future__ import annotations

from typing import Any

import boto3

from chalicelib import aws
from operations.deploy.target import resources_stack
from operations.stages import EMBEDDED
from operations.stores import BUCKET, QUEUE, TABLE, WORKFLOW
from tests.fakes.stacks import FakeCloudFormation, FakeStack
from tests.integration import stage as names
from tests.integration.stage import Stage

REGION = "us-east-1"


def clients_of(stage: Stage, **more: tuple[str, str]) -> dict[str, Any]:
    """Return clients by their services. `more` are further resources of the stack, each with its type."""
    stepfunctions = boto3.client("stepfunctions", region_name=REGION)
    workflow = stepfunctions.create_state_machine(
        name="dragonpost-local-dragons",
        definition='{"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}',
        roleArn="arn:aws:iam::123456789012:role/steps",
    )
    stack = FakeStack({
        "DragonBucket": (BUCKET, names.DRAGON_BUCKET),
        "MessageBucket": (BUCKET, names.MESSAGE_BUCKET),
        "MessageTable": (TABLE, names.TABLE),
        "SubmissionTable": (TABLE, names.SUBMISSIONS),
        "DragonTable": (TABLE, names.DRAGONS),
        "MessageQueue": (QUEUE, stage.queue_url),
        "MessageDeadLetterQueue": (QUEUE, stage.dead_letter_queue_url),
        "DragonWorkflow": (WORKFLOW, workflow["stateMachineArn"]),
        **more,
    })  # fmt: skip
    return {
        "s3": aws.s3(),
        "dynamodb": aws.dynamodb(),
        "sqs": aws.sqs(),
        "ssm": aws.ssm(),
        "stepfunctions": stepfunctions,
        "cloudformation": FakeCloudFormation(aws.s3(), {resources_stack(EMBEDDED): stack}),
    }
