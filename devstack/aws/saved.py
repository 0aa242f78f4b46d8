"""What the emulator saved at its last clean end, checked before the emulator reads it.

If MiniStack cannot use a service's file, it starts that service empty, or hangs, and overwrites the file when it ends.
So a damaged file has to be found before that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from devstack.settings import DevstackError

# The services that the stacks are made of. Once one of them has been used, MiniStack writes its file at every end.
NEEDED = (
    "apigateway_v1", "cloudformation", "cognito", "dynamodb", "iam", "lambda", "s3", "sns", "sqs", "ssm",
    "stepfunctions",
)  # fmt: skip


# `_queue_url_for_account`, ministack/services/sqs.py
_QUEUE_URL = re.compile(rb"(https?://localhost:)\d+(/000000000000/dragonpost-[a-z0-9]+-messages(?:-dead)?(?![\w.-]))")


def check_readable(folder: Path) -> None:
    """Raise DevstackError, naming the file, if a file in this folder cannot be used."""
    for file in sorted(folder.glob("*.json")):
        if why := _what_is_wrong(file):
            raise _unusable(file, why)


def check_complete(folder: Path) -> None:
    """Raise DevstackError, naming the file, if a service that the deployed stacks are made of has none."""
    for name in NEEDED:
        file = folder / f"{name}.json"
        if not file.exists():
            raise _unusable(file, "it is missing")


def move_queues(files: Iterable[Path], port: int) -> None:
    """Change the URLs of the stage's queues in these files to the emulator's port of this run.

    A queue's URL has the port that it was made on. MiniStack looks for the queue of an event source mapping by its
    present port, and delivers nothing if it finds none.
    """
    for file in files:
        before = file.read_bytes()
        after = _QUEUE_URL.sub(rb"\g<1>%d\g<2>" % port, before)
        if after != before:
            moved = file.with_suffix(".moved")
            moved.write_bytes(after)
            moved.replace(file)


def _what_is_wrong(file: Path) -> str:
    """Return why MiniStack could not use a file that it wrote (`save_state`, ministack/core/persistence.py), or ""."""
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return str(error)
    if not isinstance(saved, dict) or not isinstance(saved.get("payload"), dict):
        return "it is not what the emulator writes"
    return ""


def _unusable(file: Path, why: str) -> DevstackError:
    return DevstackError(
        f"the emulator cannot read its saved state: {file}: {why}\n"
        "Repair that file or put a copy of it back, or forget everything with `make reset`. Nothing was changed."
    )
