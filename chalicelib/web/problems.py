"""Errors as the API shows them: `application/problem+json` (RFC 9457), with a fixed URN for each kind of problem.

Every sentence about a problem is here, once. The routes raise these problems, the OpenAPI document shows them as
examples, and API Gateway's own answers are generated from them (`make generate`). Only two kinds stand
elsewhere: what a rule says about a field, beside that rule, and the reasons that the workflow gives (`dragons/steps`,
`dragons/submissions`).

Domain code raises domain errors; `problem_for` is the one place that says which problem each of them is.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from chalicelib import aws
from chalicelib.dragons.workflow import IdempotencyKeyReused
from chalicelib.exact_json import MalformedJson
from chalicelib.faults import Fault, InvalidInput
from chalicelib.identity import (
    CompanyMissing,
    CompanyOfOthers,
    OperatorsOnly,
    TokenForAnotherClient,
    TokenMissing,
    TokenOfAnotherUse,
    TokenWithoutUser,
)
from chalicelib.messages.dead_letters import LetterGone
from chalicelib.messages.repository import Ambiguous

CONTENT_TYPE = "application/problem+json"

INVALID_REQUEST = "urn:dragonpost:problem:invalid-request"
COMPANY_NOT_ALLOWED = "urn:dragonpost:problem:company-not-allowed"
OPERATORS_ONLY = "urn:dragonpost:problem:operators-only"
DUPLICATE_DRAGON = "urn:dragonpost:problem:duplicate-dragon"
DRAGON_REFUSED = "urn:dragonpost:problem:dragon-refused"
SUBMISSION_FAILED = "urn:dragonpost:problem:submission-failed"
MESSAGE_CONFLICT = "urn:dragonpost:problem:message-conflict"
IDEMPOTENCY_KEY_REUSED = "urn:dragonpost:problem:idempotency-key-reused"
LETTER_GONE = "urn:dragonpost:problem:letter-gone"
NOT_READY = "urn:dragonpost:problem:not-ready"

TITLES: Mapping[str, str] = {
    INVALID_REQUEST: "The request is not valid",
    COMPANY_NOT_ALLOWED: "Not allowed for this company",
    OPERATORS_ONLY: "Only operators may do this",
    DUPLICATE_DRAGON: "A dragon of this name is in the registry",
    DRAGON_REFUSED: "The dragon was refused",
    SUBMISSION_FAILED: "The submission could not be finished",
    MESSAGE_CONFLICT: "Another message is stored under this id",
    IDEMPOTENCY_KEY_REUSED: "The idempotency key was used for another dragon",
    LETTER_GONE: "The dead letter is not there any more",
    NOT_READY: "Something that the service depends on is ill",
}


def status_title(status: int) -> str:
    """Return the status's phrase as RFC 9110 §15 has it; older Pythons know 413 and 422 by other names."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(status) or HTTPStatus(status).phrase


class Problem(msgspec.Struct, frozen=True):
    """What went wrong with one request. `type` is `about:blank` where the status says it all (RFC 9457 §4.2.1).

    `members` are those that only this type has (RFC 9457 §3.2).
    """

    status: int
    detail: str
    type: str = "about:blank"
    faults: tuple[Fault, ...] = ()
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    members: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def document(self, request_id: str) -> dict[str, Any]:
        """Return the members of the problem document for the request with this id."""
        document: dict[str, Any] = {
            "type": self.type,
            "title": TITLES.get(self.type) or status_title(self.status),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.faults:
            document["errors"] = [fault.as_json() for fault in self.faults]
        return {**document, **self.members}

    def body(self, request_id: str) -> bytes:
        """Return the problem document for the request with this id, as it is sent."""
        return msgspec.json.encode(self.document(request_id))


class ProblemRaised(Exception):
    """Ends a request with this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


# 400: what the gateway cannot read; what the service itself refuses is an `invalid_request`.
UNREADABLE = Problem(400, "The request could not be read.")


def invalid_request(*faults: Fault) -> Problem:
    """Return the 400 that lists these faults."""
    many = f"{len(faults)} things are" if len(faults) > 1 else "One thing is"
    return Problem(400, f"{many} wrong with the request; see errors.", INVALID_REQUEST, faults)


# 401: who is calling?


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})


TOKEN_NEEDED = _unauthorized("A valid ID token is needed: Authorization: Bearer <token>.")
TOKEN_EXPIRED = _unauthorized("The token has expired.")
ID_TOKEN_NEEDED = _unauthorized("The token must be an ID token.")
TOKEN_FOR_ANOTHER_CLIENT = _unauthorized("The token was issued to another client.")
TOKEN_WITHOUT_USER = _unauthorized("The token names no user.")

# 403: may they do this?
OTHER_COMPANY = Problem(403, "You may post and list messages of your own company only.", COMPANY_NOT_ALLOWED)
NO_COMPANY = Problem(
    403, "Your account belongs to no company, so it may use the dragon registry only.", COMPANY_NOT_ALLOWED
)
NO_OPERATOR = Problem(403, "Your account is not in the group operators.", OPERATORS_ONLY)
REFUSED_BY_GATEWAY = Problem(403, "This request was refused before it reached the service.")

# 404: is it there?
ROUTE_NOT_FOUND = Problem(404, "There is nothing at this address and method.")
PATH_NOT_UTF_8 = Problem(404, "The path is not valid UTF-8.")
DRAGON_NOT_FOUND = Problem(404, "The registry has no dragon of this name.")
SUBMISSION_NOT_FOUND = Problem(404, "You have made no submission with this id.")
MESSAGE_NOT_FOUND = Problem(404, "No message with this id is stored (yet).")
LETTER_NOT_FOUND = Problem(404, "The queue of dead letters has none with this id, or somebody holds it right now.")
NOTHING_KNOWN = Problem(404, "No store knows anything of this id. Logs are not looked at; `make trace` does that.")
FILE_NOT_FOUND = Problem(404, "There is no such file.")
SWAGGER_UI_NOT_FOUND = Problem(
    404,
    "This deployment was packaged without Swagger UI. Run `.venv/bin/python -m operations.vendor` and deploy again. "
    "Until then, read openapi.json, which is beside this address.",
)

# 409, 412, 422, 428: does it fit what is there?
DRAGON_CHANGED = Problem(412, "The dragon has changed since you read it. Read it again and decide again.")
ONLY_WEAK_TAGS = Problem(
    412, "If-Match compares strongly, so a weak ETag (W/…) matches nothing. Send the ETag as the service gave it."
)
IF_MATCH_NEEDED = Problem(428, "Send If-Match with the ETag that the dragon had when you read it.")
LETTER_GONE_NOW = Problem(
    409,
    "Nothing was done. Somebody has redriven or deleted this letter since you saw it, or holds it right now. List the "
    "letters again.",
    LETTER_GONE,
)
LETTER_CHANGED = Problem(
    412, "This is not the letter as it is now, beside what is stored. Read it again, save it, and decide again."
)
LETTER_TAG_NEEDED = Problem(
    428, "The letter will be gone, so save it first. Then send If-Match with the ETag that it had when you read it."
)
KEY_REUSED = Problem(
    422, "Send the same dragon again, or use a new Idempotency-Key for another one.", IDEMPOTENCY_KEY_REUSED
)
_NO_REASON = "The workflow gave no reason."


def duplicate_dragon(reason: str | None, headers: Mapping[str, str]) -> Problem:
    """Return the 409 for a report of a dragon whose name is taken, with the workflow's reason."""
    return Problem(409, reason or _NO_REASON, DUPLICATE_DRAGON, headers=headers)


def dragon_refused(reason: str | None, headers: Mapping[str, str]) -> Problem:
    """Return the 422 for a report that the workflow refused, with its reason."""
    return Problem(422, reason or _NO_REASON, DRAGON_REFUSED, headers=headers)


def message_conflict(headers: Mapping[str, str]) -> Problem:
    """Return the 409 for a message whose company and id another payload has."""
    detail = (
        "Another payload is stored under this company_id and message_id, and it stays. Yours was not accepted; send it "
        "under a new message_id if it is another message."
    )
    return Problem(409, detail, MESSAGE_CONFLICT, headers=headers)


# 413, 415: what does a body have to be?
NOT_JSON = Problem(415, "Send the body as application/json.", headers={"Accept": "application/json"})
ENCODED_BODY = Problem(
    415, "Send the body as it is: no Content-Encoding but identity is taken.", headers={"Accept-Encoding": "identity"}
)


def body_too_large(bytes_max: int) -> Problem:
    """Return the 413 that says how many bytes a body may have."""
    return Problem(413, f"The body must be at most {bytes_max:,} bytes long.")


# 429 and 5xx: what the client cannot mend.
INTERNAL_ERROR = Problem(500, "Something broke on our side. Look for the request id in the log.")


NO_OPERATORS_FUNCTION = Problem(
    501,
    "This stage was deployed by `chalice deploy`, which cannot send operators' routes to a function of their own. Use "
    "`make dead-letters` and `make trace`, or deploy with `make deploy`.",
)


def submission_failed(reason: str | None, headers: Mapping[str, str]) -> Problem:
    """Return the 500 for a report whose workflow broke off, with its reason."""
    return Problem(500, reason or _NO_REASON, SUBMISSION_FAILED, headers=headers)


def too_many_requests(retry_after_s: int) -> Problem:
    """Return the 429 for a request that was not let in."""
    detail = "Too many requests. Nothing was done; wait as Retry-After says, then send this one again."
    return Problem(429, detail, headers={"Retry-After": str(retry_after_s)})


# No promise that repeating is safe: without an Idempotency-Key, a report that is repeated may be refused as a duplicate
# of itself.


def unavailable(retry_after_s: int) -> Problem:
    """Return the 503 for a request that needs an AWS service which does not work right now."""
    detail = "A service that this request needs is not available right now. Wait as Retry-After says, then try again."
    return Problem(503, detail, headers={"Retry-After": str(retry_after_s)})


def not_ready(ill: Sequence[str], dependencies: Sequence[Any], retry_after_s: int) -> Problem:
    """Return the 503 that names what is ill, and shows everything that was asked."""
    detail = f"Ill: {', '.join(ill)}. See dependencies; the log says more."
    headers = {"Retry-After": str(retry_after_s)}
    return Problem(503, detail, NOT_READY, headers=headers, members={"dependencies": dependencies})


def no_answer(retry_after_s: int) -> Problem:
    """Return the 503 for a request whose function was throttled (it did nothing) or crashed (it may have done it all).

    The gateway cannot tell them apart.
    """
    detail = (
        "The service gave no answer, so your request may or may not have been carried out. Wait as Retry-After says, "
        "then try again."
    )
    return Problem(503, detail, headers={"Retry-After": str(retry_after_s)})


def timed_out(retry_after_s: int) -> Problem:
    """Return the 504 for a request that needs an AWS service which did not answer in time."""
    detail = "A service that this request needs did not answer in time. Wait as Retry-After says, then try again."
    return Problem(504, detail, headers={"Retry-After": str(retry_after_s)})


def method_not_allowed(allowed: Sequence[str]) -> Problem:
    """Return the 405 for a route that answers these methods only."""
    return Problem(405, "Method Not Allowed.", headers={"Allow": ", ".join(allowed)})


def problem_for(error: Exception) -> Problem | None:
    """Return the problem that a domain error is, or None for an error that nobody foresaw."""
    for kind, made in _PROBLEMS:
        if isinstance(error, kind):
            return made if isinstance(made, Problem) else made(error)
    return None


# In the order they are tried: a subclass stands before its base.
_PROBLEMS: tuple[tuple[type[Exception], Problem | Callable[[Any], Problem]], ...] = (
    (ProblemRaised, lambda error: error.problem),
    (InvalidInput, lambda error: invalid_request(*error.faults)),
    (MalformedJson, lambda error: invalid_request(Fault("pointer", "#", str(error)))),
    (TokenMissing, TOKEN_NEEDED),
    (TokenOfAnotherUse, ID_TOKEN_NEEDED),
    (TokenForAnotherClient, TOKEN_FOR_ANOTHER_CLIENT),
    (TokenWithoutUser, TOKEN_WITHOUT_USER),
    (OperatorsOnly, NO_OPERATOR),
    (CompanyMissing, NO_COMPANY),
    (CompanyOfOthers, OTHER_COMPANY),
    (IdempotencyKeyReused, KEY_REUSED),
    (LetterGone, LETTER_GONE_NOW),
    (
        Ambiguous,
        invalid_request(Fault("parameter", "company_id", "is needed: messages of several companies have this id")),
    ),
    (aws.DependencyTimeout, lambda error: timed_out(error.retry_after_s)),
    (aws.DependencyUnavailable, lambda error: unavailable(error.retry_after_s)),
)
