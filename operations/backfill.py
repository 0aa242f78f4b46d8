"""List the messages that were stored before lists: `.venv/bin/python -m operations.backfill --stage prod`.

`GET /messages` shows the rows that have the keys of its index. The consumer gives them to each new row. Older rows lack
them, and this command fills them in, with the time at which the archive took the message. It changes nothing else, and
no row that has them. Without `--yes` it changes nothing at all, and prints what it would do. It may be interrupted: run
it again, and it goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import boto3

from chalicelib.messages.listing import ACCEPTED_AT_ID, COMPANY_PART, keys
from chalicelib.messages.stored import EXPIRES_AT, has_expired
from chalicelib.settings import Settings
from operations import PROJECT
from operations.exit_status import exit_status
from operations.index_walk import INTERRUPTED, READY, Progress, archived_at, walk
from operations.reach import reach
from operations.stages import STAGES

FILLED, RIGHT, EXPIRED, GONE, ODD = "filled in", "listed already", "expired", "gone", "odd"
_MEANINGS = {
    FILLED: "filled in",
    RIGHT: "listed already",
    EXPIRED: "left alone, because they have expired",
    GONE: "left alone, because the archive no longer has their messages",
    ODD: "left alone, because they are no messages",
}
_MEANINGS_OF_A_LOOK = _MEANINGS | {FILLED: "would be filled in"}


class Backfill:
    """Gives rows the keys under which they are listed. Safe to share between threads."""

    def __init__(self, dynamodb: Any, s3: Any, table: str, bucket: str, *, really: bool) -> None:
        """Take the clients, the names of the index and of the archive, and whether to change anything."""
        self._dynamodb = dynamodb
        self._s3 = s3
        self._table = table
        self._bucket = bucket
        self._really = really

    def run(self, progress: Progress) -> None:
        """Fill in every row that the run has not seen yet."""
        attributes = f"message_id, company_id, message_s3_key, {EXPIRES_AT}, {ACCEPTED_AT_ID}"
        walk(self._dynamodb, self._table, attributes, self.fill_in, progress)

    def fill_in(self, row: Mapping[str, Any]) -> str:
        """Give a row its keys; return the kind of its outcome."""
        if "message_s3_key" not in row:
            return ODD
        if ACCEPTED_AT_ID in row:
            return RIGHT
        if has_expired(row, time.time()):
            return EXPIRED
        archived = archived_at(self._s3, self._bucket, row["message_s3_key"]["S"])
        if archived is None:
            return GONE
        return FILLED if not self._really or self._set(row, archived) else RIGHT

    def _set(self, row: Mapping[str, Any], accepted_s: float) -> bool:
        """Set a row's keys; False if it has them by now, or is gone."""
        found = keys(row["company_id"]["S"], row["message_id"]["S"], int(accepted_s * 1000))
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={name: row[name] for name in ("message_id", "company_id")},
                UpdateExpression=f"SET {COMPANY_PART} = :part, {ACCEPTED_AT_ID} = :accepted",
                ConditionExpression=f"attribute_exists(message_id) AND attribute_not_exists({ACCEPTED_AT_ID})",
                ExpressionAttributeValues={
                    ":part": {"S": found[COMPANY_PART]},
                    ":accepted": {"S": found[ACCEPTED_AT_ID]},
                },
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _backfill(stage: str, *, really: bool) -> None:
    reach(stage)
    settings = Settings({Settings.stage.variable: stage}, lambda: boto3.client("ssm"))
    table = settings.message_table_name
    path = PROJECT / ".local" / f"backfill-{stage}{'' if really else '-look'}.json"
    progress = Progress.resumed(path, {"table": table}, _MEANINGS if really else _MEANINGS_OF_A_LOOK)
    clients = boto3.client("dynamodb", config=READY), boto3.client("s3", config=READY)
    Backfill(*clients, table, settings.message_archive_bucket_name, really=really).run(progress)
    if not really:
        print("nothing was changed; DO=yes (--yes) fills them in")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.backfill", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--yes", action="store_true", help="fill them in; without this, only say what would be")
    options = parser.parse_args(arguments)
    return exit_status(
        lambda: _backfill(options.stage, really=options.yes),
        may="use its table and archive",
        interrupted=INTERRUPTED,
    )


if __name__ == "__main__":
    sys.exit(main())
