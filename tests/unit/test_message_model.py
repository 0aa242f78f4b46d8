"""What an order message is, and when two of them are the same."""

import hashlib
from decimal import Decimal

import pytest

from chalicelib.exact_json import parse_object
from chalicelib.faults import InvalidInput
from chalicelib.messages.model import Message, message_from
from tests.samples import COMPANY, MESSAGE_ID, MESSAGE_TIME, ORDER_ID, ORDER_TIME, message_body


def message(**changes: dict[str, str]) -> Message:
    """Return a message with changes to its members, as JSON text."""
    return message_from(parse_object(message_body(**changes)))


def test_a_message_is_written_as_it_was_sent_without_white_space() -> None:
    body = message_body(data={"order_amount": "1e-7", "more": '[0.10,{"é":null}]'})

    assert message_from(parse_object(b" " + body.replace(b",", b" , "))).as_json() == body


def test_identifiers_are_in_lower_case_wherever_they_show() -> None:
    upper = message(
        metadata={"company_id": f'"{COMPANY.upper()}"', "message_id": f'"{MESSAGE_ID.upper()}"'},
        data={"order_id": f'"{ORDER_ID.upper()}"'},
    )

    assert upper.archive_key == f"{COMPANY}/{MESSAGE_ID}.json"
    assert upper.as_json() == message().as_json()
    assert upper.data["order_id"] == ORDER_ID


def test_the_canonical_form_is_the_whole_message_with_its_members_sorted() -> None:
    assert (
        message(data={"order_amount": "19.990", "a": "1e2"}).canonical()
        == (
            f'{{"data":{{"a":1E+2,"order_amount":19.99,"order_id":"{ORDER_ID}","order_time":"{ORDER_TIME}"}},'
            f'"metadata":{{"company_id":"{COMPANY}","message_id":"{MESSAGE_ID}","message_time":"{MESSAGE_TIME}"}}}}'
        ).encode()
    )


def test_amounts_are_compared_by_value() -> None:
    assert message(data={"order_amount": "19.990"}).canonical() == message().canonical()
    assert message(data={"order_amount": "1999E-2"}).canonical() == message().canonical()
    assert message(data={"order_amount": "19.991"}).canonical() != message().canonical()


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"message_time": '"2023-12-10T22:02:38z"'}},
        {"data": {"order_time": '"2023-12-10T22:00:00.0Z"'}},
        {"data": {"note": '"x"'}},
        {"data": {"note": "null"}},
    ],
)
def test_any_other_difference_makes_another_message(change: dict[str, dict[str, str]]) -> None:
    assert message(**change).canonical() != message().canonical()


def test_a_message_has_its_checked_parts_as_attributes() -> None:
    checked = message()

    assert checked.order.order_amount == Decimal("19.99")
    assert checked.metadata.company_id == COMPANY


def test_faults_of_both_parts_are_listed_together() -> None:
    with pytest.raises(InvalidInput) as invalid:
        message(metadata={"message_id": "1"}, data={"order_amount": "-1"})

    assert [fault.name for fault in invalid.value.faults] == ["#/metadata/message_id", "#/data/order_amount"]


def test_the_digest_is_the_sha_256_of_the_canonical_form() -> None:
    expected = hashlib.sha256(message().canonical()).hexdigest()

    assert message().digest() == message(data={"order_amount": "1999e-2"}).digest() == f"sha-256:{expected}"
    assert message(data={"order_amount": "20"}).digest() != message().digest()
