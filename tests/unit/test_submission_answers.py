"""What `POST /dragons` and `GET /submissions/{id}` answer with, member for member and header for header."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from chalicelib.dragons.submissions import Step, Submission
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.submissions import RETRY_AFTER_S, accepted, list_document, settled, status_document
from tests.samples import dragon

ADDED = Submission(
    "s1", "arn:execution", "added", dragon("A/B c"), "sub", "start", "end", "because", notification="failed"
)


def test_the_status_document_has_each_member_from_its_place() -> None:
    reply = status_document(ADDED, [Step("AddDragon", "succeeded", "then")])

    assert reply.status_code == 200
    assert reply.headers == {"Content-Type": "application/json", "Cache-Control": "no-cache"}
    assert json.loads(reply.body) == {
        "submission_id": "s1",
        "status": "added",
        "dragon_name_str": "A/B c",
        "reason": "because",
        "notification": "failed",
        "started_at": "start",
        "finished_at": "end",
        "steps": [{"name": "AddDragon", "status": "succeeded", "at": "then"}],
    }


def test_without_steps_there_is_no_member_for_them() -> None:
    assert "steps" not in json.loads(status_document(ADDED, None).body)
    assert list_document([ADDED]) == b"[" + status_document(ADDED, None).body + b"]"
    assert json.loads(status_document(ADDED, []).body)["steps"] == []


def test_one_that_is_pending_says_when_to_ask_again() -> None:
    reply = status_document(replace(ADDED, status="pending"), [])

    assert reply.headers == {
        "Content-Type": "application/json",
        "Cache-Control": "no-cache",
        "Retry-After": str(RETRY_AFTER_S),
    }


@pytest.mark.parametrize(("waited_s", "applied"), [(0, {}), (7, {"Preference-Applied": "wait=7"})])
def test_a_preference_to_wait_is_confirmed_if_it_was_applied(waited_s: int, applied: dict[str, str]) -> None:
    assert accepted(ADDED, "/prod", waited_s).headers == {
        "Content-Type": "application/json",
        "Location": "/prod/submissions/s1",
        **applied,
    }
    assert settled(ADDED, "/prod", waited_s).headers == {
        "Content-Type": "application/json",
        "Location": "/prod/dragons/A%2FB%20c",
        **applied,
    }
    with pytest.raises(ProblemRaised) as raised:
        settled(replace(ADDED, status="failed"), "/prod", waited_s)
    assert raised.value.problem.headers == {"Location": "/prod/submissions/s1", **applied}
