"""What a dragon is, and when two names are the same."""

import time

import pytest

from chalicelib.dragons.model import ALIASES, Dragon, DragonName, correction_from, normalised_name, report_from
from chalicelib.validation import InvalidInput
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


def test_every_alias_stands_for_a_field_of_the_dragon() -> None:
    assert sorted(ALIASES.values()) == sorted(Dragon.__struct_fields__)


@pytest.mark.parametrize("alias", ALIASES)
def test_a_field_under_both_names_is_a_fault(alias: str) -> None:
    with pytest.raises(InvalidInput) as invalid:
        report_from(dragon_members() | {alias: "x"})

    assert [fault.name for fault in invalid.value.faults] == [f"#/{alias}"]


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
