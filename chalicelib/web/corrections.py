"""How operators correct and remove dragons: conditional requests, so that nobody overwrites what they have not seen."""

from collections.abc import Callable

import msgspec

from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import Change
from chalicelib.web.conditional import etag_of, match
from chalicelib.web.problems import Problem, ProblemRaised, not_found
from chalicelib.web.responses import Reply


def precondition(if_match: str | None, *, required: bool) -> Callable[[Dragon], bool]:
    """Return what tells whether a dragon is the one that `If-Match` names; without the header any dragon is.

    Ends the request with 428 (RFC 6585 §3) if the header is required and missing.
    """
    if if_match is not None:
        return lambda dragon: match(if_match, etag_of(msgspec.json.encode(dragon)))
    if required:
        raise ProblemRaised(Problem(428, "Send If-Match with the ETag of the dragon as you have seen it."))
    return lambda _: True


def check(change: Change) -> None:
    """End the request with the problem of a change that was not made."""
    if change is Change.ABSENT:
        raise not_found("No dragon of this name is in the registry.")
    if change is Change.CHANGED:
        raise ProblemRaised(Problem(412, "The dragon has changed since. Read it again, and decide anew."))


def corrected(dragon: Dragon) -> Reply:
    """Return the corrected dragon with its new ETag."""
    body = msgspec.json.encode(dragon)
    return Reply(body, 200, {"ETag": etag_of(body), "Cache-Control": "no-cache"})
