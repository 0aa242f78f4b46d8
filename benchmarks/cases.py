"""What every measured app is asked, and how it has to answer. Standard library alone."""

from __future__ import annotations

import base64
import itertools
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.aws import CLIENT_ID, COMPANY, SETTINGS, STORED_ID, STORED_MESSAGE, dragons
from tests import lambda_events

API = "api"
CONSUMER = "consumer"
ADDER = "adder"  # the workflow's second step, which the peers do without
BATCH = 10
SHOWN = 200

Event = dict[str, Any]
Fault = str | None

_serial = itertools.count()


def fresh_id() -> int:
    """Return a number that nothing here has had before."""
    return next(_serial)


_CALLER = {"aud": CLIENT_ID, "custom__company_id": COMPANY, "cognito__groups": None}


@dataclass(frozen=True)
class Case:
    """A request or a batch.

    `make` returns a new event, `fault` says what is wrong with its answer, and `calls` are the calls to AWS that it
    takes. The document of the registry has so many `entries`, and is another one at each request if `moving`.
    """

    make: Callable[[], Event]
    fault: Callable[[Any], Fault]
    calls: Sequence[str]
    function: str = API
    entries: int = 1_000
    moving: bool = False


def message(message_id: str | None = None, company_id: str = COMPANY) -> dict[str, Any]:
    """Return a message, by default one with a new id."""
    metadata = {"company_id": company_id, "message_id": message_id or str(uuid.UUID(int=fresh_id() + (4 << 76)))}
    return {"metadata": STORED_MESSAGE["metadata"] | metadata, "data": STORED_MESSAGE["data"]}


def for_app(event: Event, *, binary: bool) -> Event:
    """Return an API's event as its app gets it: with the body in base64, or as text.

    API Gateway encodes the bodies of those media types that the API declares as binary.
    """
    if not binary and event.get("isBase64Encoded"):
        event.update(body=base64.b64decode(event["body"]).decode(), isBase64Encoded=False)
    return event


def request(method: str, reference: str, route: str, body: Mapping[str, Any] | None = None) -> Event:
    """Return a request of an operator, as API Gateway passes it on."""
    event = lambda_events.proxy_event(
        method,
        reference,
        route,
        headers={} if body is None else {"Content-Type": "application/json"},
        body=None if body is None else json.dumps(body).encode(),
        token_claims=lambda_events.claims(**_CALLER),
    )
    event["requestContext"]["requestId"] = str(uuid.UUID(int=fresh_id() + (4 << 76)))
    return event


def _post(content: Callable[[], dict[str, Any]]) -> Callable[[], Event]:
    return lambda: request("POST", "/post-message", "/post-message", content())


def _get_message(message_id: str) -> Event:
    return request("GET", f"/message/{message_id}", "/message/{message_id}")


def _list() -> Event:
    return request("GET", f"/dragons?family=gold&limit={SHOWN}", "/dragons")


def _batch() -> Event:
    return lambda_events.queue_event(
        {"messageId": str(uuid.uuid4()), "receiptHandle": f"receipt-{place}", "body": json.dumps(message())}
        for place in range(BATCH)
    )


def _with_a_fault() -> dict[str, Any]:
    sent = message()
    return {**sent, "data": sent["data"] | {"order_amount": -1}}


def _status(wanted: int, **members: Any) -> Callable[[Any], Fault]:
    def fault(answer: Any) -> Fault:
        if answer["statusCode"] != wanted:
            return f"the status is {answer['statusCode']}, not {wanted}: {answer['body'][:300]}"
        found = json.loads(answer["body"])
        wrong = [name for name, value in members.items() if found.get(name) != value]
        return f"{', '.join(wrong)} in {answer['body'][:300]}" if wrong else None

    return fault


def _shows(entries: int) -> Callable[[Any], Fault]:
    def fault(answer: Any) -> Fault:
        if answer["statusCode"] != 200:
            return f"the status is {answer['statusCode']}, not 200: {answer['body'][:300]}"
        golden = [dragon["dragon_name_str"] for dragon in dragons(entries) if dragon["family_str"] == "gold"][:SHOWN]
        found = json.loads(answer["body"])
        if [dragon["dragon_name_str"] for dragon in found] != golden:
            return f"{len(found)} dragons, and not the first {len(golden)} golden ones"
        return "it shows submission ids" if any("submission_id" in dragon for dragon in found) else None

    return fault


def _settled(answer: Any) -> Fault:
    failed = (answer or {}).get("batchItemFailures")
    return f"messages failed: {failed}" if failed else None


def _stored_is_shown(answer: Any) -> Fault:
    fault = _status(200, data=STORED_MESSAGE["data"])(answer)
    if fault:
        return fault
    metadata = json.loads(answer["body"])["metadata"]
    wrong = [name for name, value in STORED_MESSAGE["metadata"].items() if metadata[name] != value]
    return f"{', '.join(wrong)} in the metadata" if wrong else None


CASES: Mapping[str, Case] = {
    "post": Case(_post(message), _status(202, status="accepted"), ["GetItem", "SendMessage"]),
    "post again": Case(_post(lambda: message(STORED_ID)), _status(200, status="stored"), ["GetItem"]),
    "post invalid": Case(_post(_with_a_fault), _status(400), []),
    "post for others": Case(_post(lambda: message(company_id=str(uuid.UUID(int=5)))), _status(403), []),
    "get message": Case(lambda: _get_message(STORED_ID), _stored_is_shown, ["GetItem"]),
    "get message, missing": Case(lambda: _get_message(str(uuid.UUID(int=6))), _status(404), ["GetItem"]),
    "list, new": Case(_list, _shows(1_000), ["GetObject"], moving=True),
    "list, known": Case(_list, _shows(1_000), ["GetObject"]),
    "list of 10,000, new": Case(_list, _shows(10_000), ["GetObject"], entries=10_000, moving=True),
    "list of 10,000, known": Case(_list, _shows(10_000), ["GetObject"], entries=10_000),
    "consume": Case(_batch, _settled, ["GetItem", "PutItem", "PutObject"] * BATCH, CONSUMER),
}

# Beyond a case's own calls, apps may read their settings and take messages off the queue in whatever way they do.
_FREE_CALLS = frozenset({"GetParameters", "DeleteMessage", "DeleteMessageBatch"})


def fault_of_calls(case: Case, made: Sequence[str]) -> Fault:
    """Tell whether an app made other calls to AWS than the case takes."""
    counted = sorted(call for call in made if call not in _FREE_CALLS)
    return None if counted == sorted(case.calls) else f"it called {', '.join(made) or 'nothing'}"


def peers_environment() -> dict[str, str]:
    """Return where the peers find what they use."""
    return {
        "MESSAGE_TABLE": SETTINGS["message_table_name"],
        "MESSAGE_QUEUE_URL": SETTINGS["message_queue_url"],
        "ARCHIVE_BUCKET": SETTINGS["message_archive_bucket_name"],
        "DRAGON_BUCKET": SETTINGS["dragon_data_bucket_name"],
        "DRAGON_KEY": SETTINGS["dragon_data_file_name"],
    }
