"""Conditional requests (RFC 9110 §13)."""

import base64
import hashlib
import re

from chalicelib.web.compression import plain_etag

_ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(body: bytes) -> str:
    """Return a strong entity tag for a representation. It depends on the bytes alone."""
    digest = hashlib.sha256(body).digest()[:18]
    return f'"{base64.urlsafe_b64encode(digest).decode()}"'


def none_match(if_none_match: str | None, etag: str) -> bool:
    """Tell whether `If-None-Match` holds (none of its tags is this one), so that the body must be sent.

    Compares weakly, as RFC 9110 §13.1.2 asks; `*` matches any representation.
    """
    if if_none_match is None:
        return True
    if if_none_match.strip() == "*":
        return False
    return etag not in {plain_etag(tag) for _, tag in _ENTITY_TAG.findall(if_none_match)}


def match(if_match: str, etag: str) -> bool:
    """Tell whether `If-Match` holds: one of its tags is this one, compared strongly (RFC 9110 §13.1.1); `*` is any."""
    if if_match.strip() == "*":
        return True
    return etag in {plain_etag(tag) for weak, tag in _ENTITY_TAG.findall(if_match) if not weak}
