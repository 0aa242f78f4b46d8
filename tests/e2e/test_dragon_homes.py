"""The registry in its other home: what clients see is the same there, and while it is moved."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests

from tests.e2e.dragons import a_dragon, settled
from tests.e2e.homes import move, registry_in_dynamodb
from tests.e2e.running import Api, Devstack
from tests.e2e.test_corrections import TestCorrections, reported
from tests.e2e.test_dragons import Clan, TestReading, TestReporting, clan, news
from tests.e2e.waiting import until

__all__ = ["TestCorrections", "TestReading", "TestReporting", "clan", "news", "reported"]  # they run here once more

AGAIN_AFTER_S = 0.1
COMPARED = ("Cache-Control", "Content-Encoding", "Content-Type", "ETag", "Link", "Vary")


@pytest.fixture(scope="module", autouse=True)
def _in_dynamodb(devstack: Devstack) -> Iterator[None]:
    """Move the registry that all e2e tests share, which run one after the other, and move it back at the end."""
    with registry_in_dynamodb(devstack):
        yield


def answers(api: Api, clan: Clan) -> dict[str, Any]:
    """Return what readers are told of a clan, to the byte: pages, filters, single dragons, and that nothing changed."""
    family = urlencode({"family": clan.family})
    pages = [f"/dragons?{family}&limit=3"]
    found = {}
    for reference in pages:
        found[reference] = api.get(reference)
        if link := found[reference].links.get("next"):
            pages.append(link["url"])
    some = f"/dragons?{family}"
    upper = f"/dragons?{urlencode({'family': clan.family.upper(), 'dragonName': clan.accented.upper()})}"
    filters = (some, upper, f"{some}&dragonName=Nobody")
    single = [f"/dragons/{quote(name)}" for name in sorted(clan.names)]
    found |= {reference: api.get(reference) for reference in (*filters, *single)}
    found["compressed"] = api.get(some, headers={"Accept-Encoding": "gzip"})
    found["unchanged"] = api.get(some, headers={"If-None-Match": found[some].headers["ETag"]})
    found["head"] = api.request("HEAD", single[0])
    return {asked: shown(answer) for asked, answer in found.items()}


def shown(answer: requests.Response) -> tuple[int, bytes, Mapping[str, str | None]]:
    return answer.status_code, answer.content, {name: answer.headers.get(name) for name in COMPARED}


@dataclass
class Traffic:
    """Clients that go on while the registry is moved: they report and correct dragons, remove some, and read a clan."""

    clan: Clan
    over: threading.Event = field(default_factory=threading.Event)
    kept: list[dict[str, Any]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: int = 0  # how often they were told to come back

    def write(self, api: Api) -> None:
        """Report a dragon, correct it, and remove every other one, again and again."""
        while not self.over.wait(AGAIN_AFTER_S):
            dragon = a_dragon(family_str="Travellers")
            place = f"/dragons/{quote(dragon['dragon_name_str'])}"
            location = self._answered(api, "POST", "/dragons", json=dragon).headers["Location"]
            assert settled(api, location)["status"] == "added"
            corrected = {**dragon, "description_str": "Seen again."}
            seen = {"If-Match": self._answered(api, "GET", place).headers["ETag"]}
            assert self._answered(api, "PUT", place, json=corrected, headers=seen).json() == corrected
            if len(self.kept) > len(self.removed):
                assert self._answered(api, "DELETE", place).status_code == 204
                self.removed.append(place)
            else:
                self.kept.append(corrected)

    def read(self, api: Api) -> None:
        """Read the clan, which nobody changes."""
        while not self.over.wait(AGAIN_AFTER_S):
            listed = self._answered(api, "GET", f"/dragons?{urlencode({'family': self.clan.family})}").json()
            assert {dragon["dragon_name_str"] for dragon in listed} == self.clan.names

    def _answered(self, api: Api, method: str, reference: str, **options: Any) -> requests.Response:
        """Send a request until the answer does not ask the client to come back."""

        def answered() -> requests.Response | None:
            answer = api.request(method, reference, **options)
            if answer.status_code == 503 and answer.headers["Retry-After"]:
                self.refused += 1
                return None
            assert answer.status_code < 400, f"{method} {reference}: {answer.status_code} {answer.text}"
            return answer

        return until(answered)


def moved(devstack: Devstack, apis: Mapping[str, Api], clan: Clan, to: str) -> Traffic:
    """Move the registry while clients of both targets go on; return what they did."""
    traffic = Traffic(clan)
    with ThreadPoolExecutor(2 * len(apis)) as pool:
        going_on = [
            pool.submit(work, Api(devstack, target, _tokens=api._tokens))
            for target, api in apis.items()
            for work in (traffic.read, traffic.write)
        ]
        try:
            move(devstack, to)
        finally:
            traffic.over.set()
        for each in going_on:
            each.result()
    return traffic


def test_moving_it_back_and_there_loses_nothing_and_shows_nobody_anything_else(
    devstack: Devstack, apis: dict[str, Api], clan: Clan
) -> None:
    """This begins in DynamoDB, where the module has it."""
    before = {target: answers(api, clan) for target, api in apis.items()}
    back = moved(devstack, apis, clan, "s3")
    in_s3 = {target: answers(api, clan) for target, api in apis.items()}
    there = moved(devstack, apis, clan, "dynamodb")
    after = {target: answers(api, clan) for target, api in apis.items()}

    assert before == in_s3 == after
    for traffic in (back, there):
        assert traffic.kept
        assert traffic.removed
    for api in apis.values():
        listed = api.get("/dragons?family=Travellers&limit=1000").json()
        names = [dragon["dragon_name_str"] for dragon in listed]
        assert sorted(names) == sorted(dragon["dragon_name_str"] for dragon in (*back.kept, *there.kept))
        assert all(dragon in listed for dragon in (*back.kept, *there.kept))
