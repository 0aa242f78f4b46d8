"""The screen of a stage's health, on moto's AWS: each thing that can be ill, with the command that comes next."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import Message
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib import aws
from operations import status
from operations.api import Answer
from operations.status import Finding, How, Status
from operations.stores import QUEUE
from tests.fakes.stacks import FakeCloudFormation, FakeStack
from tests.integration.stage import Stage

REGION = "us-east-1"
STACKS = ("dragonpost-local-resources", "dragonpost-local-app")

Clients = Callable[[str], Any]


class Stacks(FakeCloudFormation):
    """Stacks that were deployed two hours ago."""

    deployed_at = datetime.now(UTC)

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        described = super().describe_stacks(StackName=StackName)
        created_at = self.deployed_at - timedelta(days=9)
        described["Stacks"][0] |= {"CreationTime": created_at, "LastUpdatedTime": self.deployed_at}
        return described


class Lambda:
    """The mappings of the message queue."""

    def __init__(self) -> None:
        self.states = ["Enabled"]

    def list_event_source_mappings(self, *, EventSourceArn: str) -> Any:  # noqa: N803
        assert EventSourceArn.endswith(":dragonpost-local-messages")
        arn = "arn:aws:lambda:us-east-1:123456789012:function:dragonpost-local-store_messages"
        return {"EventSourceMappings": [{"FunctionArn": arn, "State": each, "UUID": "u-1"} for each in self.states]}

    def get_function_configuration(self, *, FunctionName: str) -> Any:  # noqa: N803
        assert FunctionName == "dragonpost-local"
        return {"LastModified": (datetime.now(UTC) - timedelta(minutes=5)).isoformat()}


COMMIT = "5ad1f6d0c7c24f6a0a3a3b3c1f0e9d8c7b6a5940"
HEALTHY = {"status": "ok", "version": "1.2.3", "commit": COMMIT}


class Served:
    """An API that answers `GET /health` like this."""

    url = "https://api.example/local"

    def __init__(self, told: Any = HEALTHY, status: int = 200) -> None:
        self._answer = Answer(status, Message(), json.dumps(told).encode())

    def send(self, method: str, path: str) -> Answer:
        assert (method, path) == ("GET", "/health")
        return self._answer


@pytest.fixture
def clients(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Clients:
    """Clients of a stage that is well."""
    made: dict[str, Any] = {"sqs": aws.sqs(), "ssm": aws.ssm(), "lambda": Lambda()}
    made["cloudwatch"] = boto3.client("cloudwatch", region_name=REGION)
    resources = {
        "MessageQueue": (QUEUE, stage.queue_url),
        "MessageDeadLetterQueue": (QUEUE, stage.dead_letter_queue_url),
    }
    made["cloudformation"] = Stacks(aws.s3(), {name: FakeStack(resources) for name in STACKS})
    made["cloudformation"].deployed_at = datetime.now(UTC) - timedelta(hours=2)
    monkeypatch.setattr(status, "reach", lambda _: None)
    monkeypatch.setattr(status, "api_of", lambda *_: Served())
    alarm(made.__getitem__, "OK")
    return made.__getitem__


def alarm(clients: Clients, state: str, name: str = "dragonpost-local-messages-old") -> None:
    """Have an alarm, in a state."""
    clients("cloudwatch").put_metric_alarm(
        AlarmName=name,
        AlarmDescription="Messages are old. Runbook: docs/operations.md#messages-are-not-stored.",
        MetricName="m", Namespace="n", Period=300, EvaluationPeriods=1, Threshold=0, Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    clients("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")


def aged(clients: Clients, *ages_s: float) -> None:
    """Have CloudWatch know how old the queue's oldest message was, a value every two minutes, the newest last."""
    for number, age in enumerate(reversed(ages_s)):
        clients("cloudwatch").put_metric_data(
            Namespace="AWS/SQS",
            MetricData=[{
                "MetricName": "ApproximateAgeOfOldestMessage", "Value": age,
                "Dimensions": [{"Name": "QueueName", "Value": "dragonpost-local-messages"}],
                "Timestamp": datetime.now(UTC) - timedelta(minutes=1 + 2 * number),
            }],
        )  # fmt: skip


def found(clients: Clients, what: str) -> list[Finding]:
    return [finding for finding in Status("local", clients).all() if finding.what == what]


def ill(clients: Clients) -> list[tuple[str, str, str]]:
    findings = Status("local", clients).all()
    return [(each.what, each.found, each.next) for each in findings if each.how is not How.WELL]


def test_a_stage_that_is_well_has_nothing_to_do(clients: Clients, capsys: pytest.CaptureFixture[str]) -> None:
    assert ill(clients) == []
    assert status.main(["--stage", "local"], clients) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(": all is well")


def test_it_tells_version_commit_and_last_deployment(clients: Clients) -> None:
    [version] = found(clients, "version")
    resources, app = found(clients, "deployed")

    assert version.found == f"1.2.3, commit {COMMIT}"
    assert resources.found == f"{STACKS[0]} {clients('cloudformation').deployed_at:%Y-%m-%d %H:%M:%SZ} (2 h ago)"
    assert app.found.startswith(STACKS[1])


def test_dead_letters_are_counted_and_lead_to_their_command(
    stage: Stage, clients: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        aws.sqs().send_message(QueueUrl=stage.dead_letter_queue_url, MessageBody="{}")

    assert ill(clients) == [("dead letters", "2", "make dead-letters STAGE=local")]
    assert status.main(["--stage", "local"], clients) == 1
    assert "next: make dead-letters STAGE=local" in capsys.readouterr().out


def test_the_queues_depth_is_told_and_a_deep_queue_is_not_ill(stage: Stage, clients: Clients) -> None:
    for _ in range(3):
        aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody="{}")
    aws.sqs().receive_message(QueueUrl=stage.queue_url)
    aged(clients, 900, 20)

    [queue] = found(clients, "queue")

    assert (queue.how, queue.found) == (
        How.WELL, "2 waiting, 1 being delivered; the oldest has been there for 20 s",
    )  # fmt: skip


def test_a_message_that_is_as_old_as_the_alarm_allows_is_ill(clients: Clients) -> None:
    aged(clients, 301)

    [(what, said, after)] = ill(clients)

    assert (what, said.rpartition("; ")[2]) == ("queue", "the oldest has been there for 5 min")
    assert after.startswith("docs/operations.md#messages-are-not-stored")


def test_an_age_that_nobody_knows_is_said_to_be_unknown(clients: Clients) -> None:
    [queue] = found(clients, "queue")

    assert queue.found.endswith("the age of the oldest is not known: CloudWatch has no value")


def test_an_alarm_leads_to_its_paragraph(clients: Clients) -> None:
    alarm(clients, "ALARM")
    alarm(clients, "ALARM", "dragonpost-local2-messages-old")

    [(what, said, after)] = ill(clients)

    assert what == "alarm"
    assert said.startswith("dragonpost-local-messages-old since ")
    assert after == "docs/operations.md#messages-are-not-stored"


def test_no_alarms_at_all_is_ill(clients: Clients) -> None:
    clients("cloudwatch").delete_alarms(AlarmNames=["dragonpost-local-messages-old"])

    assert ill(clients) == [("alarms", "there are none", "make deploy STAGE=local")]


@pytest.mark.parametrize("state", ["Disabled", "Disabling"])
def test_a_consumer_that_gets_nothing_is_ill(clients: Clients, state: str) -> None:
    clients("lambda").states = [state]

    [(what, said, after)] = ill(clients)

    assert (what, said) == ("consumer", f"dragonpost-local-store_messages gets no messages ({state})")
    assert after == ".venv/bin/aws lambda update-event-source-mapping --uuid u-1 --enabled"


def test_a_queue_that_nobody_reads_is_ill(clients: Clients) -> None:
    clients("lambda").states = []

    assert ill(clients) == [("consumer", "no function reads the message queue", "make deploy STAGE=local")]


@pytest.mark.parametrize("state", ["UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"])
def test_a_deployment_that_failed_is_ill(clients: Clients, state: str) -> None:
    clients("cloudformation").stacks[STACKS[1]].status = state

    [(what, said, after)] = ill(clients)

    assert (what, said.partition(",")[0], after) == ("deployed", f"{STACKS[1]} is {state}", "`make run` again")


def test_a_deployment_that_is_under_way_is_not(clients: Clients) -> None:
    clients("cloudformation").stacks[STACKS[1]].status = "UPDATE_IN_PROGRESS"

    assert ill(clients) == []


def test_an_app_of_chalice_deploy_is_told_by_its_function(clients: Clients) -> None:
    del clients("cloudformation").stacks[STACKS[1]]

    assert found(clients, "deployed")[1].found.endswith("(5 min ago), by `chalice deploy`")


def test_an_api_that_does_not_answer_is_ill(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "api_of", lambda *_: Served(status=503))

    assert [(each, after) for each, _, after in ill(clients)] == [("health", "make logs STAGE=local FUNCTION=api")]


def test_a_commit_that_nobody_knew_is_said_to_be_unknown(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "api_of", lambda *_: Served({**HEALTHY, "commit": None}))

    [version] = found(clients, "version")

    assert (version.how, version.found) == (How.WELL, "1.2.3, commit unknown")


@pytest.mark.parametrize("told", [{"status": "ok"}, "ok"])
def test_a_stage_that_is_too_old_to_tell_its_version_is_to_be_deployed(
    clients: Clients, monkeypatch: pytest.MonkeyPatch, told: Any
) -> None:
    monkeypatch.setattr(status, "api_of", lambda *_: Served(told))

    assert [(each, after) for each, _, after in ill(clients)] == [("version", "make deploy STAGE=local")]


def test_what_may_not_be_looked_at_is_told_and_hides_nothing_else(stage: Stage, clients: Clients) -> None:
    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "DescribeAlarms")

    aws.sqs().send_message(QueueUrl=stage.dead_letter_queue_url, MessageBody="{}")
    blind = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=denied))
    blind.get_metric_statistics = clients("cloudwatch").get_metric_statistics

    findings = ill(lambda service: blind if service == "cloudwatch" else clients(service))

    assert [what for what, *_ in findings] == ["dead letters", "alarms"]
    assert "not you" in findings[1][1]


@pytest.mark.parametrize(("name", "command"), [("local", "make run"), ("dev", "make deploy STAGE=dev")])
def test_a_stage_that_is_not_there_is_one_line_with_the_command_that_makes_it(
    clients: Clients, capsys: pytest.CaptureFixture[str], name: str, command: str
) -> None:
    clients("cloudformation").stacks.clear()

    assert status.main(["--stage", name], clients) == 1
    assert capsys.readouterr() == ("", f"error: there is no stage {name} here. `{command}` makes it\n")
