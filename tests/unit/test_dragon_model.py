"""What a dragon is, and when two names are the same."""

import time
from typing import Annotated

import msgspec
import pytest

from chalicelib.dragons.model import (
    ALIASES,
    FIELDS,
    STORED_DEFAULTS,
    Description,
    Dragon,
    DragonFields,
    DragonName,
    DragonReport,
    Family,
    Place,
    correction_from,
    declared,
    example_dragons,
    report_from,
)
from chalicelib.dragons.names import normalised_name
from chalicelib.faults import Fault, InvalidInput
from tests.bad_input import NAMES_REFUSED, ONE_NAME
from tests.samples import dragon, dragon_members


@pytest.mark.parametrize(
    "name", ["Ember", "x", "x" * 64, "D'Élan-the 2nd, Jr".replace(",", "."), "龍", "ड्रैगन", "٣", "Ω.", "4"]
)
def test_names_of_any_script_are_names(name: str) -> None:
    assert DragonName.parse(name) == name


@pytest.mark.parametrize("name", [*NAMES_REFUSED, ".", "--", "' '", "\u0301"])
def test_an_invalid_name_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match="must"):
        DragonName.parse(name)


def test_the_length_of_a_name_is_that_of_its_composed_form() -> None:
    assert len(DragonName.parse("e\u0301" * 64)) == 64


@pytest.mark.parametrize(
    "spellings",
    [ONE_NAME, ("straße", "STRASSE"), ("Ω", "ω"), ("\u1e9b\u0323", "\u1e69"), ("\u0345\u03b1", "\u0399\u0391")],
)
def test_spellings_of_one_name_have_one_key(spellings: tuple[str, ...]) -> None:
    assert len({normalised_name(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize("name", [*ONE_NAME, "İstanbul", "ﬁ", "\u0345\u03b1", "ǰ", "ΐ"])
def test_a_key_is_its_own_key(name: str) -> None:
    key = normalised_name(name)

    assert normalised_name(key) == key


def test_a_report_under_the_registrys_names_is_a_dragon() -> None:
    report = report_from(dragon_members(" E\u0301lan "))

    assert report.dragon == dragon("Élan")
    assert report.dragon.key == "élan"
    assert all(type(getattr(report.dragon, field)) is str for field in Dragon.__struct_fields__)
    assert report.phone_number is None
    assert report.confirmationRequired is False


def test_a_report_under_the_web_clients_names_is_the_same_dragon() -> None:
    members = dragon_members()
    aliased = {alias: members[field] for alias, field in ALIASES.items()}

    assert report_from(aliased) == report_from(members)


def test_a_report_may_ask_for_a_text_message() -> None:
    report = report_from(dragon_members(reportingPhoneNumber="+15555550100", confirmationRequired=True))

    assert report.phone_number == "+15555550100"
    assert report.confirmationRequired is True


def test_every_field_has_an_alias_of_its_own() -> None:
    assert sorted(ALIASES.values()) == sorted(Dragon.__struct_fields__)
    assert not set(ALIASES) & {*DragonReport.__struct_fields__}


def test_what_clients_send_is_checked_by_the_rule_of_each_field_in_the_order_of_the_dragons() -> None:
    checked = {field.name: field.type for field in msgspec.structs.fields(DragonFields)}

    assert list(checked.items()) == [(name, field.rule) for name, field in FIELDS.items()]
    assert tuple(checked) == Dragon.__struct_fields__


def test_the_lengths_of_the_rules_are_those_that_clients_know() -> None:
    assert [rule.length_max for rule in (DragonName, Family, Description, Place)] == [64, 32, 1_000, 100]


@pytest.mark.parametrize("example", example_dragons())
def test_an_example_is_a_dragon_as_it_is_kept(example: Dragon) -> None:
    assert report_from(msgspec.structs.asdict(example)).dragon == example


def test_the_examples_are_two_dragons_in_the_order_of_each_fields_examples() -> None:
    first, second = zip(*(field.examples for field in FIELDS.values()), strict=True)

    assert [msgspec.structs.astuple(example) for example in example_dragons()] == [first, second]


def test_what_a_field_has_in_older_dragons_can_be_sent_back_as_it_is() -> None:
    assert {name: FIELDS[name].rule.parse(default) for name, default in STORED_DEFAULTS.items()} == STORED_DEFAULTS


@pytest.mark.parametrize("kind", [str, Annotated[str, "a weight"], Annotated[int, next(iter(FIELDS.values()))]])
def test_a_field_without_all_there_is_to_say_of_it_is_refused_by_its_name(kind: object) -> None:
    incomplete = msgspec.defstruct("Dragon", [("weight_str", kind)])

    with pytest.raises(TypeError, match=r"Dragon\.weight_str must be declared as"):
        declared(incomplete)


def test_the_fields_of_a_declaration_are_found_by_name_in_their_order() -> None:
    found = declared(Dragon)

    assert list(found) == list(Dragon.__struct_fields__)
    assert found == FIELDS


@pytest.mark.parametrize("alias", ALIASES)
def test_a_field_under_both_names_is_a_fault(alias: str) -> None:
    with pytest.raises(InvalidInput) as invalid:
        report_from(dragon_members() | {alias: "x"})

    assert [fault.name for fault in invalid.value.faults] == [f"#/{alias}"]


@pytest.mark.parametrize("name", ["X", "7", "ß", "a\u0301", "龍", "St. O'Neil-2"])
def test_a_name_needs_one_letter_or_digit(name: str) -> None:
    assert normalised_name(report_from(dragon_members(name)).dragon.dragon_name_str) == normalised_name(name)


NAME = "must hold only letters and digits of Unicode 14.0, spaces and . ' - \u2019 \u2010 \u2011, not "


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a/b", f"{NAME}U+002F"),
        ("a½", f"{NAME}U+00BD"),
        ("Jean\u2013Luc", f"{NAME}U+2013"),
        ("a\u200c", "must hold U+200C and U+200D between letters only"),
        ("..", "must hold a letter or a digit"),
        ("- '", "must hold a letter or a digit"),
        ("\u0301", "must hold a letter or a digit"),
    ],
)
def test_other_names_are_told_the_rule(name: str, rule: str) -> None:
    with pytest.raises(InvalidInput) as invalid:
        report_from(dragon_members(name))

    assert list(invalid.value.faults) == [Fault("pointer", "#/dragon_name_str", rule)]


@pytest.mark.parametrize("number", [{}, {"reportingPhoneNumber": ""}])
def test_a_reporter_who_wants_a_text_gives_a_number(number: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as invalid:
        report_from(dragon_members(confirmationRequired=True) | number)

    rule = "is required when confirmationRequired is true"
    assert list(invalid.value.faults) == [Fault("pointer", "#/reportingPhoneNumber", rule)]
    assert report_from(dragon_members(confirmationRequired=False)).phone_number is None


def test_a_fault_is_shown_under_the_name_that_the_client_wrote_beside_all_others() -> None:
    members = dragon_members() | {"dragonName": "Ember", "city": "", "confirmationRequired": True}
    del members["location_city_str"]
    with pytest.raises(InvalidInput) as invalid:
        report_from(members)

    assert list(invalid.value.faults) == [
        Fault("pointer", "#/dragonName", "is the same member as dragon_name_str; send one of them"),
        Fault("pointer", "#/city", "must not be blank"),
        Fault("pointer", "#/reportingPhoneNumber", "is required when confirmationRequired is true"),
    ]


@pytest.mark.parametrize("confirm", [{}, {"confirmationRequired": False}])
@pytest.mark.parametrize("number", ["15555555555", "+15555550100", "123", ""])
def test_a_number_that_nobody_texts_may_lack_its_plus_and_an_empty_one_is_none(
    number: str, confirm: dict[str, bool]
) -> None:
    report = report_from(dragon_members() | {"reportingPhoneNumber": number} | confirm)

    assert report.phone_number == (number or None)


@pytest.mark.parametrize(
    ("number", "confirm"),
    [
        *((number, False) for number in (15555550100, "+", "+1", "1", "05555550100", "+05555550100", " ")),
        *((number, True) for number in (15555550100, "+", "+1", "15555555555", "+05555550100", "+1234567890123456")),
    ],
)
def test_other_numbers_are_told_the_form(number: object, confirm: bool) -> None:
    with pytest.raises(InvalidInput) as invalid:
        report_from(dragon_members() | {"reportingPhoneNumber": number, "confirmationRequired": confirm})

    rule = "must be a phone number with its country code, in digits, such as +15555550100"
    assert list(invalid.value.faults) == [Fault("pointer", "#/reportingPhoneNumber", rule)]


@pytest.mark.parametrize("member", ["dragon_name_str", "dragonName"])
def test_a_correction_does_not_rename_under_either_name(member: str) -> None:
    members = dragon_members("Ash")
    members[member] = members.pop("dragon_name_str")
    with pytest.raises(InvalidInput) as invalid:
        correction_from(members, "Ember")

    rule = "must be the name in the path; dragons are not renamed"
    assert list(invalid.value.faults) == [Fault("pointer", f"#/{member}", rule)]


def test_null_is_not_a_phone_number() -> None:
    with pytest.raises(InvalidInput) as invalid:
        report_from(dragon_members() | {"reportingPhoneNumber": None, "confirmationRequired": True})

    assert [fault.name for fault in invalid.value.faults] == ["#/reportingPhoneNumber"]


@pytest.mark.parametrize("name", ONE_NAME)
def test_a_correction_may_spell_the_name_differently(name: str) -> None:
    assert correction_from(dragon_members("ÉLAN", family_str="black"), name) == dragon("ÉLAN", family_str="black")


@pytest.mark.parametrize(
    ("members", "places"),
    [
        (dragon_members("Ash"), ["#/dragon_name_str"]),
        (dragon_members("Ash", dragonName="Ember"), ["#/dragonName", "#/dragon_name_str"]),
        (dragon_members("Ember", reportingPhoneNumber="+15555550100"), ["#/reportingPhoneNumber"]),
        (dragon_members("Ember", dragon_name_str=7), ["#/dragon_name_str"]),
        (dragon_members("Ash", family_str=""), ["#/dragon_name_str", "#/family_str"]),
    ],
)
def test_a_correction_cannot_rename_or_report_a_dragon(members: dict[str, object], places: list[str]) -> None:
    with pytest.raises(InvalidInput) as invalid:
        correction_from(members, "Ember")

    assert sorted(fault.name for fault in invalid.value.faults) == places


def test_a_correction_whose_name_is_far_too_long_is_not_compared_with_the_paths() -> None:
    """A comparison normalises, and for combining marks that takes time quadratic in their number."""
    started = time.process_time()
    with pytest.raises(InvalidInput) as invalid:
        correction_from(dragon_members("a" + "\u0315\u0300" * 60_000), "Ember")

    assert [fault.name for fault in invalid.value.faults] == ["#/dragon_name_str"]
    assert time.process_time() - started < 3
