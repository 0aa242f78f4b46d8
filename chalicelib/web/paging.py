"""Pages of a list: query parameters in, cursors and `Link` headers (RFC 8288) out.

A cursor is base64url of a version, a hash of what the list shows (its name, its filters, whose it is) and the last key.
It needs no secret: it grants nothing that asking for the list does not.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import msgspec

from chalicelib.dragons.repository import DragonQuery
from chalicelib.representation import Representation
from chalicelib.web.requests import Parameters, Request, header, path_prefix
from chalicelib.web.responses import Reply, revalidated

CURSOR_VERSION = 2  # a dragon's holds a key, whose form is that of `normalised_name`
LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
PARAMETERS = frozenset({"limit", "cursor"})
DRAGON_PARAMETERS = PARAMETERS | {"family", "dragonName", "namePrefix"}

_INTEGER = re.compile(r"[0-9]{1,5}")


def query_from(parameters: Parameters) -> DragonQuery:
    """Make a query from the parameters of `GET /dragons`. Raises `InvalidInput` with every fault."""
    names = parameters.values
    limit = limit_from(parameters)
    query = DragonQuery.of(names.get("family"), names.get("dragonName"), None, limit, names.get("namePrefix"))
    after = after_from(parameters, *filters_of(query))
    parameters.check()
    return msgspec.structs.replace(query, after=after)


def filters_of(query: DragonQuery) -> list[str | None]:
    """Return what a cursor of this query belongs to."""
    return [query.family, query.name, *([] if query.prefix is None else [query.prefix])]


def limit_from(parameters: Parameters) -> int:
    """Return how many entries a page may have. Note a fault if the parameter is not valid."""
    return parameters.take("limit", _limit) or LIMIT_DEFAULT


def after_from(parameters: Parameters, *shown: str | None, form: Callable[[str], bool] = lambda _: True) -> str | None:
    """Return the key to go on after, or None for the first page.

    `shown` is what the list shows, and `form` tells whether a key is one of this list. Note a fault for any other
    cursor.
    """
    return parameters.take("cursor", lambda cursor: _key_in(cursor, shown, form))


def page_of(
    request: Request,
    path: str,
    parameters: Mapping[str, str],
    body: bytes | Representation,
    *shown: str | None,
    next_after: str | None,
) -> Reply:
    """Return a page of the list at this path, or a 304 if the client has it.

    If there is a page after it, `next_after` is the last key of this one, and `Link` leads there and to the first page.
    """
    headers = {}
    if next_after is not None:
        headers["Link"] = links(path_prefix(request) + path, parameters, cursor(next_after, *shown))
    return revalidated(body, header(request, "If-None-Match"), headers)


def links(path: str, parameters: Mapping[str, str], next_cursor: str) -> str:
    """Return the `Link` header's value: the next page of a list, and its first.

    The next one comes first, because clients may take the first link for it.
    """
    first = {name: value for name, value in parameters.items() if name != "cursor"}
    return f"{_link(path, {**first, 'cursor': next_cursor}, 'next')}, {_link(path, first, 'first')}"


def cursor(key: str, *shown: str | None) -> str:
    """Return the cursor that continues a list after this key. `shown` is what the list shows."""
    text = msgspec.json.encode([CURSOR_VERSION, _hash(shown), key])
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def cursor_after(key: str, query: DragonQuery) -> str:
    """Return the cursor that continues a query after this key."""
    return cursor(key, *filters_of(query))


def _link(path: str, parameters: Mapping[str, str], relation: str) -> str:
    query = f"?{urlencode(parameters)}" if parameters else ""
    return f'<{path}{query}>; rel="{relation}"'


def _key_in(given: str, shown: tuple[str | None, ...], form: Callable[[str], bool]) -> str:
    try:
        text = base64.urlsafe_b64decode(given + "==")  # more padding than is needed is ignored
        version, shown_hash, key = msgspec.json.decode(text, type=tuple[int, str, str])
    except ValueError:
        raise ValueError("is not a cursor of this service") from None
    if version != CURSOR_VERSION:
        raise ValueError("is of a version that this service does not know; start from the first page")
    if shown_hash != _hash(shown):
        raise ValueError("belongs to a query with other filters; start from the first page")
    if given != cursor(key, *shown) or not form(key):
        raise ValueError("is not a cursor of this service")
    return key


def _hash(shown: tuple[str | None, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(shown)).hexdigest()[:16]


def _limit(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not 1 <= int(text) <= LIMIT_MAX:
        raise ValueError(f"must be a whole number from 1 to {LIMIT_MAX}")
    return int(text)
