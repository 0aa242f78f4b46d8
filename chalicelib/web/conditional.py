"""Conditional requests (RFC 9110 §13)."""

import re

from chalicelib.representation import plain_etag

# An entity tag (RFC 9110 §8.8.3), in quotes. Bytes beyond ASCII may have become any character on their way here.
_OPAQUE_TAG = r'"[^\x00-\x20"\x7f]*"'
_ENTITY_TAG = f"(W/)?({_OPAQUE_TAG})"

# Python and ECMA-262 read it alike. Empty elements of a list are allowed (RFC 9110 §5.6.1.2), but not an empty list.
NAMED_TAGS = rf"[ \t,]*(W/)?{_OPAQUE_TAG}([ \t]*,[ \t,]*(W/)?{_OPAQUE_TAG})*[ \t,]*"
ENTITY_TAGS = rf"[ \t]*\*[ \t]*|{NAMED_TAGS}"


def is_list_of_tags(value: str) -> bool:
    """Tell whether the value of `If-Match` or `If-None-Match` is well-formed: `*`, or at least one entity tag."""
    return re.fullmatch(ENTITY_TAGS, value) is not None


def has_only_weak_tags(if_match: str) -> bool:
    """Tell whether a well-formed `If-Match` can match nothing, because it is compared strongly (RFC 9110 §13.1.1)."""
    return if_match.strip() != "*" and all(weak for weak, _ in re.findall(_ENTITY_TAG, if_match))


def none_match(if_none_match: str | None, etag: str) -> bool:
    """Tell whether `If-None-Match` holds (none of its tags is this one), so that the body must be sent.

    Compares weakly, as RFC 9110 §13.1.2 asks; `*` matches any representation. A malformed value is ignored: the client
    gets the body, which is never wrong.
    """
    if if_none_match is None or not is_list_of_tags(if_none_match):
        return True
    if if_none_match.strip() == "*":
        return False
    return etag not in {plain_etag(tag) for _, tag in re.findall(_ENTITY_TAG, if_none_match)}


def match(if_match: str, etag: str) -> bool:
    """Tell whether `If-Match` holds: one of its tags is this one, compared strongly (RFC 9110 §13.1.1); `*` is any."""
    if if_match.strip() == "*":
        return True
    return etag in {plain_etag(tag) for weak, tag in re.findall(_ENTITY_TAG, if_match) if not weak}
