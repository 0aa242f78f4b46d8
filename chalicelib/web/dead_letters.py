"""How operators see dead letters, and what they have to show before one goes: that they have it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from chalicelib import exact_json
from chalicelib.messages.dead_letters import PAGE_MAX, DeadLetters, Letter, LetterGone
from chalicelib.messages.repository import MessageRepository
from chalicelib.messages.stored import StoredMessage
from chalicelib.representation import Representation
from chalicelib.web import problems
from chalicelib.web.bodies import DeadLetterPage, ListedDeadLetter
from chalicelib.web.conditional import has_only_weak_tags, match
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.requests import Parameters, is_request_id


def limit_from(parameters: Parameters) -> int:
    """Return how many letters a page may have. Raises `InvalidInput`."""
    limit = parameters.take("limit", _limit) or PAGE_MAX
    parameters.check()
    return limit


def page_document(letters: Sequence[Letter], count: int) -> bytes:
    """Return what `GET /operator/dead-letters` shows. `count` is how many there are in all, as SQS counts them."""
    listed = [
        ListedDeadLetter(
            letter_id=letter.letter_id,
            sent_at=letter.as_members()["sent_at"],
            reason=letter.reason,
            message_id=letter.uuid("message_id"),
            company_id=letter.uuid("company_id"),
            request_id=_request_id(letter.attribute("correlation_id")),
        )
        for letter in letters
    ]
    return msgspec.json.encode(DeadLetterPage(count=max(count, len(listed)), dead_letters=listed))


@contextmanager
def read(letters: DeadLetters, letter_id: str) -> Iterator[Letter]:
    """Hold a letter during the block. Ends the request with 404 if it is not there, where an action gets a 409."""
    try:
        with letters.held(letter_id) as letter:
            yield letter
    except LetterGone:
        raise ProblemRaised(problems.LETTER_NOT_FOUND) from None


def representation(letter: Letter, messages: MessageRepository) -> Representation:
    """Return a letter in full, beside the message that is stored under its ids, if there is one."""
    message_id, company_id = letter.uuid("message_id"), letter.uuid("company_id")
    stored: StoredMessage | None = None
    if message_id and company_id:
        stored = messages.find(message_id, company_id)
    shown = {
        **letter.as_members(),
        "message_id": message_id,
        "company_id": company_id,
        "stored": msgspec.Raw(stored.as_json()) if stored else None,
    }
    return Representation(exact_json.encode(shown))


def precondition(if_match: str | None) -> str:
    """Return `If-Match` if it names a letter: who lets one go has to have it. `*` is no proof of that.

    Ends the request with 428 (RFC 6585 §3) if it does not, and with 412 if it can match nothing.
    """
    if if_match is None or if_match.strip() == "*":
        raise ProblemRaised(problems.LETTER_TAG_NEEDED)
    if has_only_weak_tags(if_match):
        raise ProblemRaised(problems.ONLY_WEAK_TAGS)
    return if_match


def check_is_saved(if_match: str, shown: Representation) -> None:
    """End the request with 412 if the caller has not seen a letter as it is now, beside what is stored."""
    if not match(if_match, shown.etag):
        raise ProblemRaised(problems.LETTER_CHANGED)


def _request_id(text: str | None) -> str | None:
    """Return an id that a request can have had. What others have put on the queue may say anything."""
    return text if text and is_request_id(text) else None


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= PAGE_MAX):
        raise ValueError(f"must be a whole number from 1 to {PAGE_MAX}")
    return int(text)
