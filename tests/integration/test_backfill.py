"""The command that lists the messages which were stored before there were lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.exact_json import parse_object
from chalicelib.messages.listing import ACCEPTED_AT_ID, COMPANY_PART, keys
from chalicelib.messages.model import message_from
from chalicelib.messages.repository import MessageRepository
from operations import backfill, index_walk
from tests.fakes.aws_errors import client_error
from tests.integration.service import CLERK, Service
from tests.integration.stage import MESSAGE_BUCKET, TABLE, Stage
from tests.samples import COMPANY, message_body

LOOK = ["--stage", "local"]
FILL = [*LOOK, "--yes"]
IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(6)]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the command keeps its progress; its clients are those of the tests."""
    monkeypatch.setattr(backfill, "PROJECT", tmp_path)
    monkeypatch.setattr(backfill, "reach", lambda _: None)
    return tmp_path / ".local"


@pytest.fixture
def earlier(service: Service, stage: Stage) -> list[dict[str, Any]]:
    """The rows of messages that an earlier version has stored, which are not listed."""
    messages: MessageRepository = service.app.messages
    for message_id in IDS:
        messages.store(message_from(parse_object(message_body({"message_id": f'"{message_id}"'}))))
    for row in stage.rows():
        put(row)
    assert service.get("/messages", CLERK).json() == []
    return [without_keys(row) for row in in_order(stage)]


def put(row: dict[str, Any], **more: Any) -> None:
    """Put a row without the keys under which it is listed, and with more."""
    aws.dynamodb().put_item(TableName=TABLE, Item=without_keys(row) | more)


def without_keys(row: dict[str, Any]) -> dict[str, Any]:
    """Return what an earlier version has written of a row."""
    return {name: value for name, value in row.items() if name not in (COMPANY_PART, ACCEPTED_AT_ID)}


def in_order(stage: Stage) -> list[dict[str, Any]]:
    """Return the index's rows in the order of their ids."""
    return sorted(stage.rows(), key=lambda row: str(row["message_id"]["S"]))


def test_without_yes_it_only_counts(
    stage: Stage, earlier: list[dict[str, Any]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backfill.main(LOOK) == 0

    assert in_order(stage) == earlier
    assert capsys.readouterr().out.splitlines() == [
        "6 rows: 6 would be filled in",
        "nothing was changed; DO=yes (--yes) fills them in",
    ]
    assert not list(folder.glob("*"))


def test_every_message_is_listed_at_the_time_at_which_it_was_archived(
    service: Service, stage: Stage, earlier: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert backfill.main(FILL) == 0
    assert capsys.readouterr().out.splitlines() == ["6 rows: 6 filled in"]

    rows = in_order(stage)
    for row in rows:
        archived = aws.s3().head_object(Bucket=MESSAGE_BUCKET, Key=row["message_s3_key"]["S"])["LastModified"]
        wanted = keys(COMPANY, row["message_id"]["S"], int(archived.timestamp()) * 1000)
        assert {name: row[name]["S"] for name in wanted} == wanted
    assert [without_keys(row) for row in rows] == earlier, "nothing else is changed"
    assert {message["message_id"] for message in service.get("/messages", CLERK).json()} == set(IDS)

    assert backfill.main(FILL) == 0
    assert capsys.readouterr().out.splitlines() == ["6 rows: 6 listed already"]
    assert in_order(stage) == rows


def test_a_row_that_has_its_keys_keeps_them(stage: Stage, earlier: list[dict[str, Any]]) -> None:
    """Also if the consumer, or another run, has written them since the row was read."""
    put(earlier[0], **{ACCEPTED_AT_ID: {"S": "2020"}, COMPANY_PART: {"S": "part"}})
    command = backfill.Backfill(aws.dynamodb(), aws.s3(), TABLE, MESSAGE_BUCKET, really=True)

    assert command.fill_in(earlier[0]) == backfill.RIGHT
    assert in_order(stage)[0][ACCEPTED_AT_ID] == {"S": "2020"}

    aws.dynamodb().delete_item(TableName=TABLE, Key={name: earlier[0][name] for name in ("message_id", "company_id")})
    assert command.fill_in(earlier[0]) == backfill.RIGHT
    assert len(stage.rows()) == 5, "what DynamoDB has deleted does not come back as half a row"


def test_what_cannot_be_listed_is_left_alone_and_counted(
    stage: Stage, earlier: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    aws.s3().delete_object(Bucket=MESSAGE_BUCKET, Key=earlier[0]["message_s3_key"]["S"])
    put(earlier[1], expires_at={"N": "1700000000"})
    put({name: value for name, value in earlier[2].items() if name != "message_s3_key"})
    before = in_order(stage)[:3]

    assert backfill.main(FILL) == 0
    assert in_order(stage)[:3] == before
    assert capsys.readouterr().out == (
        "6 rows: 3 filled in, 1 left alone, because they have expired, 1 left alone, because the archive no longer has "
        "their messages, 1 left alone, because they are no messages\n"
    )


@pytest.mark.usefixtures("earlier")
def test_an_interrupted_run_goes_on_where_it_was(
    stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(index_walk, "PAGE", 2)
    monkeypatch.setattr(index_walk, "WORKERS", 1)
    fill_in, seen = backfill.Backfill.fill_in, []

    def interrupted(self: Any, row: Any) -> str:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(row)
        return fill_in(self, row)

    monkeypatch.setattr(backfill.Backfill, "fill_in", interrupted)
    assert backfill.main(FILL) == 130
    assert "run it again" in capsys.readouterr().err
    assert json.loads((folder / "backfill-local.json").read_text(encoding="utf-8"))["counts"] == {"filled in": 2}

    monkeypatch.setattr(backfill.Backfill, "fill_in", fill_in)
    assert backfill.main(FILL) == 0
    assert "going on after 2 rows" in (said := capsys.readouterr().out)
    assert said.splitlines()[-1] == "6 rows: 5 filled in, 1 listed already"
    assert all(ACCEPTED_AT_ID in row for row in stage.rows())
    assert not list(folder.glob("*"))


@pytest.mark.usefixtures("earlier")
def test_a_denied_call_is_one_error_and_lists_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without s3:ListBucket, S3 answers 403 for an object that is not there."""

    def denied(*_: Any) -> None:
        raise client_error("AccessDenied", 403)

    monkeypatch.setattr(backfill, "archived_at", denied)

    assert backfill.main(FILL) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert not [row for row in stage.rows() if ACCEPTED_AT_ID in row]


@pytest.mark.usefixtures("stage")
def test_a_stage_that_lacks_a_parameter_is_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    aws.ssm().delete_parameter(Name="/dragonpost/local/message_table_name")

    assert backfill.main(LOOK) == 1
    assert "Parameter Store lacks /dragonpost/local/message_table_name" in capsys.readouterr().err
