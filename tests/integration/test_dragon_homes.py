"""The API over either home of the registry: the same answers, and no function stays with a home that was left."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.dragons.document import left_for
from tests.fakes.step_functions import FakeStepFunctions
from tests.integration.conftest import app_anew
from tests.integration.service import Answer, Service
from tests.integration.stage import Stage
from tests.samples import dragon_body, dragon_members

NAMES = ("Zed", "Amber", "Élan", "ash 2", "D'Arcy", "ember", "龍")


def move(stage: Stage, place: str) -> None:
    """Have the registry, which is empty, in this home alone, and say so in Parameter Store."""
    stage.put_document(b"[]" if place == "s3" else left_for(place))
    stage.open_table(place)
    stage.put_parameters(dragon_store=place)


def report(app: ModuleType, name: str, submission_id: str, **members: Any) -> Mapping[str, Any]:
    """Have the workflow's step add a dragon."""
    given = {"dragon": dragon_members(name, **members), "submission_id": submission_id, "correlation_id": "c"}
    outcome: Mapping[str, Any] = app.add_dragon(given, None)
    return outcome


def shown(answer: Answer) -> tuple[Any, ...]:
    """Return what must be the same: everything but the request's own id."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("X-Request-Id", "Date")}
    body = answer.json() if answer.body and answer.status != 304 else answer.body
    if isinstance(body, dict):
        body.pop("request_id", None)
        body.pop("instance", None)
    return answer.status, headers, body, len(answer.body) if answer.status < 400 else 0


def told(app: ModuleType) -> list[Any]:
    """Return what the API answers to readers, reporters and operators, in a registry that is empty."""
    service = Service(app)
    found: list[Any] = [shown(service.get("/dragons"))]
    for number, name in enumerate(NAMES):
        found.append(report(app, name, name, family_str=("red", "Grün")[number % 2]))
    found += [report(app, "EMBER", "another"), report(app, "ember", "ember")]

    following, seen = "/dragons?limit=2", []
    while following:
        answer = service.get(following)
        seen.append(shown(answer))
        following = answer.headers.get("Link", "<>").split(">")[0].removeprefix("<").removeprefix("/prod")
    found += seen
    for query in (
        "family=red",
        "family=GR%C3%9CN&limit=1",
        "dragonName=%C3%89LAN",
        "dragonName=Zed&family=Gr%C3%BCn",
        "namePrefix=E&limit=1",
        "namePrefix=e&family=red",
    ):
        found.append(shown(service.get(f"/dragons?{query}")))
    families = service.get("/families?limit=1")
    found += [shown(families), shown(service.get("/families"))]
    found.append(shown(service.get("/families?limit=1", headers={"If-None-Match": families.headers["ETag"]})))
    every = service.get("/dragons")
    found.append(shown(service.get("/dragons", headers={"If-None-Match": every.headers["ETag"]})))
    found += [shown(service.get(f"/dragons/{name}")) for name in ("Ember", "Cinder", "%E9%BE%8D")]

    json_body = {"Content-Type": "application/json"}
    tag = service.get("/dragons/Ember").headers["ETag"]
    for if_match in (tag, tag, "*"):
        body = dragon_body("EMBER", family_str="black")
        found.append(
            shown(service.request("PUT", "/dragons/ember", headers={**json_body, "If-Match": if_match}, body=body))
        )
    for name in ("Zed", "Zed", "Cinder"):
        found.append(shown(service.request("DELETE", f"/dragons/{name}")))
    return [
        *found,
        shown(service.get("/dragons")),
        shown(service.get("/dragons?family=black")),
        shown(service.get("/families")),
    ]


def test_both_homes_give_the_same_answers(
    stage: Stage, step_functions: FakeStepFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {}
    for home in ("s3", "dynamodb"):
        move(stage, home)
        answers[home] = told(app_anew(step_functions, monkeypatch))

    assert answers["dynamodb"] == answers["s3"]


@pytest.mark.parametrize(("left", "new"), [("s3", "dynamodb"), ("dynamodb", "s3")])
def test_a_warm_function_sees_at_once_that_the_registry_was_moved(
    stage: Stage, step_functions: FakeStepFunctions, monkeypatch: pytest.MonkeyPatch, left: str, new: str
) -> None:
    move(stage, left)
    app = app_anew(step_functions, monkeypatch)
    service = Service(app)
    assert report(app, "Ember", "s1")["outcome"] == "added"
    assert service.get("/dragons/Ember").status == 200

    move(stage, new)
    assert service.get("/dragons/Ember").status == 404
    assert report(app, "Ember", "s2")["outcome"] == "added"
    assert service.get("/dragons/Ember").status == 200


@pytest.mark.parametrize("left", ["s3", "dynamodb"])
def test_while_nobody_says_where_it_is_the_answer_is_that_it_comes_back(
    stage: Stage, step_functions: FakeStepFunctions, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    move(stage, left)
    app = app_anew(step_functions, monkeypatch)
    service = Service(app)
    move(stage, "dynamodb" if left == "s3" else "s3")
    stage.put_parameters(dragon_store=left)

    for answer in (service.get("/dragons"), service.request("DELETE", "/dragons/Ember")):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    with pytest.raises(Exception, match="it is being moved") as failed:
        report(app, "Ember", "s1")
    assert type(failed.value).__name__ == "BeingMoved", "the workflow waits for this one"


@pytest.mark.parametrize("home", ["s3", "dynamodb"])
def test_the_function_that_adds_makes_no_client_while_a_report_waits(
    stage: Stage, step_functions: FakeStepFunctions, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """It makes them while it starts, and has a whole processor."""
    move(stage, home)
    monkeypatch.setenv("_HANDLER", "app.add_dragon")
    aws.forget_clients()
    app = app_anew(step_functions, monkeypatch)
    made = set(aws._clients)

    assert report(app, "Ember", "s1")["outcome"] == "added"

    assert set(aws._clients) == made


def test_a_setting_alone_moves_nothing(
    stage: Stage, step_functions: FakeStepFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table was never opened: it is no empty registry."""
    stage.put_parameters(dragon_store="dynamodb")
    app = app_anew(step_functions, monkeypatch)

    assert Service(app).get("/dragons").status == 500
