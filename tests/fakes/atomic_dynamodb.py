"""The part of DynamoDB that the registry uses, on moto."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from chalicelib import aws


class AtomicDynamoDB:
    """moto's DynamoDB, one call at a time: a transaction that fails there undoes what others did meanwhile.

    Counts and alters calls.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.before_transaction: Callable[[], None] = lambda: None

    def get_item(self, **parameters: Any) -> Any:
        return self._called("get_item", parameters)

    def query(self, **parameters: Any) -> Any:
        return self._called("query", parameters)

    def transact_write_items(self, **parameters: Any) -> Any:
        with self.lock:
            self.before_transaction()
        return self._called("transact_write_items", parameters)

    def _called(self, name: str, parameters: dict[str, Any]) -> Any:
        with self.lock:
            self.calls.append((name, parameters))
            return getattr(aws.dynamodb(), name)(**parameters)
