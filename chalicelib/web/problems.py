"""Errors as the API shows them: `application/problem+json` (RFC 9457), with a fixed URN for each kind of problem.

Domain code raises domain errors; `problem_for` is the one place that says which problem each of them is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from chalicelib import aws
from chalicelib.dragons.workflow import IdempotencyKeyReused
from chalicelib.exact_json import MalformedJson
from chalicelib.identity import Forbidden, OperatorsOnly, Unauthenticated
from chalicelib.messages.repository import Ambiguous
from chalicelib.validation import Fault, InvalidInput

CONTENT_TYPE = "application/problem+json"

INVALID_REQUEST = "urn:dragonpost:problem:invalid-request"
COMPANY_NOT_ALLOWED = "urn:dragonpost:problem:company-not-allowed"
OPERATORS_ONLY = "urn:dragonpost:problem:operators-only"
DUPLICATE_DRAGON = "urn:dragonpost:problem:duplicate-dragon"
DRAGON_REFUSED = "urn:dragonpost:problem:dragon-refused"
SUBMISSION_FAILED = "urn:dragonpost:problem:submission-failed"
IDEMPOTENCY_KEY_REUSED = "urn:dragonpost:problem:idempotency-key-reused"

TITLES: Mapping[str, str] = {
    INVALID_REQUEST: "The request is not valid",
    COMPANY_NOT_ALLOWED: "Not allowed for this company",
    OPERATORS_ONLY: "Only operators may do this",
    DUPLICATE_DRAGON: "A dragon of this name is in the registry",
    DRAGON_REFUSED: "The dragon was refused",
    SUBMISSION_FAILED: "The submission could not be finished",
    IDEMPOTENCY_KEY_REUSED: "The idempotency key was used for another dragon",
}


def status_title(status: int) -> str:
    """Return the status's phrase as RFC 9110 §15 has it; older Pythons know 413 and 422 by other names."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(status) or HTTPStatus(status).phrase


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong with one request. `type` is `about:blank` where the status says it all (RFC 9457 §4.2.1)."""

    status: int
    detail: str
    type: str = "about:blank"
    faults: tuple[Fault, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> bytes:
        """Return the problem document for the request of this id."""
        document: dict[str, Any] = {
            "type": self.type,
            "title": TITLES.get(self.type) or status_title(self.status),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.faults:
            document["errors"] = [fault.as_json() for fault in self.faults]
        return msgspec.json.encode(document)


class ProblemRaised(Exception):
    """Ends a request with this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def not_found(detail: str) -> ProblemRaised:
    """Return the error that ends a request with a 404."""
    return ProblemRaised(Problem(404, detail))


def invalid_request(*faults: Fault) -> Problem:
    """Return the 400 that lists these faults."""
    many = f"{len(faults)} things are" if len(faults) > 1 else "One thing is"
    return Problem(400, f"{many} wrong with the request; see errors.", INVALID_REQUEST, faults)


def internal_error() -> Problem:
    """Return the 500 that says nothing about the inside."""
    return Problem(500, "Something broke on our side. The request id finds it in the log.")


def problem_for(error: Exception) -> Problem | None:
    """Return the problem that a domain error is, or None for an error that nobody foresaw."""
    for kind, make in _PROBLEMS:
        if isinstance(error, kind):
            return make(error)
    return None


def _unavailable(error: Any) -> Problem:
    return Problem(
        503,
        "A service that this request needs is not available right now. Trying again is safe.",
        headers={"Retry-After": str(error.retry_after_s)},
    )


def _timeout(error: Any) -> Problem:
    return Problem(
        504,
        "A service that this request needs did not answer in time. Trying again is safe.",
        headers={"Retry-After": str(error.retry_after_s)},
    )


# In the order they are tried: a subclass stands before its base.
_PROBLEMS: tuple[tuple[type[Exception], Callable[[Any], Problem]], ...] = (
    (ProblemRaised, lambda error: error.problem),
    (InvalidInput, lambda error: invalid_request(*error.faults)),
    (MalformedJson, lambda error: invalid_request(Fault("pointer", "#", str(error)))),
    (Unauthenticated, lambda error: Problem(401, str(error), headers={"WWW-Authenticate": "Bearer"})),
    (OperatorsOnly, lambda error: Problem(403, str(error), OPERATORS_ONLY)),
    (Forbidden, lambda error: Problem(403, str(error), COMPANY_NOT_ALLOWED)),
    (
        IdempotencyKeyReused,
        lambda _: Problem(
            422, "Send the same dragon again, or use a new Idempotency-Key for another one.", IDEMPOTENCY_KEY_REUSED
        ),
    ),
    (
        Ambiguous,
        lambda _: invalid_request(
            Fault("parameter", "company_id", "is needed: messages of several companies have this id")
        ),
    ),
    (aws.DependencyTimeout, _timeout),
    (aws.DependencyUnavailable, _unavailable),
)
