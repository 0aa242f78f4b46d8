"""The command that gives older rows the end that follows from how long messages are kept now."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.messages.stored import DAY_S
from operations import expire, index_walk
from tests.fakes.aws_errors import client_error
from tests.integration.stage import MESSAGE_BUCKET, TABLE, Stage

ARGUMENTS = ["--stage", "local"]
FILE = "expire-local.json"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the command keeps its progress; its clients are those of the tests."""
    monkeypatch.setattr(expire, "PROJECT", tmp_path)
    monkeypatch.setattr(expire, "reach", lambda _: None)
    return tmp_path / ".local"


def put(number: int, *, archived: bool = True, **attributes: dict[str, str]) -> dict[str, dict[str, str]]:
    """Put a row, and the message that it points at; return the row."""
    key = f"company/{number}.json"
    ids = {"message_id": {"S": f"message {number}"}, "company_id": {"S": "company"}}
    row = ids | {"message_s3_key": {"S": key}, "data": {"S": "{}"}} | attributes
    aws.dynamodb().put_item(TableName=TABLE, Item=row)
    if archived:
        aws.s3().put_object(Bucket=MESSAGE_BUCKET, Key=key, Body=b"{}")
    return row


def ends(stage: Stage) -> dict[str, float | None]:
    """Return when each row expires."""
    return {
        row["message_id"]["S"]: float(row["expires_at"]["N"]) if "expires_at" in row else None for row in stage.rows()
    }


def test_every_row_ends_so_many_days_after_its_message_was_archived(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.put_parameters(archive_retention_days="30")
    put(1)
    put(2, expires_at={"N": "1700000000"})
    before = [{name: value for name, value in row.items() if name != "expires_at"} for row in stage.rows()]

    assert expire.main(ARGUMENTS) == 0

    in_30_days = pytest.approx(time.time() + 30 * DAY_S, abs=60)
    assert ends(stage) == {"message 1": in_30_days, "message 2": in_30_days}
    after = [{name: value for name, value in row.items() if name != "expires_at"} for row in stage.rows()]
    assert after == before, "nothing else is changed"
    assert capsys.readouterr().out.splitlines() == ["local keeps messages for 30 days", "2 rows: 2 aligned"]

    assert expire.main(ARGUMENTS) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 rows: 2 right already"


def test_no_row_ends_if_messages_are_kept_for_ever_again(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    put(1, expires_at={"N": "1700000000"})
    put(2, archived=False)

    assert expire.main(ARGUMENTS) == 0

    assert ends(stage) == {"message 1": None, "message 2": None}
    said = ["local keeps messages for ever", "2 rows: 1 aligned, 1 right already"]
    assert capsys.readouterr().out.splitlines() == said


def test_a_row_whose_message_the_archive_has_deleted_ends_at_once(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.put_parameters(archive_retention_days="30")
    put(1, archived=False)
    put(2, archived=False, expires_at={"N": "1700000000"})

    for _ in range(2):
        assert expire.main(ARGUMENTS) == 0
        assert "2 rows: 2 expire now" in capsys.readouterr().out

    assert ends(stage) == {"message 1": pytest.approx(time.time(), abs=60), "message 2": 1_700_000_000}


def test_an_item_that_is_no_message_is_left_alone(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.put_parameters(archive_retention_days="30")
    odd = {"message_id": {"S": "m"}, "company_id": {"S": "c"}, "note": {"S": "by hand"}}
    aws.dynamodb().put_item(TableName=TABLE, Item=odd)

    assert expire.main(ARGUMENTS) == 0

    assert stage.rows() == [odd]
    assert "1 left alone, because they are no messages" in capsys.readouterr().out


def test_a_row_that_changes_meanwhile_is_left_alone(stage: Stage) -> None:
    """The consumer has just stored the message anew, and knows better."""
    row = put(1)
    alignment = expire.Alignment(aws.dynamodb(), aws.s3(), TABLE, MESSAGE_BUCKET, 30)
    aws.dynamodb().put_item(TableName=TABLE, Item=row | {"expires_at": {"N": "1800000000"}})

    assert alignment.align(row) == expire.CHANGED
    assert ends(stage) == {"message 1": 1_800_000_000}

    aws.dynamodb().delete_item(TableName=TABLE, Key={name: row[name] for name in ("message_id", "company_id")})
    assert alignment.align(row) == expire.CHANGED
    assert stage.rows() == [], "what DynamoDB has deleted does not come back as half a row"


def test_an_interrupted_run_goes_on_where_it_was(
    stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.put_parameters(archive_retention_days="30")
    for number in range(6):
        put(number)
    monkeypatch.setattr(index_walk, "PAGE", 2)
    seen: list[str] = []
    align = expire.Alignment.align

    def interrupted(self: Any, row: Any) -> str:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(row["message_id"]["S"])
        return align(self, row)

    monkeypatch.setattr(index_walk, "WORKERS", 1)
    monkeypatch.setattr(expire.Alignment, "align", interrupted)
    assert expire.main(ARGUMENTS) == 130
    assert "run it again" in capsys.readouterr().err
    assert json.loads((folder / FILE).read_text(encoding="utf-8"))["counts"] == {"aligned": 2}

    again: list[str] = []
    monkeypatch.setattr(expire.Alignment, "align", lambda self, row: again.append(row) or align(self, row))
    assert expire.main(ARGUMENTS) == 0

    assert len(again) == 4, "the first page is not looked at again"
    assert None not in ends(stage).values()
    said = capsys.readouterr().out
    assert "going on after 2 rows" in said
    assert said.splitlines()[-1] == "6 rows: 5 aligned, 1 right already"
    assert not (folder / FILE).exists()


@pytest.mark.parametrize(
    "kept", ["", "{", '{"purpose": {"table": "dragonpost-local-messages", "days": 7}, "after": {}, "counts": {}}']
)
def test_progress_that_cannot_be_read_or_is_of_other_days_counts_for_nothing(
    stage: Stage, folder: Path, kept: str
) -> None:
    stage.put_parameters(archive_retention_days="30")
    put(1)
    folder.mkdir()
    (folder / FILE).write_text(kept, encoding="utf-8")

    assert expire.main(ARGUMENTS) == 0

    assert None not in ends(stage).values()


def test_a_denied_call_is_one_error_and_ends_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without s3:ListBucket, S3 answers 403 for an object that is not there."""
    stage.put_parameters(archive_retention_days="30")
    put(1)

    def denied(*_: Any) -> None:
        raise client_error("AccessDenied", 403)

    monkeypatch.setattr(expire, "archived_at", denied)

    assert expire.main(ARGUMENTS) == 1

    assert ends(stage) == {"message 1": None}
    assert capsys.readouterr().err.startswith("error: ")


def test_a_stage_that_lacks_the_parameter_is_one_error(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    aws.ssm().delete_parameter(Name="/dragonpost/local/archive_retention_days")

    assert expire.main(ARGUMENTS) == 1

    assert "Parameter Store lacks /dragonpost/local/archive_retention_days" in capsys.readouterr().err
