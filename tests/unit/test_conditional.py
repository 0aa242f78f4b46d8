"""Preconditions, as RFC 9110 §13 compares entity tags."""

import re

import pytest

from chalicelib.representation import etag_of
from chalicelib.web.conditional import is_list_of_tags, match, none_match


@pytest.mark.parametrize(
    ("if_match", "holds"),
    [
        ("*", True),
        (" * ", True),
        ('"a"', True),
        ('"b", "a"', True),
        ('"a-gzip"', True),
        ('"b"', False),
        ('"b,", ,"a" ,', True),
        ('W/"a"', False),
        ('W/"a", "b"', False),
        ('"*"', False),
    ],
)
def test_a_change_is_made_to_the_version_that_the_client_names(if_match: str, holds: bool) -> None:
    assert match(if_match, '"a"') is holds


MALFORMED = (
    "",
    " ",
    ",",
    "a",
    "'a'",
    '"a',
    'a"',
    '"a" "b"',
    '"a"; "b"',
    '*, "a"',
    "**",
    "*, *",
    'w/"a"',
    'W/ "a"',
    '"a b"',
)


@pytest.mark.parametrize("value", MALFORMED)
def test_what_is_no_list_of_entity_tags_is_told_from_one(value: str) -> None:
    assert not is_list_of_tags(value)


@pytest.mark.parametrize("value", ["*", " * ", '""', '"a"', 'W/"a"', ',"a",, W/"b" ,', '"a,b"\t,"c"', '"é\U0001f409"'])
def test_lists_of_entity_tags_are_understood(value: str) -> None:
    assert is_list_of_tags(value)


@pytest.mark.parametrize("value", [*MALFORMED, '"a", b', '"a" "a"'])
def test_a_malformed_if_none_match_is_ignored_so_that_the_body_is_sent(value: str) -> None:
    assert none_match(value, '"a"')


@pytest.mark.parametrize(
    ("if_none_match", "holds"), [('W/"a-gzip"', False), ('"b", W/"a"', False), ('W/"b"', True), ('"*"', True)]
)
def test_a_weak_tag_is_enough_to_send_no_body(if_none_match: str, holds: bool) -> None:
    assert none_match(if_none_match, '"a"') is holds


def test_a_tag_is_of_144_bits_in_an_alphabet_that_needs_no_escaping() -> None:
    assert re.fullmatch(r'"[A-Za-z0-9_-]{24}"', etag_of(b"x"))
