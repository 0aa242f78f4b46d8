"""Strict reading, exact writing, and the canonical form."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib import exact_json
from chalicelib.exact_json import MalformedJson
from tests.bad_input import MALFORMED

NUMBERS = ("20", "19.99", "0.1", "1e-7", "12345678901234567890.12", "-0", "0.10", "1E+2", "1e-6", "0e5", "9" * 50)


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_json_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedJson) as refused:
        exact_json.parse_object(body)

    assert len(str(refused.value)) < 120


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"a":\n  nope}', "not valid JSON: Expecting value (line 2, column 3)"),
        (b"[]", "must be a JSON object"),
        (b'{"a":"\xff"}', "not valid UTF-8 (byte 6)"),
        (b"\xef\xbb\xbf{}", "starts with a byte order mark, which JSON does not allow"),
        (b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "nested deeper than 32 levels"),
        (b'{"a":1e9999999999999999999}', "holds a number whose exponent is out of range"),
        (b'{"a":-Infinity}', "-Infinity is not a JSON number"),
        (b'{"a":{"b":1,"b":2}}', "an object has two members of the same name"),
        (b'{"a":"\\ud800"}', "a string holds half of a surrogate pair"),
    ],
)
def test_the_reason_says_what_is_wrong(body: bytes, sentence: str) -> None:
    with pytest.raises(MalformedJson) as refused:
        exact_json.parse_object(body)

    assert str(refused.value) == sentence


@given(
    st.text(" \t\n\r", max_size=3),
    st.sampled_from(["{}", '{"a":1}', "", "{", "[", "x", '{"a":\n']),
    st.text(" \t\n\r\v\u00a0{x", max_size=4),
)
def test_white_space_and_what_follows_are_taken_as_the_standard_library_takes_them(
    before: str, text: str, after: str
) -> None:
    whole = before + text + after
    try:
        expected: object = json.loads(whole, parse_int=Decimal)
    except json.JSONDecodeError as error:
        expected = f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    try:
        found: object = exact_json.parse_object(whole)
    except MalformedJson as error:
        found = str(error)

    assert found == expected


def test_the_reason_quotes_none_of_the_input() -> None:
    for body in (b'{"secret": nope}', b'{"secret":1,"secret":2}', b'["secret"]', b'{"a":"\\secret"}', b'"secret"'):
        with pytest.raises(MalformedJson) as refused:
            exact_json.parse_object(body)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["\ufeff{}", '{"a":"\\udc00"}', '{"\\ud800":1}', '{"a":["\\ud83d "]}'])
def test_text_is_read_as_strictly_as_bytes(text: str) -> None:
    with pytest.raises(MalformedJson):
        exact_json.parse_object(text)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert exact_json.parse_object('{"a":"\\ud83d\\udc09"}') == {"a": "\U0001f409"}


@pytest.mark.parametrize("levels", [1, 2, 31, 32])
def test_nesting_is_allowed_up_to_the_limit(levels: int) -> None:
    exact_json.parse_object('{"a":' * (levels - 1) + "{}" + "}" * (levels - 1))


@pytest.mark.parametrize(
    "text",
    ['{"a":"' + "[" * 100 + '"}', '{"a":"\\"' + "{" * 100 + '"}', '{"a":"\\\\","b":"' + "[" * 100 + '"}'],
)
def test_brackets_in_strings_do_not_count_as_nesting(text: str) -> None:
    exact_json.parse_object(text)


@pytest.mark.parametrize(
    ("before", "levels_before"),
    [('{"side":[' + ",".join(["[]"] * 40) + '],"deep":', 1), ('{"a":{"b":[[[]],', 3)],
    ids=["beside", "inside"],
)
def test_levels_that_are_closed_do_not_count(before: str, levels_before: int) -> None:
    closing = "}" if levels_before == 1 else "]}}"
    room = 32 - levels_before

    exact_json.parse_object(before + "[" * room + "]" * room + closing)
    with pytest.raises(MalformedJson, match="nested"):
        exact_json.parse_object(before + "[" * (room + 1) + "]" * (room + 1) + closing)


def test_brackets_after_a_string_count_as_nesting() -> None:
    with pytest.raises(MalformedJson, match="nested"):
        exact_json.parse_object('{"a":"\\\\","b":' + "[" * 40 + "]" * 40 + "}")


def test_many_brackets_side_by_side_are_not_deep() -> None:
    exact_json.parse_object('{"a":[' + ",".join(["[{}]"] * 1000) + "]}")


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_read_exactly_and_written_as_they_were_sent(number: str) -> None:
    read = exact_json.parse_object(f'{{"a":{number}}}')

    assert isinstance(read["a"], Decimal)
    assert str(read["a"]) == str(Decimal(number))
    assert exact_json.encode(read) == f'{{"a":{number}}}'.encode()


def test_decimals_that_the_code_made_are_written_in_full() -> None:
    assert exact_json.encode({"a": Decimal("0.10"), "b": [Decimal(20)]}) == b'{"a":0.10,"b":[20]}'


def test_values_without_a_json_form_are_not_written() -> None:
    with pytest.raises(TypeError, match="complex"):
        exact_json.encode({"a": 1j})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("20", "2e1"),
        ("20", "20.000"),
        ("-0", "0"),
        ("0e5", "0.00"),
        ("1e-7", "0.0000001"),
        ("1e400", "10E+399"),
        ("12345678901234567890123456789012345678901234567890", "1234567890123456789012345678901234567890123456789e1"),
    ],
)
def test_equal_numbers_have_one_canonical_form(one: str, other: str) -> None:
    canonical = [exact_json.canonical(exact_json.parse_object(f'{{"a":[{number}]}}')) for number in (one, other)]

    assert canonical[0] == canonical[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.1", "0.10000000000000000000000000000000000000001"), ("1", "-1"), ("1", '"1"'), ("0", "false"), ("null", "0")],
)
def test_values_that_differ_differ_in_canonical_form(one: str, other: str) -> None:
    canonical = [exact_json.canonical(exact_json.parse_object(f'{{"a":{value}}}')) for value in (one, other)]

    assert canonical[0] != canonical[1]


def test_the_order_of_items_matters_but_that_of_members_does_not() -> None:
    def canonical(text: str) -> bytes:
        return exact_json.canonical(exact_json.parse_object(text))

    assert canonical('{"a":{"b":1,"c":2},"d":3}') == canonical('{"d":3,"a":{"c":2,"b":1}}')
    assert canonical('{"a":[1,2]}') != canonical('{"a":[2,1]}')


def by_its_digits(number: Decimal) -> Decimal:
    """Return the canonical form of a number, made of its digits one by one."""
    if not number:
        return Decimal(0)
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    while digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    return Decimal((sign, digits, exponent))


@settings(deadline=None)
@given(
    number=st.decimals(allow_nan=False, allow_infinity=False)
    | st.builds(
        lambda sign, digits, exponent: Decimal(f"{sign}{digits}e{exponent}"),
        st.sampled_from(["", "-"]),
        st.from_regex(r"[0-9]{1,120}(\.[0-9]{1,120})?", fullmatch=True),
        st.integers(-(10**17), 10**17),
    )
)
@example(Decimal("1E-1999999999999999997"))
@example(Decimal("9E+999999999999999999"))
@example(Decimal("1" + "0" * 400))
@example(Decimal("-0.000"))
def test_a_canonical_number_has_the_same_value_and_no_zeros_to_spare(number: Decimal) -> None:
    canonical = exact_json.canonical_number(number)

    assert type(canonical) is Decimal
    assert canonical.as_tuple() == by_its_digits(number).as_tuple()


def canonical_by_hand(value: Any) -> Any:
    """Return the value with each number replaced by its canonical form."""
    if isinstance(value, Decimal):
        return by_its_digits(value)
    if isinstance(value, dict):
        return {name: canonical_by_hand(member) for name, member in sorted(value.items(), key=lambda m: m[0].encode())}
    if isinstance(value, list):
        return [canonical_by_hand(item) for item in value]
    return value


TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
NUMBER_TEXTS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBER_TEXTS.map(Decimal),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(value=st.dictionaries(TEXTS, VALUES, max_size=4))
def test_the_canonical_form_of_what_was_read_is_that_of_its_canonical_values(value: dict[str, Any]) -> None:
    read = exact_json.parse_object(exact_json.encode(value))

    assert read == value
    assert exact_json.canonical(read) == exact_json.encode(canonical_by_hand(value))


def test_a_value_without_a_json_form_has_no_canonical_form_either() -> None:
    with pytest.raises(TypeError, match="complex"):
        exact_json.canonical({"a": 1j})
