"""One id, one timeline, on moto's AWS."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib import aws, exact_json
from chalicelib.dragons import trail
from chalicelib.messages import dead_letters
from chalicelib.messages.model import Message, message_from
from chalicelib.messages.stored import StoredMessage
from operations import logs
from operations.trace import __main__ as command
from operations.trace import lines as lines_module
from tests.integration.stage import DRAGON_BUCKET, DRAGONS, MESSAGE_BUCKET, SUBMISSIONS, Stage
from tests.integration.stage import TABLE as TABLE_NAME
from tests.integration.whole_stage import REGION, clients_of
from tests.samples import COMPANY, MESSAGE_ID, OTHER_COMPANY, dragon_members, message_body

REQUEST, SUBMISSION, PHONE = "request-1234", "5e0f6d8a-0000-4000-8000-000000000001", "+15555550123"
API, CONSUMER, ADDS = (f"/aws/lambda/dragonpost-local{name}" for name in ("", "-store_messages", "-add_dragon"))

Clients = Callable[[str], Any]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command runs in this process, beside no devstack, and does not wait for letters."""
    monkeypatch.setattr(command, "reach", lambda _: None)
    monkeypatch.setattr(dead_letters, "POLL_S", 0)
    monkeypatch.setenv("DRAGONPOST_STATE", str(tmp_path))


@pytest.fixture
def clients(stage: Stage) -> Clients:
    """Clients of a whole stage, with the functions' logs."""
    made = clients_of(stage)
    made["logs"] = boto3.client("logs", region_name=REGION)
    for group in (API, CONSUMER, ADDS):
        made["logs"].create_log_group(logGroupName=group)
        made["logs"].create_log_stream(logGroupName=group, logStreamName="a")
    return made.__getitem__


def write(clients: Clients, group: str, ago_s: float, **said: Any) -> None:
    """Have a function log a line."""
    at = int((time.time() - ago_s) * 1000)
    events = [{"timestamp": at, "message": json.dumps(said)}]
    clients("logs").put_log_events(logGroupName=group, logStreamName="a", logEvents=events)


def request(clients: Clients, route: str, status: int, ago_s: float = 3, correlation_id: str = REQUEST) -> None:
    said = {"message": "request", "method": "POST", "route": route, "status": status, "duration_ms": 12.0}
    write(clients, API, ago_s, correlation_id=correlation_id, **said)


def settled(clients: Clients, message: Message, ago_s: float = 2, outcome: str = "stored") -> None:
    ids = {"message_id": str(message.metadata.message_id), "company_id": str(message.metadata.company_id)}
    write(clients, CONSUMER, ago_s, message="message settled", outcome=outcome, correlation_id=REQUEST, **ids)


def a_message(company: str = COMPANY, message_id: str = MESSAGE_ID) -> Message:
    body = message_body({"company_id": json.dumps(company), "message_id": json.dumps(message_id)})
    return message_from(exact_json.parse_object(body))


def archive(message: Message) -> None:
    aws.s3().put_object(Bucket=MESSAGE_BUCKET, Key=message.archive_key, Body=message.as_json())


def index(message: Message) -> None:
    aws.dynamodb().put_item(TableName=TABLE_NAME, Item=StoredMessage.of(message).as_item())


def bury(stage: Stage, message: Message, reason: str, correlation_id: str = REQUEST) -> None:
    texts = {"correlation_id": correlation_id, "reason": reason}
    attributes = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
    body = message.as_json().decode()
    aws.sqs().send_message(QueueUrl=stage.dead_letter_queue_url, MessageBody=body, MessageAttributes=attributes)  # type: ignore[arg-type]


def report(clients: Clients, name: str, number: int = 1, *, recorded: bool = True, **row: str) -> str:
    """Have a report of a dragon: its execution, and its row."""
    submission_id = SUBMISSION[:-1] + str(number)
    steps = clients("stepfunctions")
    [machine] = steps.list_state_machines()["stateMachines"]
    dragon = dragon_members(name)
    given = {
        "submission_id": submission_id, "dragon": dragon, "requested_by": "ada", "correlation_id": REQUEST,
        "confirmation_required": True, "reporter": {"text": True, "phone_number": PHONE},
    }  # fmt: skip
    started = steps.start_execution(
        stateMachineArn=machine["stateMachineArn"], name=submission_id, input=json.dumps(given)
    )
    if recorded:
        began = (datetime.now(UTC) - timedelta(seconds=2 + number)).isoformat(timespec="milliseconds")
        texts = {
            "sub": "ada", "started_at_id": f"{began}#{submission_id}", "id": submission_id,
            "execution_arn": started["executionArn"], "dragon": json.dumps(dragon),
            "finished_at": datetime.now(UTC).isoformat(), **row,
        }  # fmt: skip
        item = {key: {"S": value} for key, value in texts.items()}
        aws.dynamodb().put_item(TableName=SUBMISSIONS, Item=item)
    return submission_id


REFUSED = {
    "status": "rejected", "outcome": "duplicate", "reason": "A dragon named Ember is in the registry.",
    "notification": "sent",
}  # fmt: skip


def trace(clients: Clients, capsys: pytest.CaptureFixture[str], wanted: str, *more: str, status: int = 0) -> str:
    """Run the command, and return what it printed."""
    assert command.main(["--stage", "local", "--id", wanted, *more], clients) == status
    return capsys.readouterr().out


def moments(printed: str) -> list[str]:
    """Return the sources of the timeline's lines, in their order."""
    return re.findall(
        r"^20[-0-9]{8} [:.0-9]+ *Z +\+(?:[.0-9]+ s|\d+ h \d+ min)  (\w+ \S+(?: \([^ ]+\))?)", printed, re.MULTILINE
    )


class TestAMessage:
    def test_it_is_followed_from_the_request_to_the_archive(
        self, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        message = a_message()
        request(clients, "/post-message", 202)
        settled(clients, message)
        archive(message)
        index(message)

        printed = trace(clients, capsys, MESSAGE_ID)

        assert printed.splitlines()[0] == f"message {MESSAGE_ID} of company {COMPANY}: stored"
        assert moments(printed) == [f"log {API}", f"log {CONSUMER}", f"bucket {MESSAGE_BUCKET}"]
        assert "queue dragonpost-local-messages has the message" in printed
        assert f"indexed in table {TABLE_NAME}" in printed

    def test_the_request_leads_to_the_same_message(self, clients: Clients, capsys: pytest.CaptureFixture[str]) -> None:
        message = a_message()
        request(clients, "/post-message", 202)
        settled(clients, message)
        archive(message)
        index(message)

        printed = trace(clients, capsys, REQUEST)

        assert printed.splitlines()[:2] == [
            f"request {REQUEST}: POST /post-message answered 202",
            f"message {MESSAGE_ID} of company {COMPANY}: stored",
        ]
        assert moments(printed) == [f"log {API}", f"log {CONSUMER}", f"bucket {MESSAGE_BUCKET}"]

    @pytest.mark.parametrize("wanted", [MESSAGE_ID, MESSAGE_ID.upper(), REQUEST])
    def test_a_refused_one_is_a_dead_letter_with_its_reason_and_the_next_command(
        self, stage: Stage, clients: Clients, capsys: pytest.CaptureFixture[str], wanted: str
    ) -> None:
        request(clients, "/post-message", 202)
        bury(stage, a_message(), f"invalid: to {PHONE}")

        printed = trace(clients, capsys, wanted)

        assert f"message {MESSAGE_ID} of company {COMPANY} is a dead letter: invalid: to (phone number)" in printed
        assert moments(printed) == [f"log {API}", "queue dragonpost-local-messages-dead"]
        assert 'next: make dead-letters STAGE=local DO="show ' in printed
        assert stage.waiting(stage.dead_letter_queue_url) == 1, "looking takes no letter away"

    def test_nothing_of_its_body_is_shown(
        self, stage: Stage, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        message = a_message()
        archive(message)
        index(message)
        bury(stage, message, "conflict: x")

        printed = trace(clients, capsys, MESSAGE_ID)

        order = json.loads(message.as_json())["data"]
        assert not [value for value in order.values() if str(value) in printed]

    def test_of_others_with_the_same_id_only_the_company_is_told(
        self, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for company in (COMPANY, OTHER_COMPANY):
            archive(a_message(company))
            index(a_message(company))

        printed = trace(clients, capsys, MESSAGE_ID)

        assert {line for line in printed.splitlines() if line.startswith("message ")} == {
            f"message {MESSAGE_ID} of company {company}: stored" for company in (COMPANY, OTHER_COMPANY)
        }

    def test_messages_of_a_request_id_that_was_used_again_are_not_among_its_lines(
        self, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        another = a_message(OTHER_COMPANY, "0a3d6a53-6a3e-4c0e-8f62-0a4e3a9d6f11")
        for message in (a_message(), another):
            settled(clients, message)
        index(a_message())
        archive(a_message())

        printed = trace(clients, capsys, MESSAGE_ID)

        assert OTHER_COMPANY not in printed

    def test_an_accepted_one_that_nothing_has_settled_is_on_the_queue(
        self, stage: Stage, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        request(clients, "/post-message", 202)
        aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody=a_message().as_json().decode())

        printed = trace(clients, capsys, REQUEST)

        assert "not stored yet" in printed
        assert "queue dragonpost-local-messages (1 waiting, 0 being delivered), which keeps them for 4 days" in printed
        assert stage.waiting(stage.queue_url) == 1

    def test_one_that_is_archived_and_not_indexed_is_told(
        self, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """As a consumer leaves it that ends between the two."""
        message = a_message()
        ids = {"message_id": MESSAGE_ID, "company_id": COMPANY}
        write(clients, CONSUMER, 1, level="ERROR", message="message not settled", correlation_id=REQUEST, **ids)
        archive(message)

        assert "archived, but not in the index yet" in trace(clients, capsys, MESSAGE_ID)

    def test_one_that_was_stored_and_is_gone_is_told(
        self, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settled(clients, a_message())

        assert "no store has it" in trace(clients, capsys, MESSAGE_ID)


class TestADragon:
    @pytest.mark.parametrize("wanted", ["Ember", " eMBER ", SUBMISSION, REQUEST])
    def test_why_one_was_refused_is_told_by_name_submission_and_request(
        self, stage: Stage, clients: Clients, capsys: pytest.CaptureFixture[str], wanted: str
    ) -> None:
        stage.put_document(json.dumps([dragon_members("Ember")]).encode())
        report(clients, "Ember", **REFUSED)
        request(clients, "/dragons", 409, ago_s=0)
        write(clients, ADDS, 1, message="dragon settled", submission_id=SUBMISSION, correlation_id=REQUEST)

        printed = trace(clients, capsys, wanted)

        assert "rejected (duplicate): A dragon named Ember is in the registry." in printed
        assert {f"log {API}", f"log {ADDS}", "workflow dragonpost-local-dragons", f"table {SUBMISSIONS}"} == set(
            moments(printed)
        )
        assert PHONE not in printed

    def test_one_in_the_registry_is_told_with_the_report_that_added_it(
        self, stage: Stage, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stage.put_document(json.dumps([{**dragon_members("Ember"), "submission_id": SUBMISSION}]).encode())
        report(clients, "Ember", status="added")

        first, second, *_ = trace(clients, capsys, "ember").splitlines()

        assert first == (
            f"dragon Ember is in the registry, bucket {DRAGON_BUCKET} (dragons.json): submission {SUBMISSION} added it"
        )
        assert second.endswith(": added")

    def test_one_is_found_in_the_other_home(
        self, stage: Stage, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stage.put_parameters(dragon_store="dynamodb")
        row = {"part": "dragon", "sort_key": "ember", "entry": json.dumps(dragon_members("Ember"))}
        aws.dynamodb().put_item(TableName=DRAGONS, Item={key: {"S": value} for key, value in row.items()})

        printed = trace(clients, capsys, "Ember")

        assert printed.splitlines() == [f"dragon Ember is in the registry, table {DRAGONS}: no report added it"]

    def test_a_report_without_a_row_is_found_by_its_execution(
        self, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report(clients, "Ember", recorded=False)

        assert f"(submission {SUBMISSION}): pending" in trace(clients, capsys, SUBMISSION)

    def test_of_many_reports_the_newest_are_shown_and_the_others_counted(
        self, clients: Clients, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trail, "REPORTS_SHOWN_MAX", 2)
        for number in range(3):
            report(clients, "Ember", number, **REFUSED)

        printed = trace(clients, capsys, "Ember of nowhere", status=1) + trace(clients, capsys, "Ember")

        assert printed.count(": rejected (duplicate)") == 2
        assert "! 3 reports have this name; the newest 2 are shown" in printed
        assert SUBMISSION[:-1] + "2" not in printed, "the oldest"


class TestWhatWasNotLookedAt:
    def test_an_id_that_nothing_knows_gets_one_answer(
        self, stage: Stage, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        clients("logs").put_retention_policy(logGroupName=API, retentionInDays=90)
        kept = {"MessageRetentionPeriod": str(9 * 86_400)}
        aws.sqs().set_queue_attributes(QueueUrl=stage.dead_letter_queue_url, Attributes=kept)  # type: ignore[arg-type]

        first, *places = trace(clients, capsys, "nobody-knows", status=1).splitlines()

        assert first == "stage local knows nothing of nobody-knows. Looked for it in:"
        said = "\n".join(places)
        assert f"  log {API}: kept for 90 days; searched since " in said
        assert f"  log {CONSUMER}: kept for ever; searched since " in said
        assert f"  table {TABLE_NAME}: stored messages, kept for ever" in said
        assert "  queue dragonpost-local-messages-dead: dead letters, kept for 9 days" in said
        assert f"  table {SUBMISSIONS}: reports by id and by their dragons' names, kept for 90 days" in said
        assert "executions by name, kept for 90 days" in said
        assert f"  bucket {DRAGON_BUCKET} (dragons.json): dragons by name" in said
        assert (
            "  queue dragonpost-local-messages: not looked into, because that would delay messages: 0 waiting" in said
        )

    def test_how_long_messages_are_kept_is_the_stages_own(
        self, stage: Stage, clients: Clients, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stage.put_parameters(archive_retention_days="30")

        assert "stored messages, kept for 30 days" in trace(clients, capsys, "nobody-knows", status=1)

    def test_a_log_with_too_many_lines_is_said_to_be_truncated(
        self, clients: Clients, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lines_module, "LINES_MAX", 2)
        for ago in range(4):
            request(clients, "/dragons", 400, ago)

        printed = trace(clients, capsys, REQUEST)

        assert len(moments(printed)) == 2
        assert f"! log {API} has more than 2 lines with {REQUEST}; the first are shown" in printed

    def test_a_log_that_takes_too_long_to_search_is_said_to_be_truncated(
        self, clients: Clients, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lines_module, "SEARCHED_FOR_S", -1)
        request(clients, "/dragons", 400)

        assert "not to its end: the search from " in trace(clients, capsys, REQUEST)

    def test_logs_are_searched_around_what_the_stores_know(
        self, clients: Clients, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """AWS reads all that was logged in the time, whatever it finds."""
        index(a_message())
        archive(a_message())
        searched: list[timedelta] = []
        pages = logs.pages
        monkeypatch.setattr(
            logs, "pages", lambda *asked: searched.append(datetime.now(UTC) - asked[2]) or pages(*asked)
        )

        trace(clients, capsys, MESSAGE_ID)
        around, searched[:] = max(searched), []
        trace(clients, capsys, MESSAGE_ID, "--hours", "48")

        assert around < timedelta(minutes=20)
        assert max(searched) >= timedelta(hours=48)

    @pytest.mark.parametrize("text", ["", "  "])
    def test_no_id_is_refused_in_words(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            command.main(["--stage", "dev", f"--id={text}"])

        assert "give a request's, a message's or a submission's id, or a dragon's name" in capsys.readouterr().err
