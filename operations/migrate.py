"""Move the registry of dragons: `.venv/bin/python -m operations.migrate --stage prod --from s3 --to dynamodb`.

Without `--yes` nothing is changed: it prints what would be moved, and what stands in the way. The service runs
meanwhile:

- To DynamoDB, the entries are copied, and compared. Then whatever was changed since is copied, until that is little.
  `{"moved_to": "dynamodb"}` takes the document's place, if nobody has changed it since it was read, and the rest of the
  changes is copied. What is copied after the first time is read again and compared, too, and then the table is opened.
  From leaving the document until then, the API answers 503 to whoever wants dragons.
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
from itertools import chain
from time import monotonic
from typing import TypeVar

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.dragons.document import Document, DocumentCorrupt, Moved, entries_in, left_for, moved
from chalicelib.dragons.dynamodb import DRAGONS, HERE, PART_BYTES_MAX, SORT_KEY_BYTES_MAX, family_part
from chalicelib.dragons.model import Dragon
from chalicelib.settings import Settings
from devstack.settings import DevstackError
from operations import versions
from operations.contents import PLACE, of_this_environment
from operations.dragon_rows import (
    Holding,
    Outcome,
    RowForeign,
    TakenOver,
    add,
    close_fences,
    first_fence,
    open_fences,
    remove,
    row_at,
    rows_counting,
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
LEFT_BYTES_MAX = 4_096  # of what is left in the document's place; a version's id has at most 1,024
# A report waits at least 180 s in the workflow before it fails. The rest is for writing the document.
CLOSED_S_MAX = 100
TOLD_EACH = 1_000
BAR = 40
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: an item has at most 400 KB, and a
# transaction 4 MB. The rest is for the keys.
ENTRY_BYTES_MAX = 396 * 1024
NO_VERSION = "null"  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html

Entries = Mapping[str, bytes]  # by their keys
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

    def first_since_left(self) -> Place | None:
        """Return the first document that took the place of what was last left there, or None if none is kept."""
        first: str | None = None
        for page in versions.pages(self.stage.clients("s3"), self.bucket, self.key):
            for version in page:  # the latest comes first
                if version["Key"] == self.key and "Size" in version:
                    if version["Size"] <= LEFT_BYTES_MAX and moved(self.document(version["VersionId"]).body):
                        return None if first is None else self.document(first)
                    first = version["VersionId"]
        return None

    def dragons(self, about: int | None = None) -> dict[str, bytes]:
        """Return the table's entries by their keys. Print how far it is, if you say about how many there are."""
        entries = sound_dragons(self.stage.clients("dynamodb"), self.table)
        return dict(entries if about is None else _shown(entries, about, "read"))

    def holding(self) -> Holding:
        """Return all that the table holds."""
        return Holding.of_table(self.stage.clients("dynamodb"), self.table)

    def holding_about(self, *others: Holding) -> Holding:
        """Return the part of what the table holds that is about what others hold."""
        dynamodb = self.stage.clients("dynamodb")
        dragons = ((DRAGONS, key) for other in others for key in other.dragons)
        places = {*dragons, *chain.from_iterable(other.copies for other in others)}
        families = {family for other in others for family in other.counts}
        rows = _each(lambda place: row_at(dynamodb, self.table, *place), list(places))
        counting = _each(lambda family: rows_counting(dynamodb, self.table, family), list(families))
        return Holding.of_rows(chain.from_iterable(chain(rows, counting)))

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
            "was interrupted, run that again. If the registry never was in DynamoDB, set the parameter to s3"
        )
    if begun:
        raise _in_both(homes, f"set the parameter {STORE} to {DYNAMODB}")
    _check_version(homes, place)


def _in_both(homes: Homes, then: str) -> MigrationError:
    return MigrationError(
        f"the table {homes.table} says that the registry is in it, but a document is in S3. If another run has "
        "just moved it, run this again. If somebody has put the document there since, put "
        f"{left_for(DYNAMODB).decode()} there instead, and {then}"
    )


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
        _leave(homes, _copy(homes, entries))
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


def _copy(homes: Homes, entries: Entries) -> Holding:
    """Have the table, which is closed, hold these entries and nothing else. Return that. Raises MigrationError."""
    _change(homes, *_difference(homes.dragons(), entries))
    held = Holding.of_entries(entries)
    _check_holds(homes, homes.holding(), held)
    return held


def _catch_up(homes: Homes, held: Holding, entries: Entries) -> None:
    """Have the table, which was compared with `held`, hold these entries, and `held` say so. Raises MigrationError.

    Only what was changed is read again and compared: the rows and counts of these dragons. Nobody else writes to a
    table that is closed, so the rest is what it was.
    """
    going, coming = map(Holding.of_entries, _difference(held.dragons, entries))
    _change(homes, going.dragons, coming.dragons)
    held.exchange(going, coming)
    _check_holds(homes, homes.holding_about(going, coming), held.about(going, coming))


def _check_holds(homes: Homes, found: Holding, due: Holding) -> None:
    if found != due:
        raise MigrationError(
            f"the table {homes.table} does not hold what the document holds, and was not opened. Somebody else "
            "writes to it, or it holds rows that belong to no dragon: run this again, or empty it and run this again"
        )


def _leave(homes: Homes, held: Holding) -> None:
    """Leave the document, and copy what was changed since the table held this. Raises MigrationError.

    Copying everything takes long. So the first round copies what was changed meanwhile, and leaving waits for the next.
    Whoever changes the document is faster now and then. So little happens between reading and leaving it.
    """
    for attempt in range(ROUNDS_MAX):
        place = homes.document()
        left = moved(place.body)
        if left is not None:  # the answer to leaving it was lost, or a run that this one has stopped was faster
            _catch_up(homes, held, _left_entries(homes, left))
            return
        _check_version(homes, place)
        entries = entries_of(place.body)
        if attempt == 0 or len(entries.items() ^ held.dragons.items()) > LEFT_TO_COPY_MAX:
            _catch_up(homes, held, entries)
        elif homes.put_document(left_for(DYNAMODB, place.version), place.etag):
            _catch_up(homes, held, entries)
            return
    raise MigrationError("the document is changed all the time; run this again when it is quieter")


def _difference(present: Entries, wanted: Entries) -> tuple[Entries, Entries]:
    """Return which entries have to go, and which have to come. One that has changed goes and comes."""
    going = {key: entry for key, entry in present.items() if wanted.get(key) != entry}
    coming = {key: entry for key, entry in wanted.items() if present.get(key) != entry}
    return going, coming


def _change(homes: Homes, going: Entries, coming: Entries) -> None:
    """Remove some entries from the table, and add others. Raises MigrationError."""
    dynamodb = homes.stage.clients("dynamodb")
    removed = _each(lambda key: remove(dynamodb, homes.table, key, homes.run), list(going))
    for _ in _shown(removed, len(going), "removed"):
        pass
    added = _each(lambda entry: add(dynamodb, homes.table, entry, homes.run), list(coming.values()))
    if Outcome.DIFFERING in set(_shown(added, len(coming), "copied")):
        raise MigrationError(f"somebody else writes to the table {homes.table}: it was not opened")


def _each(work: Callable[[Given], Made], things: Sequence[Given]) -> Iterator[Made]:
    """Yield what the work makes of each thing, several of which it takes at once."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for begin in range(0, len(things), CHUNK):
            yield from pool.map(work, things[begin : begin + CHUNK])


def _shown(made: Iterable[Made], total: int, what: str) -> Iterator[Made]:
    """Yield what is made, of a total that may be an estimate, and print how far it is."""
    done = 0
    for done, each in enumerate(made, 1):
        yield each
        if done % TOLD_EACH == 0:
            _print_bar(done, max(done, total), what)
    if done % TOLD_EACH or 0 < done < total:
        _print_bar(done, done, what)


def _print_bar(done: int, total: int, what: str) -> None:
    bar = "#" * (BAR * done // total)
    print(f"  [{bar:{BAR}}] {done:,} of {total:,} {what}", flush=True)


# --- From DynamoDB to S3 -----------------------------------------------------------------------------------------


def to_s3(homes: Homes, *, really: bool, however_long: bool = False) -> None:
    """Move the registry to S3, or finish that. Raises MigrationError, RowForeign and TakenOver."""
    place = homes.document()
    left = moved(place.body)
    if left is not None and left.from_version:
        raise MigrationError("a run with FROM=s3 TO=dynamodb was interrupted: finish it first")
    count, seconds = _measured(homes)
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
        _check_written(homes, place)
    else:
        _write_document(homes, count)
    homes.set_store(S3)


def _measured(homes: Homes) -> tuple[int, float]:
    """Print what the table holds. Return how many dragons that is, and how many seconds it took to read them."""
    began = monotonic()
    entries = homes.dragons()
    seconds = monotonic() - began
    size = sum(map(len, entries.values()))
    print(f"{len(entries):,} dragons ({size:,} bytes) are in {homes.table}; reading them took {seconds:.1f} s")
    return len(entries), seconds


def _check_written(homes: Homes, place: Place) -> None:
    """Raise MigrationError unless an interrupted run wrote the document, or the first version of it.

    A function that has `s3` as its setting may change the document as soon as it is there. The table is closed, and
    holds what it did when that run read it.
    """
    if homes.is_open():
        raise _in_both(homes, "run this again")
    table, present = homes.dragons(), entries_of(place.body)
    if present != table:
        first = homes.first_since_left()
        if first is None or entries_of(first.body) != table:
            raise _differing(homes, present, table)


def _write_document(homes: Homes, count: int) -> None:
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
    entries = homes.dragons(count)
    put = homes.put_document(b"[" + b",\n".join(entries[key] for key in sorted(entries)) + b"]", claimed.etag)
    if put is None:
        raise _somebody_writes(homes)
    written = entries_of(homes.document(put.version).body)
    if written != entries:
        raise _differing(homes, written, entries)
    print(f"they are in s3://{homes.bucket}/{homes.key}")


def _differing(homes: Homes, document: Entries, table: Entries) -> MigrationError:
    both = document.keys() & table.keys()
    changed = sum(document[key] != table[key] for key in both)
    return MigrationError(
        f"the document does not hold what the table holds: nothing was switched. {len(document) - len(both):,} dragons "
        f"are only in the document, {len(table) - len(both):,} only in the table, and {changed:,} differ. If the "
        f"document is right (the registry was in S3, and somebody has set the parameter by hand), set the parameter "
        f"{STORE} to {S3}. If the table is right, put {left_for(DYNAMODB).decode()} in the place of "
        f"s3://{homes.bucket}/{homes.key}, and run this again"
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
