"""Align when stored messages expire with the stage's retention: `.venv/bin/python -m operations.expire --stage prod`.

The consumer gives each new row its time. Rows that were there before `ArchiveRetentionDays` changed keep what they had,
which may be nothing, while S3 applies the archive's new rule to old objects, too. This command gives every row the time
that follows from when its message was archived, or takes it away if messages are kept for ever. It may be interrupted:
run it again, and it goes on. Nothing but `expires_at` is changed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import boto3

from chalicelib.messages.stored import EXPIRES_AT, expiry, has_expired
from chalicelib.settings import Settings
from operations import PROJECT
from operations.exit_status import exit_status
from operations.index_walk import INTERRUPTED, READY, Progress, archived_at, walk
from operations.reach import reach
from operations.stages import STAGES

ALIGNED, RIGHT, GONE, CHANGED, ODD = "aligned", "right already", "gone", "changed meanwhile", "odd"
_MEANINGS = {
    ALIGNED: "aligned",
    RIGHT: "right already",
    GONE: "expire now, because the archive no longer has their messages",
    CHANGED: "changed meanwhile and left alone",
    ODD: "left alone, because they are no messages",
}


class Alignment:
    """Gives rows their times. Safe to share between threads."""

    def __init__(self, dynamodb: Any, s3: Any, table: str, bucket: str, days: int) -> None:
        """Take the clients, the names of the index and of the archive, and for how many days messages are kept."""
        self._dynamodb = dynamodb
        self._s3 = s3
        self._table = table
        self._bucket = bucket
        self._days = days

    def run(self, progress: Progress) -> None:
        """Align every row that the run has not seen yet."""
        walk(self._dynamodb, self._table, f"message_id, company_id, message_s3_key, {EXPIRES_AT}", self.align, progress)

    def align(self, row: Mapping[str, Any]) -> str:
        """Give a row its time; return the kind of its outcome."""
        if "message_s3_key" not in row:
            return ODD
        seen = row.get(EXPIRES_AT, {}).get("N")
        archived = archived_at(self._s3, self._bucket, row["message_s3_key"]["S"]) if self._days else 0.0
        if archived is None:
            if has_expired(row, time.time()):
                return GONE
            return GONE if self._set(row, seen, int(time.time())) else CHANGED
        wanted = expiry(self._days, archived)
        if seen == (None if wanted is None else str(wanted)):
            return RIGHT
        return ALIGNED if self._set(row, seen, wanted) else CHANGED

    def _set(self, row: Mapping[str, Any], seen: str | None, wanted: int | None) -> bool:
        """Set a row's time, or remove it; False if the row has changed or gone meanwhile."""
        unchanged = f"attribute_not_exists({EXPIRES_AT})" if seen is None else f"{EXPIRES_AT} = :seen"
        values = {":seen": seen, ":wanted": None if wanted is None else str(wanted)}
        given = {name: {"N": value} for name, value in values.items() if value is not None}
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={name: row[name] for name in ("message_id", "company_id")},
                UpdateExpression=f"REMOVE {EXPIRES_AT}" if wanted is None else f"SET {EXPIRES_AT} = :wanted",
                ConditionExpression=f"attribute_exists(message_id) AND {unchanged}",
                ExpressionAttributeValues=given,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _align(stage: str) -> None:
    reach(stage)
    settings = Settings({Settings.stage.variable: stage}, lambda: boto3.client("ssm"))
    days, table = int(settings.archive_retention_days), settings.message_table_name
    path = PROJECT / ".local" / f"expire-{stage}.json"
    progress = Progress.resumed(path, {"table": table, "days": days}, _MEANINGS)
    print(f"{stage} keeps messages {f'for {days} days' if days else 'for ever'}")
    clients = boto3.client("dynamodb", config=READY), boto3.client("s3", config=READY)
    Alignment(*clients, table, settings.message_archive_bucket_name, days).run(progress)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.expire", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    options = parser.parse_args(arguments)
    return exit_status(lambda: _align(options.stage), may="use its table and archive", interrupted=INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
