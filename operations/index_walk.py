"""A walk over every row of the messages' index: side by side, with a line of progress for each page, and resumable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

WORKERS = 20
PAGE = 500  # rows between two lines of progress, and at most what an interrupted run does again

INTERRUPTED = "interrupted; run it again, and it goes on from here"

# Clients that so many workers can use, and that wait when they are throttled.
READY = Config(max_pool_connections=WORKERS, retries={"mode": "standard", "max_attempts": 10})


@dataclass
class Progress:
    """How far a walk has come, kept in a file so that the next one can go on: the rows after a key, and the outcomes.

    `purpose` is what it is for: the progress of a walk for another purpose counts for nothing. `meanings` says in words
    what each kind of outcome is.
    """

    path: Path
    purpose: Mapping[str, Any]
    meanings: Mapping[str, str]
    after: dict[str, Any] | None = None
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def resumed(cls, path: Path, purpose: Mapping[str, Any], meanings: Mapping[str, str]) -> Progress:
        """Return the progress of an interrupted walk for this purpose, or that of a new one."""
        progress = cls(path, purpose, meanings)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["purpose"] == dict(purpose):
                progress.after, progress.counts = kept["after"], Counter(kept["counts"])
        except (OSError, ValueError, LookupError):
            pass  # there is none, or nobody can tell what it says
        return progress

    def save(self) -> None:
        """Keep the progress."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"purpose": self.purpose, "after": self.after, "counts": self.counts}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(kept), encoding="utf-8")
        new.replace(self.path)

    def told(self) -> str:
        """Return the progress as one line."""
        parts = [f"{self.counts[kind]:,} {meaning}" for kind, meaning in self.meanings.items() if self.counts[kind]]
        return f"{self.counts.total():,} rows: {', '.join(parts) or 'nothing to do'}"


def walk(
    dynamodb: Any, table: str, attributes: str, treat: Callable[[Mapping[str, Any]], str], progress: Progress
) -> None:
    """Treat every row that the walk has not seen yet; print a line and keep the progress after each page.

    `attributes` is what to read of a row, and `treat` returns the kind of its outcome. Raises ClientError.
    """
    if progress.after:
        print(f"going on after {progress.counts.total():,} rows, where the last run was interrupted")
    with ThreadPoolExecutor(WORKERS) as pool:
        while True:
            following = {"ExclusiveStartKey": progress.after} if progress.after else {}
            page = dynamodb.scan(TableName=table, ProjectionExpression=attributes, Limit=PAGE, **following)
            progress.counts.update(pool.map(treat, page["Items"]))
            progress.after = page.get("LastEvaluatedKey")
            print(progress.told(), flush=True)
            if progress.after is None:
                progress.path.unlink(missing_ok=True)
                return
            progress.save()


def archived_at(s3: Any, bucket: str, key: str) -> float | None:
    """Return when a message was archived, in seconds since 1970, or None if the archive no longer has it."""
    try:
        found = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return float(found["LastModified"].timestamp())
