"""Which characters a dragon's name has, and when two names are the same."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.dragons.model import DragonName
from chalicelib.dragons.names import _Kind, normalised_name, normalised_names, normalised_prefix
from operations.generate import characters

PEOPLES_NAMES = [
    "O\u2019Brien",
    "Hawai\u02bbi",
    "Jean\u2011Luc",
    "Jean\u2010Luc",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\u0915\u094d\u200d\u0937",
    "A\ufe0f",
]


def test_a_kind_has_the_characters_of_its_runs_from_the_first_to_the_last() -> None:
    kind = _Kind("1f 41-5a 5f 10ffff")

    assert "".join(filter(kind.__contains__, map(chr, range(0x80)))) == "\x1fABCDEFGHIJKLMNOPQRSTUVWXYZ_"
    assert chr(0x10FFFF) in kind
    assert chr(0x10FFFE) not in kind


@pytest.mark.parametrize("name", PEOPLES_NAMES)
def test_a_name_that_people_have_is_kept_as_it_is_written(name: str) -> None:
    assert DragonName.parse(name) == name


@pytest.mark.parametrize(
    ("spelling", "key"),
    [
        ("O\u2019Brien", "o'brien"),
        ("O\u02bcBrien", "o'brien"),
        ("Jean\u2011Luc", "jean-luc"),
        ("Jean\u2010Luc", "jean-luc"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"),
        ("A\ufe0f", "a"),
        ("a\u034f\u0301", "á"),
        ("\ufeff Ember\u3164 ", "ember"),
        ("\u0149", "'n"),
        ("\u3164", ""),
    ],
)
def test_what_looks_the_same_has_one_key(spelling: str, key: str) -> None:
    assert normalised_name(spelling) == key


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [
        (" AM", "am"),
        ("Amber ", "amber "),
        ("\u00a0É\u00a0", "é\u00a0"),
        ("E\u0301", "é"),
        ("É\u200d \u200b", "é "),
        ("O\u2019", "o'"),
        ("", ""),
        (" \u200b ", ""),
    ],
)
def test_what_was_typed_of_a_name_is_compared_as_names_are(typed: str, prefix: str) -> None:
    assert normalised_prefix(typed) == prefix


@given(st.text(st.sampled_from("aEéß\u0149ΣςĲ龍가\u200d .'\u2019-2")), st.text(st.sampled_from("aé 龍.")))
def test_a_name_is_found_by_whatever_it_begins_with(typed: str, more: str) -> None:
    assert normalised_name(f"{typed}{more}z").startswith(normalised_prefix(typed))


@pytest.mark.parametrize("name", ["\u3164", "\u115f\u1160", ".\u3164.", "\uffa0\u0301", "\u02bc", "\u02bc\u2019 -"])
def test_a_name_without_a_letter_or_digit_in_its_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must hold a letter or a digit"):
        DragonName.parse(name)


@pytest.mark.parametrize(
    "name",
    ["\u200cab", "ab\u200d", "a\u200c\u200db", "a \u200cb", "1\u200d2", "a.\u200db", "\u0301\u200da", "a\u200d\u0301"],
)
def test_a_joiner_joins_letters(name: str) -> None:
    with pytest.raises(ValueError, match=r"must hold U\+200C and U\+200D between letters only"):
        DragonName.parse(name)


@pytest.mark.parametrize("control", "\u061c\u200e\u200f\u202a\u202e\u2066\u2069")
def test_bidirectional_controls_are_refused(control: str) -> None:
    with pytest.raises(ValueError, match="must hold only letters"):
        DragonName.parse(f"a{control}b")


@pytest.mark.slow
def test_the_key_of_every_character_is_its_own_key() -> None:
    keys = {character: normalised_name(character) for character in map(chr, range(sys.maxunicode + 1))}

    assert [key for key in set(keys.values()) if (keys[key] if key in keys else normalised_name(key)) != key] == []


COMBINING = "\u0345\u0301\u0315\u05b0\u034f\ufe0f\u200d\u1161\u11a8\u1100\uac00\u3164"


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None, derandomize=True, database=None)
@given(text=st.text(st.sampled_from(COMBINING + "a\u0391ßǰẛŉİ'\u2019 \ufeff\x1f") | st.characters(), max_size=8))
@example("\u1100\u115f\u1161")
@example("\ufeff Ember")
def test_a_key_is_its_own_key_and_nfc(text: str) -> None:
    key = normalised_name(text)

    assert normalised_name(key) == key
    assert unicodedata.is_normalized("NFC", key)


@settings(max_examples=1_000, deadline=None, derandomize=True, database=None)
@given(
    text=st.text(
        st.characters(categories=["L", "M", "Nd"]) | st.sampled_from(" .'-\u2019\u2010\u2011\u200c\u200d"), max_size=8
    )
)
def test_no_name_has_an_empty_key(text: str) -> None:
    try:
        name = DragonName.parse(text)
    except ValueError:
        return
    assert any(unicodedata.category(character)[0] in "LN" for character in normalised_name(name))


def test_a_character_that_is_newer_than_the_table_is_refused_on_every_python() -> None:
    garay = "\U00010d4a"  # a letter since Unicode 16.0
    with pytest.raises(ValueError, match=r"letters and digits of Unicode 14\.0"):
        DragonName.parse(f"a{garay}")


def test_a_python_with_other_tables_leaves_the_table_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characters, "UNICODE_VERSION", "3.2.0")

    assert characters.files() == {}


@pytest.mark.parametrize("names", [[], ["  Ada\n", "BERTA", "c\x1f"], [*PEOPLES_NAMES, " ADA "], ["Ada", "\u212a"]])
def test_many_names_have_the_forms_that_each_has_by_itself(names: list[str]) -> None:
    assert normalised_names(names) == [normalised_name(name) for name in names]
