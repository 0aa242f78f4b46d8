"""The deployed functions' roles, changed from outside: another policy, and a cold start that makes it count."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

from chalicelib.settings import Settings, Source
from operations.functions import deployed_name
from operations.stages import EMBEDDED
from tests.e2e.running import Devstack
from tests.e2e.waiting import until
from tests.proof.policies import FUNCTIONS

NAMES = {function: deployed_name(function, EMBEDDED) for function in FUNCTIONS}


def start_cold(devstack: Devstack, function: str) -> None:
    """Make the next call start a new process, which has nothing cached.

    Its environment changes for that. Killing the idle process would cost a 502 before the emulator notices.
    """
    aws = devstack.client("lambda")
    name = NAMES[function]
    variables = aws.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    _configure(devstack, name, variables)


def _configure(devstack: Devstack, name: str, variables: dict[str, str]) -> None:
    aws = devstack.client("lambda")
    changed = {**variables, "PROOF_COLD_START": uuid.uuid4().hex}
    aws.update_function_configuration(FunctionName=name, Environment={"Variables": changed})
    until(lambda: aws.get_function_configuration(FunctionName=name)["LastUpdateStatus"] == "Successful")


@contextlib.contextmanager
def as_chalice_deploys(devstack: Devstack, function: str) -> Iterator[None]:
    """Inside the block, a function's environment lacks what `chalice deploy` cannot know: what the stack made.

    The function starts cold, now and again at the end.
    """
    aws = devstack.client("lambda")
    name = NAMES[function]
    before = aws.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    stack = {setting.variable for setting in Settings.table().values() if setting.source is Source.STACK}
    kept = {variable: value for variable, value in before.items() if variable not in stack}
    _configure(devstack, name, kept)
    try:
        yield
    finally:
        _configure(devstack, name, before)


@contextlib.contextmanager
def under_policy(devstack: Devstack, function: str, document: dict[str, Any]) -> Iterator[None]:
    """Inside the block, give a function's role another policy. The function starts cold, now and again at the end."""
    iam = devstack.client("iam")
    role = devstack.client("lambda").get_function_configuration(FunctionName=NAMES[function])["Role"]
    place = {"RoleName": role.rpartition("/")[2]}
    (place["PolicyName"],) = iam.list_role_policies(**place)["PolicyNames"]
    before = iam.get_role_policy(**place)["PolicyDocument"]
    iam.put_role_policy(**place, PolicyDocument=json.dumps(document))
    start_cold(devstack, function)
    try:
        yield
    finally:
        iam.put_role_policy(**place, PolicyDocument=json.dumps(before))
        start_cold(devstack, function)


@contextlib.contextmanager
def redelivered_soon(devstack: Devstack) -> Iterator[None]:
    """Inside the block, redeliver an unsettled message after 2 s, rather than after 180."""
    sqs, queue = devstack.client("sqs"), devstack.running["outputs"]["MessageQueueUrl"]
    before = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=before)
