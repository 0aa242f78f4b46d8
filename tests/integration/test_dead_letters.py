"""The operators' tool for dead letters."""

from __future__ import annotations

import base64
import json
import os
import re
import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.messages import dead_letters as queue_module
from chalicelib.messages.dead_letters import DeadLetters, Queues, QueueTooLong
from operations import dead_letters
from operations.dead_letters import DeadLetterError
from tests.integration.stage import Stage
from tests.samples import COMPANY, MESSAGE_ID, message_body

# What a producer that bypasses the API may send.
TYPED: dict[str, dict[str, Any]] = {
    "picture": {"DataType": "Binary", "BinaryValue": bytes(range(256))},
    "checksum": {"DataType": "Binary.sha", "BinaryValue": b"\xff\x00"},
    "count": {"DataType": "Number", "StringValue": "007.0"},
    "kind": {"DataType": "String.kind", "StringValue": "order"},
    "note": {"DataType": "String", "StringValue": "é"},
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "POLL_S", 0)


@pytest.fixture
def sqs(stage: Stage) -> Any:
    return boto3.client("sqs", region_name="us-east-1")


@pytest.fixture
def letters(sqs: Any, stage: Stage) -> DeadLetters:
    return DeadLetters(Queues(stage.queue_url, stage.dead_letter_queue_url), lambda: sqs)


@pytest.fixture
def buried(sqs: Any, stage: Stage) -> Callable[..., str]:
    """Put a letter into the dead-letter queue and return its id. An attribute is a text, or a dict in SQS's form."""

    def bury(body: str = message_body().decode(), **attributes: str | dict[str, Any]) -> str:
        typed = {
            name: {"DataType": "String", "StringValue": value} if isinstance(value, str) else value
            for name, value in attributes.items()
        }
        answer = sqs.send_message(QueueUrl=stage.dead_letter_queue_url, MessageBody=body, MessageAttributes=typed)
        return str(answer["MessageId"])

    return bury


@pytest.fixture
def arriving(monkeypatch: pytest.MonkeyPatch, buried: Callable[..., str]) -> set[str]:
    """Bury one more letter after each receipt from the queue; each receipt takes half a minute. Returns the ids."""
    arrived: set[str] = set()
    receive = DeadLetters._receive

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=30 * len(arrived))

    def received(self: DeadLetters) -> Sequence[Any]:
        assert len(arrived) < 20, "this never ends"
        messages = receive(self)
        arrived.add(buried())
        return messages

    monkeypatch.setattr(queue_module, "datetime", Clock)
    monkeypatch.setattr(DeadLetters, "_receive", received)
    return arrived


def test_a_list_shows_reason_age_message_and_company(
    letters: DeadLetters, buried: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    conflict = buried(reason="conflict: archived with another payload")
    unreadable = buried("{", reason="unreadable: not valid JSON")
    unexplained = buried('{"metadata": [1]}')

    dead_letters.list_letters(letters)

    first, _, *lines = capsys.readouterr().out.splitlines()
    by_id = {line.split()[0]: line for line in lines}
    assert first == "3 dead letters"
    assert MESSAGE_ID in by_id[conflict]
    assert COMPANY in by_id[conflict]
    assert by_id[conflict].endswith("conflict: archived with another payload")
    assert re.search(r" \d+ [sm] ", by_id[conflict])
    assert by_id[unreadable].endswith("unreadable: not valid JSON")
    assert by_id[unexplained].endswith("failed every delivery")


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (timedelta(hours=-1), "0 s"),  # SQS's clock is ahead
        (timedelta(minutes=5, seconds=10), "5 m"),
        (timedelta(hours=3, minutes=10), "3 h"),
        (timedelta(days=13, hours=5), "13 d"),
    ],
)
def test_an_age_is_shown_in_the_largest_unit_that_fits(age: timedelta, told: str) -> None:
    assert dead_letters._age(datetime.now(UTC) - age) == told


def test_an_empty_queue_is_said_to_be_empty(letters: DeadLetters, capsys: pytest.CaptureFixture[str]) -> None:
    dead_letters.list_letters(letters)

    assert capsys.readouterr().out == "0 dead letters\n"


def test_looking_leaves_every_letter_in_place_and_visible(letters: DeadLetters, buried: Callable[..., str]) -> None:
    there = {buried() for _ in range(23)}

    for _ in range(3):
        assert {letter.letter_id for letter in letters.each()} == there


def test_one_letter_is_shown_in_full(
    letters: DeadLetters, buried: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    buried()
    wanted = buried('{"é": 1.50}', reason="invalid: x", correlation_id="c1")

    dead_letters.show(letters, wanted)

    shown = json.loads(capsys.readouterr().out)
    assert shown["letter_id"] == wanted
    assert shown["body"] == '{"é": 1.50}'
    assert shown["attributes"] == {"reason": "invalid: x", "correlation_id": "c1"}


def test_no_letter_sends_commands_to_the_operators_terminal(
    letters: DeadLetters, buried: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The API accepts any character in a note, and anyone who may write to the queue can send anything."""
    evil = "é \u009b2J \u202e \u2028 \U000e0001"
    body = message_body({"message_id": json.dumps(f"\x1b[2J\n{evil}")}, {"note": json.dumps(evil, ensure_ascii=False)})
    letter = buried(body.decode(), reason=f"invalid: {evil}\r")

    dead_letters.list_letters(letters)
    listed = capsys.readouterr().out
    dead_letters.show(letters, letter)
    shown = capsys.readouterr().out

    assert len(listed.splitlines()) == 3
    assert not [character for character in listed + shown if not character.isprintable() and character != "\n"]
    assert json.loads(shown)["body"] == body.decode(), "and yet nothing of it is lost"
    assert "é" in shown


def test_attributes_that_are_not_plain_text_are_shown_and_saved_with_nothing_lost(
    letters: DeadLetters, buried: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letter = buried(reason="invalid: x", **TYPED)

    dead_letters.show(letters, letter)
    shown = json.loads(capsys.readouterr().out)
    dead_letters.delete(letters, letter, tmp_path / "letter.json")

    assert json.loads((tmp_path / "letter.json").read_text(encoding="utf-8")) == shown
    assert shown["attributes"] == {
        "reason": "invalid: x",
        "picture": {"DataType": "Binary", "BinaryValue": base64.b64encode(bytes(range(256))).decode()},
        "checksum": {"DataType": "Binary.sha", "BinaryValue": "/wA="},
        "count": {"DataType": "Number", "StringValue": "007.0"},
        "kind": {"DataType": "String.kind", "StringValue": "order"},
        "note": "é",
    }
    assert not list(letters.each())


def test_a_reason_that_is_not_text_counts_as_none(
    letters: DeadLetters, buried: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    buried(reason=TYPED["picture"])

    dead_letters.list_letters(letters)

    assert capsys.readouterr().out.endswith("  failed every delivery\n")


@pytest.mark.parametrize("body", ["[" * 100_000, '{"metadata":' * 50_000], ids=["lists", "objects"])
def test_a_body_of_any_depth_leaves_the_other_letters_in_the_list(
    letters: DeadLetters, buried: Callable[..., str], capsys: pytest.CaptureFixture[str], body: str
) -> None:
    deep, other = buried(body), buried()

    dead_letters.list_letters(letters)
    listed = capsys.readouterr().out
    dead_letters.show(letters, deep)

    assert {line.split()[0] for line in listed.splitlines()[2:]} == {deep, other}
    assert MESSAGE_ID in listed
    assert json.loads(capsys.readouterr().out)["body"] == body


def test_letters_that_keep_arriving_keep_no_command_from_ending_and_stay_visible(
    letters: DeadLetters,
    buried: Callable[..., str],
    arriving: set[str],
    stage: Stage,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = {buried() for _ in range(3)}

    dead_letters.list_letters(letters)

    *lines, hint = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[2:]} == there
    assert "There may be more" in hint
    assert {message["MessageId"] for message in stage.received(stage.dead_letter_queue_url)} == there | arriving


def test_a_queue_that_takes_longer_to_read_than_letters_stay_hidden_is_read_once_and_the_output_says_so(
    sqs: Any,
    stage: Stage,
    buried: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = {buried() for _ in range(3)}
    monkeypatch.setattr(queue_module, "HELD_S", 0)
    letters = DeadLetters(Queues(stage.queue_url, stage.dead_letter_queue_url), lambda: sqs)

    dead_letters.list_letters(letters)
    listed = capsys.readouterr().out
    assert {line.split()[0] for line in listed.splitlines()[2:-1]} == there
    assert "There may be more" in listed
    with pytest.raises(DeadLetterError, match="not found: the queue was not read to its end within 0 s"):
        dead_letters.show(letters, "nothing")


def test_a_letter_that_a_lost_answer_may_have_had_is_not_said_to_be_gone(
    letters: DeadLetters, buried: Callable[..., str], stage: Stage, sqs: Any
) -> None:
    """The attempt that was lost has hidden it from the next one."""
    letter_id = buried()
    sqs.receive_message(QueueUrl=stage.dead_letter_queue_url)
    sqs.meta.events.register(
        "after-call.sqs.ReceiveMessage", lambda parsed, **_: parsed["ResponseMetadata"].update(RetryAttempts=1)
    )

    with pytest.raises(QueueTooLong), letters.held(letter_id):
        pytest.fail("it is hidden")


@pytest.mark.parametrize("attempts_before", [0, 1])
def test_a_letter_that_a_lost_attempt_deleted_counts_as_deleted_and_no_other_does(
    letters: DeadLetters, buried: Callable[..., str], sqs: Any, attempts_before: int
) -> None:
    gone = {"Error": {"Code": "ReceiptHandleIsInvalid"}, "ResponseMetadata": {"RetryAttempts": attempts_before}}
    buried()
    refusing = patch.object(sqs, "delete_message", side_effect=ClientError(gone, "DeleteMessage"))  # type: ignore[arg-type]

    with refusing, nullcontext() if attempts_before else pytest.raises(aws.DependencyFault):
        letters.delete(letters.page(1)[0])


def test_all_are_redriven_with_their_correlation_ids_and_without_the_reason(
    letters: DeadLetters, buried: Callable[..., str], stage: Stage, sqs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        buried(reason="conflict", correlation_id=f"c{number}", source_message_id="x")

    dead_letters.redrive(letters, None)

    assert stage.waiting(stage.queue_url) == 12
    assert stage.waiting(stage.dead_letter_queue_url) == 0
    message = sqs.receive_message(QueueUrl=stage.queue_url, MessageAttributeNames=["All"])["Messages"][0]
    assert set(message["MessageAttributes"]) == {"correlation_id"}
    assert "12  redriven" in capsys.readouterr().out


def test_attributes_of_every_type_are_redriven_as_they_were(
    letters: DeadLetters, buried: Callable[..., str], stage: Stage
) -> None:
    buried(reason="conflict", **TYPED)

    dead_letters.redrive(letters, None)

    (message,) = stage.received(stage.queue_url)
    assert message["MessageAttributes"] == TYPED


def test_a_redrive_of_all_says_when_it_did_not_see_the_whole_queue(
    letters: DeadLetters, buried: Callable[..., str], arriving: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    buried()

    dead_letters.redrive(letters, None)

    assert "There may be more" in capsys.readouterr().out


def test_chosen_ones_are_redriven_and_missing_ones_are_named(
    letters: DeadLetters, buried: Callable[..., str], stage: Stage
) -> None:
    chosen, left, missing = buried(), buried(), str(uuid.uuid4())

    with pytest.raises(dead_letters.DeadLetterError, match=missing):
        dead_letters.redrive(letters, [chosen, missing])

    assert [letter.letter_id for letter in letters.each()] == [left]
    assert stage.waiting(stage.queue_url) == 1


def test_an_interrupted_redrive_loses_nothing(
    letters: DeadLetters, buried: Callable[..., str], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: the message has been sent again, and the letter has not been deleted yet."""
    for _ in range(5):
        buried()
    taken: list[Any] = []
    delete = DeadLetters.delete

    def interrupted(self: DeadLetters, letter: Any) -> None:
        taken.append(letter)
        if len(taken) == 3:
            raise KeyboardInterrupt
        delete(self, letter)

    monkeypatch.setattr(DeadLetters, "delete", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dead_letters.redrive(letters, None)
    monkeypatch.undo()
    monkeypatch.setattr(queue_module, "POLL_S", 0)
    assert len(list(letters.each())) == 3

    dead_letters.redrive(letters, None)

    assert stage.waiting(stage.dead_letter_queue_url) == 0
    assert stage.waiting(stage.queue_url) == 6  # one of them twice, which the consumer stores once


def test_an_interrupted_command_says_that_nothing_is_lost_and_goes_on_when_run_again(
    letters: DeadLetters,
    buried: Callable[..., str],
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    buried()
    redrive = ["--stage", "local", "redrive", "--all"]
    monkeypatch.setattr(dead_letters, "_connected", lambda _: letters)

    with patch.object(DeadLetters, "delete", side_effect=KeyboardInterrupt):
        assert dead_letters.main(redrive) == 130
    assert capsys.readouterr().err == "interrupted; nothing is lost: run it again to go on\n"
    assert dead_letters.main(redrive) == 0

    assert stage.waiting(stage.dead_letter_queue_url) == 0


def test_a_letter_is_deleted_only_after_it_was_saved(
    letters: DeadLetters, buried: Callable[..., str], tmp_path: Path
) -> None:
    kept, unwanted = buried(), buried('{"x": 1}', reason="invalid")
    file = tmp_path / "letter.json"

    dead_letters.delete(letters, unwanted, file)

    assert json.loads(file.read_text(encoding="utf-8"))["body"] == '{"x": 1}'
    assert [letter.letter_id for letter in letters.each()] == [kept]


@pytest.mark.parametrize("place", ["there/is/no/such/folder.json", "taken.json"])
def test_a_letter_that_cannot_be_saved_is_not_deleted(
    letters: DeadLetters, buried: Callable[..., str], tmp_path: Path, place: str
) -> None:
    (tmp_path / "taken.json").write_text("mine", encoding="utf-8")
    letter_id = buried()

    with pytest.raises(dead_letters.DeadLetterError):
        dead_letters.delete(letters, letter_id, tmp_path / place)

    assert [letter.letter_id for letter in letters.each()] == [letter_id]
    assert (tmp_path / "taken.json").read_text(encoding="utf-8") == "mine"


def test_a_letter_that_is_not_there_is_an_error_that_says_what_to_do(letters: DeadLetters, tmp_path: Path) -> None:
    with pytest.raises(dead_letters.DeadLetterError, match="`list` shows"):
        dead_letters.delete(letters, "none", tmp_path / "x")
    with pytest.raises(dead_letters.DeadLetterError, match="`list` shows"):
        dead_letters.show(letters, "none")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("arguments", [["redrive"], ["redrive", "--all", "some-id"], ["delete", "x"], ["other"], []])
def test_an_ambiguous_command_line_does_nothing(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        dead_letters.main(["--stage", "dev", *arguments])


def test_a_stage_that_is_not_deployed_is_said_to_be_missing(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert dead_letters.main(["--stage", "prod", "list"]) == 1
    assert "Is the stage deployed" in capsys.readouterr().err


def test_stage_local_is_the_devstack_that_runs_on_the_state_folder(
    sqs: Any,
    stage: Stage,
    buried: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Whatever port it runs on, and whatever account the environment leads to."""
    buried()
    (tmp_path / "run.json").write_text('{"aws_url": "http://127.0.0.1:4999"}', encoding="utf-8")
    made, reached = boto3.client, []

    def client(service: Any) -> Any:
        reached.append(made(service).meta.endpoint_url)
        return sqs

    monkeypatch.setattr(boto3, "client", client)
    elsewhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4998", "AWS_PROFILE": "nope"}
    with patch.dict(os.environ, {**elsewhere, "DRAGONPOST_STATE": str(tmp_path)}):
        assert dead_letters.main(["--stage", "local", "list"]) == 0

    assert reached == ["http://127.0.0.1:4999"]
    assert "AWS_ENDPOINT_URL" not in os.environ


def test_stage_local_without_a_devstack_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRAGONPOST_STATE", str(tmp_path))

    assert dead_letters.main(["--stage", "local", "list"]) == 1
    assert f"no devstack is running on {tmp_path}. Start it with `make run`" in capsys.readouterr().err
