"""What the emulator saved at its last clean end, looked at before the emulator does.

MiniStack starts a service whose file it cannot use empty, or hangs, and its next end overwrites the file. So a damaged
file has to be found first.
"""

from __future__ import annotations

import json
from pathlib import Path

from devstack.settings import DevstackError

# The services that the stacks are made of; MiniStack writes a file for each of them at every end.
_NEEDED = (
    "apigateway_v1", "cloudformation", "cognito", "dynamodb", "iam", "lambda", "s3", "sns", "sqs", "ssm",
    "stepfunctions",
)  # fmt: skip


def check(folder: Path) -> None:
    """Raise DevstackError, naming the file, if what is saved in this folder cannot be used as a whole."""
    files = sorted(folder.glob("*.json"))
    for file in files:
        if why := _what_is_wrong(file):
            raise _unusable(file, why)
    for name in _NEEDED if files else ():
        file = folder / f"{name}.json"
        if not file.exists():
            raise _unusable(file, "it is missing")


def _what_is_wrong(file: Path) -> str:
    """Say why MiniStack could not use a file of the form it writes (`save_state`, ministack/core/persistence.py)."""
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
