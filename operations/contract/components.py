"""What operations share: parameters, headers, the problem documents and the answers that carry them."""

from __future__ import annotations

from typing import Any

from chalicelib.web import problems
from operations.contract import examples
from operations.contract.examples import invalid, problem

Json = dict[str, Any]


def ref(kind: str, name: str) -> Json:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def json_content(schema: Json, **named_examples: Any) -> Json:
    """Return a JSON body of this schema with these examples."""
    return {"application/json": {"schema": schema, "examples": _named(named_examples)}}


def problem_answer(description: str, headers: tuple[str, ...] = (), **named_examples: Json) -> Json:
    """Return an answer that is a problem document."""
    content = {"schema": ref("schemas", "Problem"), "examples": _named(named_examples)}
    answer: Json = {"description": description, "content": {problems.CONTENT_TYPE: content}}
    return {**answer, "headers": headers_of(*headers)} if headers else answer


def headers_of(*names: str) -> Json:
    """Return references to these headers of `HEADERS`, under the names that they are sent with."""
    return {_SENT_AS.get(name, name): ref("headers", name) for name in names}


# A header that some answers of a status have and others do not is another component than one that all have.
_SENT_AS = {"SubmissionLocation": "Location"}


def _named(named_examples: dict[str, Any]) -> Json:
    return {name: {"value": value} for name, value in named_examples.items()}


SECURITY_SCHEMES: Json = {
    "dragonpost-users": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": (
            "An ID token of the stage's Amazon Cognito user pool, made out to its client: `Authorization: Bearer "
            "<ID token>`. Cognito's `InitiateAuth` (or `make token` with the local service) gives one; it holds for an "
            "hour. Access tokens and other clients' tokens are refused. Members of the group `operators` may act for "
            "all companies; everybody else has the company of the claim `custom:company_id`, or none."
        ),
    }
}

PROBLEM_SCHEMAS: Json = {
    "Problem": {
        "title": "Problem",
        "description": (
            "What went wrong (RFC 9457). `type` is `about:blank` where the status says it all; each other type has a "
            "section in the project's docs/problems.md."
        ),
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "`about:blank` or a URN. A kind that you do not know means what the status means.",
                "examples": ["about:blank", *sorted(problems.TITLES)],
            },
            "title": {"type": "string", "description": "The kind of problem, in words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The answer's status."},
            "detail": {"type": "string", "description": "This problem, in words. For people; it may change."},
            "request_id": {"type": "string", "description": "Finds the request in the service's log."},
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": ref("schemas", "Fault"),
                "description": "Every fault of an invalid request, not just the first.",
            },
        },
        "required": ["type", "title", "status", "detail", "request_id"],
    },
    "Fault": {
        "title": "Fault",
        "description": "One thing that is wrong with a request: its place (one of the three) and what is wrong.",
        "type": "object",
        "properties": {
            "pointer": {"type": "string", "description": "A place in the body (RFC 6901, as a URI fragment)."},
            "parameter": {"type": "string", "description": "A parameter of the query or the path."},
            "header": {"type": "string", "description": "A header of the request."},
            "detail": {"type": "string", "description": "What is wrong with it. For people; it may change."},
        },
        "required": ["detail"],
        "minProperties": 2,
        "maxProperties": 2,
    },
}

PARAMETERS: Json = {
    "DragonName": {
        "name": "dragon_name",
        "in": "path",
        "required": True,
        "description": "The dragon's name, compared without regard to case, Unicode form and white space around it.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 64},
        "example": "Amberwick",
    },
    "SubmissionId": {
        "name": "submission_id",
        "in": "path",
        "required": True,
        "description": "The submission's id, as `Location` and the body of the 202 had it.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,80}$"},
        "example": examples.SUBMISSION_ID,
    },
    "MessageId": {
        "name": "message_id",
        "in": "path",
        "required": True,
        "description": "The message's `message_id`.",
        "schema": {"type": "string", "format": "uuid"},
        "example": examples.MESSAGE_ID,
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` that the client has; if it still is the right one, the answer is a 304 (RFC 9110).",
        "schema": {"type": "string"},
        "example": examples.ETAG,
    },
    "IfMatchRequired": {
        "name": "If-Match",
        "in": "header",
        "required": True,
        "description": "The `ETag` of the dragon as the client has seen it, or `*` for any (RFC 9110 §13.1.1).",
        "schema": {"type": "string"},
        "example": examples.ETAG,
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "The `ETag` of the dragon as the client has seen it; without it, the dragon goes as it is.",
        "schema": {"type": "string"},
        "example": examples.ETAG,
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": (
            "`wait=N` (RFC 7240) waits up to N seconds, at most 10, for the workflow's outcome. What is not understood "
            "is ignored."
        ),
        "schema": {"type": "string"},
        "example": "wait=5",
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "Makes repeating safe: the same caller, key and dragon get the first answer again, for 90 days, also if "
            "the submission failed. Without one, a report that is repeated after a 503 or 504 may be told that its own "
            'dragon is a duplicate. 1 to 255 visible ASCII characters without `"`, or the same as a quoted string.'
        ),
        "schema": {"type": "string", "pattern": '^([!#-~]{1,255}|"[!#-~]{1,255}")$'},
        "example": "report-2026-11-22-0001",
    },
}

HEADERS: Json = {
    "X-Request-Id": {
        "required": True,
        "description": (
            "The request's id, also in every log line, in the queued message and in the workflow's input. It is the "
            "client's own `X-Request-Id` if that was 8 to 64 letters, digits, `.`, `_` or `-`."
        ),
        "schema": {"type": "string"},
        "example": examples.REQUEST_ID,
    },
    "ETag": {
        "required": True,
        "description": "The tag of this representation, for `If-None-Match` and `If-Match`.",
        "schema": {"type": "string", "pattern": '^"[^"]+"$'},
        "example": examples.ETAG,
    },
    "Cache-Control": {
        "required": True,
        "description": "`no-cache`: may be kept, and has to be revalidated with `If-None-Match`.",
        "schema": {"type": "string"},
        "example": "no-cache",
    },
    "Link": {
        "description": 'The next page, if there is one (RFC 8288): `<…>; rel="next"`, relative to the server.',
        "schema": {"type": "string"},
        "example": '</prod/dragons?limit=1&cursor=WzEsIjljZjA0MWU0YjhjZjE3ZTkiLCJhbWJlcndpY2siXQ>; rel="next"',
    },
    "Location": {
        "required": True,
        "description": "Where what came of the request is to be found, with the API's stage in front.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": f"/prod/submissions/{examples.SUBMISSION_ID}",
    },
    "SubmissionLocation": {
        "description": "Where the submission is, if the request has led to one; with the API's stage in front.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": f"/prod/submissions/{examples.SUBMISSION_ID}",
    },
    "Retry-After": {
        "description": "How many seconds to wait before asking again.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
    "Preference-Applied": {
        "description": "The preference that was honoured (RFC 7240 §3).",
        "schema": {"type": "string"},
        "example": "wait=5",
    },
    "WWW-Authenticate": {
        "required": True,
        "description": "The scheme to authenticate with: `Bearer`.",
        "schema": {"type": "string"},
        "example": "Bearer",
    },
    "Accept": {
        "description": "The content type that the route takes.",
        "schema": {"type": "string"},
        "example": "application/json",
    },
}

RESPONSES: Json = {
    "NotModified": {
        "description": "The client has the present version (`If-None-Match`). No body.",
        "headers": headers_of("ETag", "Cache-Control"),
    },
    "PageMoved": {
        "description": "The page's one address, relative to this one.",
        "headers": headers_of("Location"),
    },
    "Unauthorized": problem_answer(
        "There is no valid ID token.",
        ("WWW-Authenticate",),
        no_token=problem(401, "A valid ID token is needed: Authorization: Bearer <token>."),
    ),
    "ForbiddenCompany": problem_answer(
        "The caller may not use messages of this company, or of any.",
        other_company=problem(403, "You may post messages for your own company only.", problems.COMPANY_NOT_ALLOWED),
    ),
    "ForbiddenToOthers": problem_answer(
        "The caller is no operator.",
        no_operator=problem(403, "Only operators may correct and remove dragons.", problems.OPERATORS_ONLY),
    ),
    "UnknownParameter": problem_answer(
        "The query holds a parameter that is not known here.",
        unknown=invalid({"parameter": "colour", "detail": "is not known here (known: none)"}),
    ),
    "DragonNotFound": problem_answer(
        "There is no such dragon.", not_found=problem(404, "No dragon of this name is in the registry.")
    ),
    "SubmissionNotFound": problem_answer(
        "There is no such submission, or it is somebody else's.",
        not_found=problem(404, "You have made no submission of this id."),
    ),
    "MessageNotFound": problem_answer(
        "There is no such message, it is not stored yet, or it is another company's.",
        not_found=problem(404, "No message of this id is stored (yet)."),
    ),
    "PreconditionFailed": problem_answer(
        "`If-Match` names another version of the dragon than the one that is there.",
        changed=problem(412, "The dragon has changed since. Read it again, and decide anew."),
    ),
    "ContentTooLarge": problem_answer(
        "The body is larger than 256 KiB.", too_large=problem(413, "The body must be at most 262,144 bytes long.")
    ),
    "UnsupportedMediaType": problem_answer(
        "The content type is missing or another than `application/json`.",
        ("Accept",),
        other=problem(415, "Send the body as application/json."),
    ),
    "PreconditionRequired": problem_answer(
        "`If-Match` is missing.",
        missing=problem(428, "Send If-Match with the ETag of the dragon as you have seen it."),
    ),
    "TooManyRequests": problem_answer(
        "The stage's limit of requests per second is reached (API Gateway).",
        ("Retry-After",),
        throttled=problem(429, "Too many requests at once. Trying again is safe."),
    ),
    "InternalServerError": problem_answer(
        "Something broke in the service.",
        broken=problem(500, "Something broke on our side. The request id finds it in the log."),
    ),
    "BadGateway": problem_answer(
        "The service gave the gateway no answer.", no_answer=problem(502, "The service gave no answer.")
    ),
    "ServiceUnavailable": problem_answer(
        "A service that the request needs is not available. Sending the same again is safe.",
        ("Retry-After",),
        unavailable=problem(503, "A service that this request needs is not available right now. Trying again is safe."),
    ),
    "GatewayTimeout": problem_answer(
        "A service that the request needs did not answer in time. Sending the same again is safe.",
        ("Retry-After",),
        timeout=problem(504, "A service that this request needs did not answer in time. Trying again is safe."),
    ),
}

# What any route may answer, whatever it does.
ALWAYS: Json = {
    "429": ref("responses", "TooManyRequests"),
    "500": ref("responses", "InternalServerError"),
    "502": ref("responses", "BadGateway"),
    "503": ref("responses", "ServiceUnavailable"),
    "504": ref("responses", "GatewayTimeout"),
}
