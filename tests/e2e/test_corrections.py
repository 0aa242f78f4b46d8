"""Operators correct and remove dragons, and nobody overwrites a version that they have not seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.dragons import a_dragon
from tests.e2e.running import Api


@pytest.fixture
def reported(api: Api) -> dict[str, Any]:
    """A dragon that was just reported."""
    dragon = a_dragon()
    assert api.post("/dragons", json=dragon, headers={"Prefer": "wait=10"}).status_code == 201
    return dragon


def place(dragon: dict[str, Any]) -> str:
    return "/dragons/" + quote(dragon["dragon_name_str"])


class TestCorrections:
    def test_a_correction_needs_the_version_that_was_seen(self, api: Api, reported: dict[str, Any]) -> None:
        seen = api.get(place(reported)).headers["ETag"]
        corrected = {**reported, "family_str": "black", "dragon_name_str": reported["dragon_name_str"].upper()}

        without = api.request("PUT", place(reported), json=corrected)
        done = api.request("PUT", place(reported), json=corrected, headers={"If-Match": seen})
        again = api.request("PUT", place(reported), json=reported, headers={"If-Match": seen})

        assert without.status_code == 428
        assert (done.status_code, done.json()) == (200, corrected)
        assert done.headers["ETag"] != seen
        assert again.status_code == 412
        assert api.get(place(reported)).json() == corrected
        assert api.get(place(reported)).headers["ETag"] == done.headers["ETag"]

    def test_a_removed_dragon_is_gone_and_its_name_free(self, api: Api, reported: dict[str, Any]) -> None:
        stale = api.request("DELETE", place(reported), headers={"If-Match": '"stale"'})
        gone = api.request("DELETE", place(reported), headers={"If-Match": api.get(place(reported)).headers["ETag"]})

        assert stale.status_code == 412
        assert (gone.status_code, gone.content) == (204, b"")
        assert api.get(place(reported)).status_code == 404
        assert api.request("DELETE", place(reported)).status_code == 404
        assert api.post("/dragons", json=reported, headers={"Prefer": "wait=10"}).status_code == 201

    @pytest.mark.parametrize("user", ["amber", "cobalt"])
    def test_only_operators_may(self, api: Api, reported: dict[str, Any], user: str) -> None:
        for method in ("PUT", "DELETE"):
            answer = api.request(method, place(reported), user, json=reported, headers={"If-Match": "*"})
            assert answer.status_code == 403
            assert answer.json()["type"] == "urn:dragonpost:problem:operators-only"
        assert api.get(place(reported)).json() == reported

    def test_a_correction_is_checked_as_a_report_is(self, api: Api, reported: dict[str, Any]) -> None:
        wrong = {**reported, "dragon_name_str": "Another", "family_str": "", "reportingPhoneNumber": "+15555550100"}

        answer = api.request("PUT", place(reported), json=wrong, headers={"If-Match": "*"})

        assert answer.status_code == 400
        pointers = {fault["pointer"] for fault in answer.json()["errors"]}
        assert pointers == {"#/dragon_name_str", "#/family_str", "#/reportingPhoneNumber"}

    def test_of_two_corrections_of_the_same_version_exactly_one_wins(self, api: Api, reported: dict[str, Any]) -> None:
        seen = {"If-Match": api.get(place(reported)).headers["ETag"]}

        def correct(family: str) -> int:
            body = {**reported, "family_str": family}
            return api.request("PUT", place(reported), json=body, headers=seen).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(correct, [f"family {number}" for number in range(8)]))

        assert sorted(statuses) == [200] + [412] * 7

    def test_a_large_answer_is_compressed_and_its_tag_stays_right(self, api: Api) -> None:
        plain = api.get("/dragons?limit=50", headers={"Accept-Encoding": "identity"})
        packed = api.get("/dragons?limit=50", headers={"Accept-Encoding": "gzip"})
        unchanged = api.get(
            "/dragons?limit=50", headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}
        )

        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.content == plain.content
        assert packed.headers["ETag"] != plain.headers["ETag"]
        assert (unchanged.status_code, unchanged.headers["ETag"]) == (304, packed.headers["ETag"])
