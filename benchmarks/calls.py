"""The calls to AWS that an answer takes, of a function that has read its settings and the document before.

`tests/integration/test_aws_calls.py` asserts each of them, and `benchmarks/simulation.py` is fed with them. What is
asked is named by its route; what follows a comma says which answer is meant, or that the registry is in DynamoDB.
"""

from __future__ import annotations

from collections.abc import Mapping

Calls = tuple[str, ...]

# Of a function that is new, and of each about once a minute, if it has what the stack made in its environment.
SETTINGS: Calls = ("ssm GetParameters",)

_FENCE_AND_ITEM: Calls = ("dynamodb GetItem",) * 2  # each read of the table looks at a fence, too
_FENCE_AND_PAGE: Calls = ("dynamodb GetItem", "dynamodb Query")
_CHANGED: Calls = ("dynamodb GetItem", "dynamodb TransactWriteItems")  # a transaction checks one by itself
_SWAPPED: Calls = ("s3 GetObject", "s3 PutObject")

CALLS: Mapping[str, Calls] = {
    "GET /health": (),
    "GET /": (),
    "GET /docs": (),
    "GET /openapi.json": (),
    "GET /static/{name}": (),
    "GET /dragons": ("s3 GetObject",),
    "GET /dragons, malformed": (),
    "GET /dragons, without a token": (),
    "GET /dragons of a prefix": ("s3 GetObject",),
    "GET /dragons, in DynamoDB": _FENCE_AND_PAGE,
    "GET /dragons of a name, in DynamoDB": _FENCE_AND_ITEM,
    "GET /dragons of a name with another prefix, in DynamoDB": ("dynamodb GetItem",),
    "GET /dragons of a prefix, in DynamoDB": _FENCE_AND_PAGE,
    "GET /families": ("s3 GetObject",),
    "GET /families, malformed": (),
    "GET /families, in DynamoDB": _FENCE_AND_PAGE,
    "GET /dragons/{dragon_name}": ("s3 GetObject",),
    "GET /dragons/{dragon_name}, in DynamoDB": _FENCE_AND_ITEM,
    "POST /dragons": ("stepfunctions start_execution",),
    "POST /dragons, malformed": (),
    "PUT /dragons/{dragon_name}": _SWAPPED,
    "PUT /dragons/{dragon_name}, in DynamoDB": _CHANGED,
    "DELETE /dragons/{dragon_name}": _SWAPPED,
    "DELETE /dragons/{dragon_name}, absent": ("s3 GetObject",),
    "DELETE /dragons/{dragon_name}, in DynamoDB": _CHANGED,
    "DELETE /dragons/{dragon_name}, absent, in DynamoDB": _FENCE_AND_ITEM,
    "GET /submissions": ("dynamodb Query",),
    "GET /submissions, malformed": (),
    "GET /submissions/{submission_id}": ("dynamodb Query",),
    "GET /submissions/{submission_id}, without a row": ("dynamodb Query", "stepfunctions describe_execution"),
    "POST /post-message": ("dynamodb GetItem", "sqs SendMessage"),
    "POST /post-message, stored before": ("dynamodb GetItem",),
    "POST /post-message, in conflict": ("dynamodb GetItem",),
    "POST /post-message, malformed": (),
    "GET /messages": ("dynamodb Query",) * 8,  # one for each part of a company
    "GET /messages, between times without any between them": (),
    "GET /messages, malformed": (),
    "GET /message/{message_id}": ("dynamodb GetItem",),
    "GET /message/{message_id}, of a company that an operator names": ("dynamodb GetItem",),
    "GET /message/{message_id}, of any company": ("dynamodb Query",),
    "GET /ready": (
        *("ssm GetParameters", "s3 HeadObject", "s3 HeadBucket", "sqs GetQueueAttributes", "sqs GetQueueAttributes"),
        *("dynamodb GetItem", "dynamodb GetItem", "stepfunctions DescribeStateMachine"),
    ),
    # A letter is on the first page of the queue.
    "GET /operator/dead-letters": (
        *("sqs ReceiveMessage", "sqs ReceiveMessage", "sqs ChangeMessageVisibilityBatch", "sqs GetQueueAttributes"),
    ),
    "GET /operator/dead-letters/{letter_id}": (
        *("sqs ReceiveMessage", "dynamodb GetItem", "sqs ChangeMessageVisibilityBatch"),
    ),
    "DELETE /operator/dead-letters/{letter_id}": (
        *("sqs ReceiveMessage", "dynamodb GetItem", "sqs DeleteMessage", "sqs ChangeMessageVisibilityBatch"),
    ),
    "POST /operator/dead-letters/{letter_id}/redrive": (
        *("sqs ReceiveMessage", "sqs SendMessage", "sqs DeleteMessage", "sqs ChangeMessageVisibilityBatch"),
    ),
    "POST /operator/dead-letters/{letter_id}/replace": (
        *("sqs ReceiveMessage", "dynamodb GetItem", "dynamodb GetItem", "sqs SendMessage", "sqs DeleteMessage"),
        "sqs ChangeMessageVisibilityBatch",
    ),
    # Of a stored message; the queue of dead letters is empty.
    "GET /operator/timeline": ("dynamodb Query", "s3 HeadObject", "sqs ReceiveMessage"),
    # The workflow's step.
    "add_dragon": _SWAPPED,
    "add_dragon, in DynamoDB": ("dynamodb TransactWriteItems",),
    # The consumer: each message of a batch, side by side; and then the batch.
    "store_messages, each message": ("dynamodb GetItem", "s3 PutObject", "dynamodb PutItem"),
    "store_messages, the batch": ("sqs DeleteMessageBatch",),
}

# What makes its calls at the same time. Everything else makes one after another.
SIDE_BY_SIDE = frozenset({"GET /messages", "GET /ready"})
