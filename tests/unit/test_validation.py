"""Checked types, and how faults are collected."""

import sys
import time
import unicodedata
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pytest
import regress

from chalicelib.checked import _NFC_SHRINKS_BY, Amount, CheckedText, Timestamp, Uuid, normalised_text, text_pattern
from chalicelib.faults import Fault, InvalidInput, pointer
from chalicelib.validation import decode
from tests.bad_input import AMOUNTS_ACCEPTED, TIMES_ACCEPTED


@pytest.mark.parametrize("text", TIMES_ACCEPTED)
def test_times_are_kept_as_written(text: str) -> None:
    assert Timestamp.parse(text) == text


@pytest.mark.parametrize("amount", AMOUNTS_ACCEPTED)
def test_amounts_keep_their_value(amount: str) -> None:
    assert Amount.parse(Decimal(amount)) == Decimal(amount)


@pytest.mark.parametrize("amount", ["1" + "0" * 100, "0." + "0" * 99 + "1", "0" * 3 + "1" * 38])
def test_zeros_at_either_end_are_not_significant_digits(amount: str) -> None:
    assert Amount.parse(Decimal(amount)) == Decimal(amount)


@pytest.mark.parametrize("amount", ["1" * 39, "1e101", "1e-101", "9" * 38 + "e64", "-0.1"])
def test_amounts_that_the_index_cannot_store_are_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Amount.parse(Decimal(amount))


def test_a_uuid_is_kept_in_lower_case() -> None:
    assert Uuid.parse("E0721E56-FB09-4273-AE74-7BCBC92D43EB") == "e0721e56-fb09-4273-ae74-7bcbc92d43eb"


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        (" E\u0301lan\n", "Élan"),
        ("\u3000x\u2029", "x"),
        ("\ufeffx\ufeff", "x"),
        ("x  y", "x  y"),
        ("e\u0301" * 3, "é" * 3),
    ],
)
def test_text_is_trimmed_and_composed_before_it_is_measured(text: str, normalised: str) -> None:
    assert normalised_text(text, 4) == normalised


@pytest.mark.parametrize("one", ["\u1f82", "\u1e69", "\ud55c", "\u0390"])
def test_a_text_that_is_too_long_only_before_composition_is_accepted(one: str) -> None:
    assert normalised_text(unicodedata.normalize("NFD", one) * 4, 4) == one * 4


def test_no_character_is_composed_of_more_than_four() -> None:
    """So a longer text can be refused unread. The test checks this for the Unicode version of this Python."""
    decomposed = (unicodedata.normalize("NFD", chr(code)) for code in range(sys.maxunicode + 1))
    assert max(map(len, decomposed)) == _NFC_SHRINKS_BY


def test_a_text_that_is_far_too_long_is_refused_before_it_is_normalised() -> None:
    """Normalising combining marks in the wrong order takes time quadratic in their number: minutes, in this case."""
    started = time.process_time()
    with pytest.raises(ValueError, match="at most 1,000 characters"):
        normalised_text("a" + "\u0315\u0300" * 130_000, 1_000)

    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "text", [1, None, "", " ", "xxxxx", "a\x00", "a\u2028b", "a\u2029b", "a\x7fb", "\x85a", "a\x1c", "a\ud800"]
)
def test_anything_but_a_text_of_that_length_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must"):
        normalised_text(text, 4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (1, "must be a string"),
        (" ", "must not be blank"),
        ("x" * 1001, "must be at most 1,000 characters long"),
        ("a\x00", "must not hold control characters"),
    ],
)
def test_the_error_for_a_refused_text_states_the_rule(text: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        normalised_text(text, 1000)


@pytest.mark.parametrize("text", ["a", "X", " a ", "a b", "aXbX", "abcd", "  abcd\n", "\ufeffa\u2029", "龍"])
def test_the_pattern_in_the_document_accepts_what_is_accepted(text: str) -> None:
    assert len(normalised_text(text, 4)) <= 4
    assert regress.Regex(text_pattern(4), "u").find(text)


@pytest.mark.parametrize("text", ["", " ", "abcde", "a\x00b", "a\u2028b", "a\x9fb", "a\x7fb", " \x00", "a\nb"])
def test_the_pattern_in_the_document_refuses_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        normalised_text(text, 4)
    assert not regress.Regex(text_pattern(4), "u").find(text)


@pytest.mark.parametrize(
    ("checked_type", "value", "sentence"),
    [
        (Timestamp, "yesterday", "must be an RFC 3339 date and time with an offset, such as 2023-12-10T22:02:38Z"),
        (
            Timestamp,
            "2023-02-29T00:00:00Z",
            "must be an RFC 3339 date and time with an offset, such as 2023-12-10T22:02:38Z",
        ),
        *(
            (Timestamp, value, "must be an RFC 3339 date and time with an offset, such as 2023-12-10T22:02:38Z")
            for value in ("2023-12-10", "2023-12-10T24:00:00Z", "2023-12-10T22:02:38", "20231210T220238Z", None, 1)
        ),
        (Timestamp, f"2023-12-10T22:02:38.{'0' * 50}Z", "must be at most 64 characters long"),
        (Amount, "1", "must be a JSON number"),
        (Amount, Decimal("-0.1"), "must be at least 0"),
        (Amount, Decimal("1e101"), "must have at most 38 significant digits and an exponent within ±100"),
    ],
)
def test_the_error_for_a_refused_value_states_the_rule(checked_type: Any, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        checked_type.parse(value)


def test_a_time_may_be_as_long_as_the_index_keeps() -> None:
    assert Timestamp.parse(f"2023-12-10T22:02:38.{'0' * 43}Z")


@pytest.mark.parametrize(
    ("member", "place"),
    [
        ("plain_name-1", "#/plain_name-1"),
        ("order_id", "#/order_id"),
        ("-._!$&'()*+,;=:@?", "#/-._!$&'()*+,;=:@?"),
        ("a/b~c", "#/a~1b~0c"),
        ('é "<%', "#/%C3%A9%20%22%3C%25"),
        ("", "#/"),
        ("\n", "#/%0A"),
    ],
)
def test_pointers_are_uri_fragments(member: str, place: str) -> None:
    assert pointer("#", member) == place


class _Inner(msgspec.Struct, forbid_unknown_fields=True):
    id: Uuid
    flag: bool = False


class _Outer(msgspec.Struct):
    inner: _Inner
    text: str
    ratio: float = 0.0
    maybe: int | None = None


def faults_of(value: dict[str, Any], names: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """Return the place and the message of each fault."""
    with pytest.raises(InvalidInput) as invalid:
        decode(value, _Outer, names)
    assert {fault.place for fault in invalid.value.faults} == {"pointer"}
    return [(fault.name, fault.detail) for fault in invalid.value.faults]


def test_valid_input_becomes_the_model() -> None:
    decoded = decode({"inner": {"id": "E0721E56-FB09-4273-AE74-7BCBC92D43EB"}, "text": "x", "more": 1}, _Outer)

    assert decoded.inner.id == "e0721e56-fb09-4273-ae74-7bcbc92d43eb"


def test_every_fault_is_listed_in_the_order_of_the_model() -> None:
    assert faults_of({"inner": {"id": "x", "flag": "yes", "more": 1}, "text": 1, "ratio": "x", "maybe": "x"}) == [
        ("#/inner/id", "must be a UUID such as e0721e56-fb09-4273-ae74-7bcbc92d43eb"),
        ("#/inner/flag", "must be true or false"),
        ("#/inner/more", "is not a known member"),
        ("#/text", "must be a string"),
        ("#/ratio", "must be of the type float"),
        ("#/maybe", "must be of the type int, NoneType"),
    ]


def test_a_fault_of_a_choice_names_the_choices() -> None:
    class Choosing(msgspec.Struct):
        size: Literal["small", "large"]

    with pytest.raises(InvalidInput, match=r"^#/size: must be of the type small, large$"):
        decode({"size": "medium"}, Choosing)


def test_each_missing_member_is_a_fault() -> None:
    assert faults_of({}) == [("#/inner", "is required"), ("#/text", "is required")]
    assert faults_of({"inner": [], "text": ""}) == [("#/inner", "must be an object")]


def test_a_member_under_another_name_is_shown_as_it_was_sent() -> None:
    inner = {"id": "e0721e56-fb09-4273-ae74-7bcbc92d43eb"}

    assert faults_of({"inner": inner, "text": None}, {"text": "label"}) == [("#/label", "must be a string")]


def test_the_error_names_all_its_faults() -> None:
    error = InvalidInput(Fault("pointer", "#/a", "is required"), Fault("parameter", "b", "is bad"))

    assert str(error) == "#/a: is required; b: is bad"
    assert [fault.as_json() for fault in error.faults] == [
        {"pointer": "#/a", "detail": "is required"},
        {"parameter": "b", "detail": "is bad"},
    ]


def test_a_checked_type_without_a_check_is_an_error() -> None:
    with pytest.raises(NotImplementedError):
        CheckedText.parse("x")
