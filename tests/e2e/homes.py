"""Where the registry is while something is tried."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from operations.migrate import DYNAMODB, S3, Homes, to_dynamodb, to_s3
from operations.stages import EMBEDDED
from operations.stores import Standing
from tests.e2e.running import Served


def move(devstack: Served, to: str) -> None:
    """Move the registry of a devstack to this home."""
    homes = Homes.of(Standing.found(EMBEDDED, devstack.client))
    (to_dynamodb if to == DYNAMODB else to_s3)(homes, really=True)
    assert homes.store == to


@contextlib.contextmanager
def registry_in_dynamodb(devstack: Served) -> Iterator[None]:
    """Move the registry to DynamoDB, and back again."""
    move(devstack, DYNAMODB)
    try:
        yield
    finally:
        move(devstack, S3)
