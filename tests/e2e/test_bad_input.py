"""The bad-input table over HTTP, on the local server and the deployed gateway: one row of each kind of request.

What a row's JSON means is the app's business, and tests/integration/test_bad_input.py sends every row to the app.
"""

from __future__ import annotations

import pytest

from tests.bad_input import ACCEPTED, REFUSED, UNKNOWN, Case, Unknown, over_http
from tests.e2e.running import Api


@pytest.mark.parametrize("case", over_http(REFUSED), ids=str)
def test_refused_with_every_fault_in_its_place(api: Api, case: Case) -> None:
    answer = api.request(case.method, case.path, headers=case.headers, data=case.body)

    assert answer.status_code == case.status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert Case.places_in(answer.json()) == case.places


@pytest.mark.parametrize("case", over_http(ACCEPTED), ids=str)
def test_odd_but_valid_input_is_not_refused(api: Api, case: Case) -> None:
    answer = api.request(case.method, case.path, headers=case.headers, data=case.body)

    # A message has the same id each time, so one that was sent to the other target is stored already.
    known = {200} if case.status == 202 else set()
    assert answer.status_code in {case.status, *known}, answer.text


@pytest.mark.parametrize("case", UNKNOWN, ids=str)
def test_an_unknown_route_or_method_is_a_problem(api: Api, case: Unknown) -> None:
    answer = api.request(case.method, case.path)

    assert answer.headers["Content-Type"] == "application/problem+json"
    if api.target == "gateway":
        assert answer.status_code == case.status_gateway
    else:
        assert answer.status_code == case.status_local
        assert answer.headers.get("Allow") == case.allow_local
