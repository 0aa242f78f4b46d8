"""Pages of dragons: query parameters in, cursors and `Link` headers (RFC 8288) out.

A cursor is base64url of a version, a hash of the filters and the last key. It needs no secret: it grants nothing that
the filters themselves do not.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from chalicelib.dragons.repository import DragonQuery
from chalicelib.web.requests import Parameters

CURSOR_VERSION = 2  # it holds a key, whose form is that of `normalised_name`
LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
PARAMETERS = frozenset({"family", "dragonName", "limit", "cursor"})

_INTEGER = re.compile(r"[0-9]{1,5}")


def query_from(parameters: Parameters) -> DragonQuery:
    """Make a query from the parameters of `GET /dragons`. Raises `InvalidInput` with every fault."""
    limit = parameters.take("limit", _limit) or LIMIT_DEFAULT
    query = DragonQuery.of(parameters.values.get("family"), parameters.values.get("dragonName"), None, limit)
    after = parameters.take("cursor", lambda cursor: _after(cursor, query))
    parameters.check()
    return msgspec.structs.replace(query, after=after)


def next_link(path: str, parameters: Mapping[str, str], query: DragonQuery, next_after: str) -> str:
    """Return the `Link` header's value that leads to the next page of the same query."""
    target = {**parameters, "cursor": cursor_after(next_after, query)}
    return f'<{path}?{urlencode(target)}>; rel="next"'


def cursor_after(key: str, query: DragonQuery) -> str:
    """Return the cursor that continues a query after this key."""
    text = msgspec.json.encode([CURSOR_VERSION, _filter_hash(query), key])
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _after(cursor: str, query: DragonQuery) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor + "==")  # more padding than is needed is ignored
        version, filters, key = msgspec.json.decode(text, type=tuple[int, str, str])
    except ValueError:
        raise ValueError("is not a cursor of this service") from None
    if version != CURSOR_VERSION:
        raise ValueError("is of a version that this service does not know; start from the first page")
    if filters != _filter_hash(query):
        raise ValueError("belongs to a query with other filters; start from the first page")
    if cursor != cursor_after(key, query):
        raise ValueError("is not a cursor of this service")
    return key


def _filter_hash(query: DragonQuery) -> str:
    return hashlib.sha256(msgspec.json.encode([query.family, query.name])).hexdigest()[:16]


def _limit(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not 1 <= int(text) <= LIMIT_MAX:
        raise ValueError(f"must be a whole number from 1 to {LIMIT_MAX}")
    return int(text)
