"""Each route in words: summary, parameters, body and answers. The generator adds what all answers have in common."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from chalicelib import aws
from chalicelib.checked import Timestamp, Uuid
from chalicelib.dragons.model import correction_from, report_from
from chalicelib.dragons.repository import DragonQuery
from chalicelib.dragons.submissions import WHY_FAILED
from chalicelib.exact_json import NESTING_LEVELS_MAX, parse_object
from chalicelib.identity import Caller
from chalicelib.messages.dead_letters import PAGE_MAX
from chalicelib.messages.model import message_from
from chalicelib.readiness import READY_WITHIN_S
from chalicelib.timeline import ID_CHARACTERS_MAX
from chalicelib.web import dead_letters, paging, problems, requests, timeline
from chalicelib.web.bodies import ANSWER_BYTES_MAX
from chalicelib.web.messages import messages_asked
from operations.generate.contract import examples
from operations.generate.contract.components import (
    headers_of,
    json_content,
    problem_answer,
    ref,
    text,
)
from operations.generate.contract.examples import refused
from operations.generate.gateway_responses import NO_ANSWER_RETRY_AFTER_S

Json = dict[str, Any]

# Routes that clients do not program against: the files of the pages.
UNDESCRIBED_PATHS = frozenset({"/static/{name}"})

TAGS: list[Json] = [
    {"name": "Dragons", "description": "The registry: listing, reporting, correcting and removing dragons."},
    {
        "name": "Messages",
        "description": "The message post: order messages, accepted first and stored a moment later.",
    },
    {
        "name": "Operators",
        "description": "For operators alone: what the service depends on, and messages that could not be stored.",
    },
    {"name": "Service", "description": "The service itself: liveness, this document and the pages for people."},
]

_REPORT_BODIES = {
    "oneOf": [ref("schemas", "DragonReport"), ref("schemas", "WebClientDragonReport")],
    "description": "Send each field under either of its names, but not under both.",
}
_CORRECTION_BODIES = {
    "oneOf": [ref("schemas", "DragonFields"), ref("schemas", "WebClientDragonFields")],
    "description": _REPORT_BODIES["description"],
}
_MESSAGE = {
    "required": True,
    "description": "The message.",
    "content": json_content(ref("schemas", "OrderMessage"), order=examples.MESSAGE),
}
_GET_MESSAGE = {
    "operationId": "getMessage",
    "parameters": {
        "path.message_id": "$response.body#/message_id",
        "query.company_id": "$request.body#/metadata/company_id",
    },
    "description": "The stored message, a moment later. Only operators may name the company.",
}
_GET_DRAGON = {
    "operationId": "getDragon",
    "parameters": {"dragon_name": "$response.body#/dragon_name_str"},
    "description": "The dragon alone, with its `ETag`.",
}
_CHANGES_OF_THE_DRAGON = {
    "correctDragon": {
        "operationId": "correctDragon",
        "parameters": {
            "path.dragon_name": "$response.body#/dragon_name_str",
            "header.If-Match": "$response.header.ETag",
        },
        "description": "Operators may correct it, as long as it has not changed.",
    },
    "removeDragon": {
        "operationId": "removeDragon",
        "parameters": {
            "path.dragon_name": "$response.body#/dragon_name_str",
            "header.If-Match": "$response.header.ETag",
        },
        "description": "Operators may remove it, as long as it has not changed.",
    },
}
_GET_SUBMISSION = {
    "operationId": "getSubmission",
    "parameters": {"submission_id": "$response.body#/submission_id"},
    "description": "How far the submission is.",
}
_ACTIONS_ON_THE_LETTER = {
    "redriveDeadLetter": {
        "operationId": "redriveDeadLetter",
        "parameters": {"letter_id": "$response.body#/letter_id"},
        "description": "Its message may be sent again as it is.",
    },
    "deleteDeadLetter": {
        "operationId": "deleteDeadLetter",
        "parameters": {
            "path.letter_id": "$response.body#/letter_id",
            "header.If-Match": "$response.header.ETag",
        },
        "description": "It may be deleted, once this answer is saved.",
    },
    "replaceDeadLetter": {
        "operationId": "replaceDeadLetter",
        "parameters": {
            "path.letter_id": "$response.body#/letter_id",
            "header.If-Match": "$response.header.ETag",
        },
        "description": "An edited message may take its place, once this answer is saved.",
    },
}
_BODY_RULES = (
    f"The body is one JSON object in UTF-8: at most {requests.BODY_BYTES_MAX // 1024} KiB, at most "
    f"{NESTING_LEVELS_MAX} levels deep, no byte order mark, no duplicate members, no `NaN` or `Infinity`."
)
_FAULTS = f"{problems.TITLES[problems.INVALID_REQUEST]}; `errors` lists every fault."


_UTF_8 = text(requests.VALUE_LENGTH_MAX, pattern=r"^[^\ufffd]*$")  # what is not UTF-8 becomes U+FFFD on its way
_TWO_FAULTS = {
    "metadata": {**examples.MESSAGE["metadata"], "company_id": "42"},
    "data": {**examples.MESSAGE["data"], "order_amount": Decimal(-1)},
}
_GOLDEN = DragonQuery.of("gold", None, None, 1)
_OF_THE_SUBMISSION = {"Location": f"/submissions/{examples.SUBMISSION_ID}", "Preference-Applied": "wait=5"}


def _query(given: dict[str, str]) -> DragonQuery:
    return paging.query_from(requests.Parameters(given))


def _message_id(text: str) -> None:
    parameters = requests.Parameters()
    parameters.parsed("message_id", text, Uuid.parse)
    parameters.check()


def _wants_steps(text: str) -> None:
    parameters = requests.Parameters({"steps": text})
    parameters.take("steps", requests.boolean)
    parameters.check()


def _of_list(given: dict[str, str], *shown: str) -> None:
    parameters = requests.Parameters(given)
    paging.limit_from(parameters)
    paging.after_from(parameters, *shown)
    parameters.check()


def _letters(given: dict[str, str]) -> None:
    dead_letters.limit_from(requests.Parameters(given))


def _timeline(given: dict[str, str]) -> None:
    timeline.id_from(requests.Parameters(given))


def _messages(given: dict[str, str]) -> None:
    messages_asked(requests.Parameters(given), Caller("sub", None, is_operator=True))


def _posted(*, repeated: str, accepted: str) -> Json:
    """Return the answers to a message that is accepted, each with its description."""

    def answer(description: str, schema: str, **example: Json) -> Json:
        return {
            "description": description,
            "headers": headers_of("Location"),
            "content": json_content(ref("schemas", schema), **example),
            "links": {"getMessage": _GET_MESSAGE},
        }

    return {
        "200": answer(repeated, "RepeatedMessage", repeated=examples.REPEATED_MESSAGE),
        "202": answer(accepted, "AcceptedMessage", accepted=examples.ACCEPTED_MESSAGE),
    }


_PAGE_NOT_VALID = problem_answer(
    "A parameter is unknown, repeated or not valid, or the cursor belongs to another list.",
    limit=refused(_of_list, {"limit": "0"}),
    cursor=refused(_of_list, {"cursor": paging.cursor_after("amberwick", _GOLDEN)}, "families"),
)


def _page(description: str, media_type: str) -> Json:
    return {
        "description": description,
        "headers": headers_of("ETag", "Cache-Control"),
        "content": {media_type: {"schema": text(ANSWER_BYTES_MAX)}},
    }


OPERATIONS: dict[tuple[str, str], Json] = {
    ("GET", "/dragons"): {
        "operationId": "listDragons",
        "summary": "List dragons",
        "description": (
            "A page of the registry, in the order of the normalised names. Filters match regardless of case and "
            "Unicode form, whole values (but for `namePrefix`), and combine with AND. Follow `Link` to the next page; "
            "its `cursor` only works with the same filters. Large answers are compressed for clients that accept gzip."
        ),
        "tags": ["Dragons"],
        "parameters": [
            {
                "name": "family",
                "in": "query",
                "description": "Only dragons of this family.",
                "schema": {**_UTF_8, "examples": [examples.DRAGON["family_str"]]},
            },
            {
                "name": "dragonName",
                "in": "query",
                "description": "Only the dragon of this name.",
                "schema": {**_UTF_8, "examples": [examples.DRAGON["dragon_name_str"]]},
            },
            {
                "name": "namePrefix",
                "in": "query",
                "description": (
                    "Only dragons whose names begin so, for search as one types. White space at its end counts; an "
                    "empty prefix finds every dragon."
                ),
                "schema": {**_UTF_8, "examples": [examples.DRAGON["dragon_name_str"][:2]]},
            },
            ref("parameters", "Limit"),
            ref("parameters", "Cursor"),
            ref("parameters", "IfNoneMatch"),
        ],
        "responses": {
            "200": {
                "description": "The page: an array, empty if nothing matches.",
                "headers": headers_of("ETag", "Cache-Control", "Link"),
                "content": json_content(
                    {"type": "array", "maxItems": paging.LIMIT_MAX, "items": ref("schemas", "Dragon")},
                    page=[examples.DRAGON, examples.OTHER_DRAGON],
                    nothing_matches=[],
                ),
                "links": {
                    "getDragon": {**_GET_DRAGON, "parameters": {"dragon_name": "$response.body#/0/dragon_name_str"}}
                },
            },
            "304": ref("responses", "NotModified"),
            "400": problem_answer(
                "A parameter is unknown, repeated or not valid, or the cursor belongs to another query.",
                limit=refused(_query, {"limit": "0"}),
                cursor=refused(_query, {"cursor": paging.cursor_after("amberwick", _GOLDEN), "family": "red"}),
            ),
        },
    },
    ("GET", "/families"): {
        "operationId": "listFamilies",
        "summary": "List the families",
        "description": (
            "The families that have dragons, in the order of their normalised names, and how many dragons each has. A "
            "family is written as most of its dragons have it; of as many, the first by code points. Follow `Link` to "
            "the next page."
        ),
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "Limit"), ref("parameters", "Cursor"), ref("parameters", "IfNoneMatch")],
        "responses": {
            "200": {
                "description": "The page: an array, empty if there are no dragons.",
                "headers": headers_of("ETag", "Cache-Control", "Link"),
                "content": json_content(
                    {"type": "array", "maxItems": paging.LIMIT_MAX, "items": ref("schemas", "CountedFamily")},
                    page=examples.FAMILIES,
                    no_dragons=[],
                ),
            },
            "304": ref("responses", "NotModified"),
            "400": _PAGE_NOT_VALID,
        },
    },
    ("POST", "/dragons"): {
        "operationId": "reportDragon",
        "summary": "Report a dragon",
        "description": (
            "Starts the workflow that validates the dragon, adds it and tells the world. Answers 202 at once, while "
            "the workflow goes on by itself. With `Prefer: wait=N`, the answer is the outcome if there is one in time. "
            f"Names are unique regardless of case and Unicode form. {_BODY_RULES}"
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
                "description": "The dragon was added while you waited (`Prefer: wait`).",
                "headers": headers_of("Location", "Preference-Applied"),
                "content": json_content(ref("schemas", "Dragon"), added=examples.DRAGON),
                "links": {"getDragon": _GET_DRAGON},
            },
            "202": {
                "description": "The workflow has begun. Ask `Location` how far it is.",
                "headers": headers_of("Location", "Preference-Applied"),
                "content": json_content(ref("schemas", "AcceptedSubmission"), begun=examples.ACCEPTED_SUBMISSION),
                "links": {"getSubmission": _GET_SUBMISSION},
            },
            "400": problem_answer(
                _FAULTS,
                two_faults=refused(
                    report_from, {**examples.DRAGON, "dragon_name_str": "<b>", "confirmationRequired": True}
                ),
                not_json=refused(parse_object, b"Amberwick"),
            ),
            "409": problem_answer(
                f"{problems.TITLES[problems.DUPLICATE_DRAGON]} (with `Prefer: wait`).",
                duplicate=problems.duplicate_dragon(examples.WHY_DUPLICATE, _OF_THE_SUBMISSION),
            ),
            "413": ref("responses", "ContentTooLarge"),
            "415": ref("responses", "UnsupportedMediaType"),
            "422": problem_answer(
                "The `Idempotency-Key` was used for another dragon; or the workflow refused the dragon (with "
                "`Prefer: wait`), and `Location` tells more.",
                key_reused=problems.KEY_REUSED,
                refused=problems.dragon_refused(None, _OF_THE_SUBMISSION),
            ),
            "500": problem_answer(
                "Something broke in the service; or the submission could not be finished (with `Prefer: wait`), and "
                "`Location` tells more. A failed submission stays failed under its `Idempotency-Key`, so report the "
                "dragon again under a new one.",
                broken=problems.INTERNAL_ERROR,
                failed=problems.submission_failed(WHY_FAILED, _OF_THE_SUBMISSION),
            ),
        },
    },
    ("GET", "/dragons/{dragon_name}"): {
        "operationId": "getDragon",
        "summary": "Show one dragon",
        "description": (
            "The dragon, with the `ETag` that you need to correct it. A reported dragon is there a moment later, once "
            "the workflow has added it; until then, the answer is a 404."
        ),
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
            "For operators; everybody else gets a 403. Replaces the dragon's fields with these, unless it has changed "
            "since you read it. The name has to be the one in the path: a dragon is corrected, not renamed. "
            f"{_BODY_RULES}"
        ),
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "DragonName"), ref("parameters", "IfMatchRequired")],
        "requestBody": {
            "required": True,
            "description": "Every field of the dragon.",
            "content": json_content(
                _CORRECTION_BODIES,
                registry_names=examples.DRAGON,
                web_client_names=examples.WEB_CLIENT_DRAGON,
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
                renamed=refused(correction_from, examples.DRAGON, "Emberwick"),
                no_etag=refused(requests.if_match, examples.request({"If-Match": "abc"})),
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
        "description": (
            "For operators; everybody else gets a 403. Removes the dragon from the registry. Its name is then free "
            "again, so removing the dragon a second time is a 404."
        ),
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "DragonName"), ref("parameters", "IfMatch")],
        "responses": {
            "204": {"description": "The dragon is gone. No body."},
            "400": problem_answer(
                "`If-Match` is malformed.", no_etag=refused(requests.if_match, examples.request({"If-Match": "abc"}))
            ),
            "403": ref("responses", "ForbiddenToOthers"),
            "404": ref("responses", "DragonNotFound"),
            "412": ref("responses", "PreconditionFailed"),
        },
    },
    ("GET", "/submissions"): {
        "operationId": "listSubmissions",
        "summary": "List what you have reported",
        "description": (
            "Your own reports of the last 90 days, newest first, and what became of each: what `GET "
            "/submissions/{submission_id}` shows without steps. A report is listed a moment after it was accepted. "
            "Follow `Link` to the next page."
        ),
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "Limit"), ref("parameters", "Cursor"), ref("parameters", "IfNoneMatch")],
        "responses": {
            "200": {
                "description": "The page: an array, empty if you have reported nothing.",
                "headers": headers_of("ETag", "Cache-Control", "Link"),
                "content": json_content(
                    {"type": "array", "maxItems": paging.LIMIT_MAX, "items": ref("schemas", "SubmissionStatus")},
                    page=[examples.PENDING_SUBMISSION, examples.REJECTED_SUBMISSION],
                    nothing_reported=[],
                ),
                "links": {
                    "getSubmission": {
                        **_GET_SUBMISSION,
                        "parameters": {"submission_id": "$response.body#/0/submission_id"},
                    }
                },
            },
            "304": ref("responses", "NotModified"),
            "400": _PAGE_NOT_VALID,
        },
    },
    ("GET", "/submissions/{submission_id}"): {
        "operationId": "getSubmission",
        "summary": "Show how far a reported dragon is",
        "description": (
            "For whoever reported the dragon, and for operators. Never shows the reporter's phone number. A submission "
            "can be read a moment after the report was accepted; until then, the answer is a 404."
        ),
        "tags": ["Dragons"],
        "parameters": [ref("parameters", "SubmissionId"), ref("parameters", "Steps")],
        "responses": {
            "200": {
                "description": "The submission; with `Retry-After` while it is pending, and with `steps` if asked for.",
                "headers": headers_of("Cache-Control", "Retry-After"),
                "content": json_content(
                    ref("schemas", "SubmissionStatus"),
                    added=examples.ADDED_SUBMISSION,
                    with_steps=examples.ADDED_SUBMISSION_WITH_STEPS,
                    pending=examples.PENDING_SUBMISSION,
                    rejected=examples.REJECTED_SUBMISSION,
                ),
            },
            "400": problem_answer("A parameter is unknown, repeated or not valid.", steps=refused(_wants_steps, "yes")),
            "404": ref("responses", "SubmissionNotFound"),
        },
    },
    ("POST", "/post-message"): {
        "operationId": "postMessage",
        "summary": "Post an order message",
        "description": (
            "Answers 202 once the queue has the message. A moment later it is stored, and you can read it. "
            "`company_id` and `message_id` together are the idempotency key: the same message again changes nothing, "
            "and gets a 200 if it is stored already; another message under the same key gets a 409. While the service "
            "does not know yet that a message is stored, both get a 202; compare the `digest` with that of the stored "
            "message then, which is never overwritten. Further members of `data` are kept and returned exactly. "
            f"{_BODY_RULES}"
        ),
        "tags": ["Messages"],
        "requestBody": _MESSAGE,
        "responses": {
            **_posted(
                repeated="The same message is stored already; nothing was queued. `Location` is where it is.",
                accepted="The queue has the message. `Location` is where you can read it once it is stored.",
            ),
            "400": problem_answer(
                _FAULTS,
                two_faults=refused(message_from, _TWO_FAULTS),
            ),
            "403": ref("responses", "ForbiddenCompany"),
            "409": problem_answer(
                "Another payload is stored under this company and id; nothing was queued. `Location` is where it is.",
                conflict=problems.message_conflict({"Location": f"/prod/message/{examples.MESSAGE_ID}"}),
            ),
            "413": ref("responses", "ContentTooLarge"),
            "415": ref("responses", "UnsupportedMediaType"),
        },
    },
    ("GET", "/messages"): {
        "operationId": "listMessages",
        "summary": "List a company's messages",
        "description": (
            "Stored messages, newest first by when they were accepted: ids, times and amount, without the rest of "
            "`data`. A message is listed a moment after it was stored. Follow `Link` to the next page."
        ),
        "tags": ["Messages"],
        "parameters": [
            {
                "name": "company_id",
                "in": "query",
                "description": (
                    "Whose messages. Operators without a company need it; everybody else may leave it out, or name "
                    "their own company."
                ),
                "schema": {**Uuid.schema, "examples": [examples.COMPANY_ID]},
            },
            {
                "name": "from",
                "in": "query",
                "description": "Only messages that were accepted at this time or later.",
                "schema": {**Timestamp.schema, "examples": ["2023-12-10T00:00:00Z"]},
            },
            {
                "name": "to",
                "in": "query",
                "description": "Only messages that were accepted before this time.",
                "schema": {**Timestamp.schema, "examples": ["2023-12-11T00:00:00Z"]},
            },
            ref("parameters", "Limit"),
            ref("parameters", "Cursor"),
            ref("parameters", "IfNoneMatch"),
        ],
        "responses": {
            "200": {
                "description": "The page: an array, empty if the company has no such messages.",
                "headers": headers_of("ETag", "Cache-Control", "Link"),
                "content": json_content(
                    {"type": "array", "maxItems": paging.LIMIT_MAX, "items": ref("schemas", "ListedMessage")},
                    page=[examples.LISTED_MESSAGE],
                    no_messages=[],
                ),
                "links": {
                    "getMessage": {
                        **_GET_MESSAGE,
                        "parameters": {
                            "path.message_id": "$response.body#/0/message_id",
                            "query.company_id": "$response.body#/0/company_id",
                        },
                        "description": "The whole message. Only operators may name the company.",
                    }
                },
            },
            "304": ref("responses", "NotModified"),
            "400": problem_answer(
                "A parameter is unknown, repeated or not valid, the cursor belongs to another list, or it takes a "
                "`company_id`.",
                no_company=refused(_messages, {}),
                no_time=refused(_messages, {"company_id": examples.COMPANY_ID, "from": "yesterday"}),
            ),
            "403": ref("responses", "ForbiddenCompany"),
        },
    },
    ("GET", "/message/{message_id}"): {
        "operationId": "getMessage",
        "summary": "Show a stored message",
        "description": (
            "For the message's company and for operators, with exactly the numbers that were sent. A message is stored "
            "a moment after it was posted; until then, the answer is a 404."
        ),
        "tags": ["Messages"],
        "parameters": [
            ref("parameters", "MessageId"),
            {
                "name": "company_id",
                "in": "query",
                "description": (
                    "For operators only: whose message you mean. You need it if messages of several companies have the "
                    "same id."
                ),
                "schema": {**Uuid.schema, "examples": [examples.COMPANY_ID]},
            },
        ],
        "responses": {
            "200": {
                "description": "The message.",
                "content": json_content(ref("schemas", "StoredOrderMessage"), stored=examples.STORED_MESSAGE),
            },
            "400": problem_answer(
                "An id is not a UUID, a parameter is unknown, or messages of several companies have the id.",
                no_uuid=refused(_message_id, "42"),
            ),
            "403": ref("responses", "ForbiddenCompany"),
            "404": ref("responses", "MessageNotFound"),
        },
    },
    ("GET", "/health"): {
        "operationId": "getHealth",
        "summary": "Check that the service runs",
        "description": "Liveness only, with the version and the commit of what runs: makes no AWS call.",
        "tags": ["Service"],
        "responses": {
            "200": {
                "description": "The service runs.",
                "content": json_content(
                    ref("schemas", "Health"),
                    running={"status": "ok", "version": "0.2.0", "commit": "5ad1f6d0c7c24f6a0a3a3b3c1f0e9d8c7b6a5940"},
                    commit_not_known={"status": "ok", "version": "0.2.0", "commit": None},
                ),
            }
        },
    },
    ("GET", "/ready"): {
        "operationId": "getReadiness",
        "summary": "Check everything that the functions call",
        "description": (
            f"For operators. Asks each dependency once, all at the same time, within {READY_WITHIN_S:g} s in all. If "
            "one is ill, the answer is a 503 that says which."
        ),
        "tags": ["Operators"],
        "responses": {
            "200": {
                "description": "Everything answers.",
                "content": json_content(ref("schemas", "Readiness"), ready=examples.READY),
            },
            "400": ref("responses", "UnknownParameter"),
            "403": ref("responses", "ForbiddenToOthers"),
            "501": ref("responses", "NoOperatorsFunction"),
            "503": problem_answer(
                "Something is ill (`not-ready`), or the gateway got no answer.",
                ill=problems.not_ready(
                    [f"{examples.ILL['name']} ({examples.ILL['reason']})"],
                    [*examples.READY["dependencies"][:-1], examples.ILL],
                    aws.DependencyUnavailable.retry_after_s,
                ),
                no_answer=problems.no_answer(NO_ANSWER_RETRY_AFTER_S),
            ),
        },
    },
    ("GET", "/operator/dead-letters"): {
        "operationId": "listDeadLetters",
        "summary": "List messages that could not be stored",
        "description": (
            f"For operators. At most {PAGE_MAX} dead letters, each with its reason, the oldest of them "
            "first. There is no next page, because the queue has none: `count` says about how many there are, and "
            "letters that are redriven, replaced or deleted make room for others. Letters that somebody else is "
            "looking at in this moment are missing. Takes a second, for which SQS is asked whether there are more."
        ),
        "tags": ["Operators"],
        "parameters": [
            {
                "name": "limit",
                "in": "query",
                "description": f"How many letters a page has at most; {PAGE_MAX} if you don't say.",
                "schema": {
                    "type": "integer",
                    "format": "int32",
                    "minimum": 1,
                    "maximum": PAGE_MAX,
                    "default": PAGE_MAX,
                    "examples": [10],
                },
            }
        ],
        "responses": {
            "200": {
                "description": "Some of the letters.",
                "content": json_content(
                    ref("schemas", "DeadLetterPage"),
                    letters={"count": 1, "dead_letters": [examples.LISTED_LETTER]},
                    no_letters={"count": 0, "dead_letters": []},
                ),
                "links": {
                    "getDeadLetter": {
                        "operationId": "getDeadLetter",
                        "parameters": {"letter_id": "$response.body#/dead_letters/0/letter_id"},
                        "description": "The letter in full.",
                    }
                },
            },
            "400": problem_answer(
                "A parameter is unknown, repeated or not valid.", limit=refused(_letters, {"limit": "21"})
            ),
            "403": ref("responses", "ForbiddenToOthers"),
            "501": ref("responses", "NoOperatorsFunction"),
        },
    },
    ("GET", "/operator/dead-letters/{letter_id}"): {
        "operationId": "getDeadLetter",
        "summary": "Show a dead letter in full",
        "description": (
            "For operators. The message exactly as it came, with its attributes, beside the message that is stored "
            "under its ids (`stored`), if there is one. Save this answer before you delete or replace the letter: both "
            "ask for its `ETag`."
        ),
        "tags": ["Operators"],
        "parameters": [ref("parameters", "LetterId"), ref("parameters", "IfNoneMatch")],
        "responses": {
            "200": {
                "description": "The letter.",
                "headers": headers_of("ETag", "Cache-Control"),
                "content": json_content(
                    ref("schemas", "DeadLetter"), conflict=examples.LETTER, unreadable=examples.UNREADABLE_LETTER
                ),
                "links": _ACTIONS_ON_THE_LETTER,
            },
            "304": ref("responses", "NotModified"),
            "400": ref("responses", "UnknownParameter"),
            "403": ref("responses", "ForbiddenToOthers"),
            "404": ref("responses", "LetterNotFound"),
            "501": ref("responses", "NoOperatorsFunction"),
        },
    },
    ("DELETE", "/operator/dead-letters/{letter_id}"): {
        "operationId": "deleteDeadLetter",
        "summary": "Delete a dead letter that you have saved",
        "description": (
            "For operators. The letter is gone for good, so `If-Match` has to show that you have it as it is now, "
            "beside what is stored."
        ),
        "tags": ["Operators"],
        "parameters": [ref("parameters", "LetterId"), ref("parameters", "IfMatchOfLetter")],
        "responses": {
            "204": {"description": "The letter is gone. No body."},
            "400": problem_answer(
                "`If-Match` is malformed.", no_etag=refused(requests.if_match, examples.request({"If-Match": "abc"}))
            ),
            "403": ref("responses", "ForbiddenToOthers"),
            "409": ref("responses", "LetterGone"),
            "412": ref("responses", "LetterChanged"),
            "428": ref("responses", "LetterTagNeeded"),
            "501": ref("responses", "NoOperatorsFunction"),
        },
    },
    ("POST", "/operator/dead-letters/{letter_id}/redrive"): {
        "operationId": "redriveDeadLetter",
        "summary": "Send a dead letter's message to the queue again",
        "description": (
            "For operators, after a fix. The message goes to the message queue as it is, and then the letter is "
            "deleted. If it fails again, it becomes a dead letter with another `letter_id`."
        ),
        "tags": ["Operators"],
        "parameters": [ref("parameters", "LetterId")],
        "responses": {
            "202": {
                "description": "The queue has the message.",
                "content": json_content(ref("schemas", "RedrivenLetter"), redriven=examples.REDRIVEN_LETTER),
            },
            "400": ref("responses", "UnknownParameter"),
            "403": ref("responses", "ForbiddenToOthers"),
            "409": ref("responses", "LetterGone"),
            "501": ref("responses", "NoOperatorsFunction"),
        },
    },
    ("POST", "/operator/dead-letters/{letter_id}/replace"): {
        "operationId": "replaceDeadLetter",
        "summary": "Post an edited message in the place of a dead letter",
        "description": (
            "For operators. The message is checked and accepted as `POST /post-message` does, for any company, and "
            "then the letter is deleted, so `If-Match` has to show that you have it. A message that is stored under "
            "the same ids never changes: give an edited one a `message_id` of its own. If anything is refused, the "
            f"letter stays. {_BODY_RULES}"
        ),
        "tags": ["Operators"],
        "parameters": [ref("parameters", "LetterId"), ref("parameters", "IfMatchOfLetter")],
        "requestBody": _MESSAGE,
        "responses": {
            **_posted(
                repeated="The same message is stored already; nothing was queued, and the letter is gone.",
                accepted="The queue has the message, and the letter is gone.",
            ),
            "400": problem_answer(
                _FAULTS,
                no_etag=refused(requests.if_match, examples.request({"If-Match": "abc"})),
                two_faults=refused(message_from, _TWO_FAULTS),
            ),
            "403": ref("responses", "ForbiddenToOthers"),
            "409": {
                **problem_answer(
                    "The letter is not there any more, or another payload is stored under the message's ids. Nothing "
                    "was done.",
                    gone=problems.LETTER_GONE_NOW,
                    conflict=problems.message_conflict({"Location": f"/prod/message/{examples.MESSAGE_ID}"}),
                ),
                "headers": {"Location": ref("headers", "StoredLocation")},
            },
            "412": ref("responses", "LetterChanged"),
            "413": ref("responses", "ContentTooLarge"),
            "415": ref("responses", "UnsupportedMediaType"),
            "428": ref("responses", "LetterTagNeeded"),
            "501": ref("responses", "NoOperatorsFunction"),
        },
    },
    ("GET", "/operator/timeline"): {
        "operationId": "getTimeline",
        "summary": "Show what all stores know of an id",
        "description": (
            "For operators: what happened to one id, in order. A message's id, a submission's or a dead letter's, or a "
            "dragon's name. A request's id (`X-Request-Id`) is found where something still carries it, which is a dead "
            "letter: logs are not looked at. Phone numbers are hidden."
        ),
        "tags": ["Operators"],
        "parameters": [
            {
                "name": "id",
                "in": "query",
                "required": True,
                "description": "The id, or the name.",
                "schema": {**_UTF_8, "minLength": 1, "maxLength": ID_CHARACTERS_MAX},
                "example": examples.MESSAGE_ID,
            }
        ],
        "responses": {
            "200": {
                "description": "What is known.",
                "headers": headers_of("Cache-Control"),
                "content": json_content(ref("schemas", "Timeline"), refused=examples.TIMELINE),
            },
            "400": problem_answer(
                "The id is missing, or a parameter is unknown, repeated or not valid.", no_id=refused(_timeline, {})
            ),
            "403": ref("responses", "ForbiddenToOthers"),
            "404": problem_answer("No store knows anything of it.", unknown=problems.NOTHING_KNOWN),
            "501": ref("responses", "NoOperatorsFunction"),
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
        "description": "A page for people, to read this document, sign in and try the operations.",
        "tags": ["Service"],
        "parameters": [ref("parameters", "IfNoneMatch")],
        "responses": {
            "200": _page("The page.", "text/html"),
            "304": ref("responses", "NotModified"),
            "308": ref("responses", "PageMoved"),
            "404": problem_answer(
                "This deployment was packaged without the page's parts.", incomplete=problems.SWAGGER_UI_NOT_FOUND
            ),
        },
    },
    ("GET", "/"): {
        "operationId": "showConsole",
        "summary": "Show the console",
        "description": "A page for people, to see the registry, report a dragon and post a message.",
        "tags": ["Service"],
        "parameters": [ref("parameters", "IfNoneMatch")],
        "responses": {
            "200": _page("The page.", "text/html"),
            "304": ref("responses", "NotModified"),
            "308": ref("responses", "PageMoved"),
        },
    },
}
