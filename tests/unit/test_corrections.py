"""Corrections: whether they fit the stored version, and what they answer."""

from __future__ import annotations

import msgspec
import pytest

from chalicelib.dragons.repository import Change
from chalicelib.representation import etag_of
from chalicelib.web import problems
from chalicelib.web.corrections import check, corrected, precondition
from chalicelib.web.problems import Problem, ProblemRaised
from tests.samples import dragon

ETAG = etag_of(msgspec.json.encode(dragon("Ember")))


def test_the_corrected_dragon_has_the_tag_to_correct_it_again() -> None:
    reply = corrected(dragon("Ember"))

    assert (reply.status_code, reply.body) == (200, msgspec.json.encode(dragon("Ember")))
    assert reply.headers == {"Content-Type": "application/json", "ETag": ETAG, "Cache-Control": "no-cache"}


@pytest.mark.parametrize(
    ("if_match", "name", "fits"), [(ETAG, "Ember", True), (ETAG, "Ash", False), ("*", "Ash", True), (None, "Ash", True)]
)
def test_a_change_is_made_to_the_dragon_that_if_match_names(if_match: str | None, name: str, fits: bool) -> None:
    assert precondition(if_match, required=False)(dragon(name)) is fits


def test_a_change_that_needs_if_match_says_so() -> None:
    precondition(ETAG, required=True)
    with pytest.raises(ProblemRaised) as raised:
        precondition(None, required=True)

    assert raised.value.problem == problems.IF_MATCH_NEEDED


@pytest.mark.parametrize(
    ("change", "problem"),
    [(Change.ABSENT, problems.DRAGON_NOT_FOUND), (Change.CHANGED, problems.DRAGON_CHANGED)],
)
def test_a_change_that_was_not_made_is_a_problem(change: Change, problem: Problem) -> None:
    with pytest.raises(ProblemRaised) as raised:
        check(change)

    assert raised.value.problem == problem


def test_a_change_that_was_made_is_not_a_problem() -> None:
    check(Change.DONE)
