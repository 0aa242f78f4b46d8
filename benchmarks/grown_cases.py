"""What is asked of a registry of any size, and how it has to be answered. Standard library alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.aws import FAMILIES, dragon
from benchmarks.calls import CALLS
from benchmarks.cases import ADDER, Case, Event, Fault, fresh_id, request
from benchmarks.grown_aws import DYNAMODB, key_of

PAGE = 100
LAST_PAGE = 1_000
_FAMILY = FAMILIES[0]


def cases(home: str, dragons: int) -> Mapping[str, Case]:
    """Return the cases of a registry with so many dragons in this home: adding is a step's, the others are requests.

    `page 1,000` is the last page that another one follows if there are fewer, because it costs the same.
    """
    before = max(0, min(PAGE * (LAST_PAGE - 1), ((dragons - 1) // PAGE - 1) * PAGE))
    page = range(before, min(before + PAGE, dragons))
    after = {} if not before else {"cursor": _cursor(key_of(before - 1))}
    of_family = [place for place in range(min(dragons, PAGE * len(FAMILIES))) if dragon(place)["family_str"] == _FAMILY]
    asked = {
        "get": ("/{dragon_name}", f"/{_quoted(dragons // 2)}", _is_dragon(dragons // 2), "GET /dragons/{dragon_name}"),
        "first page": ("", f"?limit={PAGE}", _are(range(min(PAGE, dragons))), "GET /dragons"),
        "page 1,000": ("", _query(limit=PAGE, **after), _are(page), "GET /dragons"),
        "family": ("", _query(limit=PAGE, family=_FAMILY), _are(of_family[:PAGE]), "GET /dragons"),
    }  # fmt: skip
    suffix = ", in DynamoDB" if home == DYNAMODB else ""
    requests = {
        name: Case(_get(route, reference), fault, _operations(cost + suffix), entries=dragons)
        for name, (route, reference, fault, cost) in asked.items()
    }
    adding = Case(_adding(dragons), _is_added, _operations("add_dragon" + suffix), ADDER, entries=dragons)
    return {"add": adding, **requests}


def _operations(asked: str) -> list[str]:
    return [call.partition(" ")[2] for call in CALLS[asked]]


def _get(route: str, reference: str) -> Callable[[], Event]:
    return lambda: request("GET", f"/dragons{reference}", f"/dragons{route}")


def _adding(dragons: int) -> Callable[[], Event]:
    def make() -> Event:
        number = fresh_id()
        members = dragon(dragons + number)
        submission_id = members.pop("submission_id")
        return {"dragon": members, "submission_id": submission_id, "correlation_id": f"c{number}"}

    return make


def _quoted(place: int) -> str:
    return dragon(place)["dragon_name_str"].replace(" ", "%20")


def _query(**parameters: object) -> str:
    return "?" + "&".join(f"{name}={value}" for name, value in parameters.items())


def _cursor(key: str) -> str:
    """Return the cursor of a page without filters after this key, as chalicelib/web/paging.py makes it."""
    filters = hashlib.sha256(b"[null,null]").hexdigest()[:16]
    text = json.dumps([2, filters, key], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _is_dragon(place: int) -> Callable[[Any], Fault]:
    return lambda answer: _differs(answer, dragon(place)["dragon_name_str"], lambda body: body["dragon_name_str"])


def _are(places: range | list[int]) -> Callable[[Any], Fault]:
    names = [dragon(place)["dragon_name_str"] for place in places]
    return lambda answer: _differs(answer, names, lambda body: [found["dragon_name_str"] for found in body])


def _differs(answer: Any, wanted: object, found: Callable[[Any], object]) -> Fault:
    if answer["statusCode"] != 200:
        return f"the status is {answer['statusCode']}, not 200: {answer['body'][:300]}"
    shown = found(json.loads(answer["body"]))
    return None if shown == wanted else f"it shows {str(shown)[:300]}, not {str(wanted)[:300]}"


def _is_added(answer: Any) -> Fault:
    return None if answer == {"outcome": "added", "reason": None} else f"the outcome is {answer}"
