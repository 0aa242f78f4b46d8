"""Forgetting a company or a person, on moto's AWS."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from chalicelib import aws, exact_json
from chalicelib.dragons.document import left_for
from chalicelib.dragons.dynamodb import DynamoDBDragonRepository
from chalicelib.messages import dead_letters
from chalicelib.messages.model import message_from
from chalicelib.messages.stored import StoredMessage
from operations import forget, versions
from operations.stores import POOL
from tests.fakes.settings import FakeSettings
from tests.integration.stage import DRAGONS, MESSAGE_BUCKET, SUBMISSIONS, Stage
from tests.integration.stage import TABLE as TABLE_NAME
from tests.integration.whole_stage import REGION, clients_of
from tests.samples import COMPANY, dragon, dragon_members, message_body

OTHER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command runs in this process, with its clients, and does not wait for letters."""
    monkeypatch.setattr(forget, "reach", lambda _: None)
    monkeypatch.setattr(dead_letters, "POLL_S", 0)
    monkeypatch.setattr(forget, "ROWS_AT_ONCE", 2)


@pytest.fixture
def clients(stage: Stage) -> Callable[[str], Any]:
    """Clients of a whole stage: also a user pool and a workflow."""
    cognito = boto3.client("cognito-idp", region_name=REGION)
    pool = cognito.create_user_pool(PoolName="dragonpost-local", UsernameAttributes=["email"])["UserPool"]["Id"]
    made = {**clients_of(stage, UserPool=(POOL, pool)), "cognito-idp": cognito}
    return made.__getitem__


def a_message(company: str) -> bytes:
    return message_body({"company_id": json.dumps(company), "message_id": json.dumps(str(uuid.uuid4()))})


def store(company: str) -> None:
    """Store a message as the consumer does; its object has an older version, and another is deleted."""
    message = message_from(exact_json.parse_object(a_message(company)))
    aws.dynamodb().put_item(TableName=TABLE_NAME, Item=StoredMessage.of(message).as_item())
    for _ in range(2):
        aws.s3().put_object(Bucket=MESSAGE_BUCKET, Key=message.archive_key, Body=message.as_json())
    aws.s3().delete_object(Bucket=MESSAGE_BUCKET, Key=message.archive_key)


@pytest.fixture
def filled(stage: Stage, clients: Callable[[str], Any]) -> Stage:
    """A stage with 5 messages of each of two companies, four on the queue and four letters."""
    aws.s3().put_bucket_versioning(Bucket=MESSAGE_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for company in (COMPANY, OTHER):
        for _ in range(5):
            store(company)
        for url in (stage.queue_url, stage.dead_letter_queue_url):
            for _ in range(2):
                aws.sqs().send_message(QueueUrl=url, MessageBody=a_message(company).decode())
    aws.sqs().send_message(QueueUrl=stage.dead_letter_queue_url, MessageBody="{")
    return stage


def standing(stage: Stage, company: str) -> tuple[int, int, int]:
    """Return how many rows and versions of a company there are, and how many messages of all on both queues."""
    rows = sum(row["company_id"]["S"] == company for row in stage.rows())
    queued = stage.waiting(stage.queue_url) + stage.waiting(stage.dead_letter_queue_url)
    return rows, versions.count(aws.s3(), MESSAGE_BUCKET, f"{company}/"), queued


class TestCompany:
    def test_a_dry_run_counts_what_would_go_and_deletes_nothing(
        self, filled: Stage, clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert forget.main(["--stage", "local", "--company", COMPANY], clients) == 0

        said = capsys.readouterr().out
        assert "would go: 5 rows of the index" in said
        assert "would go: 15 versions of archived messages" in said
        assert "would go: 4 messages of all companies in the message queue" in said
        assert "would go: 2 dead letters (1 more do not say whose they are" in said
        assert "nothing was deleted; DO=yes" in said
        assert standing(filled, COMPANY) == (5, 15, 9)

    def test_everything_of_the_company_goes_and_other_companies_keep_everything(
        self, filled: Stage, clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert forget.main(["--stage", "local", "--company", COMPANY.upper(), "--yes"], clients) == 0

        assert standing(filled, COMPANY) == (0, 0, 5)
        assert standing(filled, OTHER) == (5, 15, 5)
        bodies = [message["Body"] for message in filled.received(filled.queue_url)]
        assert len(bodies) == 2
        assert all(OTHER in body for body in bodies)
        stays = [line for line in capsys.readouterr().out.splitlines() if line.startswith("stays: ")]
        assert any("35 days" in line for line in stays)
        assert any("log lines, for as many days as" in line for line in stays)
        assert any("users: forget each" in line for line in stays)

    @pytest.mark.parametrize("part", ["MessageQueue", "MessageTable", "MessageBucket", "MessageDeadLetterQueue"])
    def test_an_interrupted_run_is_finished_by_the_next(
        self, filled: Stage, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, part: str
    ) -> None:
        """Ctrl-C comes in the middle of each part."""
        find = forget.COMPANY[part]

        def interrupted(*arguments: Any) -> forget.Part:
            found = find(*arguments)
            assert found.delete

            def delete() -> Iterator[int]:
                assert found.delete
                yield next(iter(found.delete()))
                raise KeyboardInterrupt

            return forget.Part(found.count, found.what, delete)

        with monkeypatch.context() as patching:
            patching.setattr(forget, "COMPANY", {**forget.COMPANY, part: interrupted})
            assert forget.main(["--stage", "local", "--company", COMPANY, "--yes"], clients) == 130

        for _ in range(2):  # and again, when nothing is left
            assert forget.main(["--stage", "local", "--company", COMPANY, "--yes"], clients) == 0
        assert standing(filled, COMPANY) == (0, 0, 5)
        assert standing(filled, OTHER) == (5, 15, 5)

    def test_no_row_outlives_its_object(
        self, filled: Stage, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Reads would show a message whose object is gone."""
        rows: list[int] = []
        monkeypatch.setattr(versions, "delete", lambda *_: iter([rows.append(standing(filled, COMPANY)[0]) or 0]))

        assert forget.main(["--stage", "local", "--company", COMPANY, "--yes"], clients) == 0

        assert rows == [0]

    @pytest.mark.parametrize("given", ["", "x", COMPANY[:-1], COMPANY.replace("-", ""), f"{COMPANY}/"])
    def test_a_company_that_is_no_uuid_is_refused(self, given: str) -> None:
        """A prefix such as `e` would take other companies along."""
        with pytest.raises(SystemExit):
            forget.main(["--stage", "local", "--company", given, "--yes"])


class TestPerson:
    @pytest.fixture
    def sub(self, stage: Stage, clients: Callable[[str], Any]) -> str:
        """Ada, who reported three dragons, one of which is in the registry. Bob reported another."""
        stack = clients("cloudformation").stacks["dragonpost-local-resources"].resources
        subs = {}
        for name in ("ada", "bob"):
            user = clients("cognito-idp").admin_create_user(
                UserPoolId=stack["UserPool"][1],
                Username=f"{name}@example.com",
                UserAttributes=[{"Name": "email", "Value": f"{name}@example.com"}],
            )["User"]
            subs[name] = next(each["Value"] for each in user["Attributes"] if each["Name"] == "sub")
        for number, name in enumerate(["ada", "ada", "bob", "ada"]):
            clients("stepfunctions").start_execution(
                stateMachineArn=stack["DragonWorkflow"][1],
                name=f"submission-{number}",
                input=json.dumps({"requested_by": subs[name], "reporter": {"phone_number": "+15555550100"}}),
            )
            row = {"sub": subs[name], "started_at_id": f"2026-01-0{number + 1}#submission-{number}", "status": "added"}
            aws.dynamodb().put_item(TableName=SUBMISSIONS, Item={key: {"S": value} for key, value in row.items()})
        clients("stepfunctions").start_execution(stateMachineArn=stack["DragonWorkflow"][1], input="[]")  # by hand
        entries = [
            {**dragon_members("Ember"), "submission_id": "submission-1"},
            {**dragon_members("Ash"), "submission_id": "submission-2"},
            dragon_members(),
        ]
        stage.put_document(json.dumps(entries).encode())
        return subs["ada"]

    def rows(self) -> list[str]:
        return sorted(item["sub"]["S"] for item in aws.dynamodb().scan(TableName=SUBMISSIONS)["Items"])

    def users(self, clients: Callable[[str], Any]) -> set[str]:
        pool = clients("cloudformation").stacks["dragonpost-local-resources"].resources["UserPool"][1]
        users = clients("cognito-idp").list_users(UserPoolId=pool)["Users"]
        return {each["Value"] for user in users for each in user["Attributes"] if each["Name"] == "email"}

    @pytest.mark.parametrize("by", ["sub", "e-mail"])
    def test_a_dry_run_counts_and_deletes_nothing(
        self, sub: str, clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str], by: str
    ) -> None:
        given = sub if by == "sub" else "ada@example.com"
        assert forget.main(["--stage", "local", "--person", given], clients) == 0

        said = capsys.readouterr().out
        assert f"would go: 1 user (sub {sub})" in said
        assert "would go: 3 rows of submissions" in said
        assert "stays: 3 executions" in said
        assert "stays: 1 dragons that the person reported" in said
        assert self.users(clients) == {"ada@example.com", "bob@example.com"}
        assert len(self.rows()) == 4

    def test_dragons_are_counted_where_the_registry_is(
        self, stage: Stage, sub: str, clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        stage.put_document(left_for("dynamodb"))
        stage.open_table()
        table = DynamoDBDragonRepository(FakeSettings(dragon_table_name=DRAGONS))
        for number in range(3):
            table.add(dragon(f"dragon {number}"), f"submission-{number}")

        assert forget.main(["--stage", "local", "--person", sub], clients) == 0

        said = capsys.readouterr().out
        assert "stays: 0 dragons that the person reported" in said
        assert "stays: 2 dragons in the table that the person reported" in said

    def test_the_user_and_the_rows_go_and_what_stays_is_named_with_how_long(
        self, stage: Stage, sub: str, clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = stage.document()

        assert forget.main(["--stage", "local", "--person", "ada@example.com", "--yes"], clients) == 0

        said = capsys.readouterr().out
        assert self.users(clients) == {"bob@example.com"}
        assert len(self.rows()) == 1
        assert sub not in self.rows()
        assert stage.document() == before
        assert "Step Functions keeps each for 90 days" in said
        assert "SHA-256 hash of the person's sub" in said
        assert sub in said
        assert "+1555" not in said

    def test_it_can_be_repeated_with_the_sub_and_says_so(
        self, sub: str, clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert forget.main(["--stage", "local", "--person", "ada@example.com", "--yes"], clients) == 0
        assert forget.main(["--stage", "local", "--person", "ada@example.com", "--yes"], clients) == 1
        assert "give the sub instead" in capsys.readouterr().err
        assert forget.main(["--stage", "local", "--person", sub, "--yes"], clients) == 0
        assert f"deleting: 0 user (sub {sub})" in capsys.readouterr().out
        assert self.users(clients) == {"bob@example.com"}

    @pytest.mark.parametrize("given", ["", 'x" or sub ^= "', "a b", "a@b@c", "\\"])
    def test_what_could_be_another_filter_is_refused(self, given: str) -> None:
        with pytest.raises(SystemExit):
            forget.main(["--stage", "local", "--person", given])
