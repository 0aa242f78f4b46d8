"""Correcting and removing dragons."""

import json
from typing import Any

import pytest

from chalicelib.web import problems
from chalicelib.web.problems import OPERATORS_ONLY
from tests.bad_input import Case
from tests.integration.service import CLERK, OPERATOR, Answer, Service
from tests.integration.stage import Stage
from tests.samples import dragon_body, dragon_members


@pytest.fixture(autouse=True)
def _registry(stage: Stage) -> None:
    stage.put_document(json.dumps([dragon_members("Ember")]).encode())


def change(service: Service, method: str, body: bytes | None = None, **headers: str) -> Answer:
    return service.request(
        method, "/dragons/ember", OPERATOR, headers={"Content-Type": "application/json", **headers}, body=body
    )


def seen(service: Service) -> dict[str, Any]:
    return {"If-Match": service.get("/dragons/Ember").headers["ETag"]}


def test_a_correction_of_the_version_that_was_seen_is_made_and_answered_with_its_new_tag(
    service: Service, stage: Stage
) -> None:
    answer = change(service, "PUT", dragon_body("EMBER", family_str="black"), **seen(service))

    assert (answer.status, answer.json()) == (200, dragon_members("EMBER", family_str="black"))
    assert answer.headers["ETag"] == service.get("/dragons/Ember").headers["ETag"]
    assert stage.dragons() == [dragon_members("EMBER", family_str="black")]


def test_the_names_of_the_courses_web_client_are_understood(service: Service) -> None:
    members = dragon_members("Ember", family_str=None) | {"family": "black"}

    assert change(service, "PUT", json.dumps(members).encode(), **{"If-Match": "*"}).json()["family_str"] == "black"


@pytest.mark.parametrize(("headers", "status"), [({}, 428), ({"If-Match": '"other"'}, 412)])
def test_a_version_that_was_not_seen_is_not_corrected(
    service: Service, stage: Stage, headers: dict[str, str], status: int
) -> None:
    assert change(service, "PUT", dragon_body("Ember", family_str="black"), **headers).status == status
    assert stage.dragons() == [dragon_members("Ember")]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("form", ["", "{}", "'{}'", '"{}', '*, "{}"'])
def test_a_malformed_if_match_is_not_told_as_a_change_of_the_dragon(
    service: Service, stage: Stage, method: str, form: str
) -> None:
    malformed = form.format(seen(service)["If-Match"].strip('"'))

    answer = change(service, method, dragon_body("Ember", family_str="black"), **{"If-Match": malformed})

    assert (answer.status, Case.places_in(answer.json())) == (400, ("header If-Match",))
    assert stage.dragons() == [dragon_members("Ember")]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_weak_tags_match_nothing_and_the_client_learns_why(service: Service, stage: Stage, method: str) -> None:
    weak = {"If-Match": f"W/{seen(service)['If-Match']}"}

    answer = change(service, method, dragon_body("Ember"), **weak)

    assert (answer.status, answer.json()["detail"]) == (412, problems.ONLY_WEAK_TAGS.detail)
    assert stage.dragons() == [dragon_members("Ember")]


@pytest.mark.parametrize("precondition", [True, False])
def test_a_dragon_is_removed(service: Service, stage: Stage, precondition: bool) -> None:
    answer = change(service, "DELETE", **(seen(service) if precondition else {}))

    assert (answer.status, answer.body) == (204, b"")
    assert stage.dragons() == []


def test_a_dragon_that_has_changed_is_not_removed(service: Service, stage: Stage) -> None:
    assert change(service, "DELETE", **{"If-Match": '"other"'}).status == 412
    assert stage.dragons() == [dragon_members("Ember")]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_dragon_that_does_not_exist_is_a_404(service: Service, method: str) -> None:
    answer = service.request(
        method,
        "/dragons/Nobody",
        OPERATOR,
        headers={"Content-Type": "application/json", "If-Match": "*"},
        body=dragon_body("Nobody"),
    )

    assert answer.status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_only_operators_may(service: Service, stage: Stage, method: str) -> None:
    answer = service.request(method, "/dragons/Ember", CLERK, headers={"If-Match": "*"}, body=dragon_body("Ember"))

    assert (answer.status, answer.json()["type"]) == (403, OPERATORS_ONLY)
    assert stage.dragons() == [dragon_members("Ember")]


@pytest.mark.parametrize(
    ("members", "places"),
    [
        (dragon_members("Ash"), ("pointer #/dragon_name_str",)),
        (dragon_members("Ember") | {"dragonName": "Ember"}, ("pointer #/dragonName",)),
        (dragon_members("Ash", dragon_name_str=None) | {"dragonName": "Ash"}, ("pointer #/dragonName",)),
        (
            dragon_members("Ash", family_str="") | {"reportingPhoneNumber": "+15555550100"},
            ("pointer #/dragon_name_str", "pointer #/family_str", "pointer #/reportingPhoneNumber"),
        ),
    ],
)
def test_a_correction_is_refused_with_every_fault_in_its_place(
    service: Service, members: dict[str, Any], places: tuple[str, ...]
) -> None:
    answer = change(service, "PUT", json.dumps(members).encode(), **{"If-Match": "*"})

    assert answer.status == 400
    assert Case.places_in(answer.json()) == places
