"""A field that is declared in one place works everywhere. test_tutorial.py runs this in a copy that has one."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from chalicelib.dragons import steps
from chalicelib.dragons.model import ALIASES, Dragon
from operations.generate import openapi
from operations.generate.contract import examples
from tests.bad_input import REFUSED
from tests.fakes.step_functions import FakeStepFunctions
from tests.integration.service import Service
from tests.integration.stage import Stage
from tests.samples import dragon_body, dragon_members
from tests.tutorial import ALIAS, EXAMPLES, LABEL, NAME, STORED_DEFAULT


def without(members: dict[str, Any]) -> dict[str, Any]:
    """Return the members without the field, as from before it was added."""
    return {name: value for name, value in members.items() if name not in (NAME, ALIAS)}


def test_a_report_carries_it_into_the_document_and_back(
    service: Service, stage: Stage, step_functions: FakeStepFunctions
) -> None:
    answer = service.post("/dragons", dragon_body(**{NAME: " a lake "}), Prefer="wait=9")

    assert (answer.status, answer.json()[NAME]) == (201, "a lake")
    assert step_functions.only_input()["dragon"][NAME] == "a lake"
    assert stage.dragons()[0][NAME] == "a lake"
    assert service.get("/dragons").json() == [answer.json()]
    assert service.get("/dragons/Ember").json() == answer.json()


def test_a_report_under_the_web_clients_names_carries_it(service: Service, stage: Stage) -> None:
    members = dragon_members(**{NAME: "a lake"})

    answer = service.post(
        "/dragons", json.dumps({alias: members[name] for alias, name in ALIASES.items()}).encode(), Prefer="wait=9"
    )

    assert ALIASES[ALIAS] == NAME
    assert (answer.status, answer.json()[NAME]) == (201, "a lake")


@pytest.mark.parametrize("value", [None, "", "x" * 101, 7])
def test_its_rule_is_applied(service: Service, value: object) -> None:
    answer = service.post("/dragons", dragon_body(**{NAME: value}))

    assert answer.status == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"#/{NAME}"]


def test_a_correction_changes_it(service: Service, stage: Stage) -> None:
    stage.put_document(json.dumps([dragon_members()]).encode())

    answer = service.request(
        "PUT",
        "/dragons/Ember",
        headers={"Content-Type": "application/json", "If-Match": "*"},
        body=dragon_body(**{NAME: "a lake"}),
    )

    assert (answer.status, answer.json()[NAME]) == (200, "a lake")
    assert stage.dragons()[0][NAME] == "a lake"


def test_a_dragon_that_was_stored_before_it_has_its_default(service: Service, stage: Stage) -> None:
    stage.put_document(json.dumps([without(dragon_members())]).encode())

    assert service.get("/dragons/Ember").json() == dragon_members(**{NAME: STORED_DEFAULT})
    assert service.get("/dragons").json() == [dragon_members(**{NAME: STORED_DEFAULT})]


def test_a_dragon_that_was_reported_before_it_is_added(service: Service, stage: Stage) -> None:
    given = {"dragon": without(dragon_members()), "submission_id": "s1", "correlation_id": "c"}
    more = {"confirmation_required": False, "requested_by": "sub", "execution_name": "s1"}

    assert steps.validate(given | more) == {"outcome": "valid", "reason": None}
    assert service.app.add_dragon(given, None) == {"outcome": "added", "reason": None}
    assert stage.dragons()[0][NAME] == STORED_DEFAULT


@pytest.mark.parametrize(("changes", "status"), [({}, 202), ({"family_str": "green"}, 422)])
def test_an_idempotency_key_from_before_it_leads_to_the_first_report(
    service: Service, step_functions: FakeStepFunctions, changes: dict[str, str], status: int
) -> None:
    first = service.post("/dragons", dragon_body(), Idempotency_Key="key")
    (execution,) = step_functions.executions.values()
    given = json.loads(execution["input"])
    execution["input"] = json.dumps(given | {"dragon": without(given["dragon"])})

    again = service.post("/dragons", dragon_body(**{NAME: "a lake"} | changes), Idempotency_Key="key")

    assert again.status == status
    assert (again.json() == first.json()) is (status == 202)


@pytest.mark.parametrize(
    ("schema", "member"),
    [
        ("Dragon", NAME),
        ("DragonFields", NAME),
        ("DragonReport", NAME),
        ("WebClientDragonFields", ALIAS),
        ("WebClientDragonReport", ALIAS),
    ],
)
def test_the_document_describes_it(schema: str, member: str) -> None:
    described = openapi.schemas()[schema]

    assert member in described["properties"]
    assert member in described["required"]
    assert "default" not in described["properties"][member]


def test_the_documents_examples_have_it() -> None:
    assert [examples.DRAGON[NAME], examples.OTHER_DRAGON[NAME]] == list(EXAMPLES)
    assert examples.REPORT[NAME] == EXAMPLES[0]
    assert examples.WEB_CLIENT_REPORT[ALIAS] == examples.WEB_CLIENT_DRAGON[ALIAS] == EXAMPLES[0]


def test_the_samples_have_it_and_the_table_of_bad_input_tries_it() -> None:
    assert dragon_members()[NAME] in EXAMPLES
    assert list(dragon_members()) == list(Dragon.__struct_fields__)
    assert [case.places for case in REFUSED if NAME in case.name] == 4 * [(f"pointer #/{NAME}",)]


def test_the_console_knows_it(service: Service) -> None:
    page = service.get("/", None).body.decode()
    known = json.loads(html.unescape(re.findall('data-dragon-fields="(.*?)"', page)[0]))

    (told,) = (field for field in known if field["name"] == NAME)
    assert told == {"name": NAME, "label": LABEL, "lengthMax": 100, "ofAddress": False, "examples": list(EXAMPLES)}
