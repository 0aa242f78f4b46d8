"""Dragons in S3: one JSON document, read by its ETag and written by compare-and-swap.

Every write carries the ETag of what was read, and the duplicate check is made on that same version, so concurrent
writers can neither lose each other's dragons nor add one name twice. Reads revalidate with `If-None-Match` and keep the
parsed document in the warm function, as one immutable value that is replaced whole.

Deploying makes the first document. Nothing here does: a document that is not there, because its place is wrong or
somebody deleted it, is not an empty registry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from chalicelib import aws
from chalicelib.dragons.document import Document, DocumentCorrupt, Entry, moved_to
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.repository import Addition, Change, DragonPage, DragonQuery, FamilyPage, RegistryMoved
from chalicelib.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SWAP_ATTEMPTS_MAX = 30
SWAP_WAIT_MAX_S = 0.8
NAMES_LOGGED_MAX = 10

_MISSING = frozenset({"NoSuchKey", "NoSuchBucket"})


class DocumentContended(aws.DependencyUnavailable):
    """Other writers were faster every time. Nothing was written, and a later attempt may succeed."""

    def __init__(self) -> None:
        super().__init__("The dragon document", "too many writers at once")


class DocumentMissing(Exception):
    """There is no document where the parameters say it is. A person has to correct them, or to bring it back."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(
            f"There is no dragon document at s3://{bucket}/{key}, and none was made. If it belongs elsewhere, correct "
            "the parameters dragon_data_bucket_name and dragon_data_file_name. If it was deleted, bring back its "
            "latest version (docs/data.md, Bringing back the dragon document). If there never was one, deploy the "
            "stage, which makes an empty one."
        )


class DocumentPlace(Protocol):
    """Where the document is."""

    @property
    def dragon_data_bucket_name(self) -> str:
        """The bucket."""
        ...

    @property
    def dragon_data_file_name(self) -> str:
        """The object's key."""
        ...


class _Version(msgspec.Struct, frozen=True):
    """One version of the document, and where it was read."""

    bucket: str
    key: str
    etag: str
    document: Document


class _Swap(Enum):
    """How a compare-and-swap ended. `UNCERTAIN`: refused, but an earlier attempt by the SDK may have written it."""

    WRITTEN = auto()
    LOST = auto()
    UNCERTAIN = auto()


class S3DragonRepository:
    """A `DragonRepository` in one S3 object. Safe to share between threads.

    Every method raises `RegistryMoved`, `DocumentMissing`, `DocumentCorrupt`, and `aws.calling`'s errors.
    """

    def __init__(
        self,
        place: DocumentPlace,
        s3: Callable[[], S3Client] = aws.s3,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the document's place (read before each use), a function that returns the S3 client, and a sleep."""
        self._place = place
        self._s3 = s3
        self._sleep = sleep
        self._held: _Version | None = None

    def page(self, query: DragonQuery) -> DragonPage:
        """See `DragonRepository.page`."""
        return self._read().document.page(query)

    def families(self, after: str | None, limit: int) -> FamilyPage:
        """See `DragonRepository.families`."""
        return self._read().document.families(after, limit)

    def get(self, name: str) -> Dragon | None:
        """See `DragonRepository.get`."""
        return self._read().document.dragons.get(normalised_name(name))

    def add(self, dragon: Dragon, submission_id: str) -> Addition:
        """See `DragonRepository.add`. Raises `DocumentContended` after `SWAP_ATTEMPTS_MAX` lost races."""
        for attempt in range(SWAP_ATTEMPTS_MAX):
            version = self._read()
            if entries := _entries(version, dragon.key):
                return Addition.ADDED if entries[0].submission_id == submission_id else Addition.DUPLICATE
            if self._swap(version, version.document.with_addition(dragon, submission_id)) is _Swap.WRITTEN:
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
        meant: list[Entry] = []  # the entries of this key before a swap that may have been written
        for attempt in range(SWAP_ATTEMPTS_MAX):
            version = self._read()
            entries = _entries(version, key)
            present = version.document.dragons.get(key)
            # A write whose answer was lost looks like a lost race, but the document holds what it wrote
            # (RFC 9110 §13.1.1).
            if meant and present == wanted:
                return Change.DONE
            # Or the dragon was removed, and another one has taken its name since. That one stays.
            if meant and entries and wanted is None and _is_another(entries, meant):
                return Change.DONE
            if present is None:
                return Change.ABSENT
            if not unchanged(present):
                return Change.CHANGED
            swap = self._swap(version, version.document.with_change(key, wanted))
            if swap is _Swap.WRITTEN:
                return Change.DONE
            if swap is _Swap.UNCERTAIN and not meant:
                meant = entries
            self._pause(attempt)
        raise DocumentContended

    def _pause(self, attempt: int) -> None:
        """Let other writers go first, for a random time that grows with each attempt."""
        self._sleep(random.uniform(0, min(SWAP_WAIT_MAX_S, 0.02 * 2**attempt)))  # noqa: S311 - jitter, no secret

    def _read(self) -> _Version:
        """Return the document as it is now. Raises what every method raises."""
        bucket, key = self._place.dragon_data_bucket_name, self._place.dragon_data_file_name
        held = self._held
        if held is not None and (held.bucket, held.key) != (bucket, key):
            held = None
        known: dict[str, Any] = {} if held is None else {"IfNoneMatch": held.etag}
        try:
            with aws.calling("S3"):
                answer = self._s3().get_object(Bucket=bucket, Key=key, **known)
                body = answer["Body"].read()
        except aws.DependencyFault as refused:
            if held is not None and refused.status == 304:
                return held
            if refused.code in _MISSING:
                raise DocumentMissing(bucket, key) from refused
            raise
        document = held.document.followed_by(body) if held else None
        if document is None:
            held = self._held = None  # a large document takes less time and memory to decode where the last one was
            document = _parsed(bucket, key, answer["ETag"], body)
        self._held = version = _Version(bucket, key, answer["ETag"], document)
        _tell_of_namesakes(document)
        return version

    def _swap(self, version: _Version, body: bytes) -> _Swap:
        """Replace that version of the document with this body, unless somebody has written the document since."""
        try:
            with aws.calling("S3"):
                self._s3().put_object(
                    Bucket=version.bucket,
                    Key=version.key,
                    Body=body,
                    ContentType="application/json",
                    IfMatch=version.etag,
                )
        except aws.DependencyFault as refused:
            # 409: another conditional write was under way. NoSuchKey: the object was deleted meanwhile.
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
            if refused.code in _MISSING:
                raise DocumentMissing(version.bucket, version.key) from refused
            if refused.status in (409, 412):
                return _Swap.UNCERTAIN if refused.was_retried else _Swap.LOST
            raise
        return _Swap.WRITTEN


def _parsed(bucket: str, key: str, etag: str, body: bytes) -> Document:
    try:
        return Document.parsed(body)
    except DocumentCorrupt as corrupt:
        if place := moved_to(body):
            raise RegistryMoved(place) from None
        raise _with_place(corrupt, bucket, key, etag) from corrupt


def _entries(version: _Version, name_key: str) -> list[Entry]:
    try:
        return version.document.entries(name_key)
    except DocumentCorrupt as corrupt:
        raise _with_place(corrupt, version.bucket, version.key, version.etag) from corrupt


def _with_place(corrupt: DocumentCorrupt, bucket: str, key: str, etag: str) -> DocumentCorrupt:
    return DocumentCorrupt(
        f"s3://{bucket}/{key} (ETag {etag}) is {corrupt}. Nothing was changed. "
        "Restore an earlier version of the object (docs/data.md, Bringing back the dragon document), or repair it by "
        "hand."
    )


def _tell_of_namesakes(document: Document) -> None:
    if hidden := document.namesakes():
        names = hidden[:NAMES_LOGGED_MAX]
        logger.warning("dragons are not shown, others have their names", extra={"entries": len(hidden), "names": names})


def _is_another(entries: Sequence[Entry], meant: Sequence[Entry]) -> bool:
    """Tell whether the dragon is a different one from the one that was meant.

    It has another submission id (a correction keeps the id), or it is the entry that came next under the name.
    """
    return entries[0].submission_id != meant[0].submission_id or len(entries) < len(meant)
