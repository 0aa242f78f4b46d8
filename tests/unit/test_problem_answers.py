"""What problems say and carry, whichever words they use."""

from __future__ import annotations

import re

import pytest

from chalicelib import aws
from chalicelib.dragons.repository import Change
from chalicelib.dragons.workflow import IdempotencyKeyReused
from chalicelib.identity import Forbidden
from chalicelib.messages.queue import QueueUnavailable
from chalicelib.messages.repository import Ambiguous
from chalicelib.validation import Fault
from chalicelib.web import corrections
from chalicelib.web.problems import Problem, ProblemRaised, internal_error, invalid_request, problem_for


def problem_of(error: Exception) -> Problem:
    """Return the problem that an error becomes."""
    problem = problem_for(error)
    assert problem is not None
    return problem


def raised_by_change(change: Change) -> Problem:
    """Return the problem of a change that was not made."""
    with pytest.raises(ProblemRaised) as raised:
        corrections.check(change)
    return raised.value.problem


def raised_without_if_match() -> Problem:
    """Return the problem of a change that needs `If-Match` and came without."""
    with pytest.raises(ProblemRaised) as raised:
        corrections.precondition(None, required=True)
    return raised.value.problem


@pytest.mark.parametrize(
    "make",
    [
        lambda: problem_of(aws.DependencyUnavailable("S3", "SlowDown")),
        lambda: problem_of(aws.DependencyTimeout("S3", "ReadTimeoutError")),
        lambda: problem_of(QueueUnavailable()),
        lambda: problem_of(IdempotencyKeyReused()),
        lambda: problem_of(Ambiguous()),
        lambda: problem_of(Forbidden("You may not.")),
        internal_error,
        lambda: raised_by_change(Change.ABSENT),
        lambda: raised_by_change(Change.CHANGED),
        raised_without_if_match,
    ],
)
def test_a_detail_is_a_sentence(make: object) -> None:
    assert callable(make)

    assert re.fullmatch(r"(A |[A-Z][a-z])[^\n]*[a-z]\.", make().detail)


@pytest.mark.parametrize(
    ("faults", "detail"),
    [
        (1, "One thing is wrong with the request; see errors."),
        (2, "2 things are wrong with the request; see errors."),
    ],
)
def test_the_detail_counts_the_faults(faults: int, detail: str) -> None:
    assert invalid_request(*[Fault("parameter", "a", "is x")] * faults).detail == detail


@pytest.mark.parametrize(
    "error", [aws.DependencyUnavailable("S3", "x"), aws.DependencyTimeout("S3", "x"), QueueUnavailable()]
)
def test_a_failure_that_may_pass_says_when_to_try_again(error: aws.DependencyUnavailable) -> None:
    assert problem_of(error).headers == {"Retry-After": str(error.retry_after_s)}


@pytest.mark.parametrize(("change", "status"), [(Change.ABSENT, 404), (Change.CHANGED, 412)])
def test_a_change_that_was_not_made_has_its_status(change: Change, status: int) -> None:
    assert raised_by_change(change).status == status
    assert raised_without_if_match().status == 428


def test_a_change_that_was_made_is_no_problem() -> None:
    corrections.check(Change.DONE)
