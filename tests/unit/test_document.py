"""One version of the dragon document: what is read from its bytes, and the bytes of the next version."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.dragons import document as module
from chalicelib.dragons.document import Document, DocumentCorrupt
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.repository import DragonPage, DragonQuery
from tests.samples import dragon, dragon_members


def document(*entries: dict[str, Any]) -> Document:
    """Return the document that holds these entries."""
    return Document.parsed(json.dumps(entries).encode())


EMBER = dragon_members("Ember") | {"submission_id": "s1"}
LATER = dragon_members("EMBER", family_str="Green")
ASH = dragon_members("Ash", family_str="GREEN")
ZED = dragon_members("Zed")
ALL = (ZED, EMBER, LATER, ASH)


@pytest.mark.parametrize("body", [b"[]", b" [ ] "])
def test_an_empty_document_is_an_empty_registry(body: bytes) -> None:
    empty = Document.parsed(body)

    assert empty.page(DragonQuery()) == DragonPage([], None)
    assert empty.entries("ember") == []
    assert empty.namesakes() == []
    assert json.loads(empty.with_addition(dragon("Ember"), "s1")) == [EMBER]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is blank"),
        (b" \n", "it is blank"),
        (b"{}", "Expected `array`, got `object`"),
        (b"[", "Input data was truncated"),
        (b"[{}]", "Object missing required field `dragon_name_str`"),
        (b'[{"dragon_name_str":"\xff"}]', "utf-8"),
    ],
)
def test_a_document_that_is_not_an_array_of_dragons_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(DocumentCorrupt, match=rf"^not a JSON array of dragons: .*{why}"):
        Document.parsed(body)


DEEP = b"[" * 1_000_000 + b"]" * 1_000_000


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (DEEP, "not a JSON array of dragons: "),
        (b'[{"weight":' + DEEP + b"," + json.dumps(EMBER).encode()[1:] + b"]", "nested too deeply$"),
    ],
)
def test_a_document_that_is_nested_too_deeply_to_be_read_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(DocumentCorrupt, match=f"^{why}"):
        Document.parsed(body)


@pytest.mark.parametrize("text", [" []", json.dumps([EMBER])])
def test_a_byte_order_mark_is_ignored_and_not_written_again(text: str) -> None:
    parsed = Document.parsed(b"\xef\xbb\xbf" + text.encode())

    without = Document.parsed(text.encode())
    assert parsed.dragons == without.dragons
    assert parsed.with_addition(dragon("Zed"), "s1") == without.with_addition(dragon("Zed"), "s1")
    assert json.loads(parsed.with_addition(dragon("Zed"), "s1"))[-1]["dragon_name_str"] == "Zed"


def test_the_first_entry_of_a_name_is_the_dragon_and_the_others_are_known() -> None:
    parsed = document(*ALL)

    assert [entry.dragon_name_str for entry in parsed.entries("ember")] == ["Ember", "EMBER"]
    assert parsed.entries("ember")[0].submission_id == "s1"
    assert parsed.entries("ash")[0].submission_id is None
    assert parsed.dragons["ember"] == dragon("Ember")
    assert parsed.namesakes() == ["EMBER"]
    assert parsed.several == {"ember": [dragon("Ember"), dragon("EMBER", family_str="Green")]}


def test_a_submission_id_that_is_no_text_hides_no_dragon_and_is_found_before_its_dragon_is_touched() -> None:
    parsed = document(EMBER | {"submission_id": 5}, ASH)

    assert [found.dragon_name_str for found in parsed.page(DragonQuery()).dragons] == ["Ash", "Ember"]
    with pytest.raises(DocumentCorrupt, match=r"submission_id"):
        parsed.entries("ember")


@pytest.mark.parametrize(
    ("query", "names", "next_after"),
    [
        (DragonQuery(), ["Ash", "Ember", "Zed"], None),
        (DragonQuery(limit=1), ["Ash"], "ash"),
        (DragonQuery(limit=2), ["Ash", "Ember"], "ember"),
        (DragonQuery(limit=3), ["Ash", "Ember", "Zed"], None),
        (DragonQuery(after="ash", limit=1), ["Ember"], "ember"),
        (DragonQuery(after="ember"), ["Zed"], None),
        (DragonQuery(after="b"), ["Ember", "Zed"], None),
        (DragonQuery(after="zed"), [], None),
        (DragonQuery(family="green"), ["Ash"], None),
        (DragonQuery(family="red", limit=1), ["Ember"], "ember"),
        (DragonQuery(name="ember"), ["Ember"], None),
        (DragonQuery(prefix="e"), ["Ember"], None),
        (DragonQuery(prefix="e", after="ember"), [], None),
        (DragonQuery(prefix="z", after="ash", limit=1), ["Zed"], None),
        (DragonQuery(family="green", prefix="e"), [], None),
        (DragonQuery(family="green", name="ember"), [], None),
    ],
)
def test_a_page_has_the_dragons_that_match_in_the_order_of_their_keys(
    query: DragonQuery, names: list[str], next_after: str | None
) -> None:
    page = document(*ALL).page(query)

    assert [found.dragon_name_str for found in page.dragons] == names
    assert page.next_after == next_after


WORDS = st.sampled_from(["a", "A ", "b", "B", "\u00e9", "E\u0301", "z'", "z\u2019"])


@settings(deadline=None)
@given(
    entries=st.lists(st.tuples(WORDS, WORDS)),
    family=st.none() | WORDS,
    name=st.none() | WORDS,
    after=st.none() | WORDS,
    limit=st.integers(1, 4),
)
def test_pages_are_those_of_a_plain_search(
    entries: list[tuple[str, str]], family: str | None, name: str | None, after: str | None, limit: int
) -> None:
    query = DragonQuery.of(family, name, None if after is None else normalised_name(after), limit)
    first: dict[str, tuple[str, str]] = {}
    for entry in entries:
        first.setdefault(normalised_name(entry[0]), entry)
    matching = [
        (key, first[key])
        for key in sorted(first)
        if query.family in (None, normalised_name(first[key][1]))
        and query.name in (None, key)
        and (query.after is None or key > query.after)
    ]
    parsed = document(*(dragon_members(name, family_str=family) for name, family in entries))

    for _ in range(2):
        page = parsed.page(query)
        assert [(each.dragon_name_str, each.family_str) for each in page.dragons] == [
            entry for _, entry in matching[:limit]
        ]
        assert page.next_after == (matching[limit - 1][0] if len(matching) > limit else None)


def told(read: Callable[[bytes], Document], body: bytes) -> Any:
    """Return all that a document says of itself, or why it is corrupt."""
    try:
        found = read(body)
    except DocumentCorrupt as corrupt:
        return str(corrupt)
    queries = [DragonQuery(), DragonQuery(limit=1), DragonQuery(family="a"), DragonQuery(family="b", after="a")]
    return (
        [found.page(query) for query in queries],
        [found.entries(key) for key in ("a", "b", "\u00e9")],
        found.namesakes(),
        found.with_addition(dragon("Zed"), "s1"),
        found.with_change(found.page(DragonQuery()).dragons[0].key, None) if found.dragons else None,
    )


PIECES = st.sampled_from(
    [b"[", b"]", b",", b" ", b"\n", b"\x0b", b"{}", b"1", b"null", b"\xef\xbb\xbf", b"\xff"]
) | st.builds(
    lambda name, family: json.dumps(dragon_members(name, family_str=family) | {"submission_id": "s"}).encode(),
    WORDS,
    WORDS,
)
BODIES = st.lists(PIECES, max_size=5).map(b"".join) | st.lists(PIECES, max_size=4).map(
    lambda pieces: b"[" + b",".join(pieces) + b"]"
)
NEXT = st.sampled_from([b"", b",", b" , ", b",,", b"]", b"],", b", "])


def read_after(before: Document) -> Callable[[bytes], Document]:
    """Return what reads a later version after this one."""
    return lambda body: before.followed_by(body) or Document.parsed(body)


@settings(deadline=None)
@given(first=BODIES, between=NEXT, more=BODIES, asked=st.booleans())
def test_a_later_version_reads_the_same_whatever_was_read_before(
    first: bytes, between: bytes, more: bytes, asked: bool
) -> None:
    try:
        before = Document.parsed(first)
    except DocumentCorrupt:
        before = Document.parsed(b"[" + json.dumps(dragon_members("a")).encode() + b"]")
        first = before._text
    if asked:
        told(lambda _: before, first)

    for body in (more, first, first.rstrip()[:-1] + between + more, first.rstrip()[:-1] + between + more[1:]):
        assert told(read_after(before), body) == told(Document.parsed, body)
    assert told(lambda _: before, first) == told(Document.parsed, first), "the earlier one has not changed"


MOSS = json.dumps(dragon_members("Moss")).encode()
AGAIN = json.dumps(dragon_members("EMBER")).encode()


@pytest.mark.parametrize("entries", [(), (ZED,), (ZED, EMBER), ALL])
@pytest.mark.parametrize(
    "end",
    [
        b"]",
        b" ]\n",
        b"]\x0b",
        b"",
        b"]]",
        b",]",
        b"," + MOSS + b"]",
        b" , " + MOSS + b" ] ",
        b"," + MOSS + b",]",
        b"," + MOSS + b"," + MOSS + b"]",
        b"," + AGAIN + b"]",
        MOSS + b"]",
        b";" + MOSS + b"]",
        b',{"dragon_name_str":1}]',
    ],
)
def test_however_a_later_version_ends_it_reads_as_if_it_were_the_first(
    entries: tuple[dict[str, Any], ...], end: bytes
) -> None:
    before = document(*entries)

    body = before._opened.tobytes() + end

    assert told(read_after(before), body) == told(Document.parsed, body)


def test_what_follows_a_version_does_not_change_it() -> None:
    before = document(ZED, EMBER)
    before.page(DragonQuery(limit=1))
    before.followed_by(before.with_addition(dragon("Moss"), "s1"))

    assert [each.dragon_name_str for each in before.page(DragonQuery()).dragons] == ["Ember", "Zed"]
    assert before.entries("moss") == []


def test_a_dragon_more_is_all_that_is_decoded_of_the_next_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = document(ZED, EMBER)
    before.page(DragonQuery())
    body = before.with_addition(dragon("Moss"), "s1")
    decoded: list[bytes] = []
    decode = module._decoded
    monkeypatch.setattr(module, "_decoded", lambda text, kind: decoded.append(text) or decode(text, kind))
    monkeypatch.setattr(module, "sorted", None, raising=False)

    page = read_after(before)(body).page(DragonQuery())

    assert [json.loads(text) for text in decoded] == [[dragon_members("Moss") | {"submission_id": "s1"}]]
    assert [each.dragon_name_str for each in page.dragons] == ["Ember", "Moss", "Zed"]


def test_a_version_with_the_same_dragons_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = document(ZED, EMBER)
    monkeypatch.setattr(module, "_decoded", None)

    assert read_after(before)(before._text + b"\n").dragons == before.dragons


def test_a_version_is_decoded_once_however_often_it_is_read_and_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Any] = []
    decode = module._decoded
    monkeypatch.setattr(module, "_decoded", lambda text, kind: decoded.append(kind) or decode(text, kind))

    parsed = document(*ALL)
    for query in (DragonQuery(), DragonQuery(family="green"), DragonQuery(name="ash"), DragonQuery(after="b", limit=1)):
        parsed.page(query)
    parsed.namesakes()
    parsed.with_addition(dragon("Moss"), "s1")
    assert decoded == [list[Dragon]]

    parsed.entries("ember")
    parsed.entries("ash")
    assert parsed.entries("moss") == []
    assert decoded == [list[Dragon], list[module.Entry]], "ids are decoded once they are asked for"


def test_the_same_query_gets_the_same_page_and_its_encoded_form() -> None:
    parsed = document(*ALL)
    page = parsed.page(DragonQuery(family="green"))

    assert parsed.page(DragonQuery(family="green")) is page
    assert page.shown is page.shown
    assert json.loads(page.shown.body) == [ASH]
    assert parsed.page(DragonQuery()) is not page


def test_pages_are_kept_up_to_the_bound_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAGONS_ON_KEPT_PAGES_MAX", 7)
    parsed = document(*ALL)
    first = parsed.page(DragonQuery())
    small = parsed.page(DragonQuery(limit=2))
    assert parsed.page(DragonQuery()) is first, "four and three are seven"

    other = parsed.page(DragonQuery(name="nobody"))
    assert parsed.page(DragonQuery(name="nobody")) is other
    again = parsed.page(DragonQuery())
    assert again is not first
    assert parsed.page(DragonQuery(name="nobody")) is other, "one and four are five"
    assert parsed.page(DragonQuery(limit=2)) is not small
    assert parsed.page(DragonQuery()) is not again


def test_asking_for_families_that_do_not_exist_keeps_nothing_but_bounded_pages() -> None:
    parsed = document(*ALL)
    for number in range(10):
        assert parsed.page(DragonQuery(family=f"family {number}")) == DragonPage([], None)

    assert parsed._ordered == {}


def test_an_addition_comes_last_and_leaves_the_others_as_they_were_written() -> None:
    before = b'[{"weight": 1.50e3, ' + json.dumps(ASH).encode()[1:] + b"]"

    added = Document.parsed(before).with_addition(dragon("Ember"), "s1")
    assert added.startswith(before[:-1] + b",")
    assert json.loads(added)[1] == EMBER


def test_a_change_replaces_the_first_entry_of_the_name_and_keeps_what_else_it_holds() -> None:
    entry = EMBER | {"weight": 3}
    changed = document(ZED, entry, LATER).with_change("ember", dragon("Ember", family_str="black"))

    assert json.loads(changed) == [ZED, entry | {"family_str": "black"}, LATER]


def test_a_change_leaves_the_numbers_of_the_entry_as_they_were_written() -> None:
    entry = b'{"weight":12345678901234567890.10,' + json.dumps(EMBER).encode()[1:]
    changed = Document.parsed(b"[" + entry + b"]").with_change("ember", dragon("Ember", family_str="black"))

    assert b'"weight":12345678901234567890.10,' in changed


@pytest.mark.parametrize(("key", "left"), [("zed", [EMBER, LATER, ASH]), ("ember", [ZED, LATER, ASH])])
def test_a_removal_leaves_out_the_first_entry_of_the_name(key: str, left: list[dict[str, Any]]) -> None:
    assert json.loads(document(*ALL).with_change(key, None)) == left
