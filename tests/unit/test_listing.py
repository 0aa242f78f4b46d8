"""How messages are listed: their keys, the bounds of a page, and what is shown of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.messages.listing import (
    PARTS,
    ListedMessage,
    MessagePage,
    MessageQuery,
    bound,
    is_sort_key,
    keys,
    parts,
)
from chalicelib.messages.stored import NotARow
from tests.samples import COMPANY, MESSAGE_ID, MESSAGE_TIME, ORDER_ID, ORDER_TIME

ITEM: dict[str, Any] = {
    "message_id": {"S": MESSAGE_ID},
    "company_id": {"S": COMPANY},
    "company_part": {"S": f"{COMPANY}#3"},
    "accepted_at_id": {"S": f"2026-11-24T07:20:01.500Z#{MESSAGE_ID}"},
    "message_time": {"S": MESSAGE_TIME},
    "order_id": {"S": ORDER_ID},
    "order_time": {"S": ORDER_TIME},
    "order_amount": {"N": "19.99"},
}


def test_a_message_is_listed_under_the_time_at_which_it_was_accepted() -> None:
    found = keys(COMPANY, MESSAGE_ID, 1_795_504_801_007)

    assert found["company_part"] in parts(COMPANY)
    assert found["accepted_at_id"] == f"2026-11-24T07:20:01.007Z#{MESSAGE_ID}"
    assert is_sort_key(found["accepted_at_id"])


def test_a_companys_messages_are_spread_over_all_parts_and_nobody_elses_are_there() -> None:
    spread = Counter(keys(COMPANY, f"fc0daad3-4f10-4d15-b8c6-{number:012}", 0)["company_part"] for number in range(800))

    assert sorted(spread) == parts(COMPANY) == [f"{COMPANY}#{part}" for part in range(PARTS)]
    assert min(spread.values()) > 50


def test_the_part_of_a_message_never_changes() -> None:
    """Or a message that was filled in would be listed in another part than when it is stored anew."""
    assert keys(COMPANY, MESSAGE_ID, 0)["company_part"] == f"{COMPANY}#2"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T07:20:01Z", "2026-11-24T07:20:01.000Z"),
        ("2026-11-24t07:20:01z", "2026-11-24T07:20:01.000Z"),
        ("2026-11-24T08:20:01+01:00", "2026-11-24T07:20:01.000Z"),
        ("2026-11-23T22:50:01-08:30", "2026-11-24T07:20:01.000Z"),
        ("2026-11-24T07:20:01.5Z", "2026-11-24T07:20:01.500Z"),
        ("2026-11-24T07:20:01.0070000Z", "2026-11-24T07:20:01.007Z"),
        ("2026-11-24T07:20:01.0070000001Z", "2026-11-24T07:20:01.008Z"),
        ("2026-12-31T23:59:59.9991Z", "2027-01-01T00:00:00.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:60.5-23:59", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_of_a_client_is_the_first_millisecond_that_is_not_before_it(text: str, moment: str) -> None:
    assert bound(text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-24", "2026-11-24T07:20:01", "2026-02-30T00:00:00Z", "٣"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be an RFC 3339 date and time with an offset"):
        bound(text)


MOMENTS = st.integers(-62_135_596_800_000, 253_402_300_799_999)


@given(MOMENTS, MOMENTS)
def test_keys_are_in_the_order_of_their_times_and_bounds_between_them(accepted_ms: int, bound_ms: int) -> None:
    """`from` is inclusive, `to` is exclusive."""
    key = keys(COMPANY, MESSAGE_ID, accepted_ms)["accepted_at_id"]
    moment = keys(COMPANY, MESSAGE_ID, bound_ms)["accepted_at_id"].partition("#")[0]
    since, until = MessageQuery(COMPANY, since=bound(moment)).range, MessageQuery(COMPANY, until=bound(moment)).range

    assert (since[0] <= key <= since[1]) is (accepted_ms >= bound_ms)
    assert (until[0] <= key <= until[1]) is (accepted_ms < bound_ms)


def test_a_page_before_a_key_has_only_what_is_before_it_and_before_the_end() -> None:
    key = f"2026-11-24T07:20:01.500Z#{MESSAGE_ID}"

    assert MessageQuery(COMPANY, before=key, until="2026-11-25T00:00:00.000Z").range[1] == key
    assert MessageQuery(COMPANY, before=key, until="2026-11-24T00:00:00.000Z").range[1] == "2026-11-24T00:00:00.000Z"


@pytest.mark.parametrize(
    "text", ["", "x", MESSAGE_ID, f"2026#{MESSAGE_ID}", f"2026-11-24T07:20:01.500Z#{MESSAGE_ID}\n"]
)
def test_other_texts_are_no_sort_keys(text: str) -> None:
    assert not is_sort_key(text)


def test_a_list_shows_ids_times_and_amount_and_never_the_data() -> None:
    message = ListedMessage.from_item(ITEM | {"data": {"S": "{}"}, "expires_at": {"N": "1"}})

    assert MessagePage([message], None).as_json() == (
        f'[{{"message_id":"{MESSAGE_ID}","company_id":"{COMPANY}","message_time":"{MESSAGE_TIME}",'
        f'"accepted_at":"2026-11-24T07:20:01.500Z","order_id":"{ORDER_ID}","order_time":"{ORDER_TIME}",'
        '"order_amount":19.99}]'
    ).encode()  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("2E+1", "20"),
        ("20", "20"),
        ("0", "0"),
        ("19.990", "19.99"),
        ("1E-7", "0.0000001"),
        ("1E-8", "1E-8"),
        ("1E+20", "100000000000000000000"),
        ("1E+21", "1E+21"),
        ("12345678901234567890.12", "12345678901234567890.12"),
        ("1E+100", "1E+100"),
    ],
)
def test_an_amount_is_shown_by_value_however_dynamodb_writes_it(kept: str, shown: str) -> None:
    message = ListedMessage.from_item(ITEM | {"order_amount": {"N": kept}})

    assert f'"order_amount":{shown}}}'.encode() in MessagePage([message], None).as_json()


@pytest.mark.parametrize("missing", [name for name in ITEM if name != "company_part"])
def test_an_item_that_lacks_an_attribute_is_no_message(missing: str) -> None:
    with pytest.raises(NotARow):
        ListedMessage.from_item({name: value for name, value in ITEM.items() if name != missing})
