"""Looking for a message of any company: rows come in pages, and those that have expired do not count."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.exact_json import parse_object
from chalicelib.messages.model import message_from
from chalicelib.messages.repository import Ambiguous, MessageRepository
from chalicelib.messages.stored import StoredMessage
from tests.fakes.settings import FakeSettings
from tests.samples import COMPANY, MESSAGE_ID, OTHER_COMPANY, message_body


def row(company: str, **more: Any) -> dict[str, Any]:
    """Return the index's row of a company's message."""
    message = message_from(parse_object(message_body({"company_id": f'"{company}"'})))
    return {**StoredMessage.of(message).as_item(), **more}


EXPIRED = row(OTHER_COMPANY, expires_at={"N": "1000"})
ALIVE = row(COMPANY, expires_at={"N": "1001"})
OTHER = row(OTHER_COMPANY)


class Index:
    """The table's client. It answers with these pages, one after the other, and notes where each began."""

    def __init__(self, *pages: list[dict[str, Any]]) -> None:
        self.pages = pages
        self.began: list[Any] = []

    def query(self, **asked: Any) -> dict[str, Any]:
        page = len(self.began)
        self.began.append(asked.get("ExclusiveStartKey"))
        last = page == len(self.pages) - 1
        return {"Items": self.pages[page]} | ({} if last else {"LastEvaluatedKey": {"after": {"N": str(page)}}})


def looking(index: Index) -> MessageRepository:
    """Return a repository of this index, at the time 1000."""
    return MessageRepository(FakeSettings(), dynamodb=lambda: index, clock=lambda: 1000.0)  # type: ignore[arg-type,return-value]


def test_a_row_on_a_later_page_is_found_behind_expired_ones() -> None:
    index = Index([EXPIRED], [], [ALIVE])

    found = looking(index).find(MESSAGE_ID, None)

    assert found is not None
    assert found.company_id == COMPANY
    assert index.began == [None, {"after": {"N": "0"}}, {"after": {"N": "1"}}]


def test_rows_on_two_pages_are_ambiguous() -> None:
    with pytest.raises(Ambiguous):
        looking(Index([ALIVE], [OTHER])).find(MESSAGE_ID, None)


def test_two_rows_are_enough_and_no_further_page_is_asked_for() -> None:
    index = Index([ALIVE, OTHER], [ALIVE])

    with pytest.raises(Ambiguous):
        looking(index).find(MESSAGE_ID, None)
    assert index.began == [None]


def test_a_row_whose_time_is_just_over_is_not_there() -> None:
    assert looking(Index([EXPIRED])).find(MESSAGE_ID, None) is None
