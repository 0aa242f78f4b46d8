"""What JSON Schema cannot say about valid requests, said to schemathesis: it sends them as they would be made.

Only requests that schemathesis means to be valid are touched. Invalid ones go out as they were generated.
"""

from __future__ import annotations

import unicodedata
import uuid
from typing import Any

import requests
import schemathesis

from chalicelib.dragons.repository import DragonQuery
from chalicelib.web.paging import cursor_after
from tests.e2e.waiting import until

STORED_WITHIN_S = 90  # longer than the queue hides a message whose consumer was killed


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Mend a request that is valid by its schema alone."""
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
    message = f"{sent.url.removesuffix('/post-message')}/message/{response.json()['message_id']}"
    company = {"company_id": case.body["metadata"]["company_id"]}
    token = {"Authorization": sent.headers["Authorization"]}
    until(lambda: requests.get(message, params=company, headers=token, timeout=30).status_code == 200, STORED_WITHIN_S)


def _with_cursor_of_its_filters(case: schemathesis.Case) -> None:
    """A cursor is opaque, and belongs to the filters beside it."""
    if "cursor" in case.query:
        query = DragonQuery.of(case.query.get("family"), case.query.get("dragonName"))
        case.query["cursor"] = cursor_after("ember", query)


def _with_assigned_characters(case: schemathesis.Case) -> None:
    r"""Schemathesis takes `\p{M}` for a range that holds characters which Unicode has not assigned yet."""
    for member in ("dragon_name_str", "dragonName"):
        if isinstance(case.body, dict) and isinstance(case.body.get(member), str):
            assigned = [c for c in case.body[member] if unicodedata.category(c) != "Cn"]
            case.body[member] = "".join(assigned)


def _with_a_key_of_its_own(case: schemathesis.Case) -> None:
    """A key belongs to one dragon, and generated ones repeat themselves."""
    _with_assigned_characters(case)
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str):
        quote = '"' if key.startswith('"') else ""
        case.headers["Idempotency-Key"] = quote + (key.strip('"') + uuid.uuid4().hex)[-255:] + quote


def _with_the_name_of_its_path(case: schemathesis.Case) -> None:
    """A dragon is corrected under its own name."""
    _with_assigned_characters(case)
    case.path_parameters["dragon_name"] = case.body.get("dragon_name_str", case.body.get("dragonName"))


def _with_an_id_of_its_company(case: schemathesis.Case) -> None:
    """Generated messages of two companies would share ids; reading one then needs to say which company is meant."""
    metadata = case.body["metadata"]
    company, message = metadata["company_id"].lower(), metadata["message_id"].lower()
    metadata["message_id"] = str(uuid.uuid5(uuid.UUID(company), message))


_MENDED = {
    "listDragons": _with_cursor_of_its_filters,
    "reportDragon": _with_a_key_of_its_own,
    "correctDragon": _with_the_name_of_its_path,
    "postMessage": _with_an_id_of_its_company,
}
