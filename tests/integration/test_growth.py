"""What a request for dragons costs in DynamoDB depends on what it shows, and not on how many dragons there are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks.aws import dragon
from benchmarks.calls import CALLS
from benchmarks.grown_aws import GrownAws, key_of
from benchmarks.quotas import USES
from chalicelib import aws
from chalicelib.dragons.dynamodb import DynamoDBDragonRepository
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.registry import DragonRegistry
from chalicelib.dragons.repository import DragonQuery
from chalicelib.web.paging import cursor_after
from tests.integration.service import OPERATOR, Service
from tests.integration.stage import DRAGONS, Stage
from tests.samples import dragon_body, dragon_members

SIZES = (10, 1_000, 100_000, 1_000_000)
JSON = {"Content-Type": "application/json", "If-Match": "*"}
TABLE: Any = SimpleNamespace(dragon_table_name=DRAGONS)


class Client:
    """A DynamoDB client that a stand-in answers."""

    def __init__(self, stand_in: GrownAws) -> None:
        self._stand_in = stand_in

    def get_item(self, **parameters: Any) -> Any:
        return self._stand_in.answer("GetItem", parameters)

    def query(self, **parameters: Any) -> Any:
        return self._stand_in.answer("Query", parameters)

    def transact_write_items(self, **parameters: Any) -> Any:
        return self._stand_in.answer("TransactWriteItems", parameters)


def repository(stand_in: GrownAws) -> DynamoDBDragonRepository:
    client: Any = Client(stand_in)
    return DynamoDBDragonRepository(TABLE, lambda: client)


@pytest.fixture
def service_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that returns the service with a registry of so many dragons."""
    choice: Any = SimpleNamespace(dragon_store="dynamodb")

    def grown(stand_in: GrownAws) -> Service:
        monkeypatch.setattr(service.app, "dragons", DragonRegistry(choice, {"dynamodb": repository(stand_in)}))
        return service

    return grown


def name_of(place: int) -> str:
    return dragon(place)["dragon_name_str"]


def requests_to(dragons: int) -> dict[str, tuple[str, str, bytes | None]]:
    """Return what is asked of a registry with so many dragons: a method, a path and a body."""
    cursor = cursor_after(key_of(dragons // 2), DragonQuery(limit=3))
    return {
        "the first page": ("GET", "/dragons?limit=5", None),
        "a page in the middle": ("GET", f"/dragons?limit=3&cursor={cursor}", None),
        "a family": ("GET", "/dragons?family=Gold&limit=1", None),
        "a name": ("GET", f"/dragons?dragonName={quote(name_of(dragons - 1))}", None),
        "one dragon": ("GET", f"/dragons/{quote(name_of(dragons // 2))}", None),
        "a correction": ("PUT", f"/dragons/{quote(name_of(3))}", dragon_body(name_of(3))),
        "a removal": ("DELETE", f"/dragons/{quote(name_of(dragons - 1))}", None),
    }


@pytest.mark.parametrize("asked", requests_to(10))
def test_a_request_makes_the_same_calls_and_reads_as_many_items_however_many_dragons_there_are(
    service_of: Any, asked: str
) -> None:
    costs = {}
    for dragons in SIZES:
        stand_in = GrownAws(entries=dragons)
        method, reference, body = requests_to(dragons)[asked]
        answer = service_of(stand_in).request(method, reference, OPERATOR, headers=JSON, body=body)
        costs[dragons] = (answer.status, stand_in.calls, stand_in.items, stand_in.read_units)

    first = costs[SIZES[0]]
    assert first[0] in (200, 204)
    assert first[2] > 0
    assert costs == dict.fromkeys(SIZES, first)


def test_adding_a_dragon_is_one_call_of_four_items_however_many_dragons_there_are(service_of: Any) -> None:
    given = {"dragon": dragon_members("Ash"), "submission_id": "s", "correlation_id": "c"}
    for dragons in SIZES:
        stand_in = GrownAws(entries=dragons)

        outcome = service_of(stand_in).app.add_dragon(given, None)["outcome"]

        assert (outcome, stand_in.calls, stand_in.items) == ("added", ["TransactWriteItems"], 4)


def test_a_page_reads_the_units_that_the_simulation_reckons_with(service_of: Any) -> None:
    stand_in = GrownAws(entries=1_000)
    fence, page = CALLS["GET /dragons, in DynamoDB"]

    service_of(stand_in).get("/dragons")

    of_the_page = USES["GET /dragons, in DynamoDB"][page][1]
    assert fence == "dynamodb GetItem"
    assert stand_in.read_units == 1 + of_the_page


def test_the_stand_in_shows_the_pages_that_dynamodb_shows(stage: Stage) -> None:
    stage.open_table()
    real, stand_in = DynamoDBDragonRepository(TABLE, aws.dynamodb), repository(GrownAws(entries=23))
    for place in (*range(0, 23, 2), *range(1, 23, 2)):
        members = dragon(place)
        real.add(Dragon(**{name: value for name, value in members.items() if name != "submission_id"}), "s")

    for family in (None, "gold", "black"):
        query = DragonQuery(family=family, limit=4)
        while True:
            page = stand_in.page(query)
            assert page == real.page(query)
            if page.next_after is None:
                break
            query = DragonQuery(family=family, limit=4, after=page.next_after)
    for name in (name_of(0), name_of(22), name_of(23)):
        assert stand_in.get(name) == real.get(name)
