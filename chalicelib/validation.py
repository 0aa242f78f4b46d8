"""Turning untrusted values into model objects, with every fault reported rather than the first one.

A model is a `msgspec.Struct` whose fields have checked types (`chalicelib.checked`). msgspec decodes in one fast pass;
only when that fails does a second pass visit each field and collect what is wrong with all of them.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, get_args

import msgspec

from chalicelib.faults import Fault, InvalidInput, pointer

Model = TypeVar("Model", bound=msgspec.Struct)


def decode(value: Mapping[str, Any], model: type[Model], names: Mapping[str, str] | None = None) -> Model:
    """Make a model object from a parsed JSON object.

    Takes the members, the model, and `names` for members that the client wrote under another name (field → name), so
    that pointers show what the client sent. Returns the object. Raises `InvalidInput` with every fault.
    """
    try:
        return msgspec.convert(value, model, dec_hook=_parse)
    except msgspec.ValidationError:
        raise InvalidInput(*_faults(value, model, "#", names or {})) from None


# What msgspec's own types require, in this API's words.
_BUILTIN_RULES: dict[object, str] = {
    bool: "must be true or false",
    str: "must be a string",
    dict: "must be an object",
}


def _parse(checked_type: type[Any], value: object) -> Any:
    return checked_type.parse(value)


def _faults(value: object, model: type[msgspec.Struct], at: str, names: Mapping[str, str]) -> list[Fault]:
    if not isinstance(value, Mapping):
        return [Fault("pointer", at, "must be an object")]
    faults: list[Fault] = []
    fields = _fields(model)
    for name, (declared, required) in fields.items():
        if name in value:
            faults += _field_faults(value[name], declared, at, names.get(name, name))
        elif required:
            faults.append(Fault("pointer", pointer(at, name), "is required"))
    if model.__struct_config__.forbid_unknown_fields:
        faults += [Fault("pointer", pointer(at, name), "is not a known member") for name in value if name not in fields]
    return faults


@cache
def _fields(model: type[msgspec.Struct]) -> dict[str, tuple[Any, bool]]:
    """Return the declared type of each of a model's fields, and whether it is required."""
    return {field.name: (field.type, field.required) for field in msgspec.structs.fields(model)}


def _field_faults(value: object, declared: Any, at: str, name: str) -> Sequence[Fault]:
    try:
        if parse := getattr(declared, "parse", None):
            parse(value)
        elif isinstance(declared, type) and issubclass(declared, msgspec.Struct):
            return _faults(value, declared, pointer(at, name), {})
        else:
            msgspec.convert(value, declared, dec_hook=_parse)
    except msgspec.ValidationError as error:
        return [Fault("pointer", pointer(at, name), _BUILTIN_RULES.get(declared) or _own_words(error, declared))]
    except ValueError as error:
        return [Fault("pointer", pointer(at, name), str(error))]
    return ()


def _own_words(error: msgspec.ValidationError, declared: Any) -> str:
    """Return the message of the checked type that refused the value; msgspec keeps it as the cause."""
    if isinstance(error.__cause__, ValueError):
        return str(error.__cause__)
    kinds = ", ".join(getattr(kind, "__name__", str(kind)) for kind in get_args(declared) or (declared,))
    return f"must be of the type {kinds}"
