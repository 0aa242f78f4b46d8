"""The patterns in the OpenAPI document match exactly what the service accepts."""

from __future__ import annotations

import sys
import unicodedata

import pytest
import regress
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.checked import CheckedText
from chalicelib.dragons.model import Description, DragonName, Family, PhoneNumber, Place, UntextedNumber
from chalicelib.dragons.names import UNICODE_VERSION
from chalicelib.web.conditional import is_list_of_tags
from chalicelib.web.requests import _IDEMPOTENCY_KEY
from operations.generate import characters
from operations.generate.contract.components import PARAMETERS

KINDS = (DragonName, Family, Place, Description, PhoneNumber, UntextedNumber)

# Letters, marks, digits, the other characters of names, all sorts of white space, controls, and others.
CHARACTERS = "aÉЖ龍\u0301\u05b00٣ .'-_\"<+1\t\n\x0b\x1c\x1f\x7f\x85\xa0\u2003\u2028\u200b\ufeff\U0001f409"
NAME_CHARACTERS = "aم\u0301\ufe0f0 .'-\u2019\u2010\u2011\u02bc\u115f\u3164\u200c\u200d\n½"

# General categories: not assigned to a character, and those of names.
OTHERS = ("Cn", "Co", "Cs")
LETTERS_MARKS_DIGITS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd")


def accepts(kind: type[CheckedText], text: str) -> bool:
    try:
        kind.parse(text)
    except ValueError:
        return False
    return True


def is_documented(kind: type[CheckedText], text: str) -> bool:
    return regress.Regex(kind.schema["pattern"], "u").find(text) is not None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(text=st.text(CHARACTERS, max_size=6))
def test_a_text_is_accepted_exactly_if_it_matches_the_documented_pattern(kind: type[CheckedText], text: str) -> None:
    text = unicodedata.normalize("NFC", text)

    assert accepts(kind, text) == is_documented(kind, text)


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None, derandomize=True, database=None)
@given(text=st.text(NAME_CHARACTERS, max_size=6))
def test_a_name_is_accepted_exactly_if_it_matches_the_documented_pattern(text: str) -> None:
    text = unicodedata.normalize("NFC", text)

    assert accepts(DragonName, text) == is_documented(DragonName, text)


@pytest.mark.slow
def test_every_character_of_the_documents_unicode_version_is_in_a_name_exactly_if_the_pattern_has_it() -> None:
    """Of characters that are newer, the document says that they are refused."""
    assert f"Unicode {UNICODE_VERSION}" in (DragonName.__doc__ or "")
    assigned = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in OTHERS]
    accepted = [character for character in assigned if accepts(DragonName, f"0{character}0")]
    refused = set(assigned) - set(accepted)
    if unicodedata.unidata_version != characters.UNICODE_VERSION:
        refused = {character for character in refused if unicodedata.category(character) not in LETTERS_MARKS_DIGITS}

    parts = [accepted[first : first + 31] for first in range(0, len(accepted), 31)]
    assert [part for part in parts if not is_documented(DragonName, "0".join(["0", *part]))] == []
    assert [character for character in refused if is_documented(DragonName, f"0{character}0")] == []


@pytest.mark.parametrize("kind", [DragonName, Family, Place, Description], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("edge", ["", " ", "\t", "\ufeff\u3000"])
@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_lengths_are_counted_without_surrounding_white_space(kind: type[CheckedText], edge: str, excess: int) -> None:
    length_max: int = kind.length_max  # type: ignore[attr-defined]
    text = edge + "x" * (length_max + excess) + edge

    assert accepts(kind, text) is is_documented(kind, text) is (excess <= 0)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_text_is_refused_if_it_is_longer_than_documented(kind: type[CheckedText]) -> None:
    """White space around a text counts here. Around a number there may be none."""
    begin, rest = ("+1", "1") if issubclass(kind, UntextedNumber) else ("x", " ")
    longest = begin.ljust(kind.schema["maxLength"], rest)

    assert accepts(kind, longest)
    assert not accepts(kind, longest + rest)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(key=st.text('ab"~! é', min_size=1, max_size=4))
def test_an_idempotency_key_is_accepted_exactly_if_it_matches_the_documented_pattern(key: str) -> None:
    documented = regress.Regex(PARAMETERS["IdempotencyKey"]["schema"]["pattern"], "u").find(key) is not None
    unquoted = key[1:-1] if len(key) >= 2 and key[0] == key[-1] == '"' else key

    assert documented is (_IDEMPOTENCY_KEY.fullmatch(unquoted) is not None)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    value=st.text('aW/"*, \t\x7fé', max_size=6) | st.lists(st.sampled_from(['"a"', ", ", 'W/"é"', "*"])).map("".join)
)
def test_an_if_match_is_accepted_exactly_if_it_matches_the_documented_pattern(value: str) -> None:
    documented = regress.Regex(PARAMETERS["IfMatch"]["schema"]["pattern"], "u").find(value) is not None

    assert documented is is_list_of_tags(value)
