"""What counts as an answer from AWS, and how long calls may take. The clients are real, their network is a function."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from chalicelib import aws, exact_json
from chalicelib.dragons.s3 import S3DragonRepository
from chalicelib.messages.model import message_from
from chalicelib.messages.queue import MessageQueue, QueueUnavailable
from chalicelib.messages.repository import MessageRepository
from tests.fakes.settings import FakeSettings
from tests.samples import message_body

JSON_ID = {"x-amzn-requestid": "r1"}
S3_ID = {"x-amz-request-id": "r1"}
HTML = b"<html>please sign in to the network</html>"

MESSAGE = message_from(exact_json.parse_object(message_body()))

Answer = Callable[[], tuple[int, dict[str, str], bytes]]
Answers = Callable[[str, Answer], list[float]]


def no_row() -> tuple[int, dict[str, str], bytes]:
    """Answer as DynamoDB does if there is no such item."""
    return 200, JSON_ID, b"{}"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, stubbed_services: set[str]) -> Answers:
    """Let a function answer a service's client. Returns the time of each attempt, in seconds."""
    for name, value in {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "key", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)

    def answered(service: str, answer: Answer) -> list[float]:
        stubbed_services.add(service)
        attempts: list[float] = []

        def send(request: Any, **_: Any) -> AWSResponse:
            attempts.append(time.monotonic())
            status, headers, body = answer()
            raw = io.BytesIO(body)
            raw.stream = lambda *_, **__: iter([body])  # type: ignore[attr-defined]
            return AWSResponse(request.url, status, headers, raw)

        getattr(aws, service)().meta.events.register_first("before-send", send)
        return attempts

    return answered


def test_a_message_is_accepted_only_when_sqs_itself_has_said_so(answers: Answers) -> None:
    queue = MessageQueue(FakeSettings())
    for headers, body in (({}, HTML), ({}, b'{"MessageId": "m"}'), (JSON_ID, HTML), (JSON_ID, b'{"MessageId": "m')):
        answers("sqs", lambda headers=headers, body=body: (200, headers, body))
        with pytest.raises(QueueUnavailable):
            queue.send(MESSAGE, "c1")
        aws.forget_clients()

    answers("sqs", lambda: (200, JSON_ID, b'{"MessageId": "m"}'))
    queue.send(MESSAGE, "c1")


def test_a_message_is_archived_only_when_s3_itself_has_said_so(answers: Answers) -> None:
    repository = MessageRepository(FakeSettings())
    answers("dynamodb", no_row)
    attempts = answers("s3", lambda: (200, {}, HTML))

    with pytest.raises(aws.DependencyUnavailable, match=r"s3 .* something else answered"):
        repository.store(MESSAGE)
    assert attempts


def test_an_answer_from_something_else_about_an_archived_message_makes_no_conflict(answers: Answers) -> None:
    repository = MessageRepository(FakeSettings())
    said = iter([(412, S3_ID, b"<Error><Code>PreconditionFailed</Code></Error>"), (200, {}, HTML)])
    answers("dynamodb", no_row)
    answers("s3", lambda: next(said))

    with pytest.raises(aws.DependencyUnavailable, match=r"s3 .* something else answered"):
        repository.store(MESSAGE)
    assert not list(said)


@pytest.mark.parametrize(("headers", "body"), [({}, HTML), (JSON_ID, HTML), (JSON_ID, b""), ({}, b"{}")])
def test_a_row_is_written_or_missing_only_when_dynamodb_itself_has_said_so(
    answers: Answers, headers: dict[str, str], body: bytes
) -> None:
    repository = MessageRepository(FakeSettings())
    said = iter([no_row(), (200, headers, body)])
    answers("s3", lambda: (200, S3_ID, b""))
    answers("dynamodb", lambda: next(said, (200, headers, body)))

    with pytest.raises(aws.DependencyUnavailable):
        repository.store(MESSAGE)
    assert not list(said)
    with pytest.raises(aws.DependencyUnavailable):
        repository.find("m", "c")


def test_a_refusal_says_what_was_called_and_which_resource_was_named(answers: Answers) -> None:
    """Or nobody could tell from the log which name is wrong."""
    answers("dynamodb", lambda: (400, JSON_ID, b'{"__type": "ResourceNotFoundException"}'))
    answers("s3", lambda: (403, S3_ID, b"<Error><Code>AccessDenied</Code></Error>"))
    settings = FakeSettings()

    with pytest.raises(aws.DependencyFault, match=rf"\(400\), GetItem of {settings.message_table_name}$"):
        MessageRepository(settings).find("m", "c")
    with pytest.raises(
        aws.DependencyFault, match=rf"AccessDenied \(403\), GetObject of {settings.dragon_data_bucket_name}$"
    ):
        S3DragonRepository(settings).get("Ember")


def test_a_refusal_for_parameters_names_the_first_of_them(answers: Answers) -> None:
    """All of them would make a line of some hundred characters, and they have one prefix."""
    answers("ssm", lambda: (400, JSON_ID, b'{"__type": "AccessDeniedException"}'))
    for names, told in (("abc", "/a, /b, /c"), ("abcde", "/a, /b, /c and 2 more")):
        with pytest.raises(aws.DependencyFault) as refused, aws.calling("Parameter Store"):
            aws.ssm().get_parameters(Names=[f"/{name}" for name in names])

        assert str(refused.value) == f"Parameter Store refused: AccessDeniedException (400), GetParameters of {told}"


def test_an_answer_from_something_else_is_told_by_the_name_that_the_service_has_here(answers: Answers) -> None:
    """Operators read it in what GET /ready answers."""
    answers("ssm", lambda: (200, {}, HTML))

    with pytest.raises(aws.DependencyUnavailable) as raised, aws.calling("Parameter Store"):
        aws.ssm().get_parameters(Names=["/a"])

    assert raised.value.service == "Parameter Store"


def test_calls_without_an_output_may_have_an_empty_answer(answers: Answers) -> None:
    answers("sqs", lambda: (200, JSON_ID, b""))

    aws.sqs().delete_message(QueueUrl="https://sqs.us-east-1.amazonaws.com/1/q", ReceiptHandle="r")


def test_no_attempt_begins_when_time_is_up(answers: Answers) -> None:
    def time_out() -> Any:
        raise ReadTimeoutError(endpoint_url="https://sqs.us-east-1.amazonaws.com")

    attempts = answers("dynamodb", time_out)
    repository = MessageRepository(FakeSettings())

    with pytest.raises(aws.DependencyTimeout):
        repository.find("m", "c")
    assert len(attempts) == 3
    with pytest.raises(aws.DependencyTimeout), aws.within(60), aws.within(-1), aws.within(60):
        repository.find("m", "c")
    assert len(attempts) == 3
    with pytest.raises(aws.DependencyTimeout):
        repository.find("m", "c")
    assert len(attempts) == 6, "the limit ends with its block"
