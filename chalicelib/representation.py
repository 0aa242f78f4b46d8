"""What is sent: bytes, and all that is made of them, each made once, when it is first asked for (RFC 9110 §3.2).

A compressed representation differs from the plain one, so it has a strong ETag of its own (RFC 9110 §8.8.3.3): the
plain one's with `-gzip` inside the quotes. Preconditions treat the two as equal.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import cached_property

GZIP_LEVEL = 5


def etag_of(body: bytes) -> str:
    """Return a strong entity tag (RFC 9110 §8.8.3) for a body. It depends on the bytes alone."""
    digest = hashlib.sha256(body).digest()[:18]
    return f'"{base64.urlsafe_b64encode(digest).decode()}"'


def gzip_etag(etag: str) -> str:
    """Return the entity tag of the compressed form, given that of the plain form."""
    return f'{etag[:-1]}-gzip"'


def plain_etag(etag: str) -> str:
    """Return the entity tag of the plain form, given that of either form."""
    return etag.removesuffix('-gzip"') + '"' if etag.endswith('-gzip"') else etag


class Representation:
    """The bytes of a body, and its text, or None if it is not UTF-8. Whoever keeps one sends it again without encoding,
    hashing or compressing anything.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.text = _text_of(body)

    @classmethod
    def of(cls, body: bytes | Representation) -> Representation:
        """Return the representation of these bytes, or the one that is given."""
        return body if isinstance(body, Representation) else cls(body)

    @cached_property
    def etag(self) -> str:
        """The body's strong entity tag."""
        return etag_of(self.body)

    @cached_property
    def gzipped(self) -> str:
        """The body, compressed, in base64: the same bytes whenever it is made."""
        return base64.b64encode(gzip.compress(self.body, GZIP_LEVEL, mtime=0)).decode()


def _text_of(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
