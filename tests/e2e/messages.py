"""Messages as clients send them, and where they end: stored, or among the dead letters."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import Any

from chalicelib.exact_json import parse_object
from chalicelib.messages.model import message_from
from tests.e2e.running import Api, Served
from tests.e2e.waiting import until
from tests.people import COMPANIES


def a_message(amount: str = "20", user: str = "amber", message_id: str | None = None, more: str = "") -> str:
    """Return a fresh message as JSON text, with `amount` and `more` (further members of data) as they are given."""
    return f"""{{
      "metadata": {{
        "message_time": "2023-12-10T22:02:38+01:00",
        "company_id": "{COMPANIES[user].upper()}",
        "message_id": "{message_id or uuid.uuid4()}"
      }},
      "data": {{
        "order_id": "{uuid.uuid4()}", "order_time": "2023-12-10t22:00:00.123z", "order_amount": {amount}{more}
      }}
    }}"""


def post(api: Api, message: str, user: str = "amber") -> Any:
    """Post a message's JSON text and return the answer."""
    return api.post("/post-message", user, data=message.encode(), headers={"Content-Type": "application/json"})


def stored(api: Api, location: str, user: str = "amber") -> str:
    """Return the text of a stored message, once it is stored."""

    def text() -> str | None:
        answer = api.get(location, user)
        assert answer.status_code in (200, 404), answer.text
        return answer.text if answer.status_code == 200 else None

    return until(text)


def forget_row(devstack: Served, message_id: str, company_id: str = COMPANIES["amber"]) -> None:
    """Leave a message as a consumer does that is killed between the archive and the index."""
    devstack.client("dynamodb").delete_item(
        TableName=devstack.running["outputs"]["MessageTableName"],
        Key={"message_id": {"S": message_id}, "company_id": {"S": company_id}},
    )


def queue_unseen(devstack: Served, message: str) -> None:
    """Queue a message as the API does whose look came before another message of the id was stored."""
    sqs, url = devstack.client("sqs"), devstack.running["outputs"]["MessageQueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=message_from(parse_object(message)).as_json().decode())


def bury(devstack: Served, message: str) -> str:
    """Put a message on the dead-letter queue, and return the letter's path in the API."""
    sqs, url = devstack.client("sqs"), devstack.running["outputs"]["MessageDeadLetterQueueUrl"]
    return f"/operator/dead-letters/{sqs.send_message(QueueUrl=url, MessageBody=message)['MessageId']}"


def digest_of(message: str) -> str:
    """Return the digest that a message's JSON text has by docs/api.md."""
    return message_from(parse_object(message)).digest()


def exactly(text: str) -> Any:
    """Parse JSON without rounding a number."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def dead(devstack: Served, message_id: str) -> Any:
    """Return the dead letter whose body contains this text, once it is there; others return to the queue at once."""
    sqs, url = devstack.client("sqs"), devstack.running["outputs"]["MessageDeadLetterQueueUrl"]

    def letter() -> Any:
        received = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=1
        ).get("Messages", [])
        return next((message for message in received if message_id in message["Body"]), None)

    return until(letter)
