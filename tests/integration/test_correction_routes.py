"""Correcting and removing dragons."""

import json
from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 428), ({"If-Match": '"other"'}, 412), ({"If-Match": "nonsense"}, 412)]
)
def test_a_version_that_was_not_seen_is_not_corrected(
    service: Service, stage: Stage, headers: dict[str, str], status: int
) -> None:
    assert change(service, "PUT", dragon_body("Ember", family_str="black"), **headers).status == status
    assert stage.dragons() == [dragon_members("Ember")]


def test_a_weak_tag_does_not_match(service: Service) -> None:
    weak = {"If-Match": f"W/{seen(service)['If-Match']}"}

    assert change(service, "PUT", dragon_body("Ember"), **weak).status == 412


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
