"""What the browser answers the console in place of the API, always the same, so that a view always looks the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from playwright.sync_api import Route

from operations import PROJECT

Answer = dict[str, Any]  # as `Route.fulfill` takes it

COMPANY = "e0721e56-fb09-4273-ae74-7bcbc92d43eb"
ORDER = "a929b88e-bc47-4f7d-9584-61c3c94ad2f2"
MESSAGES = {
    "0a1b2c3d-0000-4000-8000-000000000003": "19.90",
    "0a1b2c3d-0000-4000-8000-000000000002": "12345678901234567890.12",
    "0a1b2c3d-0000-4000-8000-000000000001": "7",
}
TAKEN, STORED, _ = MESSAGES
AWAITED = "0a1b2c3d-0000-4000-8000-000000000004"  # accepted, and stored by nobody
OF_SEVERAL = "0a1b2c3d-0000-4000-8000-000000000005"  # several companies have a message with this id
UNREADABLE = "0a1b2c3d-0000-4000-8000-000000000006"  # taken, and not to be read yet
UNSTORED = "0a1b2c3d-0000-4000-8000-000000000009"
_LETTERS = {
    "63aaed90-7553-4751-adc1-1bcefa7652da": (
        f"conflict: {COMPANY}/{TAKEN}.json is archived with another payload",
        TAKEN,
        "2023-12-12T08:42:38.113Z",
    ),
    "63aaed90-7553-4751-adc1-1bcefa7652db": ("failed every delivery", UNSTORED, "2023-12-12T05:12:00.500Z"),
    "63aaed90-7553-4751-adc1-1bcefa7652dc": (
        "unreadable: not JSON: Expecting value at character 1",
        None,
        "2023-12-10T22:02:38.113Z",
    ),
    "63aaed90-7553-4751-adc1-1bcefa7652dd": (
        "invalid: #/data/order_id is needed",
        UNSTORED,
        "2023-11-02T06:00:00.000Z",
    ),
}
LETTER, LETTER_ALONE, LETTER_UNREADABLE, _ = _LETTERS
REQUEST = "0b9ad2c4-8f1e-4f57-9c39-2f6f1a3f6a10"

_DRAGONS = sorted(
    json.loads((PROJECT / "infrastructure" / "dragons.json").read_text(encoding="utf-8")),
    key=lambda dragon: dragon["dragon_name_str"].casefold(),
)
_STEPS = ["Complete?", "RecordPending", "ValidateDragon", "Valid?", "Reporter?", "AddDragon"]
_ENDS = {
    "pending": [],
    "added": ["Added?", "ComposeAdded", "NotifyAdded", "Confirmation?", "RecordAdded", "Added"],
    "rejected": ["Added?", "ComposeRejected", "NotifyRejected", "RecordRejected", "Rejected"],
    "failed": ["ComposeFailed", "NotifyFailed", "CountMissedFailed", "RecordFailed", "Failed"],
}
_BROKEN = {"AddDragon", "NotifyFailed", "Failed"}  # the steps that went wrong, of a report that failed
_REPORTS = {
    "Nettlewing": ("pending", None),
    "Ashfall": ("rejected", "A dragon named Ashfall is in the registry."),
    "Kilnsong": ("added", None),
    "Quillmere": ("failed", "The workflow could not be finished. GET /dragons tells whether the dragon was added."),
}
_FAULTY = ("dragon_name_str", "family_str", "location_city_str", "reportingPhoneNumber")


def answer(route: Route, base_url: str, instead: Mapping[str, Answer]) -> None:
    """Answer a request of the console: with what is to be said `instead`, by the path, or as always."""
    request = urlsplit(route.request.url.removeprefix(base_url))
    path = unquote(request.path).removeprefix("/")
    noun, _, rest = path.partition("/")
    query = dict(parse_qsl(request.query))
    route.fulfill(**(instead.get(path) or _ANSWERS[route.request.method, noun](rest, query, route)))


def found(value: Any, status: int = 200, **headers: str) -> Answer:
    """Return the answer that has this value."""
    return {"json": value, "status": status, "headers": headers}


def problem(status: int, title: str, detail: str, **more: Any) -> Answer:
    """Return the answer that is a problem (RFC 9457), with `more` members."""
    body = {"title": title, "status": status, "detail": detail, **more}
    return {"status": status, "content_type": "application/problem+json", "body": json.dumps(body)}


def not_valid(*faults: tuple[str, str, str], **more: Any) -> Answer:
    """Return the 400 for a request with these faults: what kind of place, which, and what is wrong there."""
    errors = [{kind: place, "detail": detail} for kind, place, detail in faults]
    return problem(400, "The request is not valid", "Some things are wrong; see errors.", errors=errors, **more)


def some_dragons() -> Answer:
    """Return a page of a few dragons, which is not the last one."""
    return found(_DRAGONS[:4], Link='</dragons?cursor=y>; rel="next"')


def many_families() -> Answer:
    """Return more families than are shown at once, of a registry that has even more."""
    names = ["red", "green", "blue", "gold", "black", "white", "silver", "purple", "Umber of the High Moors", "teal"]
    rare = ["amber", "ash", "copper", "dusk", "Great Northern Marsh", "ivory", "moss", "ochre", "plum", "rust", "slate"]
    families = [{"family_str": name, "count": 120 - 5 * at} for at, name in enumerate(names + rare)]
    return found(families, Link='</families?cursor=x>; rel="next"')


def not_ready() -> Answer:
    """Return what `GET /ready` says when two of the dependencies are ill."""
    reasons = {"registry": "DynamoDB refused: AccessDeniedException", "archive": "did not answer within 1 s"}
    dependencies = [
        {"name": name, "status": "ill" if name in reasons else "ok", "duration_ms": 12.5, "reason": reasons.get(name)}
        for name in ("parameters", "registry", "submissions", "workflow", "queue", "dead-letters", "archive", "index")
    ]
    detail = "Ill: registry, archive. See dependencies; the log says more."
    return problem(503, "Something that the service depends on is ill", detail, dependencies=dependencies)


def _dragons(name: str, query: dict[str, str], _route: Route) -> Answer:
    if name:
        named = [dragon for dragon in _DRAGONS if dragon["dragon_name_str"] == name]
        return found(named[0], ETag='"one"') if named else problem(404, "Not Found", "There is no such dragon.")
    begins, family = query.get("namePrefix", "").casefold(), query.get("family")
    matching = [
        dragon
        for dragon in _DRAGONS
        if dragon["dragon_name_str"].casefold().startswith(begins) and family in (None, dragon["family_str"])
    ]
    shown = matching[: int(query["limit"])]
    return found(shown, **({"Link": '</dragons?cursor=x>; rel="next"'} if len(shown) < len(matching) else {}))


def _families(_name: str, _query: dict[str, str], _route: Route) -> Answer:
    counts = Counter(dragon["family_str"] for dragon in _DRAGONS)
    return found([{"family_str": family, "count": count} for family, count in sorted(counts.items())])


def _reported(_name: str, _query: dict[str, str], route: Route) -> Answer:
    name = (route.request.post_data_json or {})["dragon_name_str"]
    if name not in _REPORTS:
        return not_valid(*(("pointer", f"#/{field}", "must hold a letter or digit") for field in _FAULTY))
    started = {"submission_id": name, "status": "pending", "started_at": "2023-12-10T21:00:00.000Z"}
    return found(started, 202)


def _corrected(_name: str, _query: dict[str, str], _route: Route) -> Answer:
    return not_valid(("pointer", "#/location_city_str", "must hold a letter or digit"))


def _submissions(name: str, _query: dict[str, str], _route: Route) -> Answer:
    if not name:
        return found([_submission(each) for each in _REPORTS if each != "Nettlewing"])
    if name not in _REPORTS:
        return problem(404, "Not Found", "There is no such submission.")
    status, _ = _REPORTS[name]
    taken = _STEPS[:3] if status == "pending" else _STEPS + _ENDS[status]
    bad = _BROKEN if status == "failed" else set()
    steps = [
        {"name": step, "status": "failed" if step in bad else "succeeded", "at": f"2023-12-10T21:00:00.{at:03}Z"}
        for at, step in enumerate(taken)
    ]
    if status == "pending":
        steps[-1]["status"] = "running"
    return found({**_submission(name), "steps": steps}, **({"Retry-After": "60"} if status == "pending" else {}))


def _submission(name: str) -> dict[str, Any]:
    status, reason = _REPORTS[name]
    settled = status != "pending"
    told = {"pending": None, "failed": "failed"}.get(status, "sent")
    return {
        "submission_id": name,
        "status": status,
        "dragon_name_str": name,
        "reason": reason,
        "notification": told,
        "started_at": "2023-12-10T21:00:00.000Z",
        "finished_at": "2023-12-10T21:00:00.412Z" if settled else None,
    }


def _messages(_name: str, query: dict[str, str], _route: Route) -> Answer:
    if "from" in query or query.get("company_id", COMPANY) != COMPANY:
        return found([])
    rows = [
        f'{{"message_id": "{message_id}", "company_id": "{COMPANY}", "accepted_at": "2023-12-10T22:0{9 - at}:00Z", '
        f'"order_id": "{ORDER}", "order_amount": {amount}}}'
        for at, (message_id, amount) in enumerate(MESSAGES.items())
    ]
    return {"content_type": "application/json", "body": f"[{', '.join(rows)}]"}


def _message(message_id: str, _query: dict[str, str], _route: Route) -> Answer:
    if message_id == OF_SEVERAL:
        needed = "is needed: messages of several companies have this id"
        return not_valid(("parameter", "company_id", needed), request_id=REQUEST)
    if message_id not in MESSAGES:
        return problem(404, "Not Found", "No message is stored under this id.")
    return {"content_type": "application/json", "body": _stored(message_id, MESSAGES[message_id])}


def _stored(message_id: str, amount: str) -> str:
    return f"""{{"metadata": {{"message_time": "2023-12-10T22:02:38Z", "company_id": "{COMPANY}",
        "message_id": "{message_id}", "message_s3_key": "{COMPANY}/{message_id}.json"}},
        "data": {{"order_id": "{ORDER}", "order_time": "2023-12-10T22:00:00Z",
        "order_amount": {amount}, "items": [{{"sku": "honey", "price": 2.5}}]}},
        "digest": "sha-256:0"}}"""


def _posted(_name: str, _query: dict[str, str], route: Route) -> Answer:
    if (route.request.post_data_json or {})["metadata"]["message_id"] == AWAITED:
        return found({"digest": "any"}, 202)
    return problem(409, "Another message is stored under this id", "It stays.")


def _operator(what: str, query: dict[str, str], _route: Route) -> Answer:
    noun, _, letter_id = what.partition("/")
    if noun == "timeline":
        return _timeline(query["id"])
    if not letter_id:
        return found({"count": 24, "dead_letters": [_listed(each) for each in _LETTERS]})
    if letter_id not in _LETTERS:
        return problem(404, "Not Found", "The queue of dead letters has none with this id.")
    _, message_id, _ = _LETTERS[letter_id]
    letter = {
        **_listed(letter_id),
        "attributes": {"correlation_id": REQUEST},
        "body": _refused(message_id) if message_id else "Two jars of honey, please, by Friday.\nThe usual address.",
    }
    stored = _stored(TAKEN, MESSAGES[TAKEN]) if message_id == TAKEN else "null"
    return {
        "content_type": "application/json",
        "headers": {"ETag": '"one"'},
        "body": f'{json.dumps(letter)[:-1]}, "stored": {stored}}}',
    }


def _refused(message_id: str) -> str:
    message = json.loads(_stored(message_id, "21"))
    del message["digest"], message["metadata"]["message_s3_key"]
    return json.dumps(message)


def _listed(letter_id: str) -> dict[str, Any]:
    reason, message_id, sent = _LETTERS[letter_id]
    company = COMPANY if message_id else None
    return {"letter_id": letter_id, "sent_at": sent, "reason": reason, "message_id": message_id, "company_id": company}


def _letter_sent(what: str, _query: dict[str, str], _route: Route) -> Answer:
    if what.endswith("/redrive"):
        return found({"status": "redriven"})
    return not_valid(("pointer", "#/metadata/message_id", "is needed"), ("pointer", "#/data", "is needed"))


def _letter_deleted(_what: str, _query: dict[str, str], _route: Route) -> Answer:
    detail = "This is not the letter as it is now, beside what is stored. Read it again, save it, and decide again."
    return problem(412, "Precondition Failed", detail)


def _timeline(wanted: str) -> Answer:
    if wanted in MESSAGES:
        return found(_timeline_of_message(wanted))
    if wanted in _REPORTS:
        return found(_timeline_of_report(wanted))
    return problem(404, "Not Found", "No store knows anything of this id.")


def _timeline_of_message(wanted: str) -> dict[str, Any]:
    reason, _, _ = _LETTERS[LETTER]
    stored = f"archived, and indexed in table messages: {COMPANY}/{wanted}.json (330 bytes)"
    return {
        "id": wanted,
        "answers": [
            f"message {wanted} of company {COMPANY}: stored",
            f"message {wanted} of company {COMPANY} is a dead letter: {reason}",
        ],
        "moments": [
            _moment("22:02:00.000", "bucket messages", stored),
            _moment("22:02:38.113", "queue messages-dead", f"dead letter {LETTER} of company {COMPANY}: {reason}"),
        ],
        "limits": [],
        "related": {**_NOTHING, "messages": [wanted], "companies": [COMPANY], "dead_letters": [LETTER]},
    }


_LAST_EVENT = {"failed": "ExecutionFailed DragonNotAdded"}


def _timeline_of_report(name: str) -> dict[str, Any]:
    status, reason = _REPORTS[name]
    ends = _LAST_EVENT.get(status, "ExecutionSucceeded")
    events = ["ExecutionStarted", *(f"entered {state}" for state in _STEPS + _ENDS[status]), ends]
    history = [_moment(f"21:00:00.{at:03}", "workflow dragons", f"{name} {told}") for at, told in enumerate(events)]
    settled = f"{name} is {status}, notification sent"
    return {
        "id": name,
        "answers": [f"dragon {name}, reported at 2023-12-10T21:00:00.000Z (submission {name}): {status}: {reason}"],
        "moments": [*history, _moment("21:00:00.412", "table submissions", settled)],
        "limits": ["reports of this name that added no dragon are not looked for: `make trace` does"],
        "related": {**_NOTHING, "submissions": [name]},
    }


_NOTHING: dict[str, list[str]] = {
    "messages": [],
    "companies": [],
    "submissions": [],
    "dead_letters": [],
    "requests": [REQUEST],
}


def _moment(at: str, source: str, what: str) -> dict[str, Any]:
    return {"at": f"2023-12-10T{at}Z", "to_the_second": at.endswith("000"), "source": source, "what": what}


def _ready(_name: str, _query: dict[str, str], _route: Route) -> Answer:
    return found({"status": "ready", "dependencies": []})


_ANSWERS = {
    ("GET", "dragons"): _dragons,
    ("GET", "families"): _families,
    ("POST", "dragons"): _reported,
    ("PUT", "dragons"): _corrected,
    ("GET", "submissions"): _submissions,
    ("GET", "messages"): _messages,
    ("GET", "message"): _message,
    ("POST", "post-message"): _posted,
    ("GET", "operator"): _operator,
    ("POST", "operator"): _letter_sent,
    ("DELETE", "operator"): _letter_deleted,
    ("GET", "ready"): _ready,
}
