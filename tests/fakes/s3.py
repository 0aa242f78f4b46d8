"""The part of S3 that the registry uses: objects in memory, conditions on their ETags, botocore's errors."""

from __future__ import annotations

import hashlib
import io
import threading
from typing import Any

from tests.fakes.aws_errors import client_error


class FakeS3:
    """One bucket, whose operations are atomic. An ETag is a hash of the content, as S3's is for small objects."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get_object(self, *, Bucket: str, Key: str, IfNoneMatch: str | None = None) -> dict[str, Any]:  # noqa: N803
        assert Bucket == self.bucket
        with self._lock:
            if Key not in self.objects:
                raise client_error("NoSuchKey", 404)
            body = self.objects[Key]
        if IfNoneMatch == etag_of(body):
            raise client_error("304", 304)
        return {"ETag": etag_of(body), "Body": io.BytesIO(body)}

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        ContentType: str,  # noqa: N803
        IfMatch: str,  # noqa: N803
    ) -> dict[str, Any]:
        assert (Bucket, ContentType) == (self.bucket, "application/json")
        with self._lock:
            present = self.objects.get(Key)
            if present is None:
                raise client_error("NoSuchKey", 404)
            if etag_of(present) != IfMatch:
                raise client_error("PreconditionFailed", 412)
            self.objects[Key] = Body
        return {"ETag": etag_of(Body)}


def etag_of(body: bytes) -> str:
    """Return the ETag of an object with this content."""
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
