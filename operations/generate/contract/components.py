"""What operations share: parameters, headers, the problem documents and the answers that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app import users
from chalicelib import aws
from chalicelib.dragons.model import DragonName
from chalicelib.dragons.repository import DragonQuery
from chalicelib.web import paging, problems, requests
from chalicelib.web.conditional import ENTITY_TAGS, NAMED_TAGS
from chalicelib.web.problems import Problem
from operations.generate.contract import examples
from operations.generate.contract.examples import REQUEST_ID
from operations.generate.gateway_responses import NO_ANSWER_RETRY_AFTER_S

Json = dict[str, Any]


def ref(kind: str, name: str) -> Json:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def json_content(schema: Json, **named_examples: Any) -> Json:
    """Return a JSON body of this schema with these examples."""
    return {"application/json": {"schema": schema, "examples": _named(named_examples)}}


def problem_answer(description: str, **named_problems: Problem) -> Json:
    """Return an answer that is one of these problems, which are its examples."""
    documents = {name: problem.document(REQUEST_ID) for name, problem in named_problems.items()}
    content = {"schema": ref("schemas", "Problem"), "examples": _named(documents)}
    answer: Json = {"description": description, "content": {problems.CONTENT_TYPE: content}}
    headers = _headers_of_problems(list(named_problems.values()))
    return {**answer, "headers": headers} if headers else answer


def headers_of(*names: str) -> Json:
    """Return references to these headers of `HEADERS`."""
    return {name: ref("headers", name) for name in names}


# A header that only some answers of a status have needs another component than one that all of them have.
_NOT_ALWAYS = {"Location": "SubmissionLocation"}


def _headers_of_problems(found: Sequence[Problem]) -> Json:
    names = dict.fromkeys(name for problem in found for name in problem.headers)
    always = {name for name in names if all(name in problem.headers for problem in found)}
    return {name: ref("headers", name if name in always else _NOT_ALWAYS.get(name, name)) for name in names}


def _named(named_examples: dict[str, Any]) -> Json:
    return {name: {"value": value} for name, value in named_examples.items()}


SECURITY_SCHEMES: Json = {
    users.name: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": (
            "An ID token that the stage's Amazon Cognito user pool issued to its client: `Authorization: Bearer "
            "<ID token>`. You get one from Cognito's `InitiateAuth`, or from `make token` with the local service; it "
            "is valid for an hour. Access tokens and tokens of other clients are refused. Members of the group "
            "`operators` may act for all companies. Everybody else may act for the company in the claim "
            "`custom:company_id`, or for none if there is no such claim."
        ),
    }
}

PROBLEM_SCHEMAS: Json = {
    "Problem": {
        "title": "Problem",
        "description": (
            "What went wrong (RFC 9457). `type` is `about:blank` where the status says it all. Every other type has a "
            "section in the project's docs/problems.md."
        ),
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "`about:blank` or a URN. If you don't recognise a `type`, go by the status.",
                "examples": ["about:blank", *sorted(problems.TITLES)],
            },
            "title": {"type": "string", "description": "What kind of problem it is, in words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The status of the answer."},
            "detail": {
                "type": "string",
                "description": "What went wrong. For people; the wording may change.",
            },
            "request_id": {"type": "string", "description": "Finds this request in the service's log."},
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": ref("schemas", "Fault"),
                "description": "Every fault of an invalid request, not just the first.",
            },
            "dependencies": {
                "type": "array",
                "items": ref("schemas", "Dependency"),
                "description": "What each dependency said to `GET /ready`.",
            },
        },
        "required": ["type", "title", "status", "detail", "request_id"],
    },
    "Fault": {
        "title": "Fault",
        "description": "One thing that is wrong with a request: where (a pointer, a parameter or a header) and what.",
        "type": "object",
        "properties": {
            "pointer": {"type": "string", "description": "A place in the body (RFC 6901, as a URI fragment)."},
            "parameter": {"type": "string", "description": "A parameter of the query or the path."},
            "header": {"type": "string", "description": "A header of the request."},
            "detail": {"type": "string", "description": "What is wrong there. For people; the wording may change."},
        },
        "required": ["detail"],
        "minProperties": 2,
        "maxProperties": 2,
    },
}

_ENTITY_TAGS: Json = {"type": "string", "pattern": f"^({ENTITY_TAGS})$", "examples": [examples.ETAG]}

# A client that tries an operation begins with each parameter's `example`, so only parameters that a request needs have
# one. The others are good as they are: left out. Their schemas have `examples`.
PARAMETERS: Json = {
    "DragonName": {
        "name": "dragon_name",
        "in": "path",
        "required": True,
        "description": (
            "The dragon's name. Case, Unicode form, typographic or plain apostrophes and hyphens, characters without "
            "an appearance of their own, and white space around it make no difference."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": DragonName.length_max},
        "example": examples.DRAGON["dragon_name_str"],
    },
    "SubmissionId": {
        "name": "submission_id",
        "in": "path",
        "required": True,
        "description": "The submission's id, as in `Location` and the body of the 202.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,80}$"},
        "example": examples.SUBMISSION_ID,
    },
    "Steps": {
        "name": "steps",
        "in": "query",
        "description": (
            "Whether to show the workflow's states that the submission went through. The account's quota for that is "
            "small, so ask for them only if you show them."
        ),
        "schema": {"type": "boolean", "examples": [True]},
    },
    "MessageId": {
        "name": "message_id",
        "in": "path",
        "required": True,
        "description": "The message's `message_id`.",
        "schema": {"type": "string", "format": "uuid"},
        "example": examples.MESSAGE_ID,
    },
    "LetterId": {
        "name": "letter_id",
        "in": "path",
        "required": True,
        "description": "The dead letter's `letter_id`, as the list has it.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 100},
        "example": examples.LETTER_ID,
    },
    "IfMatchOfLetter": {
        "name": "If-Match",
        "in": "header",
        "required": True,
        "description": (
            "The `ETag` that the letter had when you read it, and saved what you read. `*` is not enough, and a weak "
            "one (`W/…`) matches nothing."
        ),
        "schema": {"type": "string", "pattern": f"^({NAMED_TAGS})$", "examples": [examples.ETAG]},
        "example": examples.ETAG,
    },
    "Limit": {
        "name": "limit",
        "in": "query",
        "description": f"How many entries a page has at most; {paging.LIMIT_DEFAULT} if you don't say.",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": paging.LIMIT_MAX,
            "default": paging.LIMIT_DEFAULT,
            "examples": [10],
        },
    },
    "Cursor": {
        "name": "cursor",
        "in": "query",
        "description": "Where the page begins. It is opaque: take it from `Link`, and keep the other parameters.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` that you have. If it is still current, the answer is a 304 (RFC 9110 §13.1.2).",
        "schema": {"type": "string", "examples": [examples.ETAG]},
    },
    "IfMatchRequired": {
        "name": "If-Match",
        "in": "header",
        "required": True,
        "description": (
            "The `ETag` that the dragon had when you read it, or `*` for any (RFC 9110 §13.1.1). A weak one (`W/…`) "
            "matches nothing."
        ),
        "schema": _ENTITY_TAGS,
        "example": "*",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "The `ETag` that the dragon had when you read it. Without it, any version is removed.",
        "schema": _ENTITY_TAGS,
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": (
            f"`wait=N` (RFC 7240) waits up to N seconds, at most {requests.WAIT_MAX_S}, for the workflow's outcome. "
            "Preferences that the service does not understand are ignored."
        ),
        "schema": {"type": "string", "examples": ["wait=5"]},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "Makes it safe to repeat a report: for 90 days, the same caller, key and dragon get the first answer "
            "again, even if the submission failed. If you repeat a report without a key, after a 503 or 504, you may "
            'be told that your own dragon is a duplicate. 1 to 255 visible ASCII characters without `"`, or the same '
            "as a quoted string."
        ),
        "schema": {
            "type": "string",
            "pattern": '^([!#-~]{1,255}|"[!#-~]{1,255}")$',
            "examples": ["report-2026-11-22-0001"],
        },
    },
}

HEADERS: Json = {
    "X-Request-Id": {
        "required": True,
        "description": (
            "The request's id, which is also in every log line, the queued message and the workflow's input. It is "
            "your own `X-Request-Id` if you sent one of 8 to 64 letters, digits, `.`, `_` or `-`."
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
        "description": "`no-cache`: you may keep the answer, but have to revalidate it with `If-None-Match`.",
        "schema": {"type": "string"},
        "example": "no-cache",
    },
    "Link": {
        "description": (
            'The next page, if there is one, and the first (RFC 8288), relative to the server: `<…>; rel="next", <…>; '
            'rel="first"`. The last page has no `Link`.'
        ),
        "schema": {"type": "string"},
        "example": paging.links("/prod/dragons", {"limit": "1"}, paging.cursor_after("amberwick", DragonQuery())),
    },
    "Location": {
        "required": True,
        "description": "Where to find what the request led to, with the API's stage in front.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": f"/prod/submissions/{examples.SUBMISSION_ID}",
    },
    "StoredLocation": {
        "description": "Where to find the stored message, if there is another one, with the API's stage in front.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": f"/prod/message/{examples.MESSAGE_ID}",
    },
    "SubmissionLocation": {
        "description": "Where to find the submission, if the request led to one, with the API's stage in front.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": f"/prod/submissions/{examples.SUBMISSION_ID}",
    },
    "Retry-After": {
        "description": "How many seconds to wait before asking again.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
    "Preference-Applied": {
        "description": "The preference that the service followed (RFC 7240 §3).",
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
    "Accept-Encoding": {
        "description": "The content encoding that the route takes: `identity`, which is none (RFC 9110 §12.5.3).",
        "schema": {"type": "string"},
        "example": "identity",
    },
}

_RETRY_AFTER_S = aws.DependencyUnavailable.retry_after_s
_REPEATING = (
    "The request may have been carried out anyway. You may send it again; a report (`POST /dragons`) needs an "
    "`Idempotency-Key` for that, or its own dragon may make it a duplicate."
)

RESPONSES: Json = {
    "NotModified": {
        "description": "You have the current version (`If-None-Match`). No body.",
        "headers": headers_of("ETag", "Cache-Control"),
    },
    "PageMoved": {
        "description": "The page has one address, which `Location` gives relative to this one.",
        "headers": headers_of("Location"),
    },
    "Unauthorized": problem_answer("There is no valid ID token.", no_token=problems.TOKEN_NEEDED),
    "ForbiddenCompany": problem_answer(
        "The caller may not use messages of this company, or of any company.",
        other_company=problems.OTHER_COMPANY,
        no_company=problems.NO_COMPANY,
    ),
    "ForbiddenToOthers": problem_answer("The caller is not an operator.", no_operator=problems.NO_OPERATOR),
    "UnknownParameter": problem_answer(
        "The query has a parameter that this operation does not know.",
        unknown=examples.refused(requests.parameters(examples.request(colour="red")).check),
    ),
    "NoOperatorsFunction": problem_answer(
        "The stage was deployed by `chalice deploy`, which has no function for operators.",
        no_function=problems.NO_OPERATORS_FUNCTION,
    ),
    "LetterNotFound": problem_answer(
        "The queue has no such letter, or somebody holds it right now.", not_found=problems.LETTER_NOT_FOUND
    ),
    "LetterGone": problem_answer(
        "The letter is not there any more, or somebody holds it right now. Nothing was done.",
        gone=problems.LETTER_GONE_NOW,
    ),
    "LetterChanged": problem_answer(
        "`If-Match` names the letter as it is not, or only weak ETags. Nothing was done.",
        changed=problems.LETTER_CHANGED,
        weak=problems.ONLY_WEAK_TAGS,
    ),
    "LetterTagNeeded": problem_answer("`If-Match` is missing, or is `*`.", missing=problems.LETTER_TAG_NEEDED),
    "DragonNotFound": problem_answer("There is no such dragon.", not_found=problems.DRAGON_NOT_FOUND),
    "SubmissionNotFound": problem_answer(
        "There is no such submission, or somebody else made it.", not_found=problems.SUBMISSION_NOT_FOUND
    ),
    "MessageNotFound": problem_answer(
        "There is no such message, it is not stored yet, or it is another company's.",
        not_found=problems.MESSAGE_NOT_FOUND,
    ),
    "PreconditionFailed": problem_answer(
        "`If-Match` names another version of the dragon than the current one, or only weak ETags.",
        changed=problems.DRAGON_CHANGED,
        weak=problems.ONLY_WEAK_TAGS,
    ),
    "ContentTooLarge": problem_answer(
        f"The body is larger than {requests.BODY_BYTES_MAX // 1024} KiB.",
        too_large=problems.body_too_large(requests.BODY_BYTES_MAX),
    ),
    "UnsupportedMediaType": problem_answer(
        "The content type is missing, or is not `application/json`; or the body has a content encoding.",
        other=problems.NOT_JSON,
        encoded=problems.ENCODED_BODY,
    ),
    "PreconditionRequired": problem_answer("`If-Match` is missing.", missing=problems.IF_MATCH_NEEDED),
    "TooManyRequests": problem_answer(
        "The stage's limit of requests per second is reached (API Gateway). Nothing was done.",
        throttled=problems.too_many_requests(1),
    ),
    "InternalServerError": problem_answer("Something broke in the service.", broken=problems.INTERNAL_ERROR),
    "ServiceUnavailable": problem_answer(
        f"A service that the request needs is not available, or the gateway got no answer. {_REPEATING}",
        unavailable=problems.unavailable(_RETRY_AFTER_S),
        no_answer=problems.no_answer(NO_ANSWER_RETRY_AFTER_S),
    ),
    "GatewayTimeout": problem_answer(
        f"A service that the request needs did not answer in time. {_REPEATING}",
        timeout=problems.timed_out(_RETRY_AFTER_S),
    ),
}

# What any route may answer, whatever it does.
ALWAYS: Json = {
    "429": ref("responses", "TooManyRequests"),
    "500": ref("responses", "InternalServerError"),
    "503": ref("responses", "ServiceUnavailable"),
    "504": ref("responses", "GatewayTimeout"),
}
