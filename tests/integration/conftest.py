"""The service in this process, on moto's AWS. Each test gets new resources, named as the stack names them."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator
from types import ModuleType

import boto3
import pytest
from moto import mock_aws
from moto.core.models import MockAWS

from chalicelib import aws
from chalicelib.dragons import dynamodb
from chalicelib.dragons.submission_table import SubmissionTable
from chalicelib.dragons.workflow import DragonWorkflow
from tests.fakes.clock import FakeClock
from tests.fakes.step_functions import FakeStepFunctions
from tests.integration.service import Service, workflow_of
from tests.integration.snapshot import Snapshot
from tests.integration.stage import Stage

REGION = "us-east-1"
FENCES = 4


@pytest.fixture(scope="session")
def moto_aws() -> Iterator[MockAWS]:
    """AWS for the whole run; making clients is slow, so they are made once."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("AWS_", "DRAGONPOST_"))]:
            environment.delenv(name)
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        environment.setenv("DRAGONPOST_STAGE", "local")
        environment.setattr(boto3, "DEFAULT_SESSION", None)
        aws.forget_clients()
        with mock_aws() as mocked:
            yield mocked
        aws.forget_clients()


@pytest.fixture(scope="module")
def empty_stage(moto_aws: MockAWS) -> Snapshot:
    """What the account holds once the stage's resources have been made."""
    moto_aws.reset()
    Stage.created()
    return Snapshot.taken(REGION)


@pytest.fixture
def stage(moto_aws: MockAWS, empty_stage: Snapshot, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """An AWS account that holds the stage's empty resources and nothing else.

    Few fences, because moto copies all items for each transaction.
    """
    monkeypatch.setattr(dynamodb, "FENCES", FENCES)
    moto_aws.reset()
    empty_stage.put_back(REGION)
    stage = Stage.with_new_queues()
    stage.put_document(b"[]")  # it is as old as the test, whatever that takes for the time
    return stage


@pytest.fixture
def step_functions() -> FakeStepFunctions:
    """Step Functions whose executions end when they are first described, or when the test says so.

    They write no rows: what the service then does is what it does while a row is missing.
    """
    return FakeStepFunctions()


@pytest.fixture
def app(stage: Stage, step_functions: FakeStepFunctions, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """app.py as in a new Lambda instance, new for each test."""
    return app_anew(step_functions, monkeypatch)


@pytest.fixture
def service(app: ModuleType) -> Service:
    """The deployed API, called as its gateway does."""
    return Service(app)


def app_anew(step_functions: FakeStepFunctions, patching: pytest.MonkeyPatch) -> ModuleType:
    """Return app.py as a new Lambda instance has it: no settings read, no document held."""
    import app as fresh  # noqa: PLC0415 - it reads the environment

    patching.delenv("AWS_EXECUTION_ENV", raising=False)  # each Chalice says there that it is one, and requests tell it
    patching.setattr(gc, "freeze", lambda: None)  # what a test leaves behind would never be collected
    fresh = importlib.reload(fresh)
    clock = FakeClock()
    workflow = DragonWorkflow(fresh.settings, lambda: step_functions)
    patching.setattr(fresh, "workflow", workflow)
    patching.setattr(fresh, "submissions", SubmissionTable(fresh.settings, workflow, clock=clock, sleep=clock.sleep))
    step_functions.run = workflow_of(fresh)
    return fresh
