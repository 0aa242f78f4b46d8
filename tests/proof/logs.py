"""Everything that is written while the service runs: its functions' logs, the devstack's log, and the notifications."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Iterator

from tests.e2e.running import Devstack
from tests.e2e.waiting import until

# The lines that Lambda itself writes around a function's own lines.
_PLATFORM = re.compile(r"(START|END|REPORT|INIT_START) RequestId: [0-9a-f-]{36}[\x20-\x7e\t]*")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def mentions(devstack: Devstack, function: str, *texts: str) -> bool:
    """Return True if a function has logged a line with all of these texts."""
    logs = devstack.client("logs")
    found = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern=f'"{texts[0]}"')
    return any(all(text in event["message"] for text in texts) for event in found["events"])


def is_well_formed(line: str) -> bool:
    """Return True if a function's log line is one JSON object, or one of Lambda's own lines."""
    if _PLATFORM.fullmatch(line):
        return True
    try:
        return isinstance(json.loads(line), dict) and not _CONTROLS.search(line)
    except ValueError:
        return False


def has_controls(line: str) -> bool:
    """Return True if a line has characters that could control the terminal that shows it."""
    return bool(_CONTROLS.search(line))


class News:
    """The notifications that the topic has published so far."""

    def __init__(self, devstack: Devstack, queue_url: str) -> None:
        self._sqs = devstack.client("sqs")
        self._url = queue_url
        self.told: list[str] = []

    def about(self, submission_id: str) -> str:
        """Wait for the notification about a submission, and return it."""
        return until(lambda: self._look(submission_id))

    def _look(self, submission_id: str) -> str | None:
        place = {"QueueUrl": self._url}
        while received := self._sqs.receive_message(**place, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
            "Messages"
        ):
            self.told += [json.dumps(message) for message in received]
            handles = [{"Id": each["MessageId"], "ReceiptHandle": each["ReceiptHandle"]} for each in received]
            self._sqs.delete_message_batch(**place, Entries=handles)
        return next((message for message in self.told if submission_id in message), None)


@contextlib.contextmanager
def listening(devstack: Devstack) -> Iterator[News]:
    """Subscribe a queue to the dragons' topic inside the block."""
    sqs, sns = devstack.client("sqs"), devstack.client("sns")
    topic = devstack.running["outputs"]["DragonTopicArn"]
    url = sqs.create_queue(QueueName=f"proof-news-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**allow, "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    subscribed = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
    try:
        yield News(devstack, url)
    finally:
        sns.unsubscribe(SubscriptionArn=subscribed["SubscriptionArn"])
        sqs.delete_queue(QueueUrl=url)
