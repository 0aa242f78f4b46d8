"""The versions of a bucket's objects, delete markers among them. A bucket is empty only when all of them are gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class VersionsRemain(Exception):
    """S3 refused to delete versions; the message names the first of them and says why."""


def pages(s3: Any, bucket: str, prefix: str = "") -> Iterator[list[dict[str, Any]]]:
    """Yield the versions and delete markers of the keys with a prefix, at most 1,000 at a time; markers have no `Size`.

    The keys come in their order. Within a page, all versions come before all markers.
    """
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        yield [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]


def count(s3: Any, bucket: str, prefix: str = "") -> int:
    """Return how many versions and delete markers there are."""
    return sum(len(page) for page in pages(s3, bucket, prefix))


def delete(s3: Any, bucket: str, prefix: str = "") -> Iterator[int]:
    """Delete every version and delete marker for good; yield after each 1,000 how many have been deleted so far.

    Each round lists from the beginning, so it ends when nothing is left, whatever is written meanwhile.
    Raises VersionsRemain.
    """
    deleted = 0
    while found := next(pages(s3, bucket, prefix), []):
        objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if errors := answer.get("Errors"):
            first = errors[0]
            raise VersionsRemain(
                f"s3://{bucket}/{first['Key']} (version {first.get('VersionId')}) could not be deleted: "
                f"{first.get('Code')}: {first.get('Message')}"
            )
        deleted += len(found)
        yield deleted
