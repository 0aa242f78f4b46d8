"""The bad-input table, in-process. No row leaves anything that another row would meet, so one service answers all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto.core.models import MockAWS

from tests.bad_input import ACCEPTED, REFUSED, UNKNOWN, Case, Unknown
from tests.fakes.step_functions import FakeStepFunctions
from tests.integration.conftest import app_anew
from tests.integration.service import OPERATOR, Service
from tests.integration.stage import Stage


@pytest.fixture(scope="module")
def stage(moto_aws: MockAWS) -> Stage:
    moto_aws.reset()
    return Stage.created()


@pytest.fixture(scope="module")
def step_functions() -> FakeStepFunctions:
    return FakeStepFunctions()


@pytest.fixture(scope="module")
def service(stage: Stage, step_functions: FakeStepFunctions) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patching:
        yield Service(app_anew(step_functions, patching))


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refused_with_every_fault_in_its_place(
    service: Service, stage: Stage, step_functions: FakeStepFunctions, case: Case
) -> None:
    answer = service.request(case.method, case.path, OPERATOR, headers=case.headers, body=case.body)

    assert answer.status == case.status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == case.status
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert Case.places_in(problem) == case.places
    assert stage.waiting(stage.queue_url) == 0
    assert step_functions.executions == {}


@pytest.mark.parametrize("case", ACCEPTED, ids=str)
def test_odd_but_valid_input_is_not_refused(service: Service, stage: Stage, case: Case) -> None:
    before = stage.waiting(stage.queue_url)

    answer = service.request(case.method, case.path, OPERATOR, headers=case.headers, body=case.body)

    assert answer.status == case.status, answer.body
    assert stage.waiting(stage.queue_url) == before + (1 if case.method == "POST" else 0)


@pytest.mark.parametrize("case", [case for case in UNKNOWN if case.allow_local], ids=str)
def test_an_unknown_method_gets_a_list_of_the_known_ones(service: Service, case: Unknown) -> None:
    answer = service.request(case.method, case.path)

    assert answer.status == case.status_local == 405
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.headers["Allow"].split(", ")) == set(str(case.allow_local).split(", "))
