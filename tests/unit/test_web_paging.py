"""Queries, cursors and links."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.dragons.repository import DragonQuery
from chalicelib.faults import InvalidInput
from chalicelib.web import paging
from chalicelib.web.requests import Parameters
from tests.bad_input import CURSORS_REFUSED

KEYS = ["ember", "élan", "d'arcy 2", "龍", *("x" * length for length in (*range(1, 21), 64))]


def query(**values: str) -> DragonQuery:
    """Return the query that these parameters make."""
    return paging.query_from(Parameters(values))


def test_without_parameters_the_query_is_for_the_first_hundred() -> None:
    assert query() == DragonQuery(limit=100)


def test_a_page_has_a_hundred_unless_the_query_says_otherwise() -> None:
    assert DragonQuery.of(None, None) == DragonQuery() == DragonQuery(limit=100)


def test_filters_are_normalised() -> None:
    asked = query(family=" RED ", dragonName="E\u0301lan", namePrefix=" E\u0301L ")

    assert asked == DragonQuery("red", "élan", prefix="él ")


@pytest.mark.parametrize("empty", ["", " ", "\u200b"])
def test_an_empty_prefix_is_none(empty: str) -> None:
    assert query(namePrefix=empty) == query()


@pytest.mark.parametrize(("limit", "number"), [("1", 1), ("1000", 1000), ("007", 7)])
def test_limits_within_bounds_are_accepted(limit: str, number: int) -> None:
    assert query(limit=limit).limit == number


@pytest.mark.parametrize("limit", ["0", "1001", "99999", "100000", "-1", "+1", "1.5", "1e2", "", "many", "٣"])
def test_other_limits_are_refused_with_the_bounds(limit: str) -> None:
    with pytest.raises(InvalidInput, match=r"^limit: must be a whole number from 1 to 1000$"):
        query(limit=limit)


@pytest.mark.parametrize("key", KEYS)
def test_a_cursor_continues_after_its_key(key: str) -> None:
    cursor = paging.cursor_after(key, DragonQuery("red"))

    assert query(family="Red", cursor=cursor).after == key
    assert all(character.isalnum() or character in "-_" for character in cursor)


def test_a_cursor_does_not_depend_on_the_page_size() -> None:
    cursor = paging.cursor_after("ember", DragonQuery(limit=5))

    assert query(cursor=cursor, limit="7") == DragonQuery(after="ember", limit=7)


@pytest.mark.parametrize("cursor", CURSORS_REFUSED.values(), ids=CURSORS_REFUSED.keys())
def test_other_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as invalid:
        query(cursor=cursor)

    assert [(fault.place, fault.name) for fault in invalid.value.faults] == [("parameter", "cursor")]


OF_ANOTHER_QUERY = "belongs to a query with other filters; start from the first page"


@pytest.mark.parametrize(
    ("cursor", "sentence"),
    [
        ("ember", "is not a cursor of this service"),
        ("e", "is not a cursor of this service"),
        ("é", "is not a cursor of this service"),
        (paging.cursor_after(5, DragonQuery()), "is not a cursor of this service"),  # type: ignore[arg-type]
        (CURSORS_REFUSED["with a line break inside"], "is not a cursor of this service"),
        (CURSORS_REFUSED["of another filter"], OF_ANOTHER_QUERY),
        (
            CURSORS_REFUSED["of version 1"],
            "is of a version that this service does not know; start from the first page",
        ),
    ],
)
def test_the_error_for_a_refused_cursor_says_what_to_do(cursor: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as invalid:
        query(cursor=cursor)

    assert [fault.detail for fault in invalid.value.faults] == [sentence]


@pytest.mark.parametrize(
    ("made_for", "asked"),
    [
        (DragonQuery("red"), {}),
        (DragonQuery("red"), {"family": "blue"}),
        (DragonQuery(name="ember"), {}),
        (DragonQuery(name="ember"), {"dragonName": "ash"}),
        (DragonQuery("red", "ember"), {"family": "red"}),
        (DragonQuery("red", "ember"), {"dragonName": "ember"}),
        (DragonQuery(prefix="am"), {}),
        (DragonQuery(prefix="am"), {"namePrefix": "amb"}),
        (DragonQuery(prefix="am"), {"dragonName": "am"}),
        (DragonQuery(), {"namePrefix": "am"}),
    ],
)
def test_a_cursor_is_for_all_filters_of_its_query(made_for: DragonQuery, asked: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=OF_ANOTHER_QUERY):
        query(**asked, cursor=paging.cursor_after("ember", made_for))


def test_a_cursor_is_not_valid_for_the_same_words_in_another_filter() -> None:
    with pytest.raises(InvalidInput):
        query(dragonName="red", cursor=paging.cursor_after("ember", DragonQuery(family="red")))


def test_cursors_of_before_prefixes_are_still_those_of_their_filters() -> None:
    assert paging.cursor_after("ember", DragonQuery()) == "WzIsIjk1Y2I5YjRmODRjZWZmMTMiLCJlbWJlciJd"


@pytest.mark.parametrize("shown", [("families",), ("submissions", "clerk")])
def test_the_cursor_of_one_list_is_no_cursor_of_another(shown: tuple[str, ...]) -> None:
    parameters = Parameters({"cursor": paging.cursor("ember", *shown)})

    assert paging.after_from(parameters, *shown) == "ember"
    for other in (("families",), ("submissions", "another"), (None, None)):
        if other != shown:
            assert paging.after_from(parameters, *other) is None
    with pytest.raises(InvalidInput) as invalid:
        parameters.check()
    assert {fault.detail for fault in invalid.value.faults} == {OF_ANOTHER_QUERY}


def test_a_cursor_whose_key_the_list_cannot_have_is_refused() -> None:
    parameters = Parameters({"cursor": paging.cursor("ember", "a list")})

    assert paging.after_from(parameters, "a list", form=str.isupper) is None
    with pytest.raises(InvalidInput, match=r"^cursor: is not a cursor of this service$"):
        parameters.check()


def test_links_keep_the_query_and_replace_the_cursor() -> None:
    sent = {"family": "GRÜN & Co", "limit": "2", "cursor": "old"}
    header = paging.links("/prod/dragons", sent, "new")

    assert header.isascii()
    found = {relation: urlsplit(url) for url, relation in re.findall(r'<([^>]*)>; rel="([a-z]+)"(?:, |$)', header)}
    assert list(found) == ["next", "first"], "clients may take the first link for the next page"
    assert {url.path for url in found.values()} == {"/prod/dragons"}
    assert parse_qs(found["next"].query) == {"family": ["GRÜN & Co"], "limit": ["2"], "cursor": ["new"]}
    assert parse_qs(found["first"].query) == {"family": ["GRÜN & Co"], "limit": ["2"]}


def test_the_link_to_the_first_page_of_everything_has_no_query() -> None:
    assert (
        paging.links("/dragons", {"cursor": "old"}, "new")
        == '</dragons?cursor=new>; rel="next", </dragons>; rel="first"'
    )
