"""Checked types: what a single value has to be. `validation` makes model objects of them.

A checked type is a subclass of `str` or `Decimal` with a `parse` class method, which returns the normalised value or
raises `ValueError` with a sentence for the client. Its `schema` says the same in JSON Schema.
"""

import re
import unicodedata
from datetime import date
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact
from typing import Any, ClassVar, Self

# What `\s` means in JSON Schema's patterns (ECMA-262 §12.2 and §12.3), so that the documented patterns are exact.
WHITE_SPACE = (
    "\t\n\v\f\r \u00a0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)


def text_pattern(length_max: int) -> str:
    """Return a JSON Schema pattern for what `normalised_text` accepts. `length_max` is that of the normalised text."""
    controls = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
    return rf"^\s*[^\s{controls}][^{controls}]{{0,{length_max - 1}}}\s*$"


# A character decomposes into at most four, so at most four compose into one (UAX #15, "Maximum Expansion Factors").
_NFC_SHRINKS_BY = 4


def text_schema(length_max: int, pattern: str | None = None) -> dict[str, Any]:
    """Return the JSON Schema of what `normalised_text` accepts, or of those that match a narrower pattern."""
    return {
        "type": "string",
        "maxLength": _NFC_SHRINKS_BY * length_max,
        "pattern": pattern or text_pattern(length_max),
    }


class CheckedText(str):
    """A string that was checked; subclasses say how in `parse`."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {"type": "string"}

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the value, normalised. Raises `ValueError` with a sentence that tells a client what is allowed."""
        raise NotImplementedError


class Uuid(CheckedText):
    """A UUID in its 8-4-4-4-12 form (RFC 9562 §4), any case in, lower case out."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "uuid", "maxLength": 36}
    _form = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

    @classmethod
    def parse(cls, value: object) -> Self:
        if not isinstance(value, str) or not cls._form.fullmatch(value):
            raise ValueError("must be a UUID such as e0721e56-fb09-4273-ae74-7bcbc92d43eb")
        return cls(value.lower())


class Timestamp(CheckedText):
    """A date and time with an offset (RFC 3339 §5.6), kept as written; a leap second is allowed as RFC 3339 does.

    RFC 3339 does not limit the digits of a second; the index limits what it can keep.
    """

    __slots__ = ()
    length_max: ClassVar[int] = 64
    schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "date-time", "maxLength": length_max}
    _rule = "must be an RFC 3339 date and time with an offset, such as 2023-12-10T22:02:38Z"
    _form = re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
        r"[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
        r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    )

    @classmethod
    def parse(cls, value: object) -> Self:
        if not isinstance(value, str) or not cls._form.fullmatch(value):
            raise ValueError(cls._rule)
        try:
            date.fromisoformat(value[:10])
        except ValueError:
            raise ValueError(cls._rule) from None
        if len(value) > cls.length_max:
            raise ValueError(f"must be at most {cls.length_max} characters long")
        return cls(value)


class Amount(Decimal):
    """A JSON number of at least zero that DynamoDB keeps exactly: 38 significant digits, exponent within ±100."""

    __slots__ = ()
    digits_max: ClassVar[int] = 38
    exponent_max: ClassVar[int] = 100
    schema: ClassVar[dict[str, Any]] = {
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1e101,
        "not": {"exclusiveMinimum": 0, "exclusiveMaximum": 1e-100},
    }
    _exactly = Context(prec=digits_max, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])  # more digits are not rounded

    @classmethod
    def parse(cls, value: object) -> Self:
        if not isinstance(value, Decimal):
            raise ValueError("must be a JSON number")
        if value < 0:
            raise ValueError("must be at least 0")
        try:
            if abs(value.normalize(cls._exactly).adjusted()) <= cls.exponent_max:
                return cls(value)
        except Inexact:
            pass
        raise ValueError(
            f"must have at most {cls.digits_max} significant digits and an exponent within ±{cls.exponent_max}"
        )


def normalised_text(value: object, length_max: int) -> str:
    """Trim a text and bring it to NFC (UAX #15).

    Returns 1 to `length_max` characters. Raises `ValueError` if the value is not a string, is blank or longer (or, with
    the white space around it, more than four times as long), or holds characters that are not text: controls, line
    separators, surrogates (general categories Cc, Zl, Zp, Cs).
    """
    if not isinstance(value, str):
        raise ValueError("must be a string")
    # A text that is too long is refused before it is normalised. The time that normalising takes grows with the square
    # of the number of combining marks in a row: a minute for 256 KiB of them.
    if len(value) > _NFC_SHRINKS_BY * length_max:
        raise ValueError(f"must be at most {length_max:,} characters long")
    text = unicodedata.normalize("NFC", value.strip(WHITE_SPACE))
    if not text:
        raise ValueError("must not be blank")
    if len(text) > length_max:
        raise ValueError(f"must be at most {length_max:,} characters long")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in text):
        raise ValueError("must not hold control characters")
    return text
