"""Reading a request strictly: its body, parameters, headers and path. Each fault says where it is."""

import binascii
import re
import uuid
from collections.abc import Callable, Mapping, Set
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from chalicelib import exact_json
from chalicelib.faults import Fault, Faults, InvalidInput
from chalicelib.web import problems
from chalicelib.web.conditional import is_list_of_tags
from chalicelib.web.problems import ProblemRaised

BODY_BYTES_MAX = 256 * 1024
VALUE_LENGTH_MAX = 4096  # of a query parameter, and of an `If-Match`
WAIT_MAX_S = 10

Parsed = TypeVar("Parsed")

# The others are compiled when a request has what they describe.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21\x23-\x7e]{1,255}")
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 §5.6.2
_QUOTED = r'"(?:[^"\\]|\\.)*"'
# RFC 9110 §8.3.1, with the empty parameters of §5.6.6
_MEDIA_TYPE = rf"[ \t]*({_NAME}/{_NAME})(?:[ \t]*;(?:[ \t]*{_NAME}=(?:{_NAME}|{_QUOTED}))?)*[ \t]*"
_CODING = rf"[ \t]*({_NAME})[ \t]*"
# An item of a list, whose quoted strings may hold commas. A string that is never closed goes on to the end.
_PREFERENCE = r'(?:"(?:[^"\\]|\\.?)*(?:"|\Z)|[^",])+'
_WAIT = r'(?i)wait\s*=\s*"?([0-9]{1,9})"?'


class Request:
    """One request, as API Gateway's event has it. Whatever else comes is taken, too: what it lacks is empty.

    Header names are in lower case, and each header has one value (see `_combined`). A missing `Accept` means any media
    type (RFC 9110 §12.5.1), so it becomes `*/*`. The `id` is also the correlation id: the client's `X-Request-Id` if
    that is well-formed (8 to 64 letters, digits, `.`, `_`, `-`), else API Gateway's own, else a new one.
    """

    __slots__ = ("_event", "context", "headers", "id")

    def __init__(self, event: object) -> None:
        self._event = _members(event)
        self.context = _members(self._event.get("requestContext"))
        self.headers = _combined(self._event)
        self.headers.setdefault("accept", "*/*")
        self.id = _request_id(self.headers.get("x-request-id"), self.context.get("requestId"))

    @property
    def raw_body(self) -> bytes:
        """The body's bytes, which API Gateway passes on in base64, or as text."""
        body: str | None = self._event["body"]
        if not body:
            return b""
        return binascii.a2b_base64(body) if self._event.get("isBase64Encoded", False) else body.encode()

    @property
    def query(self) -> Mapping[str, list[str]]:
        """Every value of each query parameter."""
        lists: dict[str, list[str]] | None = self._event.get("multiValueQueryStringParameters")
        return lists or {name: [value] for name, value in _members(self._event.get("queryStringParameters")).items()}

    @property
    def path_parameters(self) -> Mapping[str, str]:
        """The path's parameters, encoded as they are in the URL."""
        return _members(self._event.get("pathParameters"))


def json_object(request: Request) -> dict[str, Any]:
    """Return the request's JSON object, its numbers exact.

    Ends the request with 415 for another content type or any content encoding, 413 for more than `BODY_BYTES_MAX`
    (before anything is parsed), and 400 if either header is malformed and for anything that `exact_json.parse_object`
    refuses. (API Gateway itself unpacks gzip only where `minimumCompressionSize` is set; see `compression`.)
    """
    _check_is_json(request.headers.get("content-type"), request.headers.get("content-encoding"))
    body = request.raw_body
    if len(body) > BODY_BYTES_MAX:
        raise ProblemRaised(problems.body_too_large(BODY_BYTES_MAX))
    return exact_json.parse_object(body)


@lru_cache(maxsize=16)  # what is refused is not kept, and nearly all that is taken looks alike
def _check_is_json(content_type: str | None, content_encoding: str | None) -> None:
    faults = Faults()
    with faults:
        media_type = _given_once("Content-Type", content_type, _MEDIA_TYPE, "a media type such as application/json")
    with faults:
        coding = _given_once("Content-Encoding", content_encoding, _CODING, "one content coding such as identity")
    faults.check()
    if media_type != "application/json":
        raise ProblemRaised(problems.NOT_JSON)
    if coding not in (None, "identity"):
        raise ProblemRaised(problems.ENCODED_BODY)


def _given_once(name: str, value: str | None, form: str, rule: str) -> str | None:
    """Return what a header has in the form's first group, in lower case, or None. Raises `InvalidInput`."""
    if value is None:
        return None
    found = re.fullmatch(form, value)
    if found is None:
        raise InvalidInput(Fault("header", name, f"must be given once, as {rule}"))
    return found[1].lower()


def header(request: Request, name: str) -> str | None:
    """Return a header's value, or None. Several lines are one value, as `completed` combines them."""
    return request.headers.get(name.lower())


class Parameters(msgspec.Struct, frozen=True):
    """A request's parameters: the values that can be used, and what is wrong with the others."""

    values: dict[str, str] = msgspec.field(default_factory=dict)
    faults: Faults = msgspec.field(default_factory=Faults)

    def take(self, name: str, parse: Callable[[str], Parsed]) -> Parsed | None:
        """Return what `parse` makes of the query parameter, None if it is missing or refused (see `parsed`)."""
        return self.parsed(name, self.values[name], parse) if name in self.values else None

    def parsed(self, name: str, text: str, parse: Callable[[str], Parsed]) -> Parsed | None:
        """Return what `parse` makes of a path or query parameter. Note a fault and return None on its `ValueError`."""
        try:
            return parse(text)
        except ValueError as error:
            self.faults.add("parameter", name, str(error))
            return None

    def check(self) -> None:
        """Raise `InvalidInput` if there is any fault."""
        self.faults.check()


def parameters(request: Request, known: Set[str] = frozenset()) -> Parameters:
    """Return the query parameters.

    Unknown ones, those given more than once, those that are not UTF-8, and those longer than `VALUE_LENGTH_MAX`
    characters are faults.

    Servers put U+FFFD where bytes are not UTF-8 (`%E5`, say, which is Latin-1). A filter with it would find nothing.
    """
    found = Parameters()
    for name, given in request.query.items():
        if name not in known:
            allowed = ", ".join(sorted(known)) or "none"
            found.faults.add("parameter", name, f"is not known here (known: {allowed})")
        elif len(given) > 1:
            found.faults.add("parameter", name, "is given more than once")
        elif "\ufffd" in given[0]:
            found.faults.add("parameter", name, "must be percent-encoded UTF-8, without U+FFFD")
        elif len(given[0]) > VALUE_LENGTH_MAX:
            found.faults.add("parameter", name, f"must be at most {VALUE_LENGTH_MAX:,} characters long")
        else:
            found.values[name] = given[0]
    return found


def boolean(text: str) -> bool:
    """Return what a parameter's `true` or `false` means. Raises `ValueError` with a sentence for the client."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def path_text(value: str) -> str:
    """Decode a path parameter, which API Gateway passes on as it is in the URL (RFC 3986 §2.1).

    Ends the request with 404 if it is not UTF-8.
    """
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise ProblemRaised(problems.PATH_NOT_UTF_8) from None


def path_prefix(request: Request) -> str:
    """Return the part of the request's path before this service's routes: the API's stage, or nothing locally."""
    return _before(request.context["resourcePath"], request.context["path"])


@lru_cache(maxsize=16)
def _before(route: str, path: str) -> str:
    below = [part for part in route.split("/") if part]
    parts = [part for part in path.split("/") if part]
    return "".join(f"/{part}" for part in parts[: len(parts) - len(below)])


def claims(request: Request) -> Mapping[str, Any] | None:
    """Return the claims of the token that was verified before the request came here, or None."""
    found = _members(request.context.get("authorizer")).get("claims")
    return found if isinstance(found, dict) else None


def _combined(event: Mapping[str, Any]) -> dict[str, str]:
    """Return each header's value by its name in lower case; several lines are one list (RFC 9110 §5.3).

    API Gateway has the last line in `headers` and every line in `multiValueHeaders`. A header that may be given only
    once is malformed once its lines are combined.
    """
    given, given_lines = _members(event.get("headers")), _members(event.get("multiValueHeaders"))
    last = {name.lower(): value for name, value in given.items() if isinstance(value, str)}
    if len(last) == len(given) and given_lines == {name: [value] for name, value in given.items()}:
        return last  # each header has one line
    lines: dict[str, list[str]] = {}
    for name, values in given_lines.items():
        texts = [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
        lines.setdefault(name.lower(), []).extend(texts)
    return last | {name: ", ".join(values) for name, values in lines.items() if values}


def is_request_id(text: str) -> bool:
    """Tell whether a request can have this id."""
    return _REQUEST_ID.fullmatch(text) is not None


def _request_id(*given: object) -> str:
    """Return the first of these ids that is well-formed, or a new one."""
    for text in given:
        if isinstance(text, str) and is_request_id(text):
            return text
    return str(uuid.uuid4())


def _members(value: object) -> dict[str, Any]:
    """Return the members of a JSON object; anything else has none."""
    return value if isinstance(value, dict) else {}


def if_match(request: Request) -> str | None:
    """Return `If-Match`, or None.

    Raises `InvalidInput` unless it is `*` or a list of ETags (RFC 9110 §13.1.1), of at most `VALUE_LENGTH_MAX`
    characters.
    """
    value = header(request, "If-Match")
    if value is not None and len(value) > VALUE_LENGTH_MAX:
        raise InvalidInput(Fault("header", "If-Match", f"must be at most {VALUE_LENGTH_MAX:,} characters long"))
    if value is not None and not is_list_of_tags(value):
        rule = 'must be * or ETags with their quotes, such as "yJ9Vq0F0Yp4s3m9rYb1Vd2hK"'
        raise InvalidInput(Fault("header", "If-Match", rule))
    return value


def idempotency_key(request: Request) -> str | None:
    """Return the `Idempotency-Key`, with or without the quotes of a structured-field string, or None.

    Raises `InvalidInput` unless it is 1 to 255 visible ASCII characters without quotes
    (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
    """
    value = header(request, "Idempotency-Key")
    if value is None:
        return None
    key = value.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        rule = "must be given once, as 1 to 255 visible ASCII characters without quotes"
        raise InvalidInput(Fault("header", "Idempotency-Key", rule))
    return key


def wait_preferred_s(request: Request) -> int:
    """Return how many seconds the client prefers to wait (`Prefer: wait=N`, RFC 7240 §4.3), 0 to `WAIT_MAX_S`.

    A preference that is not understood is ignored, as RFC 7240 §2 asks. If there are several, the first one counts.
    """
    for preference in re.findall(_PREFERENCE, header(request, "Prefer") or ""):
        match = re.fullmatch(_WAIT, preference.split(";")[0].strip())
        if match:
            return min(int(match[1]), WAIT_MAX_S)
    return 0
