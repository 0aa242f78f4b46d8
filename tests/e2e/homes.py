"""Where the registry is while something is tried."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from operations.migrate import Homes, to_dynamodb, to_s3
from operations.stages import EMBEDDED
from operations.stores import Standing
from tests.e2e.running import Served


@contextlib.contextmanager
def registry_in_dynamodb(devstack: Served) -> Iterator[None]:
    """Move the registry to DynamoDB, and back again."""
    homes = Homes.of(Standing.found(EMBEDDED, devstack.client))
    to_dynamodb(homes, really=True)
    try:
        yield
    finally:
        to_s3(homes, really=True)
