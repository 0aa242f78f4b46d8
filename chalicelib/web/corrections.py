"""How operators correct and remove dragons: conditional requests, so that nobody overwrites what they have not seen."""

from collections.abc import Callable

import msgspec

from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import Change
from chalicelib.representation import etag_of
from chalicelib.web import problems
from chalicelib.web.conditional import has_only_weak_tags, match
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.responses import Reply


def precondition(if_match: str | None, *, required: bool) -> Callable[[Dragon], bool]:
    """Return a function that tells whether a dragon is the one that `If-Match` names. Without the header, any is.

    Ends the request with 428 (RFC 6585 §3) if the header is required and missing, and with 412 if it can match nothing.
    """
    if if_match is not None:
        if has_only_weak_tags(if_match):
            raise ProblemRaised(problems.ONLY_WEAK_TAGS)
        return lambda dragon: match(if_match, etag_of(msgspec.json.encode(dragon)))
    if required:
        raise ProblemRaised(problems.IF_MATCH_NEEDED)
    return lambda _: True


def check(change: Change) -> None:
    """End the request with 404 or 412 if the change was not made."""
    if change is Change.ABSENT:
        raise ProblemRaised(problems.DRAGON_NOT_FOUND)
    if change is Change.CHANGED:
        raise ProblemRaised(problems.DRAGON_CHANGED)


def corrected(dragon: Dragon) -> Reply:
    """Return the corrected dragon with its new ETag."""
    body = msgspec.json.encode(dragon)
    return Reply(body, 200, {"ETag": etag_of(body), "Cache-Control": "no-cache"})
