"""What `make logs` shows of functions' lines, with a stand-in for CloudWatch Logs that answers as AWS does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from operations import logs
from tests.integration.stage import Stage

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def event(number: int, message: str) -> dict[str, Any]:
    at = int((BEGUN + timedelta(seconds=number)).timestamp() * 1000)
    return {"timestamp": at, "logStreamName": "a-stream", "message": message}


class Answering:
    """Answers with these pages, one a call, and keeps what it was asked."""

    def __init__(self, *pages: list[dict[str, Any]], tokens: bool = True) -> None:
        self._pages: Iterator[list[dict[str, Any]]] = iter(pages)
        self._left = len(pages)
        self._tokens = tokens
        self.asked: list[dict[str, Any]] = []

    def filter_log_events(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        self._left -= 1
        more = {"nextToken": f"{self._left} more"} if self._tokens and self._left else {}
        return {"events": next(self._pages), **more}


def said(answering: Answering, *ids: str) -> list[str]:
    return [line.text for line in logs.said_by_function(answering, "add_dragon", "a-group", BEGUN, ids)]


def test_a_stage_has_its_own_functions_logs_and_no_other_stages(stage: Stage) -> None:
    client = boto3.client("logs")
    for name in ("dragonpost-dev", "dragonpost-dev-add_dragon", "dragonpost-dev2", "dragonpost-dev2-add_dragon"):
        client.create_log_group(logGroupName=f"/aws/lambda/{name}")

    assert logs.functions(client, "dev") == {
        "api": "/aws/lambda/dragonpost-dev",
        "add_dragon": "/aws/lambda/dragonpost-dev-add_dragon",
    }


def test_every_page_is_read_and_an_empty_one_is_not_the_end() -> None:
    answering = Answering([event(1, "first\n")], [], [event(2, "second\n")])

    assert said(answering) == ["first", "second"]
    assert [asked.get("nextToken") for asked in answering.asked] == [None, "2 more", "1 more"]


def test_an_answer_that_is_cut_without_a_token_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the embedded AWS cuts it (docs/embedded-aws.md)."""
    monkeypatch.setattr(logs, "PAGE", 2)
    answering = Answering([event(1, "first"), event(2, "second")], [event(2, "second")], tokens=False)

    assert said(answering) == ["first", "second"]
    assert answering.asked[1]["startTime"] == event(2, "")["timestamp"]


def test_what_lambda_says_and_metrics_are_left_out() -> None:
    lines = ["START RequestId: 1 Version: 2", '{"_aws":{}}', "END RequestId: 1", "REPORT RequestId: 1", "INIT_START x"]
    timed_out = "2026-01-01T00:00:00Z 1 Task timed out after 10.00 seconds"

    assert said(Answering([event(1, line) for line in [*lines, timed_out]])) == [timed_out]


def test_a_line_with_two_of_the_ids_is_shown_once() -> None:
    line = event(1, "both a-1 and b-2")
    answering = Answering([line], [line], tokens=False)

    assert said(answering, "a-1", "b-2") == [line["message"]]
    assert [asked["filterPattern"] for asked in answering.asked] == ['"a-1"', '"b-2"']


@pytest.mark.parametrize("text", ['x" "y', "-x y", "*", ""])
def test_an_id_cannot_be_another_pattern(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        logs.main(["--stage", "dev", f"--id={text}"])

    assert "an id consists of" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e12", "20000000", "-1", "0", "one", ""])
def test_hours_that_lead_to_no_time_are_refused_in_words(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        logs.main(["--stage", "dev", f"--hours={text}"])

    assert "hours are a number above 0, of at most 87600 (ten years)" in capsys.readouterr().err


def test_hours_may_look_back_ten_years_or_a_part_of_an_hour(stage: Stage) -> None:
    assert [logs.main(["--stage", "prod", "--hours", hours]) for hours in ("87600", "0.25")] == [0, 0]


def test_a_stage_that_is_not_deployed_is_said_to_have_no_such_log(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logs.main(["--stage", "prod", "--function", "add_dragon"]) == 1
    assert capsys.readouterr().err == "error: stage prod has no log of add_dragon; it has those of workflow\n"
