"""Look after a stage's dead letters: `.venv/bin/python -m operations.dead_letters --stage prod list`.

`chalicelib/messages/dead_letters.py` says what they are; operators can do the same through the API (`GET
/operator/dead-letters`). These commands lose no letter: `redrive` sends a message before it deletes the letter, and
`delete` saves the letter to a file first.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import boto3

from chalicelib.messages import dead_letters as module
from chalicelib.messages.dead_letters import DeadLetters, Letter, LetterGone, Queues, QueueTooLong
from operations.exit_status import exit_status
from operations.reach import reach
from operations.stages import STAGES
from operations.terminal import printable


class DeadLetterError(Exception):
    """An error that the operator has to see; the message says what to do."""


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
    with _held(letters, letter_id) as letter:
        print(_as_json(letter), end="")


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
    with _held(letters, letter_id) as letter:
        _save(letter, save_to)
        letters.delete(letter)
    print(f"saved to {save_to}; deleted {letter_id}")


@contextmanager
def _held(letters: DeadLetters, letter_id: str) -> Iterator[Letter]:
    try:
        with letters.held(letter_id) as letter:
            yield letter
    except (LetterGone, QueueTooLong) as error:
        raise _missing(letters, letter_id) from error


def _as_json(letter: Letter) -> str:
    """Return the whole letter as `show` prints it and `delete` saves it."""
    return printable(json.dumps(letter.as_members(), indent=2, ensure_ascii=False), besides="\n") + "\n"


def _tell_of_more(letters: DeadLetters) -> None:
    if not letters.read_whole:
        print(f"There may be more: the end of the queue was not reached within {module.HELD_S} s.")


def _missing(letters: DeadLetters, *letter_ids: str) -> DeadLetterError:
    named = ", ".join(letter_ids)
    if not letters.read_whole:
        within = f"the queue was not read to its end within {module.HELD_S} s"
        return DeadLetterError(f"not found: {within}; try again: {named}")
    return DeadLetterError(f"not in the dead-letter queue (`list` shows the letters that are): {named}")


def _save(letter: Letter, path: Path) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_as_json(letter))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise DeadLetterError(f"{path} exists already; name a new file with --save-to") from None
    except OSError as error:
        raise DeadLetterError(f"{path} cannot be written ({error.strerror}); nothing was deleted") from error


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
    dead_letters, messages = urls
    return DeadLetters(Queues(messages, dead_letters), lambda: sqs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parse(arguments)
    return exit_status(
        lambda: _run(options),
        DeadLetterError,
        may="use its queues",
        interrupted="interrupted; nothing is lost: run it again to go on",
    )


def _run(options: argparse.Namespace) -> None:
    letters = _connected(options.stage)
    if options.command == "list":
        list_letters(letters)
    elif options.command == "show":
        show(letters, options.letter)
    elif options.command == "redrive":
        redrive(letters, None if options.all else options.letters)
    else:
        delete(letters, options.letter, options.save_to)


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
