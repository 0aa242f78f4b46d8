"""JSON without loss: strict reading, exact numbers, and one canonical form to compare by.

Numbers are read as :class:`decimal.Decimal` and written back digit for digit, so `19.99` never becomes
`19.989999999999998`. What RFC 8259 leaves to the implementation (duplicate names, a byte order mark, lone surrogates,
depth) is refused, because two readers that guess differently are how bad input gets past a check.
"""

import json
import re
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from typing import Any, Never

import msgspec

NESTING_LEVELS_MAX = 32

_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_ANY_PRECISION = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_WHITE_SPACE = " \t\n\r"  # RFC 8259 §2
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class _Number(Decimal):
    """A number that remembers how it was written.

    `Decimal` alone writes `1e-6` as `0.000001`: a body with many such numbers would outgrow what DynamoDB takes.
    """

    __slots__ = ("text",)
    text: str


def _as_plain_json(value: object) -> str | msgspec.Raw:
    """Let msgspec write the subclasses of `str` and `Decimal` that are used here; it encodes exact types only."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, _Number):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _as_canonical_json(value: object) -> str | Decimal:
    """Let msgspec write the same subclasses, numbers by their value."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Decimal):
        return canonical_number(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_as_plain_json)
_canonical_encoder = msgspec.json.Encoder(decimal_format="number", order="sorted", enc_hook=_as_canonical_json)


class MalformedJson(ValueError):
    """The text is not one JSON object that can be kept exactly; the message says why and holds none of the input."""


def parse_object(body: bytes | str) -> dict[str, Any]:
    """Read one JSON object strictly.

    Takes the UTF-8 bytes (or the text) of the document. Returns it with every number as a `Decimal`.
    Raises `MalformedJson` for anything but a single object (RFC 8259), for invalid UTF-8, a byte order mark,
    duplicate member names, NaN and Infinity, lone surrogates, and more than `NESTING_LEVELS_MAX` levels.
    """
    text = _decoded(body)
    if text.count("[") + text.count("{") > NESTING_LEVELS_MAX:
        _check_nesting(text)
    try:
        value = _value(text)
    except json.JSONDecodeError as error:
        raise MalformedJson(f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    if not isinstance(value, dict):
        raise MalformedJson("must be a JSON object")
    if "\\u" in text and _SURROGATE_ESCAPE.search(text):
        _check_encodable(value)
    return value


def encode(value: object) -> bytes:
    """Write a value as compact UTF-8 JSON: numbers parsed here as they were written, other Decimals digit by digit."""
    return _encoder.encode(value)


def canonical(value: object) -> bytes:
    """Write a value so that equal values give equal bytes: members sorted, numbers by value (`20` and `2e1` agree).

    Takes what `parse_object` returns, or parts of it. Strings stay as they are: a time or an identifier is normalised
    by its own type, not here.
    """
    return _canonical_encoder.encode(value)


def canonical_number(number: Decimal) -> Decimal:
    """Return the one representation that all Decimals of this value share: no trailing zeros, no negative zero."""
    return number.normalize(_ANY_PRECISION) if number else Decimal(0)


def _decoded(body: bytes | str) -> str:
    if isinstance(body, str):
        text = body
    else:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedJson(f"not valid UTF-8 (byte {error.start})") from None
    if text.startswith("\ufeff"):
        raise MalformedJson("starts with a byte order mark, which JSON does not allow")
    return text


def _value(text: str) -> object:
    """Return what `_decoder.decode` would, in less time: it looks for white space with regular expressions."""
    value, end = _decoder.raw_decode(text, len(text) - len(text.lstrip(_WHITE_SPACE)))
    if rest := text[end:].lstrip(_WHITE_SPACE):
        raise json.JSONDecodeError("Extra data", text, len(text) - len(rest))
    return value


def _check_nesting(text: str) -> None:
    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        token = match.group()
        if token in ("[", "{"):
            depth += 1
            if depth > NESTING_LEVELS_MAX:
                raise MalformedJson(f"nested deeper than {NESTING_LEVELS_MAX} levels")
        elif token in ("]", "}"):
            depth -= 1


def _number(digits: str) -> Decimal:
    try:
        number = _Number(digits)
    except InvalidOperation:
        raise MalformedJson("holds a number whose exponent is out of range") from None
    number.text = digits
    return number


def _refuse_constant(name: str) -> Never:
    raise MalformedJson(f"{name} is not a JSON number")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("an object has two members of the same name")
    return members


def _check_encodable(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise MalformedJson("a string holds half of a surrogate pair") from None


_decoder = json.JSONDecoder(
    parse_float=_number,
    parse_int=_number,
    parse_constant=_refuse_constant,
    object_pairs_hook=_object_without_duplicates,
)
