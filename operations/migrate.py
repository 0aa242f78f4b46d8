"""Move the registry of dragons: `.venv/bin/python -m operations.migrate --stage prod --from s3 --to dynamodb`.

Without `--yes` nothing is changed: it prints what would be moved, and what stands in the way. The service runs
meanwhile:

- To DynamoDB, the entries are copied, and compared. Then whatever was changed since is copied, until that is little.
  `{"moved_to": "dynamodb"}` takes the document's place, if nobody has changed it since it was read, and the rest of the
  changes is copied. For as long as that takes, the API answers 503 to whoever wants dragons.
- To S3, the table is closed first. For as long as it then takes to read it and to write the document, the API answers
  503 to whoever wants dragons, and reports wait in the workflow.

Then the parameter `dragon_store` is changed. Functions that do not know that yet are told by the home that was left.
An interrupted run is finished by the next one, which takes over at once: if the other still runs, it is stopped
(operations/dragon_rows.py says how). What was moved stays where it was, too, until it is moved again.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.dragons.document import Document, DocumentCorrupt, Moved, entries_in, left_for, moved
from chalicelib.dragons.dynamodb import HERE, PART_BYTES_MAX, SORT_KEY_BYTES_MAX, family_part
from chalicelib.dragons.model import Dragon
from chalicelib.settings import Settings
from devstack.settings import DevstackError
from operations.contents import PLACE, of_this_environment
from operations.dragon_rows import (
    Holding,
    RowForeign,
    TakenOver,
    add,
    close_fences,
    first_fence,
    open_fences,
    remove,
    sound_dragons,
)
from operations.namesakes import namesakes
from operations.reach import reach
from operations.stages import STAGES
from operations.stores import Clients, StageOutdated, Standing
from operations.terminal import printable

S3, DYNAMODB = "s3", HERE
STORE = Settings.dragon_store.name

WORKERS = 10  # connections of a client
CHUNK = 500  # entries that wait for them at a time: a million would take 2 GB
ROUNDS_MAX = 1_000  # of trying to leave the document
LEFT_TO_COPY_MAX = 100  # entries, while the API answers 503
# A report waits at least 180 s in the workflow before it fails. The rest is for writing the document.
CLOSED_S_MAX = 100
TOLD_EACH = 1_000
BAR = 40
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: an item has at most 400 KB, and a
# transaction 4 MB. The rest is for the keys.
ENTRY_BYTES_MAX = 396 * 1024
NO_VERSION = "null"  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html

Given = TypeVar("Given")
Made = TypeVar("Made")


class MigrationError(Exception):
    """An error that the operator has to see; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """What is in the document's place: the content, its ETag and its version."""

    body: bytes
    etag: str
    version: str


@dataclass
class Homes:
    """Both homes of a stage's registry, as one run of the command uses them."""

    stage: Standing
    table: str
    bucket: str
    key: str
    run: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def of(cls, stage: Standing) -> Homes:
        """Return the homes of a stage as its parameters name them."""
        bucket, key = (stage.parameter(name) for name in PLACE)
        return cls(stage, stage.parameter(Settings.dragon_table_name.name), bucket, key)

    @property
    def store(self) -> str:
        """The home that the parameter names."""
        return self.stage.parameter(STORE)

    def set_store(self, home: str) -> None:
        """Name the home in Parameter Store."""
        name = f"/dragonpost/{self.stage.name}/{STORE}"
        self.stage.clients("ssm").put_parameter(Name=name, Value=home, Type="String", Overwrite=True)
        print(f"{name} is {home}")

    def document(self, version: str | None = None) -> Place:
        """Return what is in the document's place, or was there in a version."""
        asked = {} if version is None else {"VersionId": version}
        answer = self.stage.clients("s3").get_object(Bucket=self.bucket, Key=self.key, **asked)
        return Place(answer["Body"].read(), answer["ETag"], answer.get("VersionId", NO_VERSION))

    def put_document(self, body: bytes, etag: str) -> Place | None:
        """Put this in the document's place. Return None if somebody has changed what is there since."""
        try:
            answer = self.stage.clients("s3").put_object(
                Bucket=self.bucket, Key=self.key, Body=body, ContentType="application/json", IfMatch=etag
            )
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (409, 412):
                raise
            return None
        return Place(body, answer["ETag"], answer.get("VersionId", NO_VERSION))

    def dragons(self) -> dict[str, bytes]:
        """Return the table's entries by their keys."""
        return sound_dragons(self.stage.clients("dynamodb"), self.table)

    def holding(self) -> Holding:
        """Return all that the table holds."""
        return Holding.of_table(self.stage.clients("dynamodb"), self.table)

    def is_open(self) -> bool:
        """Tell whether the table says that the registry is there, or began to say so: all was copied then."""
        return first_fence(self.stage.clients("dynamodb"), self.table)[0] == DYNAMODB

    def is_ours(self) -> bool:
        """Tell whether this run is the last one that closed the table."""
        return first_fence(self.stage.clients("dynamodb"), self.table)[1] == self.run

    def close(self, *, unless_open: bool) -> None:
        """Close the table, and stop other runs. Raises TakenOver if it is open and must not be."""
        close_fences(self.stage.clients("dynamodb"), self.table, S3, self.run, unless_open=unless_open)

    def open(self, *, begun: bool) -> None:
        """Open the table, which this run has closed, or go on with what another has begun. Raises TakenOver."""
        open_fences(self.stage.clients("dynamodb"), self.table, None if begun else self.run)


# --- From S3 to DynamoDB -----------------------------------------------------------------------------------------


def to_dynamodb(homes: Homes, *, really: bool) -> None:
    """Move the registry to DynamoDB, or finish that. Raises MigrationError, RowForeign and TakenOver."""
    begun = homes.is_open()
    place = homes.document()
    if moved(place.body) is None:
        _check_may_leave(homes, place, begun=begun)
        print(f"{len(entries_of(place.body)):,} dragons are in s3://{homes.bucket}/{homes.key}")
    elif not really:
        print("the document was left already; the rest would be finished")
    if not really:
        _check_consistent(homes)
        return
    if not begun:
        homes.close(unless_open=True)
        _fill(homes)
    homes.open(begun=begun)
    place = homes.document()
    if place.body != left_for(DYNAMODB) and (
        moved(place.body) is None or not homes.put_document(left_for(DYNAMODB), place.etag)
    ):
        raise _somebody_writes(homes)
    print(f"the dragons are in {homes.table}, and the document says so")
    homes.set_store(DYNAMODB)


def _check_may_leave(homes: Homes, place: Place, *, begun: bool) -> None:
    if homes.store != S3:
        raise MigrationError(
            f"the parameter {STORE} is {homes.store}, but a document is in S3. If a run with FROM=dynamodb TO=s3 "
            "was interrupted, finish it. If the registry never was in DynamoDB, set the parameter to s3"
        )
    if begun:
        raise MigrationError(
            f"the table {homes.table} says that the registry is in it, but a document is in S3. If another run has "
            "just moved it, run this again. If somebody has put the document there since, put "
            f"{left_for(DYNAMODB).decode()} there instead, and set the parameter {STORE} to {DYNAMODB}"
        )
    _check_version(homes, place)


def _check_version(homes: Homes, place: Place) -> None:
    """Raise MigrationError if nobody could read this again, once something else is in its place."""
    if place.version == NO_VERSION:
        raise MigrationError(
            f"the bucket {homes.bucket} keeps no version of the document, so an interrupted move could lose the last "
            "changes: enable its versioning, and put the document there once more"
        )


def _check_consistent(homes: Homes) -> None:
    holding = homes.holding()
    if holding != Holding.of_entries(holding.dragons):
        raise MigrationError(f"the table {homes.table} holds rows that belong to no dragon: repair or delete them")


def _fill(homes: Homes) -> None:
    """Have the table, which this run has closed, hold what the document holds, and leave that. Raises MigrationError.

    The document is read only now: before, another run may have left it.
    """
    place = homes.document()
    left = moved(place.body)
    if left is None:
        _check_version(homes, place)
        entries = entries_of(place.body)
        _copy(homes, entries)
        _leave(homes, entries)
    elif left.from_version:
        _copy(homes, _left_entries(homes, left))
    elif not homes.put_document(left_for(DYNAMODB, run=homes.run), place.etag):  # whoever moves it back is stopped
        raise _somebody_writes(homes)


def _left_entries(homes: Homes, left: Moved) -> dict[str, bytes]:
    if left.from_version is None:
        raise _somebody_writes(homes)
    return entries_of(homes.document(left.from_version).body)


def _somebody_writes(homes: Homes) -> MigrationError:
    return MigrationError(f"somebody else writes to s3://{homes.bucket}/{homes.key}; run this again")


def entries_of(body: bytes) -> dict[str, bytes]:
    """Return a document's entries by their keys. Raises MigrationError if the table cannot hold them."""
    try:
        hidden = namesakes(Document.parsed(body))
        entries = {msgspec.json.decode(entry, type=Dragon).key: entry for entry in entries_in(body)}
    except DocumentCorrupt as corrupt:
        raise MigrationError(f"the dragon document is {corrupt}") from corrupt
    wrong = [
        *hidden,
        *(f"{key[:100]!r} is too large, or has no name" for key in entries if not _fits(key, entries[key])),
    ]
    if wrong:
        raise MigrationError("\n".join(["rename or remove these entries of the document first:", *wrong]))
    return entries


def _fits(key: str, entry: bytes) -> bool:
    family = family_part(msgspec.json.decode(entry, type=Dragon).family_str)
    lengths = len(key.encode()), len(family.encode()), len(entry)
    return bool(key) and all(
        length <= most
        for length, most in zip(lengths, (SORT_KEY_BYTES_MAX, PART_BYTES_MAX, ENTRY_BYTES_MAX), strict=True)
    )


def _copy(homes: Homes, entries: Mapping[str, bytes]) -> None:
    """Have the table, which is closed, hold these entries and nothing else. Raises MigrationError."""
    _change(homes, homes.dragons(), entries)
    if homes.holding() != Holding.of_entries(entries):
        raise MigrationError(
            f"the table {homes.table} does not hold what the document holds: nothing was switched. Somebody else "
            "writes to it, or it holds rows that belong to no dragon: run this again, or empty it"
        )


def _leave(homes: Homes, present: Mapping[str, bytes]) -> None:
    """Leave the document, and copy what was changed since `present`, which the table holds. Raises MigrationError.

    Whoever changes the document meanwhile is faster now and then. So little happens between reading and leaving it.
    """
    for _ in range(ROUNDS_MAX):
        place = homes.document()
        left = moved(place.body)
        if left is not None:  # the answer to leaving it was lost, or a run that this one has stopped was faster
            _change(homes, present, _left_entries(homes, left))
            return
        _check_version(homes, place)
        entries = entries_of(place.body)
        if len(entries.items() ^ present.items()) > LEFT_TO_COPY_MAX:
            _change(homes, present, entries)
            present = entries
        elif homes.put_document(left_for(DYNAMODB, place.version), place.etag):
            # Nobody else writes to a table that is closed, so what was compared before need not be read again.
            _change(homes, present, entries)
            return
    raise MigrationError("the document is changed all the time; run this again when it is quieter")


def _change(homes: Homes, present: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> None:
    """Have the table hold what is wanted, given what it holds. Raises MigrationError."""
    dynamodb = homes.stage.clients("dynamodb")
    going = [key for key, entry in present.items() if wanted.get(key) != entry]
    coming = [entry for key, entry in wanted.items() if present.get(key) != entry]
    for _ in _each(lambda key: remove(dynamodb, homes.table, key, homes.run), going):
        pass
    outcomes = _each(lambda entry: add(dynamodb, homes.table, entry, homes.run), coming)
    if "differing" in _told(outcomes, len(coming)):
        raise MigrationError(f"somebody else writes to the table {homes.table}: nothing was switched")


def _each(work: Callable[[Given], Made], things: Sequence[Given]) -> Iterator[Made]:
    """Yield what the work makes of each thing, several of which it takes at once."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for begin in range(0, len(things), CHUNK):
            yield from pool.map(work, things[begin : begin + CHUNK])


def _told(outcomes: Iterable[str], total: int) -> set[str]:
    """Print how far it is; return which outcomes there were."""
    found = set()
    for done, outcome in enumerate(outcomes, 1):
        found.add(outcome)
        if done % TOLD_EACH == 0 or done == total:
            bar = "#" * (BAR * done // total)
            print(f"  [{bar:{BAR}}] {done:,} of {total:,} copied", flush=True)
    return found


# --- From DynamoDB to S3 -----------------------------------------------------------------------------------------


def to_s3(homes: Homes, *, really: bool, however_long: bool = False) -> None:
    """Move the registry to S3, or finish that. Raises MigrationError, RowForeign and TakenOver."""
    place = homes.document()
    left = moved(place.body)
    if left is not None and left.from_version:
        raise MigrationError("a run with FROM=s3 TO=dynamodb was interrupted: finish it first")
    seconds = _measured(homes)
    if left is not None and seconds > CLOSED_S_MAX and not however_long:
        raise MigrationError(
            f"the registry would be closed for longer than {CLOSED_S_MAX} s, and reports fail after some 180 s: "
            "nothing was changed. Run this from within the region, or with HOWEVER_LONG=yes (--however-long)"
        )
    if not really:
        return
    if left is None:
        if homes.store == S3:
            print("the registry is in S3 already")
            return
        _check_same(entries_of(place.body), homes.dragons())  # an interrupted run has written it
    else:
        _write_document(homes)
    homes.set_store(S3)


def _measured(homes: Homes) -> float:
    """Print what the table holds. Return for how many seconds it was read: it is closed for as long, and longer."""
    began = monotonic()
    entries = homes.dragons()
    seconds = monotonic() - began
    size = sum(map(len, entries.values()))
    print(f"{len(entries):,} dragons ({size:,} bytes) are in {homes.table}; reading them took {seconds:.1f} s")
    return seconds


def _write_document(homes: Homes) -> None:
    """Close the table, and write the document. Raises MigrationError, RowForeign and TakenOver.

    What is left in the document's place names this run before the table is read. So another run that opens the table,
    or moves the registry back itself, changes the ETag first, and this one does not write.
    """
    print("the table is closed; until this has ended, nobody gets a dragon")
    homes.close(unless_open=False)
    place = homes.document()
    left = moved(place.body)
    if left is None or left.from_version:
        raise _somebody_writes(homes)
    claimed = homes.put_document(left_for(DYNAMODB, run=homes.run), place.etag)
    if claimed is None or not homes.is_ours():
        raise TakenOver
    entries = homes.dragons()
    put = homes.put_document(b"[" + b",\n".join(entries[key] for key in sorted(entries)) + b"]", claimed.etag)
    if put is None:
        raise _somebody_writes(homes)
    _check_same(entries_of(homes.document(put.version).body), entries)
    print(f"they are in s3://{homes.bucket}/{homes.key}")


def _check_same(document: Mapping[str, bytes], table: Mapping[str, bytes]) -> None:
    if document != table:
        raise MigrationError(
            "the document does not hold what the table holds: nothing was switched. If the registry was in S3 already, "
            f"and somebody has set the parameter {STORE} to {DYNAMODB} by hand, set it to {S3}"
        )


Moving = Callable[..., None]
WAYS: Mapping[tuple[str, str], Moving] = {(S3, DYNAMODB): to_dynamodb, (DYNAMODB, S3): to_s3}


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns the exit status."""
    options = _parse(arguments)
    try:
        reach(options.stage)
        homes = Homes.of(Standing.found(options.stage, clients))
        further = {"however_long": options.however_long} if options.to == S3 else {}
        WAYS[options.left, options.to](homes, really=options.yes, **further)
    except (MigrationError, RowForeign, TakenOver, DevstackError, StageOutdated) as error:
        print(printable(f"error: {error}", "\n"), file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:
        print(
            f"error: {error}. Run this again to finish. Is the stage deployed, and may you use its stores?",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to finish", file=sys.stderr)
        return 130
    if not options.yes:
        print("nothing was changed; DO=yes (--yes) does it")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.migrate", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--from", dest="left", choices=(S3, DYNAMODB), required=True, help="where the registry is")
    parser.add_argument("--to", choices=(S3, DYNAMODB), required=True, help="where it is to be")
    parser.add_argument("--yes", action="store_true", help="move it; without this, only say what would be moved")
    parser.add_argument(
        "--however-long",
        action="store_true",
        help=f"move it to s3 even if reading the table takes more than {CLOSED_S_MAX} s, for which it is closed",
    )
    options = parser.parse_args(arguments)
    if options.left == options.to:
        parser.error("the registry cannot be moved to where it is")
    return options


if __name__ == "__main__":
    sys.exit(main())
