"""Each route in words: summary, parameters, body and answers. What all answers have in common, the generator adds."""

from __future__ import annotations

from typing import Any

from chalicelib.web import problems
from operations.contract import examples
from operations.contract.components import headers_of, json_content, problem_answer, ref
from operations.contract.examples import invalid, problem

Json = dict[str, Any]

# Routes that are no part of what clients program against: the pages' own files.
UNDESCRIBED_PATHS = frozenset({"/static/{name}"})

TAGS: list[Json] = [
    {"name": "Dragons", "description": "The registry: listing, reporting, correcting and removing dragons."},
    {"name": "Messages", "description": "The message post: order messages, accepted first and stored a moment later."},
    {"name": "Service", "description": "The service itself: liveness, this document and the pages for people."},
]

_REPORT_BODIES = {
    "oneOf": [ref("schemas", "DragonReport"), ref("schemas", "WebClientDragonReport")],
    "description": "A field may be sent under either of its names, not under both.",
}
_CORRECTION_BODIES = {
    "oneOf": [ref("schemas", "DragonFields"), ref("schemas", "WebClientDragonFields")],
    "description": _REPORT_BODIES["description"],
}
_GET_DRAGON = {
    "operationId": "getDragon",
    "parameters": {"dragon_name": "$response.body#/dragon_name_str"},
    "description": "The dragon by itself, with its `ETag`.",
}
_CHANGES_OF_THE_DRAGON = {
    "correctDragon": {
        "operationId": "correctDragon",
        "parameters": {
            "path.dragon_name": "$response.body#/dragon_name_str",
            "header.If-Match": "$response.header.ETag",
        },
        "description": "Operators correct it, if it is still the same.",
    },
    "removeDragon": {
        "operationId": "removeDragon",
        "parameters": {
            "path.dragon_name": "$response.body#/dragon_name_str",
            "header.If-Match": "$response.header.ETag",
        },
        "description": "Operators remove it, if it is still the same.",
    },
}
_GET_SUBMISSION = {
    "operationId": "getSubmission",
    "parameters": {"submission_id": "$response.body#/submission_id"},
    "description": "How far it is.",
}
_BODY_RULES = (
    "The body is one JSON object in UTF-8: at most 256 KiB, at most 32 levels deep, no byte order mark, no duplicate "
    "members, no `NaN` or `Infinity`."
)
_FAULTS = "The request is not valid; `errors` lists every fault."


def _page(description: str, media_type: str) -> Json:
    return {
        "description": description,
        "headers": headers_of("ETag", "Cache-Control"),
        "content": {media_type: {"schema": {"type": "string"}}},
    }


OPERATIONS: dict[tuple[str, str], Json] = {
    ("GET", "/dragons"): {
        "operationId": "listDragons",
        "summary": "List dragons",
        "description": (
            "A page of the registry in the order of the normalised names. Filters compare exactly, without regard to "
            "case and Unicode form, and combine with AND. Follow `Link` for the next page; the `cursor` in it belongs "
            "to its filters. Large answers are compressed for clients that accept gzip."
        ),
        "tags": ["Dragons"],
        "parameters": [
            {
                "name": "family",
                "in": "query",
                "description": "Only dragons of this family.",
                "schema": {"type": "string"},
                "example": "gold",
            },
            {
                "name": "dragonName",
                "in": "query",
                "description": "Only the dragon of this name.",
                "schema": {"type": "string"},
                "example": "Amberwick",
            },
            {
                "name": "limit",
                "in": "query",
                "description": "How many dragons a page holds at most.",
                "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
                "example": 10,
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "Where the page begins. Opaque: take it from `Link`, with the same filters.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
            },
            ref("parameters", "IfNoneMatch"),
        ],
        "responses": {
            "200": {
                "description": "The page: an array, empty if nothing matches.",
                "headers": headers_of("ETag", "Cache-Control", "Link"),
                "content": json_content(
                    {"type": "array", "maxItems": 1000, "items": ref("schemas", "Dragon")},
                    page=[examples.DRAGON, examples.OTHER_DRAGON],
                    nothing_matches=[],
                ),
                "links": {
                    "getDragon": {**_GET_DRAGON, "parameters": {"dragon_name": "$response.body#/0/dragon_name_str"}}
                },
            },
            "304": ref("responses", "NotModified"),
            "400": problem_answer(
                "A parameter is unknown, repeated or not valid, or the cursor is of another query.",
                limit=invalid({"parameter": "limit", "detail": "must be a whole number from 1 to 1000"}),
                cursor=invalid(
                    {
                        "parameter": "cursor",
                        "detail": "belongs to a query with other filters; start from the first page",
                    }
                ),
            ),
        },
    },
    ("POST", "/dragons"): {
        "operationId": "reportDragon",
        "summary": "Report a dragon",
        "description": (
            "Starts the workflow that validates the dragon, adds it and tells the world. Answers 202 at once, and the "
            "workflow goes on by itself; with `Prefer: wait=N` the answer is the outcome, if there is one in time. "
            f"Names are unique without regard to case and Unicode form. {_BODY_RULES}"
        ),
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "Prefer"), ref("parameters", "IdempotencyKey")],
        "requestBody": {
            "required": True,
            "description": "The dragon, and how to reach whoever reports it.",
            "content": json_content(
                _REPORT_BODIES,
                registry_names=examples.REPORT,
                web_client_names=examples.WEB_CLIENT_REPORT,
            ),
        },
        "responses": {
            "201": {
                "description": "The dragon was added while the client waited (`Prefer: wait`).",
                "headers": headers_of("Location", "Preference-Applied"),
                "content": json_content(ref("schemas", "Dragon"), added=examples.DRAGON),
                "links": {"getDragon": _GET_DRAGON},
            },
            "202": {
                "description": "The workflow has begun; `Location` tells how far it is.",
                "headers": headers_of("Location", "Preference-Applied"),
                "content": json_content(ref("schemas", "AcceptedSubmission"), begun=examples.ACCEPTED_SUBMISSION),
                "links": {"getSubmission": _GET_SUBMISSION},
            },
            "400": problem_answer(
                _FAULTS,
                two_faults=invalid(
                    {"pointer": "#/dragon_name_str", "detail": "must hold only letters, digits, spaces and . ' -"},
                    {"pointer": "#/reportingPhoneNumber", "detail": "is required when confirmationRequired is true"},
                ),
                not_json=invalid(
                    {"pointer": "#", "detail": "not valid JSON: Expecting value (line 1, column 1)"},
                ),
            ),
            "409": problem_answer(
                "A dragon of this name is in the registry (with `Prefer: wait`).",
                ("Location", "Preference-Applied"),
                duplicate=problem(409, "A dragon named Amberwick is in the registry.", problems.DUPLICATE_DRAGON),
            ),
            "413": ref("responses", "ContentTooLarge"),
            "415": ref("responses", "UnsupportedMediaType"),
            "422": problem_answer(
                "The `Idempotency-Key` was used for another dragon; or the workflow refused the dragon (with "
                "`Prefer: wait`), and `Location` tells more.",
                ("SubmissionLocation", "Preference-Applied"),
                key_reused=problem(
                    422,
                    "Send the same dragon again, or use a new Idempotency-Key for another one.",
                    problems.IDEMPOTENCY_KEY_REUSED,
                ),
                refused=problem(422, "The workflow gave no reason.", problems.DRAGON_REFUSED),
            ),
            "500": problem_answer(
                "Something broke in the service; or the submission could not be finished (with `Prefer: wait`), and "
                "`Location` tells more. Under its `Idempotency-Key` a failed submission stays failed; report the "
                "dragon again under a new one.",
                ("SubmissionLocation", "Preference-Applied"),
                broken=problem(500, "Something broke on our side. The request id finds it in the log."),
                failed=problem(
                    500,
                    "The workflow could not be finished. GET /dragons tells whether the dragon was added.",
                    problems.SUBMISSION_FAILED,
                ),
            ),
        },
    },
    ("GET", "/dragons/{dragon_name}"): {
        "operationId": "getDragon",
        "summary": "Show one dragon",
        "description": "The dragon, with the `ETag` that correcting it needs.",
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "DragonName"), ref("parameters", "IfNoneMatch")],
        "responses": {
            "200": {
                "description": "The dragon.",
                "headers": headers_of("ETag", "Cache-Control"),
                "content": json_content(ref("schemas", "Dragon"), dragon=examples.DRAGON),
                "links": _CHANGES_OF_THE_DRAGON,
            },
            "304": ref("responses", "NotModified"),
            "400": ref("responses", "UnknownParameter"),
            "404": ref("responses", "DragonNotFound"),
        },
    },
    ("PUT", "/dragons/{dragon_name}"): {
        "operationId": "correctDragon",
        "summary": "Correct a dragon",
        "description": (
            "For operators: puts these fields in the place of the dragon's, if it is still the one that the client has "
            f"seen. The name has to be the one in the path; a dragon is corrected, not renamed. {_BODY_RULES}"
        ),
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "DragonName"), ref("parameters", "IfMatchRequired")],
        "requestBody": {
            "required": True,
            "description": "Every field of the dragon.",
            "content": json_content(
                _CORRECTION_BODIES,
                registry_names=examples.DRAGON,
                web_client_names={
                    name: value for name, value in examples.WEB_CLIENT_REPORT.items() if name != "confirmationRequired"
                },
            ),
        },
        "responses": {
            "200": {
                "description": "The dragon as it is now.",
                "headers": headers_of("ETag", "Cache-Control"),
                "content": json_content(ref("schemas", "Dragon"), dragon=examples.DRAGON),
                "links": {"getDragon": _GET_DRAGON, "removeDragon": _CHANGES_OF_THE_DRAGON["removeDragon"]},
            },
            "400": problem_answer(
                _FAULTS,
                renamed=invalid(
                    {
                        "pointer": "#/dragon_name_str",
                        "detail": "must be the name in the path; dragons are not renamed",
                    }
                ),
            ),
            "403": ref("responses", "ForbiddenToOthers"),
            "404": ref("responses", "DragonNotFound"),
            "412": ref("responses", "PreconditionFailed"),
            "413": ref("responses", "ContentTooLarge"),
            "415": ref("responses", "UnsupportedMediaType"),
            "428": ref("responses", "PreconditionRequired"),
        },
    },
    ("DELETE", "/dragons/{dragon_name}"): {
        "operationId": "removeDragon",
        "summary": "Remove a dragon",
        "description": "For operators: takes the dragon out of the registry. Its name is free again then.",
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "DragonName"), ref("parameters", "IfMatch")],
        "responses": {
            "204": {"description": "The dragon is gone. No body."},
            "403": ref("responses", "ForbiddenToOthers"),
            "404": ref("responses", "DragonNotFound"),
            "412": ref("responses", "PreconditionFailed"),
        },
    },
    ("GET", "/submissions/{submission_id}"): {
        "operationId": "getSubmission",
        "summary": "Show how far a reported dragon is",
        "description": "For whoever reported the dragon, and for operators. Never shows the reporter's phone number.",
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "SubmissionId")],
        "responses": {
            "200": {
                "description": "The submission; with `Retry-After` while it is pending.",
                "headers": headers_of("Cache-Control", "Retry-After"),
                "content": json_content(
                    ref("schemas", "SubmissionStatus"),
                    added=examples.ADDED_SUBMISSION,
                    pending=examples.PENDING_SUBMISSION,
                    rejected=examples.REJECTED_SUBMISSION,
                ),
            },
            "404": ref("responses", "SubmissionNotFound"),
        },
    },
    ("POST", "/post-message"): {
        "operationId": "postMessage",
        "summary": "Post an order message",
        "description": (
            "Answers once the queue has the message; a moment later it is stored and can be read. `company_id` and "
            "`message_id` together are the idempotency key: the same message again changes nothing, and another one "
            "under the same key never overwrites the first. Further members of `data` are kept and returned exactly. "
            f"{_BODY_RULES}"
        ),
        "tags": ["Messages"],
        "requestBody": {
            "required": True,
            "description": "The message.",
            "content": json_content(ref("schemas", "OrderMessage"), order=examples.MESSAGE),
        },
        "responses": {
            "202": {
                "description": "The queue has it; `Location` is where it is going to be.",
                "headers": headers_of("Location"),
                "content": json_content(ref("schemas", "AcceptedMessage"), accepted=examples.ACCEPTED_MESSAGE),
                "links": {
                    "getMessage": {
                        "operationId": "getMessage",
                        "parameters": {
                            "path.message_id": "$response.body#/message_id",
                            "query.company_id": "$request.body#/metadata/company_id",
                        },
                        "description": "The stored message, a moment later. Only operators name the company.",
                    }
                },
            },
            "400": problem_answer(
                _FAULTS,
                two_faults=invalid(
                    {
                        "pointer": "#/metadata/company_id",
                        "detail": "must be a UUID such as e0721e56-fb09-4273-ae74-7bcbc92d43eb",
                    },
                    {"pointer": "#/data/order_amount", "detail": "must be at least 0"},
                ),
            ),
            "403": ref("responses", "ForbiddenCompany"),
            "413": ref("responses", "ContentTooLarge"),
            "415": ref("responses", "UnsupportedMediaType"),
        },
    },
    ("GET", "/message/{message_id}"): {
        "operationId": "getMessage",
        "summary": "Show a stored message",
        "description": (
            "For the message's company and for operators, with exactly the numbers that were sent. A message that was "
            "just posted is stored a moment later; until then this is a 404."
        ),
        "tags": ["Messages"],
        "parameters": [
            ref("parameters", "MessageId"),
            {
                "name": "company_id",
                "in": "query",
                "description": (
                    "For operators only: whose message is meant. They need it if messages of several companies have "
                    "the id."
                ),
                "schema": {"type": "string", "format": "uuid"},
                "example": examples.COMPANY_ID,
            },
        ],
        "responses": {
            "200": {
                "description": "The message.",
                "content": json_content(ref("schemas", "StoredOrderMessage"), stored=examples.STORED_MESSAGE),
            },
            "400": problem_answer(
                "An id is no UUID, a parameter is not known, or messages of several companies have the id.",
                no_uuid=invalid(
                    {
                        "parameter": "message_id",
                        "detail": "must be a UUID such as e0721e56-fb09-4273-ae74-7bcbc92d43eb",
                    }
                ),
            ),
            "403": ref("responses", "ForbiddenCompany"),
            "404": ref("responses", "MessageNotFound"),
        },
    },
    ("GET", "/health"): {
        "operationId": "getHealth",
        "summary": "Tell that the service runs",
        "description": "Liveness only: asks nothing of AWS.",
        "tags": ["Service"],
        "responses": {
            "200": {
                "description": "It runs.",
                "content": json_content(ref("schemas", "Health"), running={"status": "ok"}),
            }
        },
    },
    ("GET", "/openapi.json"): {
        "operationId": "getOpenApi",
        "summary": "Show this document",
        "description": "The API as OpenAPI 3.1, generated from the code that serves it.",
        "tags": ["Service"],
        "parameters": [ref("parameters", "IfNoneMatch")],
        "responses": {
            "200": {
                "description": "The document.",
                "headers": headers_of("ETag", "Cache-Control"),
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "304": ref("responses", "NotModified"),
        },
    },
    ("GET", "/docs"): {
        "operationId": "showDocs",
        "summary": "Show the interactive documentation",
        "description": "A page for people: reads this document, signs in, and tries operations out.",
        "tags": ["Service"],
        "parameters": [ref("parameters", "IfNoneMatch")],
        "responses": {
            "200": _page("The page.", "text/html"),
            "304": ref("responses", "NotModified"),
            "308": ref("responses", "PageMoved"),
            "404": problem_answer(
                "This deployment was packaged without the page's parts.",
                incomplete=problem(404, "This deployment was packaged without Swagger UI."),
            ),
        },
    },
    ("GET", "/"): {
        "operationId": "showConsole",
        "summary": "Show the console",
        "description": "A page for people: the registry, reporting a dragon, posting a message.",
        "tags": ["Service"],
        "parameters": [ref("parameters", "IfNoneMatch")],
        "responses": {
            "200": _page("The page.", "text/html"),
            "304": ref("responses", "NotModified"),
            "308": ref("responses", "PageMoved"),
        },
    },
}
