"""The part of Step Functions that the service uses: executions by name, which the test settles."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.aws_errors import client_error

STATE_MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:dragonpost-local-dragons"
STARTED_AT = datetime(2026, 11, 24, 7, 20, 1, 500_000, tzinfo=UTC)
FINISHED_AT = STARTED_AT + timedelta(seconds=1.25)


class FakeStepFunctions:
    """Keeps executions as AWS describes them.

    When an execution is described, `run` makes its output from its input. If `run` is None, executions stay RUNNING
    until `settle`. Each call takes the next item of `failures`: it raises an error, and passes if the item is None.
    """

    def __init__(self, run: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> None:
        self.run = run
        self.executions: dict[str, dict[str, Any]] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}
        self.failures: list[Exception | None] = []
        self.described = 0

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:  # noqa: A002, N803
        self._fail_if_told()
        assert stateMachineArn == STATE_MACHINE_ARN
        if name in self.executions:
            raise client_error("ExecutionAlreadyExists")
        arn = stateMachineArn.replace(":stateMachine:", ":execution:") + ":" + name
        execution = {"executionArn": arn, "name": name, "status": "RUNNING", "startDate": STARTED_AT, "input": input}
        self.executions[name] = execution
        return {"executionArn": arn, "startDate": STARTED_AT}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        self.described += 1
        self._fail_if_told()
        prefix, name = executionArn.rsplit(":", 1)
        assert prefix == STATE_MACHINE_ARN.replace(":stateMachine:", ":execution:")
        if name not in self.executions:
            raise client_error("ExecutionDoesNotExist")
        execution = self.executions[name]
        if self.run is not None and execution["status"] == "RUNNING":
            self.settle(name, self.run(json.loads(execution["input"])))
        return execution

    def get_execution_history(
        self,
        *,
        executionArn: str,  # noqa: N803
        maxResults: int,  # noqa: N803
        includeExecutionData: bool,  # noqa: N803
    ) -> dict[str, Any]:
        self._fail_if_told()
        assert maxResults <= 1000
        assert includeExecutionData is False, "the history's data contains phone numbers"
        return {"events": self.histories.get(executionArn.rsplit(":", 1)[1], [])}

    def settle(self, name: str, output: dict[str, Any] | None = None, status: str = "SUCCEEDED") -> None:
        """End an execution."""
        self.executions[name] |= {"status": status, "stopDate": FINISHED_AT}
        if output is not None:
            self.executions[name]["output"] = json.dumps(output)

    def only_input(self) -> dict[str, Any]:
        """Return the input of the only execution."""
        (execution,) = self.executions.values()
        return dict(json.loads(execution["input"]))

    def _fail_if_told(self) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure


def history(*types: str) -> list[dict[str, Any]]:
    """Return history events of these types, one second apart; `Name:TaskStateEntered` enters the state `Name`."""
    events = []
    for index, text in enumerate(types):
        name, _, kind = text.rpartition(":")
        event: dict[str, Any] = {"id": index + 1, "type": kind, "timestamp": STARTED_AT + timedelta(seconds=index)}
        if name:
            event["stateEnteredEventDetails"] = {"name": name}
        events.append(event)
    return events
