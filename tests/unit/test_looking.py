"""The look in the index before a message is queued: what it finds, and that it never keeps a message from the queue."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from chalicelib import aws
from chalicelib.exact_json import parse_object
from chalicelib.messages.model import Message, message_from
from chalicelib.messages.repository import NO_LOOK_AFTER_FAILURE_S, MessageRepository, Seen
from chalicelib.messages.stored import StoredMessage
from chalicelib.settings import SettingError
from tests.fakes.aws_errors import client_error
from tests.fakes.clock import FakeClock
from tests.fakes.settings import FakeSettings
from tests.samples import COMPANY, MESSAGE_ID, message_body

MESSAGE = message_from(parse_object(message_body()))
ANOTHER = message_from(parse_object(message_body(data={"order_amount": "20"})))
ITEM = StoredMessage.of(MESSAGE).as_item()
OLD_ITEM = {name: value for name, value in ITEM.items() if name != "digest"}

FAULTS = [
    ReadTimeoutError(endpoint_url="secret"),
    ConnectTimeoutError(endpoint_url="secret"),
    EndpointConnectionError(endpoint_url="secret"),
    client_error("AccessDeniedException"),
    client_error("ProvisionedThroughputExceededException"),
    client_error("InternalServerError", 500),
    client_error("ResourceNotFoundException"),
    RuntimeError("nobody foresaw this"),
]


class Index:
    """The table's client. It answers with an item, or with an error."""

    def __init__(self, item: dict[str, Any] | None = None, error: Exception | None = None) -> None:
        self.item = item
        self.error = error
        self.asked: list[dict[str, Any]] = []

    def get_item(self, **parameters: Any) -> dict[str, Any]:
        self.asked.append(parameters)
        if self.error:
            raise self.error
        return {} if self.item is None else {"Item": self.item}


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves."""
    return FakeClock()


def looking(index: Index, clock: FakeClock, settings: Any = None) -> MessageRepository:
    """Return a repository whose looks go to this index."""
    return MessageRepository(settings or FakeSettings(), hasty_dynamodb=lambda: index, clock=clock)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("item", "message", "seen"),
    [
        (None, MESSAGE, Seen.UNKNOWN),
        (ITEM, MESSAGE, Seen.STORED),
        (ITEM, ANOTHER, Seen.ANOTHER),
        (OLD_ITEM, MESSAGE, Seen.STORED),
        (OLD_ITEM, ANOTHER, Seen.ANOTHER),
        ({"message_id": {"S": MESSAGE_ID}}, MESSAGE, Seen.ANOTHER),
    ],
    ids=["none", "the same", "another", "the same, old row", "another, old row", "no row of ours"],
)
def test_a_look_tells_the_same_message_from_another_payload(
    item: dict[str, Any] | None, message: Message, seen: Seen, clock: FakeClock
) -> None:
    assert looking(Index(item), clock).look_for(message) is seen


def test_a_look_is_for_the_messages_own_company_and_need_not_be_consistent(clock: FakeClock) -> None:
    index = Index()
    looking(index, clock).look_for(MESSAGE)

    key = {"message_id": {"S": MESSAGE_ID}, "company_id": {"S": COMPANY}}
    assert index.asked == [{"TableName": "table", "Key": key}]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_whatever_fails_the_message_goes_on_to_the_queue(error: Exception, clock: FakeClock) -> None:
    assert looking(Index(error=error), clock).look_for(MESSAGE) is Seen.UNKNOWN


@pytest.mark.parametrize("error", [SettingError("missing"), aws.DependencyUnavailable("Parameter Store", "…")])
def test_a_setting_that_cannot_be_read_is_a_look_that_failed(error: Exception, clock: FakeClock) -> None:
    class Settings:
        @property
        def message_table_name(self) -> str:
            raise error

    assert looking(Index(), clock, Settings()).look_for(MESSAGE) is Seen.UNKNOWN


def test_after_a_failure_there_is_no_look_for_half_a_minute(clock: FakeClock) -> None:
    index = Index(ITEM, client_error("InternalServerError", 500))
    repository = looking(index, clock)
    repository.look_for(MESSAGE)
    index.error = None

    clock.sleep(NO_LOOK_AFTER_FAILURE_S - 0.001)
    assert repository.look_for(MESSAGE) is Seen.UNKNOWN
    assert len(index.asked) == 1
    clock.sleep(0.001)
    assert repository.look_for(MESSAGE) is Seen.STORED


def test_each_failure_is_counted_once_and_logged_without_the_message(
    clock: FakeClock, capsys: pytest.CaptureFixture[str], log: io.StringIO
) -> None:
    repository = looking(Index(error=ReadTimeoutError(endpoint_url="secret")), clock)
    for _ in range(3):
        repository.look_for(MESSAGE)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["MessageLooksFailed"] for line in lines if "MessageLooksFailed" in line] == [[1.0]]
    logged = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["message"] for line in logged] == ["no look in the index for a while"]
    assert "DynamoDB is not available: ReadTimeoutError" in logged[0]["exception"]
    assert "19.99" not in json.dumps([*lines, *logged])
