"""What a dragon is: the fields of the course's registry, their rules, and when two names are the same.

`Dragon` declares the fields; to add one, add it there and nowhere else. Everything else that uses the fields is derived
from it: what clients may send, the OpenAPI document, the console's forms, the tests' samples.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args

import msgspec

from chalicelib.checked import CheckedText, normalised_text, text_schema
from chalicelib.dragons import names
from chalicelib.faults import Fault, InvalidInput, pointer
from chalicelib.validation import decode


class BoundedText(CheckedText):
    """A text of 1 to `length_max` characters."""

    __slots__ = ()
    length_max: ClassVar[int]

    @classmethod
    def parse(cls, value: object) -> Self:
        return cls(normalised_text(value, cls.length_max))


class DragonName(BoundedText):
    """1 to 64 letters, marks and digits of Unicode 14.0, spaces, `.`, `'`, U+2019, `-`, U+2010 and U+2011; U+200C and
    U+200D between letters; at least one letter or digit (U+02BC and fillers do not count).

    Without that last rule `..` would be a name, and no client could ask for it: URLs resolve it away (RFC 3986 §5.2.4).
    """

    __slots__ = ()
    length_max: ClassVar[int] = 64
    schema: ClassVar[dict[str, Any]] = text_schema(length_max, names.PATTERN)

    @classmethod
    def parse(cls, value: object) -> Self:
        text = normalised_text(value, cls.length_max)
        names.check(text)
        return cls(text)


class Family(BoundedText):
    """1 to 32 characters."""

    __slots__ = ()
    length_max: ClassVar[int] = 32
    schema: ClassVar[dict[str, Any]] = text_schema(length_max)


class Description(BoundedText):
    """1 to 1,000 characters."""

    __slots__ = ()
    length_max: ClassVar[int] = 1_000
    schema: ClassVar[dict[str, Any]] = text_schema(length_max)


class Place(BoundedText):
    """1 to 100 characters."""

    __slots__ = ()
    length_max: ClassVar[int] = 100
    schema: ClassVar[dict[str, Any]] = text_schema(length_max)


class UntextedNumber(CheckedText):
    """A number that nobody texts: as in international form, but `+` may be missing. An empty string is no number."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": 16, "pattern": r"^(\+?[1-9][0-9]{1,14})?$"}
    _form = re.compile(r"(\+?[1-9][0-9]{1,14})?")

    @classmethod
    def parse(cls, value: object) -> Self:
        if not isinstance(value, str) or not cls._form.fullmatch(value):
            raise ValueError("must be a phone number with its country code, in digits, such as +15555550100")
        return cls(value)


class PhoneNumber(UntextedNumber):
    """A number in international form: `+`, a country code that does not begin with 0, at most 15 digits (ITU E.164)."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": 16, "pattern": r"^\+[1-9][0-9]{1,14}$"}
    _form = re.compile(r"\+[1-9][0-9]{1,14}")


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """What the declaration says about a dragon's field.

    `rule` is the type that checks what clients send. `alias` is the field's name in the course's web client, `label`
    the name that people read. `examples` are its values for two dragons. `address_part` is the field's place in an
    address, where 1 is the nearest part; it is 0 for a field that is not part of an address.
    """

    rule: type[BoundedText]
    alias: str
    label: str
    examples: tuple[str, str]
    address_part: int = 0


# The garbage collector need not look at dragons: texts lead to nothing else. There are thousands of them.
class Dragon(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A dragon as the API shows it and the course's data file holds it."""

    # A field that you add needs a default: dragons that were stored before it are read with that value.
    dragon_name_str: Annotated[
        str, Field(rule=DragonName, alias="dragonName", label="Name", examples=("Amberwick", "Áldozó"))
    ]
    family_str: Annotated[str, Field(rule=Family, alias="family", label="Family", examples=("gold", "red"))]
    description_str: Annotated[
        str,
        Field(
            rule=Description,
            alias="description",
            label="Description",
            examples=(
                "Sleeps on warm granaries and is paid in honey.",
                "Guards a vineyard and can tell vintages by the smell of the cork.",
            ),
        ),
    ]
    location_city_str: Annotated[
        str, Field(rule=Place, alias="city", label="City", examples=("Bruges", "Eger"), address_part=2)
    ]
    location_country_str: Annotated[
        str, Field(rule=Place, alias="country", label="Country", examples=("Belgium", "Hungary"), address_part=4)
    ]
    location_neighborhood_str: Annotated[
        str,
        Field(
            rule=Place,
            alias="neighborhood",
            label="Neighbourhood",
            examples=("Sint-Anna", "Tourist Quarter"),
            address_part=1,
        ),
    ]
    location_state_str: Annotated[
        str,
        Field(rule=Place, alias="state", label="State or region", examples=("West Flanders", "Heves"), address_part=3),
    ]

    @property
    def key(self) -> str:
        """The normalised name: unique in the registry, and what it is ordered by."""
        return names.normalised_name(self.dragon_name_str)


def declared(model: type[msgspec.Struct]) -> dict[str, Field]:
    """Return the fields that a model declares, by name and in its order.

    Raises `TypeError` if one of them is not declared as `Annotated[str, Field(...)]`.
    """
    found = {}
    for member in msgspec.structs.fields(model):
        match get_args(member.type):
            case (kind, Field() as field) if kind is str:
                found[member.name] = field
            case _:
                raise TypeError(f"{model.__name__}.{member.name} must be declared as Annotated[str, Field(...)]")
    return found


FIELDS: Mapping[str, Field] = declared(Dragon)

# The names that the course's web client sends, each with the field that it stands for.
ALIASES: Mapping[str, str] = {field.alias: name for name, field in FIELDS.items()}

# The fields that were added later, each with its value for a dragon that was stored or reported before.
STORED_DEFAULTS: Mapping[str, str] = {
    field.name: field.default for field in msgspec.structs.fields(Dragon) if field.default is not msgspec.NODEFAULT
}


def example_dragons() -> list[Dragon]:
    """Return the two dragons that the fields' examples describe."""
    return [Dragon(**{name: field.examples[which] for name, field in FIELDS.items()}) for which in (0, 1)]


class DragonFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `PUT /dragons/{dragon_name}` takes: a dragon, each field checked."""

    # `msgspec.defstruct` does the same; a class statement gives type checkers a name.
    __annotations__ = {name: field.rule for name, field in FIELDS.items()}

    @property
    def dragon(self) -> Dragon:
        """The dragon with these fields."""
        return Dragon(**{field: str(getattr(self, field)) for field in FIELDS})


class DragonReport(DragonFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /dragons` takes: a dragon, and how to reach whoever reports it."""

    reportingPhoneNumber: UntextedNumber | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - the course's name
    confirmationRequired: bool = False  # noqa: N815 - the course's name

    @property
    def phone_number(self) -> str | None:
        """The reporter's phone number, if they gave one. It is in international form if it is to be texted."""
        return None if self.reportingPhoneNumber is msgspec.UNSET else str(self.reportingPhoneNumber) or None


class ReportToConfirm(DragonReport, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A report whose reporter wants a text. A number without `+` could be a stranger's in another country."""

    reportingPhoneNumber: PhoneNumber | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - the course's name


def report_from(members: Mapping[str, Any]) -> DragonReport:
    """Make a report from the parsed JSON body of `POST /dragons`.

    Takes the members under the registry's names or the course web client's. Raises `InvalidInput` with every fault.
    """
    if members.get("confirmationRequired") is not True:
        return _decoded(members, DragonReport, [])
    faults = []
    if members.get("reportingPhoneNumber", "") == "":
        faults.append(Fault("pointer", "#/reportingPhoneNumber", "is required when confirmationRequired is true"))
        members = {name: value for name, value in members.items() if name != "reportingPhoneNumber"}
    return _decoded(members, ReportToConfirm, faults)


def correction_from(members: Mapping[str, Any], name: str) -> Dragon:
    """Make a dragon from the parsed JSON body of `PUT /dragons/{name}`.

    Takes the members as `report_from` does. Raises `InvalidInput` with every fault. A name that is not the path's is
    one: a dragon is corrected, not renamed.
    """
    faults = []
    member = "dragon_name_str" if "dragon_name_str" in members else FIELDS["dragon_name_str"].alias
    if _is_other_name(members.get(member), name):
        faults.append(Fault("pointer", pointer("#", member), "must be the name in the path; dragons are not renamed"))
    return _decoded(members, DragonFields, faults).dragon


def _is_other_name(given: object, name: str) -> bool:
    """Tell whether the value is a valid name, but another one. What is not a name has its own fault."""
    try:
        return names.normalised_name(DragonName.parse(given)) != names.normalised_name(name)
    except ValueError:
        return False


Fields = TypeVar("Fields", bound=DragonFields)


def _decoded(members: Mapping[str, Any], model: type[Fields], faults: list[Fault]) -> Fields:
    """Decode members under either of their names; raise `InvalidInput` with these faults and all others."""
    fields = {ALIASES.get(name, name): value for name, value in members.items()}
    sent_as = {ALIASES[name]: name for name in members if name in ALIASES}
    twice = [
        Fault("pointer", pointer("#", alias), f"is the same member as {field}; send one of them")
        for field, alias in sent_as.items()
        if field in members
    ]
    try:
        decoded = decode(fields, model, sent_as)
    except InvalidInput as invalid:
        raise InvalidInput(*twice, *invalid.faults, *faults) from None
    if twice or faults:
        raise InvalidInput(*twice, *faults)
    return decoded
