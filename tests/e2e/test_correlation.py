"""One id finds everything about a request: its answer, its log lines, its queue message, its execution."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from operations import functions
from operations.functions import deployed_name
from tests.e2e.dragons import a_dragon, settled
from tests.e2e.messages import a_message, dead, forget_row, stored
from tests.e2e.running import Api, Served
from tests.e2e.waiting import until

SINCE_S = 600  # a deployed stage has 90 days of lines


@pytest.fixture
def gateway(apis: dict[str, Api]) -> Api:
    return apis["gateway"]


def logged(devstack: Served, function: str, correlation_id: str) -> list[dict[str, Any]]:
    """Return the function's log lines with this id, once there are any."""

    def lines() -> list[dict[str, Any]]:
        pages = (
            devstack.client("logs")
            .get_paginator("filter_log_events")
            .paginate(
                logGroupName=f"/aws/lambda/{deployed_name(function, devstack.stage)}",
                filterPattern=f'"{correlation_id}"',
                startTime=int((time.time() - SINCE_S) * 1000),
            )
        )
        events = [event for page in pages for event in page["events"]]  # AWS's first pages may be empty
        texts = [text for event in events for text in event["message"].splitlines() if correlation_id in text]
        return [json.loads(text) for text in texts]

    return until(lines)


def test_a_message_is_followed_from_the_request_to_the_dead_letter_queue(devstack: Served, gateway: Api) -> None:
    message_id, correlation_id = str(uuid.uuid4()), f"follow-{uuid.uuid4()}"
    headers = {"Content-Type": "application/json", "X-Request-Id": correlation_id}

    first = gateway.post("/post-message", "amber", data=a_message("1", message_id=message_id), headers=headers)
    stored(gateway, first.headers["Location"])
    forget_row(devstack, message_id)  # or the API would refuse the next one
    gateway.post("/post-message", "amber", data=a_message("2", message_id=message_id), headers=headers)
    letter = dead(devstack, message_id)

    assert first.headers["X-Request-Id"] == correlation_id
    assert letter["MessageAttributes"]["correlation_id"]["StringValue"] == correlation_id
    assert {line["route"] for line in logged(devstack, functions.API, correlation_id)} == {"/post-message"}
    of_consumer = logged(devstack, "store_messages", correlation_id)
    assert {line["correlation_id"] for line in of_consumer} == {correlation_id}
    assert {line["message_id"] for line in of_consumer} == {message_id}


def test_a_report_is_followed_from_the_request_to_the_registry(devstack: Served, gateway: Api) -> None:
    correlation_id = f"follow-{uuid.uuid4()}"

    answer = gateway.post("/dragons", json=a_dragon(), headers={"X-Request-Id": correlation_id})
    settled(gateway, answer.headers["Location"])

    execution = devstack.client("stepfunctions").describe_execution(executionArn=answer.json()["execution_arn"])
    assert json.loads(execution["input"])["correlation_id"] == correlation_id
    (line,) = logged(devstack, "add_dragon", correlation_id)
    assert line["submission_id"] == answer.json()["submission_id"]
