"""What `make smoke` takes for broken, and what it says then."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest

from operations import api, smoke, visitors
from operations.api import Answer
from operations.smoke import Broken, Smoke
from operations.stores import Standing
from operations.visitors import Visitor

OPERATOR = Visitor("operator", "operator@visitors.example", "", "1")
CLERK = Visitor("amber", "amber@visitors.example", "", "2", "e0721e56-fb09-4273-ae74-7bcbc92d43eb")
DRAGON = {"dragon_name_str": "Ember"}


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    message = Message()
    for name, value in {"X-Request-Id": "request-1", **headers}.items():
        message[name.replace("_", "-")] = value
    return Answer(status, message, json.dumps(body).encode())


class Stage:
    """A stage's API that works. `changed` are the answers that are others, by method and the path's beginning."""

    url = "https://abc.execute-api.eu-central-1.amazonaws.com/prod"

    has_gateway_responses = True

    def __init__(self) -> None:
        self.changed: dict[str, Answer] = {}
        self.posted: dict[str, Any] = {}
        self.times: dict[str, int] = {}

    def send(self, method: str, path: str, token: str | None = None, body: Any = None, *_: Any, **__: Any) -> Answer:
        asked = f"{method} {path}"
        who = f"{asked} as {token}" if token else asked
        self.times[who] = self.times.get(who, 0) + 1
        for begins, other in self.changed.items():
            if who.startswith(begins):
                return other
        refused = answer(401, Access_Control_Allow_Origin="https://dragonpost.example")
        if path.startswith("/message/"):
            return answer(200, self.posted) if self.times[who] > 2 else answer(404)
        if asked == "POST /post-message":
            known, self.posted = self.posted, body
            return answer(200 if known else 202)
        return {
            "GET /health": answer(200),
            "GET /": answer(200),
            "GET /openapi.json": answer(200, {"info": {"version": "0.2.0"}}),
            "GET /dragons": refused,
            "GET /dragons?limit=1": answer(200, [DRAGON]),
            "POST /dragons": answer(409),
        }[asked]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def look(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Look at the stage; return what worked."""
    monkeypatch.setattr(visitors, "id_token", lambda _, visitor: visitor.name)
    monkeypatch.setattr(smoke, "LOOKS_EVERY_S", 0)
    monkeypatch.setattr(smoke, "STORED_WITHIN_S", 0.05)
    monkeypatch.setattr(smoke, "SERVED_WITHIN_S", 0.05)
    standing = Standing("prod", lambda _: None, {})
    return lambda: list(Smoke(standing, stage, OPERATOR, CLERK).everything())  # type: ignore[arg-type]


def test_a_stage_that_works_passes(look: Callable[[], list[str]]) -> None:
    assert len(look()) == 6


def test_a_report_that_takes_longer_is_waited_for(stage: Stage, look: Callable[[], list[str]]) -> None:
    stage.changed["POST /dragons"] = answer(202, {"submission_id": "s-1"})
    stage.changed["GET /submissions/s-1"] = answer(200, {"status": "rejected"})

    assert "the workflow refuses a dragon that is in the registry" in look()


def test_an_empty_registry_is_said(stage: Stage, look: Callable[[], list[str]]) -> None:
    stage.changed["GET /dragons?limit=1"] = answer(200, [])

    assert "the registry is empty, so no report was made that the workflow would refuse" in look()
    assert not [asked for asked in stage.times if asked.startswith("POST /dragons")]


@pytest.mark.parametrize(
    ("asked", "changed", "said"),
    [
        ("GET /health", answer(503, "no"), "GET /health: 503 instead of 200"),
        ("GET /openapi.json", answer(500), "GET /openapi.json: 500 instead of 200"),
        ("GET /dragons", answer(200, []), "GET /dragons without a token: 200 instead of 401"),
        ("GET /dragons", answer(401, Access_Control_Allow_Origin="*"), "the origin \\* instead of https://dragonpost"),
        ("GET /dragons", answer(401), "the origin None instead of"),
        ("GET /dragons?limit=1 as operator", answer(401), r"GET /dragons: 401 instead of 200"),
        ("POST /dragons as operator", answer(500), "POST /dragons, of a dragon that is in the registry: 500"),
        ("POST /dragons as operator", answer(201), "POST /dragons, of a dragon that is in the registry: 201"),
        ("POST /post-message as amber", answer(503), "POST /post-message: 503 instead of 202"),
        ("GET /message/", answer(404), "waited 0.05 s in vain for a message that was accepted to be stored"),
        ("GET /openapi.json", answer(200), "GET /openapi.json: 200 without JSON"),
        ("GET /dragons?limit=1 as operator", answer(200), "GET /dragons: 200 without JSON"),
        ("GET /message/", answer(200), "GET /message/.*: 200 without JSON"),
        ("GET /message/", answer(500), "GET /message/.*: 500 instead of 200"),
        ("GET /message/", answer(200, {"data": {}}), "a message was posted with .*, and is stored with {}"),
    ],
)
def test_what_does_not_work_is_named(
    stage: Stage, look: Callable[[], list[str]], asked: str, changed: Answer, said: str
) -> None:
    stage.changed[asked] = changed

    with pytest.raises(Broken, match=said):
        look()


def test_a_stage_of_chalice_deploy_passes_although_its_gateway_names_no_origin(
    stage: Stage, look: Callable[[], list[str]]
) -> None:
    stage.has_gateway_responses = False
    stage.changed["GET /dragons"] = answer(401)
    stage.changed = {"GET /dragons?": answer(200, [DRAGON]), **stage.changed}

    assert len(look()) == 6


@pytest.mark.parametrize("status", ["added", "failed"])
def test_a_report_with_another_outcome_is_named(stage: Stage, look: Callable[[], list[str]], status: str) -> None:
    stage.changed["POST /dragons"] = answer(202, {"submission_id": "s-1"})
    stage.changed["GET /submissions/s-1"] = answer(200, {"status": status})

    with pytest.raises(Broken, match=f"the report of a dragon that is in the registry became .*{status}"):
        look()


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_stage_that_was_just_deployed_may_need_a_moment(
    stage: Stage, look: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    stage.changed["GET /health"] = answer(status)
    monkeypatch.setattr(smoke.time, "sleep", lambda _: stage.changed.pop("GET /health", None))

    assert len(look()) == 6


def test_a_refusal_has_the_id_that_finds_its_log_lines(stage: Stage, look: Callable[[], list[str]]) -> None:
    stage.changed["GET /health"] = answer(503, "no")

    with pytest.raises(Broken, match="its X-Request-Id is request-1"):
        look()


class Stacks:
    """CloudFormation with one stack, or none."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803 - boto3's name
        outputs = [{"OutputKey": "EndpointURL", "OutputValue": self._url}] if self._url else []
        return {"Stacks": [{"StackName": StackName, "Outputs": outputs}]}


@pytest.mark.parametrize(
    ("endpoint", "served"),
    [
        ("", "https://abc.execute-api.eu-central-1.amazonaws.com/prod"),
        (
            "https://cloudformation.eu-central-1.amazonaws.com",
            "https://abc.execute-api.eu-central-1.amazonaws.com/prod",
        ),
        ("https://127.0.0.1:4566/", "https://127.0.0.1:4566/_aws/execute-api/abc/prod"),
    ],
    ids=["AWS", "an endpoint of AWS", "an emulator"],
)
def test_an_api_is_looked_for_where_it_is_served(monkeypatch: pytest.MonkeyPatch, endpoint: str, served: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    assert api.api_of("prod", lambda _: Stacks(f"{Stage.url}/")).url == served


def test_a_stage_without_an_api_is_named_with_what_deploys_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(api, "PROJECT", tmp_path)

    with pytest.raises(api.ApiNotFound, match="make deploy STAGE=prod"):
        api.api_of("prod", lambda _: Stacks(None))


def test_an_api_of_chalice_deploy_is_found_in_its_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(api, "PROJECT", tmp_path)
    record = tmp_path / ".chalice" / "deployed" / "dev.json"
    record.parent.mkdir(parents=True)
    resources = [{"name": "api_handler"}, {"name": "rest_api", "rest_api_url": f"{Stage.url}/"}]
    record.write_text(json.dumps({"resources": resources}), encoding="utf-8")

    found = api.api_of("dev", lambda _: Stacks(None))

    assert (found.url, found.has_gateway_responses) == (Stage.url, False)
    assert api.api_of("dev", lambda _: Stacks(f"{Stage.url}/")).has_gateway_responses


def test_an_answer_that_is_cut_short_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the commands take for "cannot be reached" is an OSError, which HTTPException is not."""
    reached = api.Api("http://127.0.0.1:9")

    def cut(*_: Any, **__: Any) -> Any:
        raise http.client.IncompleteRead(b"")

    monkeypatch.setattr(reached, "_opener", SimpleNamespace(open=cut))

    with pytest.raises(OSError, match="IncompleteRead"):
        reached.send("GET", "/health")
