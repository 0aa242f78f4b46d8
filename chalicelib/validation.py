"""Turning untrusted values into model objects, with every fault reported rather than the first one.

A model is a `msgspec.Struct` whose fields have *checked types*: subclasses of `str` or `Decimal` with a `parse`
class method that returns the normalised value or raises `ValueError` with a sentence for the client. msgspec decodes
in one fast pass; only when that fails does a second pass visit each field and collect what is wrong with all of them.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self, TypeVar, cast, get_args

import msgspec

from chalicelib.exact_json import canonical_number

Model = TypeVar("Model", bound=msgspec.Struct)

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


Place = Literal["pointer", "parameter", "header"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request: where (a JSON pointer, a query parameter or a header) and what."""

    place: Place
    name: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """Return the member of a problem's `errors` list: `{"pointer": "#/data", "detail": "…"}`."""
        return {self.place: self.name, "detail": self.detail}


class InvalidInput(Exception):
    """What the client sent breaks the contract. `faults` lists everything that is wrong."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{fault.name}: {fault.detail}" for fault in faults))
        self.faults = faults


class Faults:
    """Gathers what is wrong with a request, so that the client learns all of it at once.

    Read each part of the request in a `with` block of its own, which catches the `InvalidInput` that the part raises.
    Call `check` before you use what was read.
    """

    def __init__(self) -> None:
        self._found: list[Fault] = []

    def add(self, place: Place, name: str, detail: str) -> None:
        """Note one fault."""
        self._found.append(Fault(place, name, detail))

    def check(self) -> None:
        """Raise `InvalidInput` with every fault that was gathered, if there is any."""
        if self._found:
            raise InvalidInput(*self._found)

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if isinstance(error, InvalidInput):
            self._found.extend(error.faults)
            return True
        return False


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
    schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "uuid"}
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
    _form = re.compile(
        r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
        r"[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
        r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    )

    @classmethod
    def parse(cls, value: object) -> Self:
        if not isinstance(value, str) or not (match := cls._form.fullmatch(value)) or not _is_calendar_date(match):
            raise ValueError("must be an RFC 3339 date and time with an offset, such as 2023-12-10T22:02:38Z")
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

    @classmethod
    def parse(cls, value: object) -> Self:
        if not isinstance(value, Decimal):
            raise ValueError("must be a JSON number")
        if value < 0:
            raise ValueError("must be at least 0")
        by_value = canonical_number(value)
        if len(by_value.as_tuple().digits) > cls.digits_max or abs(by_value.adjusted()) > cls.exponent_max:
            raise ValueError(
                f"must have at most {cls.digits_max} significant digits and an exponent within ±{cls.exponent_max}"
            )
        return cls(value)


def normalised_text(value: object, length_max: int) -> str:
    """Trim a text and bring it to NFC (UAX #15).

    Returns 1 to `length_max` characters. Raises `ValueError` if the value is not a string, is blank or longer, or holds
    characters that are not text: controls, line separators, surrogates (general categories Cc, Zl, Zp, Cs).
    """
    if not isinstance(value, str):
        raise ValueError("must be a string")
    trimmed = value.strip(WHITE_SPACE)
    # A text that is too long is refused before it is normalised. The time that normalising takes grows with the square
    # of the number of combining marks in a row: a minute for 256 KiB of them.
    text = unicodedata.normalize("NFC", trimmed) if len(trimmed) <= _NFC_SHRINKS_BY * length_max else trimmed
    if not text:
        raise ValueError("must not be blank")
    if len(text) > length_max:
        raise ValueError(f"must be at most {length_max:,} characters long")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in text):
        raise ValueError("must not hold control characters")
    return text


def decode(value: Mapping[str, Any], model: type[Model], names: Mapping[str, str] | None = None) -> Model:
    """Make a model object from a parsed JSON object.

    Takes the members, the model, and `names` for members that the client wrote under another name (field → name), so
    that pointers show what the client sent. Returns the object. Raises `InvalidInput` with every fault.
    """
    try:
        return msgspec.convert(value, model, dec_hook=_parse)
    except msgspec.ValidationError:
        raise InvalidInput(*_faults(value, model, "#", names or {})) from None


def pointer(parent: str, member: str) -> str:
    """Append a member name to a JSON pointer in URI fragment form (RFC 6901 §6)."""
    escaped = member.replace("~", "~0").replace("/", "~1")
    return f"{parent}/" + "".join(c if c in _FRAGMENT_SAFE else _percent_encoded(c) for c in escaped)


_FRAGMENT_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?")

# What msgspec's own types require, in this API's words.
_BUILTIN_RULES: dict[object, str] = {bool: "must be true or false", str: "must be a string"}


def _percent_encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _parse(checked_type: type[Any], value: object) -> Any:
    return checked_type.parse(value)


def _faults(value: object, model: type[msgspec.Struct], at: str, names: Mapping[str, str]) -> list[Fault]:
    if not isinstance(value, Mapping):
        return [Fault("pointer", at, "must be an object")]
    faults = []
    fields = msgspec.structs.fields(model)
    for field in fields:
        place = pointer(at, names.get(field.name, field.name))
        if field.name in value:
            faults.extend(_field_faults(value[field.name], field.type, place))
        elif field.required:
            faults.append(Fault("pointer", place, "is required"))
    if model.__struct_config__.forbid_unknown_fields:
        known = {field.name for field in fields}
        faults.extend(
            Fault("pointer", pointer(at, name), "is not a known member") for name in value if name not in known
        )
    return faults


def _field_faults(value: object, declared: Any, place: str) -> list[Fault]:
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        return _faults(value, declared, place, {})
    try:
        msgspec.convert(value, declared, dec_hook=_parse)
    except msgspec.ValidationError as error:
        return [Fault("pointer", place, _BUILTIN_RULES.get(declared) or _own_words(error, declared))]
    return []


def _own_words(error: msgspec.ValidationError, declared: Any) -> str:
    """Return the message of the checked type that refused the value; msgspec keeps it as the cause."""
    if isinstance(error.__cause__, ValueError):
        return str(error.__cause__)
    kinds = ", ".join(getattr(kind, "__name__", str(kind)) for kind in get_args(declared) or (declared,))
    return f"must be of the type {kinds}"


def _is_calendar_date(match: re.Match[str]) -> bool:
    try:
        date(*(int(cast("str", match[part])) for part in ("year", "month", "day")))
    except ValueError:
        return False
    return True
