"""The row that the index keeps of a message."""

from __future__ import annotations

import msgspec
import pytest

from chalicelib.exact_json import parse_object
from chalicelib.messages.model import Message, message_from
from chalicelib.messages.stored import NotARow, StoredMessage, has_expired
from tests.samples import COMPANY, MESSAGE_ID, MESSAGE_TIME, ORDER_ID, ORDER_TIME, OTHER_COMPANY, message_body

KEY = f"{COMPANY}/{MESSAGE_ID}.json"


def message(**changes: dict[str, str]) -> Message:
    """Return a message with changes to its members, as JSON text."""
    return message_from(parse_object(message_body(**changes)))


def row() -> StoredMessage:
    """Return the row of a message."""
    return StoredMessage.of(message(data={"order_amount": "19.990"}))


# Computed with sha256sum; docs/api.md describes the text.
DIGEST = "sha-256:7b91845287487f44c8cf6369bbbeb1093a146ebbe9693d79db68183ec3aba43d"
ITEM = {
    "message_id": {"S": MESSAGE_ID},
    "company_id": {"S": COMPANY},
    "message_time": {"S": MESSAGE_TIME},
    "order_id": {"S": ORDER_ID},
    "order_time": {"S": ORDER_TIME},
    "order_amount": {"N": "19.99"},
    "message_s3_key": {"S": KEY},
    "data": {"S": f'{{"order_id":"{ORDER_ID}","order_time":"{ORDER_TIME}","order_amount":19.990}}'},
    "digest": {"S": DIGEST},
}
OLD_ITEM = {name: value for name, value in ITEM.items() if name != "digest"}


def test_the_item_has_the_attributes_for_queries_and_the_data_as_it_was_sent() -> None:
    assert row().as_item() == ITEM
    assert StoredMessage.from_item(ITEM) == row()
    assert StoredMessage.from_item(ITEM | {"added_by_hand": {"S": "x"}}) == row()


def test_a_rows_own_digest_counts_and_is_not_computed_at_every_look() -> None:
    assert StoredMessage.from_item(ITEM | {"digest": {"S": "sha-256:another"}}).digest == "sha-256:another"


def test_a_row_from_before_digests_were_kept_has_the_digest_of_its_message() -> None:
    assert StoredMessage.from_item(OLD_ITEM) == row()


def test_the_digest_of_an_old_row_does_not_depend_on_todays_rules() -> None:
    """Version 0.1.0 took times of any length."""
    longer = {"S": f"2023-12-10T22:00:00.{'0' * 100}Z"}
    old = StoredMessage.from_item(OLD_ITEM | {"message_time": longer})

    assert old.digest.startswith("sha-256:")
    assert old.digest != DIGEST


@pytest.mark.parametrize(("days", "expires_at"), [(0, None), (1, {"N": "1700086400"}), (30, {"N": "1702592000"})])
def test_a_row_says_when_it_expires_unless_it_is_kept_for_ever(days: int, expires_at: dict[str, str] | None) -> None:
    kept = row().kept_for(days, 1_700_000_000.9)

    assert kept.as_item() == (ITEM | {"expires_at": expires_at} if expires_at else ITEM)
    assert StoredMessage.from_item(kept.as_item()) == row(), "when it ends does not matter once it was found"


def test_the_keys_under_which_a_row_is_listed_are_written_and_do_not_matter_once_it_was_found() -> None:
    listed = row().listed_under({"company_part": "c#1", "accepted_at_id": "2026#m"})

    assert listed.as_item() == ITEM | {"company_part": {"S": "c#1"}, "accepted_at_id": {"S": "2026#m"}}
    assert listed.size_bytes > row().size_bytes
    assert StoredMessage.from_item(listed.as_item()) == row()


def test_the_time_at_which_a_row_expires_counts_for_its_size() -> None:
    assert row().kept_for(30, 1_700_000_000).size_bytes == row().size_bytes + len("expires_at") + 10 + 1


@pytest.mark.parametrize(
    ("expires_at", "expired"),
    [({"N": "1000"}, True), ({"N": "999.5"}, True), ({"N": "1001"}, False), ({"S": "999"}, False), (None, False)],
)
def test_an_item_whose_time_is_over_has_expired(expires_at: dict[str, str] | None, expired: bool) -> None:
    """DynamoDB deletes no item whose attribute is no number."""
    item = ITEM if expires_at is None else ITEM | {"expires_at": expires_at}

    assert has_expired(item, 1000.5) is expired


@pytest.mark.parametrize("data", ["not JSON", "[]", '{"a":1,"a":1}', "1"])
def test_an_item_whose_digest_cannot_be_computed_is_not_a_row(data: str) -> None:
    with pytest.raises(NotARow):
        StoredMessage.from_item(OLD_ITEM | {"data": {"S": data}})


@pytest.mark.parametrize("name", OLD_ITEM)
def test_an_item_that_lacks_an_attribute_is_not_a_row(name: str) -> None:
    with pytest.raises(NotARow):
        StoredMessage.from_item({other: value for other, value in ITEM.items() if other != name})


def test_it_is_shown_with_its_envelope_and_exactly_the_numbers_that_were_sent() -> None:
    assert (
        row().as_json()
        == (
            f'{{"metadata":{{"message_time":"{MESSAGE_TIME}","company_id":"{COMPANY}","message_id":"{MESSAGE_ID}",'
            f'"message_s3_key":"{KEY}"}},"data":{ITEM["data"]["S"]},"digest":"{DIGEST}"}}'
        ).encode()
    )


def test_its_size_is_that_of_names_and_values_in_utf_8_and_a_little_more() -> None:
    exact = sum(len(name) + len(text.encode()) for name, value in ITEM.items() for text in value.values())

    assert row().size_bytes == exact + len(ITEM)
    longer = StoredMessage.of(message(data={"order_amount": "19.990", "note": '"龍"'}))
    assert longer.size_bytes == row().size_bytes + len(',"note":""') + 3


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"data": {"order_amount": "1999e-2"}}, True),
        ({"data": {"order_amount": "20"}}, False),
        ({"data": {"more": "null"}}, False),
        ({"metadata": {"company_id": f'"{OTHER_COMPANY}"'}}, False),
        ({"metadata": {"message_time": '"2023-12-10T22:02:38z"'}}, False),
    ],
    ids=["the same", "the same amount", "amount", "further member", "company", "time written otherwise"],
)
def test_it_holds_the_message_that_is_equal_by_value(changes: dict[str, dict[str, str]], holds: bool) -> None:
    assert row().holds(message(**changes)) is holds


def test_messages_are_compared_by_the_digest_alone() -> None:
    assert msgspec.structs.replace(row(), data="{}").holds(message())
    assert not msgspec.structs.replace(row(), digest="").holds(message())
