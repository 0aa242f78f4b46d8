"""Grants that AWS needs but the embedded AWS does not ask for, each with the AWS page that says so.

Remove a grant that is neither used in the run nor listed here, and a row here that is in no policy any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.proof.policies import FUNCTIONS

READERS_OF_DRAGONS = ("api_handler", "add_dragon", "operator_api")
READERS_OF_PARAMETERS = ("api_handler", "add_dragon", "store_messages")


@dataclass(frozen=True)
class Beyond:
    """An action that these functions need on AWS, on this resource (`{name}` is the function's), and why."""

    functions: tuple[str, ...]
    action: str
    resource: str
    why: str
    source: str


FUNCTION_POLICIES = (
    *(
        Beyond(
            FUNCTIONS,
            action,
            "arn:aws:logs:*:*:log-group:/aws/lambda/{name}:*",
            "Lambda writes a function's log under the function's role; the emulator writes it by itself.",
            "https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html",
        )
        for action in ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
    ),
    *(
        Beyond(
            FUNCTIONS,
            action,
            "*",
            "Active tracing sends segments under the function's role; X-Ray takes no resources here.",
            "https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html",
        )
        for action in ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
    ),
    Beyond(
        READERS_OF_DRAGONS,
        "s3:ListBucket",
        "arn:aws:s3:::dragonpost-prod-dragons-*",
        "Without it S3 answers 403, not 404, for a document that is not there yet; an empty registry would be a 500.",
        "https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html",
    ),
    *(
        Beyond(
            ("store_messages",),
            action,
            "arn:aws:sqs:*:*:dragonpost-prod-messages",
            "The event source mapping polls the queue under the function's role; the emulator's polls as itself.",
            "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html",
        )
        for action in ("sqs:ReceiveMessage", "sqs:GetQueueAttributes")
    ),
    *(
        Beyond(
            READERS_OF_PARAMETERS,
            "ssm:GetParametersByPath",
            resource,
            "An upgrade changes a role before its function, which reads by path in 0.1.0: started between the two, it "
            "would be refused, and a report would fail. (Whether AWS drops the slash that a path ends with is not "
            "documented.) The version after this one does without.",
            "https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html",
        )
        for resource in (
            "arn:aws:ssm:*:*:parameter/dragonpost/prod",
            "arn:aws:ssm:*:*:parameter/dragonpost/prod/*",
        )
    ),
)

# Grants of the state machine's role that its definition's calls do not need, each with its resource. They are for its
# log and its traces, and cannot be limited to resources.
WORKFLOW_ROLE = {
    **dict.fromkeys(
        (
            ("logs:CreateLogDelivery", "*"),
            ("logs:GetLogDelivery", "*"),
            ("logs:UpdateLogDelivery", "*"),
            ("logs:DeleteLogDelivery", "*"),
            ("logs:ListLogDeliveries", "*"),
            ("logs:PutResourcePolicy", "*"),
            ("logs:DescribeResourcePolicies", "*"),
            ("logs:DescribeLogGroups", "*"),
        ),
        "https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html",
    ),
    **dict.fromkeys(
        (
            ("xray:PutTraceSegments", "*"),
            ("xray:PutTelemetryRecords", "*"),
            ("xray:GetSamplingRules", "*"),
            ("xray:GetSamplingTargets", "*"),
        ),
        "https://docs.aws.amazon.com/step-functions/latest/dg/concepts-xray-tracing.html",
    ),
}
