"""Where dragons live: a small protocol, and its implementation on one JSON document in S3.

Every write of the document is a compare-and-swap on its ETag, with the duplicate check inside the swap, so concurrent
writers can neither lose each other's dragons nor add the same name twice. Reads revalidate with `If-None-Match` and
keep the parsed document in the warm function, as one immutable value that is replaced whole.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.dragons.model import Dragon, normalised_name
from chalicelib.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SWAP_ATTEMPTS_MAX = 30
SWAP_WAIT_MAX_S = 0.8
NAMES_LOGGED_MAX = 10


class Addition(StrEnum):
    """What became of a dragon that was to be added."""

    ADDED = "added"
    DUPLICATE = "duplicate"


class Change(StrEnum):
    """What became of a dragon that was to be replaced or removed."""

    DONE = "done"
    ABSENT = "absent"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class DragonQuery:
    """Which dragons a page shows: filters as normalised names, the key to start after, and how many at most."""

    family: str | None = None
    name: str | None = None
    after: str | None = None
    limit: int = 100

    @classmethod
    def of(cls, family: str | None, name: str | None, after: str | None = None, limit: int = 100) -> DragonQuery:
        """Make a query of what a client typed."""
        return cls(
            None if family is None else normalised_name(family),
            None if name is None else normalised_name(name),
            after,
            limit,
        )


@dataclass(frozen=True, slots=True)
class DragonPage:
    """Dragons in the order of their keys; `next_after` is the last one's key if more follow."""

    dragons: list[Dragon]
    next_after: str | None


class DragonRepository(Protocol):
    """What the service asks of a place that keeps dragons."""

    def page(self, query: DragonQuery) -> DragonPage:
        """Return the dragons that match, in the order of their normalised names."""
        ...

    def get(self, name: str) -> Dragon | None:
        """Return the dragon of this name (compared normalised), or None."""
        ...

    def add(self, dragon: Dragon, submission_id: str) -> Addition:
        """Add a dragon whose name is free.

        Adding again under the same submission id answers `ADDED` and changes nothing; a name that another submission
        holds answers `DUPLICATE`.
        """
        ...

    def replace(self, dragon: Dragon, unchanged: Callable[[Dragon], bool]) -> Change:
        """Put a dragon in the place of the one of its name.

        `unchanged` tells whether what is there is what the caller means; it is asked inside the swap. Answers `DONE`,
        `ABSENT` if there is no dragon of this name, `CHANGED` if `unchanged` says no.
        """
        ...

    def remove(self, name: str, unchanged: Callable[[Dragon], bool]) -> Change:
        """Remove the dragon of this name (compared normalised); answers as `replace` does."""
        ...


class DocumentCorrupt(Exception):
    """The dragon document is not what this service writes; it is left as it is, for a person to look at."""


class DocumentContended(aws.DependencyUnavailable):
    """Other writers were faster every time; nothing was written, and trying later is right."""

    def __init__(self) -> None:
        super().__init__("The dragon document", "too many writers at once")


class _Entry(Dragon, frozen=True, kw_only=True):
    """A dragon as the document holds it. Entries made by hand or by the course have no submission id."""

    submission_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Document:
    """One version of the document, parsed. `etag` is None where there is no object yet.

    The first entry of a key is the dragon of that name, and the only one in `dragons`.
    """

    bucket: str
    key: str
    etag: str | None
    raw: list[msgspec.Raw]
    by_key: dict[str, list[_Entry]]
    dragons: list[tuple[str, str, Dragon]]  # (key, normalised family, dragon), in the order of keys


class _Swap(Enum):
    """How a compare-and-swap ended; `UNCERTAIN` if an attempt of the SDK before the refused one may have been done."""

    WRITTEN = auto()
    LOST = auto()
    UNCERTAIN = auto()


class S3DragonRepository:
    """Dragons in one S3 object: a JSON array in the course's format. Safe to share between threads.

    A name is unique in the registry, but people and the course make the document, too. Of several entries of one
    (normalised) name the first is the dragon: it alone is listed, filtered, shown, replaced and removed. The others
    stay in the document as they are, and the log tells of them; once the first is removed, the next is the dragon.
    """

    def __init__(
        self,
        place: Callable[[], tuple[str, str]],
        s3: Callable[[], S3Client] = aws.s3,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take where the document is (bucket and key, asked before each use), and how to reach S3."""
        self._place = place
        self._s3 = s3
        self._sleep = sleep
        self._held: _Document | None = None

    def page(self, query: DragonQuery) -> DragonPage:
        """See `DragonRepository.page`."""
        matching = _matching(self._document().dragons, query)
        found: list[Dragon] = []
        last_key = None
        for key, dragon in matching:
            if len(found) == query.limit:
                return DragonPage(found, last_key)
            found.append(dragon)
            last_key = key
        return DragonPage(found, None)

    def get(self, name: str) -> Dragon | None:
        """See `DragonRepository.get`."""
        entries = self._document().by_key.get(normalised_name(name))
        return _without_submission(entries[0]) if entries else None

    def add(self, dragon: Dragon, submission_id: str) -> Addition:
        """See `DragonRepository.add`. Raises `DocumentContended` after `SWAP_ATTEMPTS_MAX` lost races."""
        for attempt in range(SWAP_ATTEMPTS_MAX):
            document = self._document()
            present = document.by_key.get(dragon.key)
            if present:
                return Addition.ADDED if present[0].submission_id == submission_id else Addition.DUPLICATE
            entry = _Entry(**msgspec.structs.asdict(dragon), submission_id=submission_id)
            if self._swap(document, [*document.raw, entry]) is _Swap.WRITTEN:
                return Addition.ADDED
            self._pause(attempt)
        raise DocumentContended

    def replace(self, dragon: Dragon, unchanged: Callable[[Dragon], bool]) -> Change:
        """See `DragonRepository.replace`. Raises `DocumentContended` after `SWAP_ATTEMPTS_MAX` lost races."""
        return self._change(dragon.key, unchanged, dragon)

    def remove(self, name: str, unchanged: Callable[[Dragon], bool]) -> Change:
        """See `DragonRepository.remove`. Raises `DocumentContended` after `SWAP_ATTEMPTS_MAX` lost races."""
        return self._change(normalised_name(name), unchanged, None)

    def _change(self, key: str, unchanged: Callable[[Dragon], bool], wanted: Dragon | None) -> Change:
        """Swap the first entry of this key for the wanted one, or for none."""
        meant: list[_Entry] = []  # what a change that may have been done found under the key
        for attempt in range(SWAP_ATTEMPTS_MAX):
            document = self._document()
            entries = document.by_key.get(key, [])
            present = _without_submission(entries[0]) if entries else None
            # A write whose answer was lost looks like a lost race; what it wanted stands there then (RFC 9110 §13.1.1).
            if meant and present == wanted:
                return Change.DONE
            # Or the dragon was removed, and another one has its name now: that one stays.
            if meant and entries and wanted is None and _is_another(entries, meant):
                return Change.DONE
            if present is None:
                return Change.ABSENT
            if not unchanged(present):
                return Change.CHANGED
            swap = self._swap(document, _with_change(document.raw, key, wanted))
            if swap is _Swap.WRITTEN:
                return Change.DONE
            if swap is _Swap.UNCERTAIN and not meant:
                meant = entries
            self._pause(attempt)
        raise DocumentContended

    def _pause(self, attempt: int) -> None:
        """Let other writers go first, for a random time that grows with the attempts."""
        self._sleep(random.uniform(0, min(SWAP_WAIT_MAX_S, 0.02 * 2**attempt)))  # noqa: S311 - jitter, no secret

    def _document(self) -> _Document:
        bucket, key = self._place()
        held = self._held
        if held is not None and (held.bucket, held.key) != (bucket, key):
            held = None
        known: dict[str, Any] = {} if held is None or held.etag is None else {"IfNoneMatch": held.etag}
        with aws.calling("S3"):
            try:
                answer = self._s3().get_object(Bucket=bucket, Key=key, **known)
                body = answer["Body"].read()
            except ClientError as error:
                if held is not None and aws.error_status(error) == 304:
                    return held
                if aws.error_code(error) == "NoSuchKey":
                    return _parsed(bucket, key, None, b"")
                raise
        self._held = document = _parsed(bucket, key, answer["ETag"], body)
        _tell_of_namesakes(document)
        return document

    def _swap(self, document: _Document, entries: Sequence[object]) -> _Swap:
        """Write these entries in the place of that version of the document, if nobody wrote it since."""
        body = msgspec.json.encode(entries)
        unchanged: dict[str, Any] = {"IfNoneMatch": "*"} if document.etag is None else {"IfMatch": document.etag}
        with aws.calling("S3"):
            try:
                self._s3().put_object(
                    Bucket=document.bucket, Key=document.key, Body=body, ContentType="application/json", **unchanged
                )
            except ClientError as error:
                # 409: another conditional write was under way. 404 on If-Match: the object was deleted meanwhile.
                # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
                if aws.error_status(error) in (409, 412) or (aws.error_status(error) == 404 and document.etag):
                    return _Swap.UNCERTAIN if error.response["ResponseMetadata"].get("RetryAttempts") else _Swap.LOST
                raise
        return _Swap.WRITTEN


def _parsed(bucket: str, key: str, etag: str | None, body: bytes) -> _Document:
    """Parse one version of the document. Nothing and white space are an empty registry."""
    if not body.strip():
        return _Document(bucket, key, etag, [], {}, [])
    try:
        entries = msgspec.json.decode(body, type=list[_Entry])
        raw = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentCorrupt(
            f"s3://{bucket}/{key} (ETag {etag}) is not a JSON array of dragons: {error}. Nothing was changed. "
            "Restore an earlier version of the object, or mend it by hand."
        ) from error
    by_key: dict[str, list[_Entry]] = {}
    for entry in entries:
        by_key.setdefault(entry.key, []).append(entry)
    dragons = [
        (name, normalised_name(first.family_str), _without_submission(first)) for name, (first, *_) in by_key.items()
    ]
    dragons.sort(key=lambda row: row[0])
    return _Document(bucket, key, etag, raw, by_key, dragons)


def _tell_of_namesakes(document: _Document) -> None:
    """Log which entries are not shown because an earlier one has their name."""
    hidden = [entry.dragon_name_str for _, *others in document.by_key.values() for entry in others]
    if hidden:
        names = hidden[:NAMES_LOGGED_MAX]
        logger.warning("dragons are not shown, others have their names", extra={"entries": len(hidden), "names": names})


def _with_change(raw: Sequence[msgspec.Raw], key: str, wanted: Dragon | None) -> list[object]:
    """Return the entries with the first of this key replaced, or left out; members that are not ours stay in it."""
    place = next(place for place, item in enumerate(raw) if msgspec.json.decode(item, type=Dragon).key == key)
    changed: list[object] = []
    if wanted is not None:
        changed = [{**msgspec.json.decode(raw[place], type=dict[str, msgspec.Raw]), **msgspec.structs.asdict(wanted)}]
    return [*raw[:place], *changed, *raw[place + 1 :]]


def _matching(dragons: Iterable[tuple[str, str, Dragon]], query: DragonQuery) -> Iterable[tuple[str, Dragon]]:
    for key, family, dragon in dragons:
        if query.after is not None and key <= query.after:
            continue
        if query.family is not None and family != query.family:
            continue
        if query.name is not None and key != query.name:
            continue
        yield key, dragon


def _is_another(entries: Sequence[_Entry], meant: Sequence[_Entry]) -> bool:
    """Tell whether the dragon came by another submission (corrections keep it), or was the next entry of its name."""
    return entries[0].submission_id != meant[0].submission_id or len(entries) < len(meant)


def _without_submission(entry: _Entry) -> Dragon:
    return Dragon(**{field: getattr(entry, field) for field in Dragon.__struct_fields__})
