"""Look after a stage's dead letters: `.venv/bin/python -m operations.dead_letters --stage prod list`.

A dead letter is a message that could not be stored. The consumer sends hopeless messages to this queue with a
`reason`; a letter without one failed as many deliveries as the queue allows. These commands lose no letter: `redrive`
sends a message before it deletes the letter (the consumer stores a message once, however often it arrives), and
`delete` saves the letter to a file first.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from devstack.settings import DevstackError
from operations.reach import reach
from operations.stages import STAGES
from operations.terminal import printable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueOutputTypeDef, MessageTypeDef

HELD_S = 120  # how long a letter stays hidden from others after it was received
POLL_S = 1
NO_REASON = "failed every delivery"
OURS = ("reason", "source_message_id")  # attributes that belong to the letter, not to the message


class DeadLetterError(Exception):
    """An error that the operator has to see; the message says what to do."""


@dataclass(frozen=True)
class Letter:
    """One dead letter: its SQS message id, when it was sent to this queue, why, and the message itself."""

    letter_id: str
    receipt_handle: str
    sent_at: datetime
    reason: str
    attributes: Mapping[str, MessageAttributeValueOutputTypeDef]
    body: str

    @classmethod
    def of(cls, message: MessageTypeDef) -> Letter:
        """Make a letter from a message that `ReceiveMessage` returned."""
        attributes = message.get("MessageAttributes", {})
        return cls(
            letter_id=message["MessageId"],
            receipt_handle=message["ReceiptHandle"],
            sent_at=datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
            reason=attributes["reason"].get("StringValue", NO_REASON) if "reason" in attributes else NO_REASON,
            attributes=attributes,
            body=message["Body"],
        )

    def metadata(self, name: str) -> str:
        """Return a member of the message's metadata, or `-` if it cannot be read from the body."""
        try:
            return str(json.loads(self.body)["metadata"][name])
        except (ValueError, TypeError, LookupError, RecursionError):
            return "-"

    def as_json(self) -> str:
        """Return the whole letter as `show` prints it and `delete` saves it. The body stays a string, unchanged."""
        document = {
            "letter_id": self.letter_id,
            "sent_at": self.sent_at.isoformat(),
            "reason": self.reason,
            "attributes": {name: _as_json(value) for name, value in self.attributes.items()},
            "body": self.body,
        }
        return printable(json.dumps(document, indent=2, ensure_ascii=False), besides="\n") + "\n"


class DeadLetters:
    """A stage's dead-letter queue, and the message queue that letters are sent back to."""

    def __init__(self, sqs: SQSClient, dead_letter_queue_url: str, queue_url: str) -> None:
        self._sqs = sqs
        self._url = dead_letter_queue_url
        self._queue_url = queue_url
        self.read_whole = True  # whether the last reading saw the whole queue

    def each(self) -> Generator[Letter, None, None]:
        """Yield every letter that was on the queue when the call began, each once.

        While you iterate, the letters are hidden from others, for at most `HELD_S`. If the queue takes longer than that
        to read, or if letters keep arriving, there may be more letters, and `read_whole` is False. When the iteration
        ends, however it ends, the letters that are still on the queue become visible again at once.
        """
        begun = datetime.now(UTC)
        self.read_whole = True
        held: dict[str, str] = {}
        try:
            while messages := self._receive():
                received = [Letter.of(message) for message in messages]
                # Later arrivals are for the next run. So is a redriven letter that failed again: its id is new.
                new = [letter for letter in received if letter.letter_id not in held and letter.sent_at <= begun]
                held |= {letter.letter_id: letter.receipt_handle for letter in received}
                if not new and datetime.now(UTC) - begun >= timedelta(seconds=HELD_S):
                    self.read_whole = False  # the first letters are visible again already
                    break
                yield from new
        finally:
            for receipt_handle in held.values():
                self._release(receipt_handle)

    def redrive(self, letter: Letter) -> None:
        """Send a letter's message to the message queue again, then take the letter off the queue."""
        attributes = {name: value for name, value in letter.attributes.items() if name not in OURS}
        self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=letter.body, MessageAttributes=attributes)
        self.delete(letter)

    def delete(self, letter: Letter) -> None:
        """Take a letter off the queue."""
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt_handle)

    def _receive(self) -> Sequence[MessageTypeDef]:
        return self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=POLL_S,
            VisibilityTimeout=HELD_S,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
        ).get("Messages", [])

    def _release(self, receipt_handle: str) -> None:
        try:
            self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=0)
        except ClientError:
            return  # the letter was deleted, or is visible again already


def list_letters(letters: DeadLetters) -> None:
    """Print one line for each letter, the oldest first."""
    found = sorted(letters.each(), key=lambda letter: letter.sent_at)
    print(f"{len(found)} dead letter{'' if len(found) == 1 else 's'}")
    if found:
        print(f"{'letter':36}  {'age':>6}  {'message':36}  {'company':36}  reason")
    for letter in found:
        ids = f"{letter.metadata('message_id'):36}  {letter.metadata('company_id'):36}"
        print(printable(f"{letter.letter_id:36}  {_age(letter.sent_at):>6}  {ids}  {letter.reason}"))
    _tell_of_more(letters)


def show(letters: DeadLetters, letter_id: str) -> None:
    """Print one letter in full. Raises `DeadLetterError` if it is not there."""
    with closing(letters.each()) as found:
        print(_the(letter_id, found, letters).as_json(), end="")


def redrive(letters: DeadLetters, letter_ids: Sequence[str] | None) -> None:
    """Redrive the letters with these ids, or all if `letter_ids` is None, and print a line for each.

    Raises `DeadLetterError` for ids that are not on the queue, after it redrove the others. You can simply run an
    interrupted redrive again: letters that were redriven are off the queue, and the others are still on it.
    """
    wanted = None if letter_ids is None else set(letter_ids)
    done = 0
    with closing(letters.each()) as found:
        for letter in found:
            if wanted is not None and letter.letter_id not in wanted:
                continue
            letters.redrive(letter)
            done += 1
            print(printable(f"{done}  redriven {letter.letter_id}  ({letter.reason})"), flush=True)
            if wanted is not None:
                wanted.remove(letter.letter_id)
                if not wanted:
                    break
    print(f"{done} redriven; `list` shows those that fail again")
    if wanted:
        raise _missing(letters, *sorted(wanted))
    _tell_of_more(letters)


def delete(letters: DeadLetters, letter_id: str, save_to: Path) -> None:
    """Save a letter to a new file, then take it off the queue. If it raises `DeadLetterError`, nothing was deleted."""
    with closing(letters.each()) as found:
        letter = _the(letter_id, found, letters)
        _save(letter, save_to)
        letters.delete(letter)
    print(f"saved to {save_to}; deleted {letter_id}")


def _the(letter_id: str, found: Iterable[Letter], letters: DeadLetters) -> Letter:
    for letter in found:
        if letter.letter_id == letter_id:
            return letter
    raise _missing(letters, letter_id)


def _tell_of_more(letters: DeadLetters) -> None:
    if not letters.read_whole:
        print(f"There may be more: the end of the queue was not reached within {HELD_S} s.")


def _missing(letters: DeadLetters, *letter_ids: str) -> DeadLetterError:
    named = ", ".join(letter_ids)
    if not letters.read_whole:
        return DeadLetterError(f"not found: the queue was not read to its end within {HELD_S} s; try again: {named}")
    return DeadLetterError(f"not in the dead-letter queue (`list` shows the letters that are): {named}")


def _save(letter: Letter, path: Path) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(letter.as_json())
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise DeadLetterError(f"{path} exists already; name a new file with --save-to") from None
    except OSError as error:
        raise DeadLetterError(f"{path} cannot be written ({error.strerror}); nothing was deleted") from error


def _as_json(value: MessageAttributeValueOutputTypeDef) -> str | dict[str, str]:
    """Return a plain string as it is, and any other value with its type; bytes are in base64."""
    if "BinaryValue" in value:
        return {"DataType": value["DataType"], "BinaryValue": base64.b64encode(value["BinaryValue"]).decode()}
    if value["DataType"] == "String":
        return value["StringValue"]
    return {"DataType": value["DataType"], "StringValue": value["StringValue"]}


def _age(sent_at: datetime) -> str:
    seconds = (datetime.now(UTC) - sent_at).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _connected(stage: str) -> DeadLetters:
    """Return the stage's dead letters."""
    reach(stage)
    sqs = boto3.client("sqs")
    urls = [sqs.get_queue_url(QueueName=f"dragonpost-{stage}-messages{suffix}")["QueueUrl"] for suffix in ("-dead", "")]
    return DeadLetters(sqs, *urls)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parse(arguments)
    try:
        letters = _connected(options.stage)
        if options.command == "list":
            list_letters(letters)
        elif options.command == "show":
            show(letters, options.letter)
        elif options.command == "redrive":
            redrive(letters, None if options.all else options.letters)
        else:
            delete(letters, options.letter, options.save_to)
    except (DeadLetterError, DevstackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:
        print(f"error: {error}. Is the stage deployed, and may you use its queues?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing is lost: run it again to go on", file=sys.stderr)
        return 130
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.dead_letters", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print one line for each letter")
    commands.add_parser("show", help="print one letter in full").add_argument("letter")
    again = commands.add_parser("redrive", help="send letters to the message queue again, after a fix")
    again.add_argument("letters", nargs="*", metavar="letter")
    again.add_argument("--all", action="store_true")
    remove = commands.add_parser("delete", help="save one letter to a file, then delete it")
    remove.add_argument("letter")
    remove.add_argument("--save-to", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.command == "redrive" and bool(options.letters) == options.all:
        parser.error("name the letters to redrive, or say --all")
    return options


if __name__ == "__main__":
    sys.exit(main())
