"""Align when stored messages expire with the stage's retention: `.venv/bin/python -m operations.expire --stage prod`.

The consumer gives each new row its time. Rows that were there before `ArchiveRetentionDays` changed keep what they had,
which may be nothing, while S3 applies the archive's new rule to old objects, too. This command gives every row the time
that follows from when its message was archived, or takes it away if messages are kept for ever. It may be interrupted:
run it again, and it goes on. Nothing but `expires_at` is changed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.aws import DependencyError
from chalicelib.messages.stored import EXPIRES_AT, expiry, has_expired
from chalicelib.settings import SettingError, Settings
from devstack.settings import DevstackError
from operations import PROJECT
from operations.reach import reach
from operations.stages import STAGES

WORKERS = 20
PAGE = 500  # rows between two lines of progress, and at most what an interrupted run does again

ALIGNED, RIGHT, GONE, CHANGED, ODD = "aligned", "right already", "gone", "changed meanwhile", "odd"
_MEANINGS = {
    ALIGNED: "aligned",
    RIGHT: "right already",
    GONE: "expire now, because the archive no longer has their messages",
    CHANGED: "changed meanwhile and left alone",
    ODD: "left alone, because they are no messages",
}


@dataclass
class Progress:
    """How far a run has come, kept in a file so that the next one can go on: the rows after a key, and the counts."""

    path: Path
    table: str
    days: int
    after: dict[str, Any] | None = None
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def resumed(cls, path: Path, table: str, days: int) -> Progress:
        """Return the progress of an interrupted run for the same days, or that of a new one."""
        progress = cls(path, table, days)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if (kept["table"], kept["days"]) == (table, days):
                progress.after, progress.counts = kept["after"], Counter(kept["counts"])
        except (OSError, ValueError, LookupError):
            pass  # there is none, or nobody can tell what it says
        return progress

    def save(self) -> None:
        """Keep the progress."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"table": self.table, "days": self.days, "after": self.after, "counts": self.counts}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(kept), encoding="utf-8")
        new.replace(self.path)

    def told(self) -> str:
        """Return the progress as one line."""
        parts = [f"{self.counts[kind]:,} {meaning}" for kind, meaning in _MEANINGS.items() if self.counts[kind]]
        return f"{self.counts.total():,} rows: {', '.join(parts) or 'nothing to do'}"


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
        """Align every row that the run has not seen yet; print a line and keep the progress after each page."""
        with ThreadPoolExecutor(WORKERS) as pool:
            while True:
                page = self._page(progress.after)
                progress.counts.update(pool.map(self.align, page["Items"]))
                progress.after = page.get("LastEvaluatedKey")
                print(progress.told(), flush=True)
                if progress.after is None:
                    progress.path.unlink(missing_ok=True)
                    return
                progress.save()

    def align(self, row: Mapping[str, Any]) -> str:
        """Give a row its time; return the kind of its outcome."""
        if "message_s3_key" not in row:
            return ODD
        seen = row.get(EXPIRES_AT, {}).get("N")
        archived_at = self._archived_at(row["message_s3_key"]["S"]) if self._days else 0.0
        if archived_at is None:
            if has_expired(row, time.time()):
                return GONE
            return GONE if self._set(row, seen, int(time.time())) else CHANGED
        wanted = expiry(self._days, archived_at)
        if seen == (None if wanted is None else str(wanted)):
            return RIGHT
        return ALIGNED if self._set(row, seen, wanted) else CHANGED

    def _page(self, after: dict[str, Any] | None) -> dict[str, Any]:
        following = {"ExclusiveStartKey": after} if after else {}
        page: dict[str, Any] = self._dynamodb.scan(
            TableName=self._table,
            ProjectionExpression=f"message_id, company_id, message_s3_key, {EXPIRES_AT}",
            Limit=PAGE,
            **following,
        )
        return page

    def _archived_at(self, key: str) -> float | None:
        """Return when a message was archived, or None if the archive no longer has it."""
        try:
            found = self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return float(found["LastModified"].timestamp())

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
    ready = Config(max_pool_connections=WORKERS, retries={"mode": "standard", "max_attempts": 10})
    settings = Settings({Settings.stage.variable: stage}, lambda: boto3.client("ssm"))
    days, table = int(settings.archive_retention_days), settings.message_table_name
    progress = Progress.resumed(PROJECT / ".local" / f"expire-{stage}.json", table, days)
    print(f"{stage} keeps messages {f'for {days} days' if days else 'for ever'}")
    if progress.after:
        print(f"going on after {progress.counts.total():,} rows, where the last run was interrupted")
    clients = boto3.client("dynamodb", config=ready), boto3.client("s3", config=ready)
    Alignment(*clients, table, settings.message_archive_bucket_name, days).run(progress)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.expire", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    try:
        _align(parser.parse_args(arguments).stage)
    except (SettingError, DependencyError, DevstackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:
        print(f"error: {error}. Is the stage deployed, and may you use its table and archive?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again, and it goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
