"""What operations share: parameters, headers, the problem documents and the answers that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, get_args

from app import users
from chalicelib import aws, readiness
from chalicelib.checked import Uuid
from chalicelib.dragons.model import DragonName
from chalicelib.dragons.repository import DragonQuery
from chalicelib.representation import etag_of, gzip_etag
from chalicelib.settings import Settings
from chalicelib.web import paging, problems, requests
from chalicelib.web.conditional import ENTITY_TAGS, NAMED_TAGS
from chalicelib.web.problems import Problem
from operations.generate import gateway_responses
from operations.generate.contract import examples
from operations.generate.contract.examples import REQUEST_ID
from operations.generate.gateway_responses import NO_ANSWER_RETRY_AFTER_S

Json = dict[str, Any]

# The request line and the headers together (https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html).
_HEAD_BYTES_MAX = 10_240
# All environment variables of a function (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
_ENVIRONMENT_BYTES_MAX = 4_096
# The state machine's output, and a body, which a sentence about either may quote.
_SENTENCE_LENGTH_MAX = requests.BODY_BYTES_MAX
# A member of an object takes six bytes, as in `"a":0,`, and each may be a fault.
_FAULTS_MAX = requests.BODY_BYTES_MAX // 6
_TITLES = [*problems.TITLES.values(), *(problems.status_title(status) for status in HTTPStatus)]
_RETRY_AFTER_MAX_S = max(int(found.headers.get("Retry-After", 0)) for found in gateway_responses.PROBLEMS.values())


def text(length_max: int, **rules: Any) -> Json:
    """Return the schema of a string of at most so many characters, with these further rules."""
    return {"type": "string", "maxLength": length_max, **rules}


def only(value: str) -> Json:
    """Return the schema of a string that is always the same."""
    return {"type": "string", "const": value}


def ref(kind: str, name: str) -> Json:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def resolved(parameter: Json) -> Json:
    """Return a parameter itself, which may be a reference to a component."""
    found: Json = PARAMETERS[parameter["$ref"].rpartition("/")[2]] if "$ref" in parameter else parameter
    return found


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
            "`custom:company_id`, or for none if there is no such claim. Signature, issuer, expiry, use and client of "
            "each token are checked, as RFC8725 asks."
        ),
    }
}

_REQUEST_ID = text(64, pattern="^[A-Za-z0-9._-]{8,64}$")

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
                **text(max(map(len, problems.TITLES)), format="uri-reference"),
                "description": "`about:blank` or a URN. If you don't recognise a `type`, go by the status.",
                "examples": ["about:blank", *sorted(problems.TITLES)],
            },
            "title": {**text(max(map(len, _TITLES))), "description": "What kind of problem it is, in words."},
            "status": {
                "type": "integer",
                "format": "int32",
                "minimum": 400,
                "maximum": 599,
                "description": "The status of the answer.",
            },
            "detail": {
                **text(_SENTENCE_LENGTH_MAX),
                "description": "What went wrong. For people; the wording may change.",
            },
            "request_id": {**_REQUEST_ID, "description": "Finds this request in the service's log."},
            "errors": {
                "type": "array",
                "minItems": 1,
                "maxItems": _FAULTS_MAX,
                "items": ref("schemas", "Fault"),
                "description": "Every fault of an invalid request, not just the first.",
            },
            "dependencies": {
                "type": "array",
                "maxItems": len(get_args(readiness.Name)),
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
            "pointer": {
                # Each byte of a body may become a `%` and two digits.
                **text(3 * requests.BODY_BYTES_MAX, format="uri-reference"),
                "description": "A place in the body (RFC 6901, as a URI fragment).",
            },
            "parameter": {**text(_HEAD_BYTES_MAX), "description": "A parameter of the query or the path."},
            "header": {
                **text(_HEAD_BYTES_MAX, pattern="^[A-Za-z0-9-]+$"),
                "description": "A header of the request.",
            },
            "detail": {
                **text(_SENTENCE_LENGTH_MAX),
                "description": "What is wrong there. For people; the wording may change.",
            },
        },
        "required": ["detail"],
        "minProperties": 2,
        "maxProperties": 2,
    },
}

_ENTITY_TAGS = text(requests.VALUE_LENGTH_MAX, pattern=f"^({ENTITY_TAGS})$", examples=[examples.ETAG])

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
        "schema": text(80, pattern="^[A-Za-z0-9_-]{1,80}$"),
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
        "schema": Uuid.schema,
        "example": examples.MESSAGE_ID,
    },
    "LetterId": {
        "name": "letter_id",
        "in": "path",
        "required": True,
        "description": "The dead letter's `letter_id`, as the list has it.",
        "schema": text(100, pattern=r"^\S+$"),
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
        "schema": text(requests.VALUE_LENGTH_MAX, pattern=f"^({NAMED_TAGS})$", examples=[examples.ETAG]),
        "example": examples.ETAG,
    },
    "Limit": {
        "name": "limit",
        "in": "query",
        "description": f"How many entries a page has at most; {paging.LIMIT_DEFAULT} if you don't say.",
        "schema": {
            "type": "integer",
            "format": "int32",
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
        "schema": text(requests.VALUE_LENGTH_MAX, pattern="^[A-Za-z0-9_-]+$"),
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
        "schema": text(257, pattern='^([!#-~]{1,255}|"[!#-~]{1,255}")$', examples=["report-2026-11-22-0001"]),
    },
}

# API Gateway's stages have names of 128 characters at most, and a character of a dragon's name takes twelve in a path.
_LOCATION = text(128 + len("//dragons/") + 12 * DragonName.length_max, format="uri-reference")

HEADERS: Json = {
    "X-Request-Id": {
        "required": True,
        "description": (
            "The request's id, which is also in every log line, the queued message and the workflow's input. It is "
            "your own `X-Request-Id` if you sent one of 8 to 64 letters, digits, `.`, `_` or `-`."
        ),
        "schema": _REQUEST_ID,
        "example": examples.REQUEST_ID,
    },
    "Access-Control-Allow-Origin": {
        "required": True,
        "description": "The origin whose pages may read the answer in a browser; `*` is any (Fetch, §3.3.3).",
        "schema": text(_ENVIRONMENT_BYTES_MAX, pattern=f"^({Settings.allow_origin.form.pattern})$"),
        "example": "*",
    },
    "ETag": {
        "required": True,
        "description": "The tag of this representation, for `If-None-Match` and `If-Match`.",
        "schema": text(len(gzip_etag(etag_of(b""))), pattern='^"[^"]+"$'),
        "example": examples.ETAG,
    },
    "Cache-Control": {
        "required": True,
        "description": "`no-cache`: you may keep the answer, but have to revalidate it with `If-None-Match`.",
        "schema": only("no-cache"),
        "example": "no-cache",
    },
    "Link": {
        "description": (
            'The next page, if there is one, and the first (RFC 8288), relative to the server: `<…>; rel="next", <…>; '
            'rel="first"`. The last page has no `Link`.'
        ),
        # Two addresses: each is that of the request, whose bytes take three characters at most, with another cursor.
        "schema": text(8 * _HEAD_BYTES_MAX, pattern='^<[^>]*>; rel="next", <[^>]*>; rel="first"$'),
        "example": paging.links("/prod/dragons", {"limit": "1"}, paging.cursor_after("amberwick", DragonQuery())),
    },
    "Location": {
        "required": True,
        "description": "Where to find what the request led to, with the API's stage in front.",
        "schema": _LOCATION,
        "example": f"/prod/submissions/{examples.SUBMISSION_ID}",
    },
    "StoredLocation": {
        "description": "Where to find the stored message, if there is another one, with the API's stage in front.",
        "schema": _LOCATION,
        "example": f"/prod/message/{examples.MESSAGE_ID}",
    },
    "SubmissionLocation": {
        "description": "Where to find the submission, if the request led to one, with the API's stage in front.",
        "schema": _LOCATION,
        "example": f"/prod/submissions/{examples.SUBMISSION_ID}",
    },
    "Retry-After": {
        "description": "How many seconds to wait before asking again.",
        "schema": {"type": "integer", "format": "int32", "minimum": 1, "maximum": _RETRY_AFTER_MAX_S},
        "example": 1,
    },
    "Preference-Applied": {
        "description": "The preference that the service followed (RFC 7240 §3).",
        "schema": text(7, pattern="^wait=[1-9][0-9]?$"),
        "example": "wait=5",
    },
    "WWW-Authenticate": {
        "required": True,
        "description": "The scheme to authenticate with: `Bearer`.",
        "schema": only("Bearer"),
        "example": "Bearer",
    },
    "Accept": {
        "description": "The content type that the route takes.",
        "schema": only("application/json"),
        "example": "application/json",
    },
    "Accept-Encoding": {
        "description": "The content encoding that the route takes: `identity`, which is none (RFC 9110 §12.5.3).",
        "schema": only("identity"),
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
