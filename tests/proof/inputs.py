"""Strategies for what clients may send: JSON text rather than values, so that spelling varies as well as content."""

from __future__ import annotations

import base64
import json
import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st

from chalicelib.checked import WHITE_SPACE
from chalicelib.dragons.model import FIELDS, DragonName
from chalicelib.dragons.names import NO_LETTERS
from chalicelib.dragons.repository import DragonQuery
from chalicelib.web.paging import cursor_after

SPACE = st.text(" \t\r\n", max_size=2)
AWKWARD_TEXTS = (
    "", " ", "\u0000",
    "\ufeff", "\uffff", "\ufffe", "\u2028", "\u202e", "\U0001f409", "e\u0301", "ﬁ", "ß", "İ", "\u0131",
    "\u0345", "\U0001d160", "\ufb2c", "' OR '1'='1", "<script>", "../..", "%00", "%2e%2e%2f", "${jndi:x}", "{{7*7}}",
    "null", "NaN", "\\u0000", "a\r\nX-Forged: 1", "\x1b[31m", "-1", "1e400", "9" * 5000, "[" * 100, "constructor",
    "__proto__",
)  # fmt: skip
AWKWARD_TOKENS = (
    b"NaN", b"-Infinity", b"1e999999999999999999999", b"1e-999999999999999999", b"-0", b"01", b"1.", b".5", b"+1",
    b"0x10", b"\\ud800", b"\\udc00\\ud800", b"\\u12", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00",
    b"[" * 40, b"{" * 40, b'{"a":' * 33, b"]", b"}", b'"', b",", b":", b"//x", b"/**/", b"'", b"\t", b"\n", b"{}{}",
    b'"metadata":1,', b'"data":null,', b"9" * 400, b"0." + b"0" * 400 + b"1", b'"', b"\\", b'\\"',
)  # fmt: skip


def _spelled(character: str, how: int) -> str:
    """Return a character of a JSON string as it is, in its short escape, or escaped by number (RFC 8259 §7)."""
    short = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if how == 1 and character in short:
        return short[character]
    if how == 0 and character not in short and character >= " ":
        return character
    units = character.encode("utf-16-be")
    text = "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
    return text.upper().replace("\\U", "\\u") if how == 3 else text


CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS, max_size=20) | st.sampled_from(AWKWARD_TEXTS)


@st.composite
def string_of(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> str:
    """Return the JSON text of a string, in any spelling."""
    text = draw(texts)
    how = draw(st.sampled_from([0, 0, 0, 1, 2, 3]))
    return '"' + "".join(_spelled(character, how) for character in text) + '"'


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,45})?([eE][+-]?[0-9]{1,4})?", fullmatch=True) | (
    st.sampled_from(["0", "-0", "0.10", "1e-7", "1E+100", "1e999999", "-0.0e-0", "20.000", "2e1", "9" * 60, "1e-400"])
)
SCALARS = string_of() | NUMBERS | st.sampled_from(["true", "false", "null"])


def _array(values: list[str]) -> str:
    return "[" + ",".join(values) + "]"


@st.composite
def object_of(draw: st.DrawFn, members: Mapping[str, str], *, shuffled: bool = True) -> str:
    """Return the JSON text of an object with these members (name → JSON text), in any order and spacing."""
    pairs = [f"{json.dumps(name)}{draw(SPACE)}:{draw(SPACE)}{text}" for name, text in members.items()]
    if shuffled:
        pairs = draw(st.permutations(pairs))
    space = draw(SPACE)
    return "{" + space + f"{space},{space}".join(pairs) + space + "}"


MEMBER_NAMES = st.text(CHARACTERS, max_size=8) | st.sampled_from(AWKWARD_TEXTS[:20])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4).map(_array)
        | st.dictionaries(MEMBER_NAMES, inner, max_size=4).map(
            lambda members: "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in members.items()) + "}"
        )
    ),
    max_leaves=12,
)

# Messages


@st.composite
def uuids(draw: st.DrawFn) -> str:
    """Return a UUID in any case."""
    text = str(draw(st.uuids()))
    return draw(st.sampled_from([text, text.upper(), text.title()]))


@st.composite
def timestamps(draw: st.DrawFn) -> str:
    """Return an RFC 3339 time."""
    moment = draw(st.datetimes())
    second = draw(st.sampled_from([f"{moment.second:02}", f"{moment.second:02}", "60"]))
    fraction = draw(st.just("") | st.from_regex(r"\.[0-9]{1,15}", fullmatch=True))
    offset = draw(st.sampled_from(["Z", "z"]) | st.from_regex(r"[+-](0[0-9]|1[0-9]|2[0-3]):[0-5][0-9]", fullmatch=True))
    separator = draw(st.sampled_from("Tt"))
    return f"{moment:%Y-%m-%d}".zfill(10) + f"{separator}{moment:%H:%M}:{second}{fraction}{offset}"


@st.composite
def amounts(draw: st.DrawFn) -> str:
    """Return an amount that DynamoDB stores exactly: up to 38 digits and an exponent within ±100, in any notation."""
    digits = draw(st.from_regex(r"[1-9]([0-9]{0,36}[1-9])?|0", fullmatch=True))
    if digits == "0":
        return draw(st.sampled_from(["0", "-0", "0.00", "0e5", "-0.0E-9", "0e99"]))
    exponent = draw(st.integers(-100, 100))  # of the first digit
    zeros = draw(st.integers(0, 3))
    kind = draw(st.sampled_from(["scientific", "integer"]))
    if kind == "scientific":
        rest = digits[1:] + "0" * zeros
        sign = draw(st.sampled_from(["e", "E", "e+", "E+"] if exponent >= 0 else ["e", "E"]))
        return digits[0] + (f".{rest}" if rest else "") + f"{sign}{exponent}"
    return digits + "0" * zeros + (f".{'0' * (zeros + 1)}" if draw(st.booleans()) else "")


@st.composite
def messages(draw: st.DrawFn, company_id: str | None = None) -> tuple[str, str]:
    """Return the text of a valid message, and its message id."""
    message_id = draw(uuids())
    metadata = {
        "message_time": json.dumps(draw(timestamps())),
        "company_id": json.dumps(company_id or draw(uuids())),
        "message_id": json.dumps(message_id),
    }
    further = draw(st.dictionaries(MEMBER_NAMES, VALUES, max_size=5))
    data = {
        **further,
        "order_id": json.dumps(draw(uuids())),
        "order_time": json.dumps(draw(timestamps())),
        "order_amount": draw(amounts()),
    }
    parts = {"metadata": draw(object_of(metadata)), "data": draw(object_of(data))}
    return draw(object_of(parts)), message_id.lower()


# Dragons

NAME_CHARACTERS = st.characters(categories=["L", "M", "Nd"]) | st.sampled_from(" .'-")
TEXT_LENGTHS = {name: field.rule.length_max for name, field in FIELDS.items() if field.rule is not DragonName}


def kept(text: str) -> str:
    """Return a text as it must be read back: trimmed, and in NFC."""
    return unicodedata.normalize("NFC", text.strip(WHITE_SPACE))


def kept_dragon(members: Mapping[str, str]) -> dict[str, str]:
    """Return a dragon as it must be read back, from a report that may use either name of each field."""
    return {name: kept(members[name if name in members else field.alias]) for name, field in FIELDS.items()}


def _is_name(text: str) -> bool:
    name = kept(text)
    return 1 <= len(name) <= 64 and any(unicodedata.category(c)[0] in "LN" for c in name if c not in NO_LETTERS)


def _is_text(length_max: int) -> Any:
    return lambda text: 1 <= len(kept(text)) <= length_max


@st.composite
def dragons(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """Return the text of a valid report, and the dragon that must be read back."""
    name = draw(st.text(NAME_CHARACTERS, min_size=1, max_size=30).filter(_is_name))
    number = draw(st.uuids()).hex[:12]  # otherwise Hypothesis would send few names many times
    fields = {"dragon_name_str": name if number < "2" else f"{name} {number}"}
    for field, length_max in TEXT_LENGTHS.items():
        characters = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
        fields[field] = draw(st.text(characters, min_size=1, max_size=min(length_max, 30)).filter(_is_text(length_max)))
    members = {
        draw(st.sampled_from([field, FIELDS[field].alias])): draw(string_of(st.just(text)))
        for field, text in fields.items()
    }
    if draw(st.booleans()):
        members["reportingPhoneNumber"] = json.dumps(draw(st.from_regex(r"\+[1-9][0-9]{1,14}", fullmatch=True)))
        members["confirmationRequired"] = draw(st.sampled_from(["true", "false"]))
    return draw(object_of(members)), {field: kept(text) for field, text in fields.items()}


# Bodies that may no longer be valid


@st.composite
def mutated(draw: st.DrawFn, texts: st.SearchStrategy[Any]) -> bytes:
    """Return a valid body after some damage, or something else altogether."""
    found = draw(texts)
    body = bytearray((found[0] if isinstance(found, tuple) else found).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        until = min(len(body), at + draw(st.integers(0, 12)))
        kind = draw(st.sampled_from(["token", "token", "cut", "repeat", "byte", "value", "swap", "tail"]))
        if kind == "token":
            body[at:at] = draw(st.sampled_from(AWKWARD_TOKENS))
        elif kind == "cut":
            del body[at:until]
        elif kind == "repeat":
            body[at:at] = body[at:until]
        elif kind == "byte" and at < len(body):
            body[at] = draw(st.integers(0, 255))
        elif kind == "value":
            _replace_value(body, at, draw(VALUES).encode())
        elif kind == "swap":
            body[at:until] = bytes(reversed(body[at:until]))
        else:
            body += draw(st.binary(max_size=8))
    return bytes(body)


def _replace_value(body: bytearray, at: int, value: bytes) -> None:
    """Replace the value after one of the colons."""
    colon = body.find(b":", at)
    if colon < 0:
        return
    ends = [end for end in (body.find(b",", colon), body.find(b"}", colon)) if end >= 0]
    body[colon + 1 : min(ends, default=len(body))] = value


@st.composite
def with_other_members(draw: st.DrawFn, texts: st.SearchStrategy[Any]) -> bytes:
    """Return a body that is still JSON, but with members missing, added or of another type."""
    found = draw(texts)
    value = json.loads(found[0] if isinstance(found, tuple) else found, parse_float=str, parse_int=str)
    for _ in range(draw(st.integers(1, 4))):
        part = draw(st.sampled_from([value, *[inner for inner in value.values() if isinstance(inner, dict)]]))
        name = draw(st.sampled_from(sorted(part)) | MEMBER_NAMES) if part else draw(MEMBER_NAMES)
        if draw(st.booleans()):
            part.pop(name, None)
        else:
            part[name] = json.loads(draw(VALUES))
    return json.dumps(value).encode(errors="surrogatepass")


def bodies(texts: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Return bodies that are mostly wrong in some way."""
    return mutated(texts) | with_other_members(texts) | VALUES.map(str.encode) | st.binary(max_size=40)


# Everything but bodies

CURSORS = (
    TEXTS
    | st.binary(max_size=30).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    | VALUES.map(lambda text: base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode())
    | st.builds(
        lambda key, family: cursor_after(key, DragonQuery.of(family, None)),
        st.text(CHARACTERS, max_size=10),
        st.none() | st.just("red"),
    )
    | st.builds(lambda key: cursor_after(key, DragonQuery()) + "=", st.text(CHARACTERS, max_size=5))
)
LIMITS = (
    st.integers(1, 4).map(str)
    | st.integers(-5, 1100).map(str)
    | st.sampled_from(["", "1.0", "1e1", "٣", "+1", " 1", "0x1", "1" * 30])
    | TEXTS
)


@st.composite
def queries(draw: st.DrawFn) -> str:
    """Return a query string."""
    known = ["family", "dragonName", "limit", "cursor"]
    pairs = []
    for name in draw(st.permutations(known))[: draw(st.integers(0, 3))]:
        if draw(st.integers(0, 9)) == 0:
            name = draw(st.sampled_from([*known, "Limit", "cursor[]", "__proto__"]) | TEXTS)  # noqa: PLW2901
        value = draw({"cursor": CURSORS, "limit": LIMITS}.get(name, TEXTS))
        pairs.append(f"{quote(name, safe='')}={quote(value, safe='')}")
    text = "&".join(pairs)
    return draw(st.sampled_from([text, text, text, text + "&", "&&" + text, text.replace("=", "", 1), text + "%"]))


# Queries for a first page of dragons whose family is `x`. Of the queries above, few get that far.
PAGES = st.builds(lambda limit, more: f"limit={limit}{more}", st.integers(1, 4), st.sampled_from(["", "&family=+X"]))

SEGMENTS = (
    st.text(CHARACTERS, min_size=1, max_size=20).map(lambda text: quote(text, safe=""))
    | st.binary(min_size=1, max_size=10).map(lambda raw: quote_from_bytes(raw, safe=""))
    | st.sampled_from(AWKWARD_TEXTS).filter(bool).map(lambda text: quote(text[:200], safe=""))
    | st.sampled_from(["%", "%2", "%zz", "%00", "%C3%28", "..%2f", "%2e%2e", str(uuid.UUID(int=1)), "Ember"])
)
HEADER_TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
HEADERS: Mapping[str, st.SearchStrategy[str]] = {
    "Content-Type": HEADER_TEXTS
    | st.sampled_from(["application/json", "APPLICATION/JSON;charset=x", "application/json;", ";", "a/b, c/d", "*/*"]),
    "Accept": HEADER_TEXTS | st.sampled_from(["*/*", "text/html", "application/json;q=0", ",", ";q=x"]),
    "Accept-Encoding": HEADER_TEXTS
    | st.sampled_from(["gzip", "gzip;q=0", "gzip;q=x", "*", "identity;q=0, *;q=0", "br"]),
    "If-None-Match": HEADER_TEXTS | st.sampled_from(["*", '""', 'W/"a", "b', '"' + "a" * 200 + '"', ", ,"]),
    "If-Match": HEADER_TEXTS | st.sampled_from(["*", '"a"', 'W/"a"', '"', ""]),
    "Prefer": HEADER_TEXTS | st.sampled_from(["wait=0", "wait=1;x", "wait=99999999999", 'wait="1"', "wait", "wait=-1"]),
    "Idempotency-Key": HEADER_TEXTS | st.sampled_from(["k", '"k"', '"', '""', "k" * 256, "é"]),
    "X-Request-Id": HEADER_TEXTS | st.sampled_from(["a" * 64, "a" * 65, "abcdefgh", "../../../etc", "\x1b[31m", ""]),
    "X-Forwarded-For": HEADER_TEXTS,
    "Origin": HEADER_TEXTS,
}


@st.composite
def headers(draw: st.DrawFn) -> dict[str, str]:
    """Return some headers."""
    names = draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=4, unique=True))
    return {name: draw(HEADERS[name]) for name in names}
