"""What `GET /health` and `GET /ready` tell: what runs, and what of all that it depends on is ill."""

from __future__ import annotations

import importlib
import io
import json
import threading
import time
from types import ModuleType
from typing import Any

import boto3
import pytest

from chalicelib import aws, readiness
from operations.generate.openapi import version
from tests.integration.service import CLERK, OPERATOR, VISITOR, Answer, Service
from tests.integration.stage import DRAGON_BUCKET, DRAGONS, MESSAGE_BUCKET, SUBMISSIONS, TABLE, Stage
from tests.lambda_events import proxy_event

COMMIT = "5ad1f6d0c7c24f6a0a3a3b3c1f0e9d8c7b6a5940"
NOT_READY = "urn:dragonpost:problem:not-ready"


@pytest.fixture
def whole(stage: Stage) -> Stage:
    """A stage whose workflow is there, too."""
    role = boto3.client("iam").create_role(RoleName="workflow", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = boto3.client("stepfunctions").create_state_machine(
        name="dragonpost-local-dragons", roleArn=role, definition='{"StartAt": "X", "States": {"X": {"Type": "Pass"}}}'
    )
    stage.put_parameters(dragon_workflow_arn=made["stateMachineArn"])
    return stage


def ill(answer: Answer) -> dict[str, str]:
    """Return the reason of each dependency that a problem shows as ill."""
    assert (answer.status, answer.json()["type"]) == (503, NOT_READY)
    return {each["name"]: each["reason"] for each in answer.json()["dependencies"] if each["status"] == "ill"}


@pytest.mark.parametrize(("known", "told"), [(None, None), (COMMIT, COMMIT), (f"{COMMIT}-dirty", f"{COMMIT}-dirty")])
def test_health_tells_the_version_and_the_commit_if_it_is_known(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, known: str | None, told: str | None
) -> None:
    import app  # noqa: PLC0415 - it reads the environment

    if known:
        monkeypatch.setenv("DRAGONPOST_COMMIT", known)

    answer = Service(importlib.reload(app)).get("/health", None)

    assert answer.json() == {"status": "ok", "version": version(), "commit": told}


def test_a_stage_is_ready_if_everything_answers(whole: Stage, service: Service) -> None:
    answer = service.get("/ready")

    assert (answer.status, answer.json()["status"]) == (200, "ready")
    assert [each["name"] for each in answer.json()["dependencies"]] == [
        *("parameters", "registry", "submissions", "workflow", "queue", "dead-letters", "archive", "index"),
    ]
    assert {(each["status"], each["reason"]) for each in answer.json()["dependencies"]} == {("ok", None)}


def test_each_dependency_that_is_gone_is_named_and_the_others_are_not(whole: Stage, service: Service) -> None:
    gone: dict[str, Any] = {
        "registry": whole.delete_document,
        "submissions": lambda: aws.dynamodb().delete_table(TableName=SUBMISSIONS),
        "queue": lambda: aws.sqs().delete_queue(QueueUrl=whole.queue_url),
        "dead-letters": lambda: aws.sqs().delete_queue(QueueUrl=whole.dead_letter_queue_url),
        "archive": lambda: aws.s3().delete_bucket(Bucket=MESSAGE_BUCKET),
        "index": lambda: aws.dynamodb().delete_table(TableName=TABLE),
        "workflow": lambda: whole.put_parameters(dragon_workflow_arn="arn:aws:states:us-east-1:1:stateMachine:none"),
        "parameters": lambda: aws.ssm().delete_parameter(Name="/dragonpost/local/dragon_store"),
    }
    assert service.get("/ready").status == 200
    named: set[str] = set()
    for name, remove in gone.items():
        remove()
        if name == "workflow":
            service.app.settings._parameters[service.app.Settings.dragon_workflow_arn.source]._refresh_at = 0
        named.add(name)
        assert ill(service.get("/ready")).keys() == named


def test_the_home_that_the_registry_has_is_asked_and_no_other(whole: Stage, service: Service) -> None:
    whole.put_parameters(dragon_store="dynamodb")
    aws.s3().delete_object(Bucket=DRAGON_BUCKET, Key="dragons.json")

    assert service.get("/ready").status == 200
    aws.dynamodb().delete_table(TableName=DRAGONS)
    assert ill(service.get("/ready")) == {"registry": "DynamoDB refused: ResourceNotFoundException"}


def test_a_dependency_that_does_not_answer_is_ill_and_the_answer_comes_within_a_second_or_so(
    whole: Stage, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(readiness, "READY_WITHIN_S", 0.2)
    monkeypatch.setattr(service.app.dependencies, "_ask_archive", lambda: release.wait(30))
    service.get("/dragons")  # the settings are read, and the clients made

    begun = time.monotonic()
    answer = service.get("/ready")
    took = time.monotonic() - begun
    release.set()

    assert ill(answer)["archive"] == "did not answer within 0.2 s"
    assert took < 5


def test_a_reason_is_as_long_as_documented_at_most(
    whole: Stage, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise aws.DependencyFault("S3", "no", {"Error": {"Code": "x" * 300}})

    monkeypatch.setattr(service.app.dependencies, "_ask_archive", refuse)

    assert ill(service.get("/ready"))["archive"] == f"S3 refused: {'x' * 300}"[: readiness.REASON_LENGTH_MAX]


def test_names_of_resources_are_in_the_log_and_not_in_the_answer(
    whole: Stage, service: Service, log: io.StringIO
) -> None:
    aws.dynamodb().delete_table(TableName=TABLE)

    answer = service.get("/ready")

    assert TABLE not in answer.body.decode()
    said = [line for line in map(json.loads, log.getvalue().splitlines()) if line["message"] == "a dependency is ill"]
    assert [line["dependency"] for line in said] == ["index"]
    assert TABLE in said[0]["exception"]


def test_a_setting_that_is_missing_makes_ill_what_needs_it(whole: Stage, service: Service) -> None:
    aws.ssm().delete_parameter(Name="/dragonpost/local/message_archive_bucket_name")

    assert ill(service.get("/ready")) == {"archive": "a setting is missing or malformed"}


class TestTheFunctionForOperators:
    """`chalice deploy` cannot send routes to it, and the API's own function may not do what they do."""

    @pytest.fixture
    def in_lambda(self, whole: Stage, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        import app  # noqa: PLC0415 - it reads the environment

        assert whole.has_document()
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "dragonpost-local")
        return importlib.reload(app)

    def test_the_apis_own_function_answers_operators_with_501_and_says_what_to_run(self, in_lambda: ModuleType) -> None:
        answer = Service(in_lambda).get("/ready")

        assert answer.status == 501
        assert "make dead-letters" in answer.json()["detail"]

    @pytest.mark.parametrize("caller", [CLERK, VISITOR])
    def test_everybody_else_is_refused_before_that(self, in_lambda: ModuleType, caller: dict[str, Any]) -> None:
        assert Service(in_lambda).get("/ready", caller).status == 403

    def test_the_function_for_operators_answers_them(self, in_lambda: ModuleType) -> None:
        event = proxy_event("GET", "/ready", "/ready", token_claims=OPERATOR)

        assert in_lambda.operator_api(event, None)["statusCode"] == 200
