"""Bring a store back as it was at a time: `.venv/bin/python -m operations.restore --stage prod --what table --to TIME`.

Without `--yes` nothing is changed: it prints what would come back. Everything that was made since that time stays:

- `table` (the messages' index), `submissions`, `dragon-table`: point-in-time recovery makes a new table, from which the
  missing rows are copied into the one that stands. A row that stands is left as it is. If the table itself was deleted,
  it is made again under its own name, from the backup that DynamoDB makes of a deleted table: as it was when it was
  deleted.
- `archive`: objects that were deleted since come back, and those that were overwritten get their content of that time.
- `dragons`: the dragon document gets its content of that time, as a new version, unless the registry was moved.

What is back already is left alone, so an interrupted run is finished by the next one with the same time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.dragons.document import Document, DocumentCorrupt, moved_to
from chalicelib.dragons.dynamodb import DRAGONS, ENTRY, FENCE, PART, SORT_KEY
from operations import dragon_rows, resources, versions
from operations.contents import PLACE, of_this_environment
from operations.exit_status import exit_status
from operations.reach import reach
from operations.stages import STAGES
from operations.stores import Clients, Standing
from operations.terminal import printable

POLL_S = 10.0
ROWS_AT_ONCE = 10  # connections of a client
TOLD_EACH = 1_000
NAMES_TOLD = 20


class RestoreError(Exception):
    """An error that the operator has to see; the message says what to do."""


# --- The tables --------------------------------------------------------------------------------------------------


def restore_table(stage: Standing, store: str, to: datetime, *, really: bool) -> None:
    """Bring the rows back that are missing. Raises RestoreError."""
    dynamodb, table = stage.clients("dynamodb"), stage.resources[store]
    if _described(dynamodb, table) is None:
        _restore_deleted(stage, store, really=really)
        return
    if really and not _recovery(dynamodb, table):
        # An earlier run made it again, and was interrupted before it could do this.
        _wait(dynamodb, table)
        _set_up(dynamodb, table, stage.name, store)
        print(f"{table} has its settings again")
    copy = f"{table}-restored-{to:%Y%m%dT%H%M%SZ}"
    if _described(dynamodb, copy) is None:
        _check_recoverable(dynamodb, table, to)
        print(f"the table {copy}, as {table} was at {to.isoformat()}: {'making it' if really else 'would be made'}")
        if not really:
            print(f"rows of it that {table} lacks would be copied. How many they are shows only then")
            return
        dynamodb.restore_table_to_point_in_time(SourceTableName=table, TargetTableName=copy, RestoreDateTime=to)
    else:
        print(f"the table {copy} is there already, from an earlier run")
        if not really:
            print(f"rows of it that {table} lacks would be copied")
            return
    _wait(dynamodb, copy)
    differing = _copy_rows(dynamodb, copy, table)
    if differing:
        print(
            f"{differing} rows stand in {table} with other content; they were left as they are. {copy} was kept, so "
            f"that you can compare them. Then delete it: .venv/bin/aws dynamodb delete-table --table-name {copy}"
        )
        return
    dynamodb.delete_table(TableName=copy)
    print(f"{copy} is deleted")


def _check_recoverable(dynamodb: Any, table: str, to: datetime) -> None:
    recovery = _recovery(dynamodb, table)
    if not recovery:
        raise RestoreError(f"{table} has no point-in-time recovery, so nothing has kept what it was")
    earliest, latest = recovery["EarliestRestorableDateTime"], recovery["LatestRestorableDateTime"]
    if not earliest <= to <= latest:
        raise RestoreError(
            f"{table} can be recovered as it was between {earliest.astimezone(UTC).isoformat()} and "
            f"{latest.astimezone(UTC).isoformat()}, not at {to.isoformat()}"
        )


def _recovery(dynamodb: Any, table: str) -> Mapping[str, Any] | None:
    """Return between which times a table can be recovered, or None if it has no point-in-time recovery."""
    described = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    recovery: Mapping[str, Any] = described["PointInTimeRecoveryDescription"]
    return recovery if recovery["PointInTimeRecoveryStatus"] == "ENABLED" else None


def _copy_rows(dynamodb: Any, source: str, table: str) -> int:
    """Copy the rows that the table lacks. Return how many rows it has with other content."""
    seen = copied = differing = told = 0
    described = dynamodb.describe_table(TableName=table)["Table"]
    [key] = [each["AttributeName"] for each in described["KeySchema"] if each["KeyType"] == "HASH"]

    def copy(row: Any) -> str:
        if PART in row and row[SORT_KEY]["S"] != FENCE:
            # A dragon comes back with its copy and its count, which therefore need not be looked at themselves.
            return dragon_rows.add(dynamodb, table, row[ENTRY]["S"].encode()) if row[PART]["S"] == DRAGONS else "same"
        try:
            dynamodb.put_item(
                TableName=table,
                Item=row,
                ConditionExpression="attribute_not_exists(#key)",
                ExpressionAttributeNames={"#key": key},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            # A row may have got more since: the keys that `make backfill-messages` fills in, for example.
            standing: Mapping[str, Any] = error.response.get("Item", {})  # type: ignore[assignment]
            return "same" if row.items() <= standing.items() else "differing"
        return "copied"

    with ThreadPoolExecutor(ROWS_AT_ONCE) as pool:
        for page in dynamodb.get_paginator("scan").paginate(TableName=source, ConsistentRead=True):
            outcomes = list(pool.map(copy, page["Items"]))
            seen += len(outcomes)
            copied += sum(outcome in ("copied", "added") for outcome in outcomes)
            differing += outcomes.count("differing")
            if seen - told >= TOLD_EACH:
                print(f"  {seen} rows looked at, {copied} of them copied", flush=True)
                told = seen
    print(f"  {seen} rows looked at, {copied} of them copied", flush=True)
    return differing


def _restore_deleted(stage: Standing, store: str, *, really: bool) -> None:
    """Make the deleted table again, under its own name: policies and settings name it, and the stack still holds it.

    DynamoDB makes a system backup of a table that is deleted while it has point-in-time recovery, and keeps it for 35
    days (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/pointintimerecovery_beforeyoubegin.html).
    """
    dynamodb, table = stage.clients("dynamodb"), stage.resources[store]
    pages = dynamodb.get_paginator("list_backups").paginate(TableName=table, BackupType="SYSTEM")
    backups = [backup for page in pages for backup in page["BackupSummaries"] if backup["BackupType"] == "SYSTEM"]
    if not backups:
        raise RestoreError(f"the table {table} is gone, and DynamoDB has no backup of it from when it was deleted")
    newest = max(backups, key=lambda backup: backup["BackupCreationDateTime"])
    at = newest["BackupCreationDateTime"].astimezone(UTC).isoformat()
    print(
        f"the table {table} is gone. As it was when it was deleted ({at}): {'making it' if really else 'would be made'}"
    )
    if not really:
        return
    dynamodb.restore_table_from_backup(TargetTableName=table, BackupArn=newest["BackupArn"])
    _wait(dynamodb, table)
    _set_up(dynamodb, table, stage.name, store)
    print(f"{table} is back. To bring back rows that were missing before it was deleted, run this again later")


def _set_up(dynamodb: Any, table: str, stage: str, store: str) -> None:
    """Set what a restored table lacks, as the template has it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/pointintimerecovery_restores.html
    """
    template = resources.template()
    properties = template["Resources"][store]["Properties"]
    dynamodb.update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"]
    )
    if STAGES[stage].keeps_data:
        dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
    if "TimeToLiveSpecification" in properties:
        wanted = {**properties["TimeToLiveSpecification"], "Enabled": True}
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)


def _described(dynamodb: Any, table: str) -> Mapping[str, Any] | None:
    try:
        described: Mapping[str, Any] = dynamodb.describe_table(TableName=table)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return None
    return described


def _wait(dynamodb: Any, table: str) -> None:
    """Wait until a restored table can be read, which can take hours."""
    begun = time.monotonic()
    while (_described(dynamodb, table) or {}).get("TableStatus") != "ACTIVE":
        print(f"  {table} is being made ({time.monotonic() - begun:.0f} s)", flush=True)
        time.sleep(POLL_S)


# --- The archive -------------------------------------------------------------------------------------------------


def restore_archive(stage: Standing, store: str, to: datetime, *, really: bool) -> None:
    """Bring back the objects that were deleted or overwritten since."""
    s3, bucket = stage.clients("s3"), stage.resources[store]
    deleted = overwritten = 0
    for key, history in _histories(s3, bucket):
        then = _at(history, to)
        if then is None or history[0].get("ETag") == then["ETag"]:
            continue
        since = history[: history.index(then)]
        if any("Size" in each for each in since):
            overwritten += 1
            if really:
                source = {"Bucket": bucket, "Key": key, "VersionId": then["VersionId"]}
                s3.copy_object(Bucket=bucket, Key=key, CopySource=source)
        else:
            deleted += 1
            for marker in since if really else ():
                s3.delete_object(Bucket=bucket, Key=key, VersionId=marker["VersionId"])
        if really and (deleted + overwritten) % TOLD_EACH == 0:
            print(f"  {deleted + overwritten} objects are back", flush=True)
    does = "came" if really else "would come"
    print(f"{deleted} deleted objects {does} back, and {overwritten} with other content")


def _histories(s3: Any, bucket: str, prefix: str = "") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each key with its versions and delete markers, the newest first. A key's may be on several pages.

    S3 lists a key's versions from the newest on, and sorting leaves those of one second in that order.
    """
    listed = (
        item for page in versions.pages(s3, bucket, prefix) for item in sorted(page, key=lambda item: item["Key"])
    )
    for key, items in groupby(listed, key=lambda item: str(item["Key"])):
        yield key, sorted(items, key=lambda item: (item["IsLatest"], item["LastModified"]), reverse=True)


def _at(history: Sequence[dict[str, Any]], to: datetime) -> dict[str, Any] | None:
    """Return the version that was the latest one then, or None if there was none: not written yet, or deleted."""
    then = next((each for each in history if each["LastModified"] <= to), None)
    return then if then and "Size" in then else None


# --- The dragon document -----------------------------------------------------------------------------------------


def restore_dragons(stage: Standing, _store: str, to: datetime, *, really: bool) -> None:
    """Put the document of that time as the newest version, if nobody has changed it meanwhile. Raises RestoreError."""
    s3 = stage.clients("s3")
    bucket, key = (stage.parameter(name) for name in PLACE)
    history = next((found for name, found in _histories(s3, bucket, key) if name == key), [])
    then = _at(history, to)
    if then is None:
        kept = f"the oldest version is of {history[-1]['LastModified'].isoformat()}" if history else "there is none"
        raise RestoreError(f"there was no dragon document s3://{bucket}/{key} at {to.isoformat()}; {kept}")
    body = _content(s3, bucket, key, then)
    present = _content(s3, bucket, key, history[0])
    if place := moved_to(present):
        raise RestoreError(f"the registry was moved to {place}, and s3://{bucket}/{key} is left; WHAT=dragon-table")
    if body == present:
        print(f"the dragon document is what it was at {to.isoformat()}")
        return
    _tell_dragons(body, present, to)
    if not really:
        return
    unchanged = {"IfMatch": history[0]["ETag"]} if "Size" in history[0] else {"IfNoneMatch": "*"}
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", **unchanged)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
            raise RestoreError(
                "somebody changed the dragon document meanwhile; nothing was done, run this again"
            ) from error
        raise
    print(f"s3://{bucket}/{key} is as it was at {to.isoformat()}")


def _content(s3: Any, bucket: str, key: str, version: Mapping[str, Any]) -> bytes:
    """Return a version's content; a delete marker's is blank."""
    if "Size" not in version:
        return b""
    body: bytes = s3.get_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])["Body"].read()
    return body


def _tell_dragons(then: bytes, now: bytes, to: datetime) -> None:
    """Print how the two documents differ. Raises RestoreError if the earlier one could not be used."""
    try:
        before = _names(then)
    except DocumentCorrupt as corrupt:
        raise RestoreError(f"the dragon document of {to.isoformat()} is {corrupt}; choose another time") from corrupt
    try:
        present = _names(now)
    except DocumentCorrupt:
        print("the present document is missing or corrupt")
        present = set()
    print(f"{len(before)} dragons then, {len(present)} now")
    for what, names in (("come back", before - present), ("go, for they were added since", present - before)):
        told = ", ".join(sorted(names)[:NAMES_TOLD])
        print(printable(f"{len(names)} {what}{': ' if names else ''}{told}{', …' if len(names) > NAMES_TOLD else ''}"))


def _names(document: bytes) -> set[str]:
    return {dragon.dragon_name_str for dragon in Document.parsed(document).dragons.values()}


Restoring = Callable[..., None]
WHAT: Mapping[str, tuple[str, Restoring]] = {
    "table": ("MessageTable", restore_table),
    "submissions": ("SubmissionTable", restore_table),
    "dragon-table": ("DragonTable", restore_table),
    "archive": ("MessageBucket", restore_archive),
    "dragons": ("DragonBucket", restore_dragons),
}


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns the exit status."""
    options = _parse(arguments)
    store, restore = WHAT[options.what]

    def work() -> None:
        reach(options.stage)
        restore(Standing.found(options.stage, clients), store, options.to, really=options.yes)
        if options.yes:
            print("what was forgotten on purpose since then is back, too: run `make forget` again for it")
        else:
            print("nothing was changed; DO=yes (--yes) does it")

    interrupted = "interrupted; run the same command again to finish"
    return exit_status(work, RestoreError, may="restore its stores", interrupted=interrupted)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.restore", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--what", choices=WHAT, required=True)
    parser.add_argument("--to", type=_time, required=True, help="a time with its zone, such as 2026-11-26T04:00:00Z")
    parser.add_argument("--yes", action="store_true", help="restore; without this, only say what would come back")
    return parser.parse_args(arguments)


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not a time such as 2026-11-26T04:00:00Z") from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("it lacks its zone; 2026-11-26T04:00:00Z is in UTC")
    if moment > datetime.now(UTC):
        raise argparse.ArgumentTypeError("that is yet to come")
    return moment.astimezone(UTC).replace(microsecond=0)  # S3 tells times in whole seconds


if __name__ == "__main__":
    sys.exit(main())
