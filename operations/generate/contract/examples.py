"""The document's examples, as real clients send and get them. A test checks each of them against its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec

from chalicelib import readiness
from chalicelib.dragons.model import ALIASES, example_dragons
from chalicelib.dragons.steps import why_duplicate
from chalicelib.exact_json import MalformedJson, parse_object
from chalicelib.faults import InvalidInput
from chalicelib.messages.model import message_from
from chalicelib.web.problems import Problem, problem_for
from chalicelib.web.requests import Request
from operations.generate import CannotGenerate

REQUEST_ID = "8f0f8f0e-52a6-4f6c-9a3e-6c3f6a0f9a52"
SUBMISSION_ID = "2b0f6a53-6a3e-4c0e-8f62-0a4e3a9d6f11"
COMPANY_ID = "e0721e56-fb09-4273-ae74-7bcbc92d43eb"
MESSAGE_ID = "fc0daad3-4f10-4d15-b8c6-276cca111e87"
ETAG = '"yJ9Vq0F0Yp4s3m9rYb1Vd2hK"'

DRAGON, OTHER_DRAGON = map(msgspec.structs.asdict, example_dragons())

FAMILIES: list[dict[str, Any]] = [{"family_str": "gold", "count": 12}, {"family_str": "Élan", "count": 1}]

# The same dragon under the names of the course's web client. Examples share one dragon, so that what one of them sends
# fits what the others ask for: a body that corrects a dragon has to hold the name in the path.
WEB_CLIENT_DRAGON: dict[str, Any] = {alias: DRAGON[field] for alias, field in ALIASES.items()}

WHY_DUPLICATE = why_duplicate(example_dragons()[0])

REPORT: dict[str, Any] = {**DRAGON, "reportingPhoneNumber": "+15555550100", "confirmationRequired": True}

# As the course's web client sends it.
WEB_CLIENT_REPORT: dict[str, Any] = {
    **WEB_CLIENT_DRAGON,
    "reportingPhoneNumber": "15555555555",
    "confirmationRequired": False,
}

ACCEPTED_SUBMISSION: dict[str, Any] = {
    "submission_id": SUBMISSION_ID,
    "status": "pending",
    "execution_arn": f"arn:aws:states:eu-west-1:123456789012:execution:dragonpost-dev-dragons:{SUBMISSION_ID}",
    "started_at": "2026-11-22T08:00:00.000Z",
}

PENDING_SUBMISSION: dict[str, Any] = {
    "submission_id": SUBMISSION_ID,
    "status": "pending",
    "dragon_name_str": "Amberwick",
    "reason": None,
    "notification": None,
    "started_at": "2026-11-22T08:00:00.000Z",
    "finished_at": None,
}

ADDED_SUBMISSION: dict[str, Any] = {
    **PENDING_SUBMISSION,
    "status": "added",
    "notification": "sent",
    "finished_at": "2026-11-22T08:00:00.412Z",
}

ADDED_SUBMISSION_WITH_STEPS: dict[str, Any] = {
    **ADDED_SUBMISSION,
    "steps": [
        {"name": "Complete?", "status": "succeeded", "at": "2026-11-22T08:00:00.006Z"},
        {"name": "RecordPending", "status": "succeeded", "at": "2026-11-22T08:00:00.008Z"},
        {"name": "ValidateDragon", "status": "succeeded", "at": "2026-11-22T08:00:00.012Z"},
        {"name": "Valid?", "status": "succeeded", "at": "2026-11-22T08:00:00.121Z"},
        {"name": "AddDragon", "status": "succeeded", "at": "2026-11-22T08:00:00.124Z"},
        {"name": "Added?", "status": "succeeded", "at": "2026-11-22T08:00:00.301Z"},
    ],
}

REJECTED_SUBMISSION: dict[str, Any] = {
    **ADDED_SUBMISSION,
    "status": "rejected",
    "reason": WHY_DUPLICATE,
}

MESSAGE: dict[str, Any] = {
    "metadata": {
        "message_time": "2023-12-10T22:02:38Z",
        "company_id": COMPANY_ID,
        "message_id": MESSAGE_ID,
    },
    "data": {
        "order_id": "a929b88e-bc47-4f7d-9584-61c3c94ad2f2",
        "order_time": "2023-12-10T22:00:00Z",
        "order_amount": 20,
    },
}

DIGEST = message_from(parse_object(msgspec.json.encode(MESSAGE))).digest()

STORED_MESSAGE: dict[str, Any] = {
    "metadata": {**MESSAGE["metadata"], "message_s3_key": f"{COMPANY_ID}/{MESSAGE_ID}.json"},
    "data": MESSAGE["data"],
    "digest": DIGEST,
}

LISTED_MESSAGE: dict[str, Any] = {
    **MESSAGE["metadata"],
    **MESSAGE["data"],
    "accepted_at": "2023-12-10T22:02:38.512Z",
}

ACCEPTED_MESSAGE: dict[str, Any] = {"message_id": MESSAGE_ID, "status": "accepted", "digest": DIGEST}

REPEATED_MESSAGE: dict[str, Any] = {**ACCEPTED_MESSAGE, "status": "stored"}

READY: dict[str, Any] = {
    "status": "ready",
    "dependencies": [
        {"name": name, "status": "ok", "duration_ms": 14.2, "reason": None} for name in get_args(readiness.Name)
    ],
}

ILL: dict[str, Any] = {
    **READY["dependencies"][-1],
    "status": "ill",
    "duration_ms": 803.1,
    "reason": "DynamoDB is not available",
}

LETTER_ID = "63aaed90-7553-4751-adc1-1bcefa7652da"

LISTED_LETTER: dict[str, Any] = {
    "letter_id": LETTER_ID,
    "sent_at": "2026-11-26T02:58:02.113Z",
    "reason": f"conflict: {COMPANY_ID}/{MESSAGE_ID}.json is archived with another payload",
    "message_id": MESSAGE_ID,
    "company_id": COMPANY_ID,
    "request_id": REQUEST_ID,
}

LETTER: dict[str, Any] = {
    **{name: LISTED_LETTER[name] for name in ("letter_id", "sent_at", "reason", "message_id", "company_id")},
    "attributes": {"reason": LISTED_LETTER["reason"], "correlation_id": REQUEST_ID},
    "body": msgspec.json.encode({**MESSAGE, "data": {**MESSAGE["data"], "order_amount": 21}}).decode(),
    "stored": STORED_MESSAGE,
}

UNREADABLE_LETTER: dict[str, Any] = {
    **LETTER,
    "reason": "unreadable: not valid JSON",
    "attributes": {"reason": "unreadable: not valid JSON"},
    "body": "{",
    "message_id": None,
    "company_id": None,
    "stored": None,
}

TIMELINE: dict[str, Any] = {
    "id": MESSAGE_ID,
    "answers": [
        f"message {MESSAGE_ID} of company {COMPANY_ID}: stored",
        f"message {MESSAGE_ID} of company {COMPANY_ID} is a dead letter: {LISTED_LETTER['reason']}",
    ],
    "moments": [
        {
            "at": "2026-11-26T02:57:48.000Z",
            "to_the_second": True,
            "source": "bucket dragonpost-prod-messages-123456789012",
            "what": (
                f"archived, and indexed in table dragonpost-prod-messages: {COMPANY_ID}/{MESSAGE_ID}.json (278 bytes)"
            ),
        },
        {
            "at": LISTED_LETTER["sent_at"],
            "to_the_second": False,
            "source": "queue dragonpost-prod-messages-dead",
            "what": f"dead letter {LETTER_ID} of company {COMPANY_ID}: {LISTED_LETTER['reason']}",
        },
    ],
    "limits": [],
    "related": {
        "messages": [MESSAGE_ID],
        "companies": [COMPANY_ID],
        "submissions": [],
        "dead_letters": [LETTER_ID],
        "requests": [REQUEST_ID],
    },
}

REDRIVEN_LETTER: dict[str, Any] = {"letter_id": LETTER_ID, "status": "redriven"}


def request(headers: Mapping[str, str] | None = None, **query: str) -> Request:
    """Return a request with these headers and query parameters, as the routes get it."""
    return Request(
        {
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
            "headers": {name.lower(): value for name, value in (headers or {}).items()},
            "requestContext": {"resourcePath": "/"},
            "body": None,
        }
    )


def refused(read: Callable[..., object], *arguments: object) -> Problem:
    """Return the problem of a request that `read` refuses when it gets these arguments.

    So the example says what the rule says, not what somebody copied from it. Raises CannotGenerate if `read` accepts
    them.
    """
    try:
        read(*arguments)
    except (InvalidInput, MalformedJson) as error:
        problem = problem_for(error)
        assert problem is not None  # noqa: S101 - both errors are in its table
        return problem
    raise CannotGenerate(f"{read.__qualname__} accepts what an example shows as refused: {arguments}")
