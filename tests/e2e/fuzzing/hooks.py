"""Teach schemathesis what JSON Schema cannot say about valid requests, so that it sends real ones.

Only requests that schemathesis considers valid are changed. Invalid ones go out as they were generated.
"""

from __future__ import annotations

import unicodedata
import uuid
from typing import Any

import requests
import schemathesis

from chalicelib.dragons.repository import DragonQuery
from chalicelib.web.conditional import is_list_of_tags
from chalicelib.web.paging import cursor, cursor_after
from tests.e2e.waiting import until
from tests.samples import COMPANY

NAMES = {"dragon_name_str", "dragonName"}
STORED_WITHIN_S = 90  # longer than the queue hides a message whose consumer was killed


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Leave the length of a dragon's name to its pattern.

    The coverage phase would search for twenty seconds for one that has both the pattern and the largest length.
    """
    for schema in raw_schema["components"]["schemas"].values():
        for member in NAMES & schema.get("properties", {}).keys():
            schema["properties"][member].pop("maxLength", None)


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Fix a request that is valid by its schema alone."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    operation = (case.operation.definition.raw or {}).get("operationId")
    if operation in _MENDED:
        _MENDED[operation](case)


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: schemathesis.Case, response: schemathesis.Response) -> None:
    """Wait until an accepted message is stored, so that reading it right afterwards finds it.

    The document says that this takes a moment; a link of OpenAPI cannot.
    """
    if response.status_code != 202 or "message_id" not in response.json():
        return
    sent = response.request
    service = sent.url.partition("/post-message")[0].partition("/operator/")[0]
    message = f"{service}/message/{response.json()['message_id']}"
    company = {"company_id": case.body["metadata"]["company_id"]}
    token = {"Authorization": sent.headers["Authorization"]}
    until(lambda: requests.get(message, params=company, headers=token, timeout=30).status_code == 200, STORED_WITHIN_S)


def _with_cursor_of_its_filters(case: schemathesis.Case) -> None:
    """Give a query a cursor of its own filters, because a cursor is opaque and belongs to them."""
    if "cursor" in case.query:
        filters = (case.query.get(name) for name in ("family", "dragonName"))
        query = DragonQuery.of(*filters, prefix=case.query.get("namePrefix"))
        case.query["cursor"] = cursor_after("ember", query)


def _with_cursor_of_the_families(case: schemathesis.Case) -> None:
    """Do the same for the families, which have no filters."""
    if "cursor" in case.query:
        case.query["cursor"] = cursor("red", "families")


def _without_cursor(case: schemathesis.Case) -> None:
    """Leave out the cursor of a list that is the caller's own: it is made of who that is."""
    case.query.pop("cursor", None)


def _of_a_company(case: schemathesis.Case) -> None:
    """Name a company, as operators have to, and leave out the cursor, which is made of it and of the times."""
    case.query.setdefault("company_id", COMPANY)
    _without_cursor(case)


def _with_assigned_characters(case: schemathesis.Case) -> None:
    r"""Remove unassigned characters. Schemathesis takes `\p{M}` for a range that has some."""
    for member in NAMES:
        if isinstance(case.body, dict) and isinstance(case.body.get(member), str):
            assigned = [c for c in case.body[member] if unicodedata.category(c) != "Cn"]
            case.body[member] = "".join(assigned)


def _with_a_key_of_its_own(case: schemathesis.Case) -> None:
    """Give a report a key of its own, because a key belongs to one dragon and generated keys repeat."""
    _with_assigned_characters(case)
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str):
        quote = '"' if key.startswith('"') else ""
        case.headers["Idempotency-Key"] = quote + (key.strip('"') + uuid.uuid4().hex)[-255:] + quote


def _with_the_name_of_its_path(case: schemathesis.Case) -> None:
    """Give a correction the name in its path, because a dragon is corrected, not renamed."""
    _with_assigned_characters(case)
    case.path_parameters["dragon_name"] = case.body.get("dragon_name_str", case.body.get("dragonName"))


def _with_an_id_of_its_company(case: schemathesis.Case) -> None:
    """Give a message an id of its company's own. If companies shared an id, reading it would need the company too."""
    metadata = case.body["metadata"]
    company, message = metadata["company_id"].lower(), metadata["message_id"].lower()
    metadata["message_id"] = str(uuid.uuid5(uuid.UUID(company), message))


def _with_an_entity_tag(case: schemathesis.Case) -> None:
    """Make an entity tag of an `If-Match` that is none: the coverage phase ignores an optional header's pattern."""
    sent = (case.headers or {}).get("If-Match")
    if isinstance(sent, str) and not is_list_of_tags(sent):
        case.headers["If-Match"] = f'"{sent}"'


_MENDED = {
    "listDragons": _with_cursor_of_its_filters,
    "listFamilies": _with_cursor_of_the_families,
    "listSubmissions": _without_cursor,
    "listMessages": _of_a_company,
    "reportDragon": _with_a_key_of_its_own,
    "correctDragon": _with_the_name_of_its_path,
    "removeDragon": _with_an_entity_tag,
    "postMessage": _with_an_id_of_its_company,
}
