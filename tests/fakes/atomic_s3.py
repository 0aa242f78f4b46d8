"""The part of S3 that the registry uses, on moto."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from chalicelib import aws


class AtomicS3:
    """moto's S3, one call at a time: its conditional writes are atomic, as S3's are. Counts and alters calls."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.gets: list[str | None] = []
        self.puts: list[dict[str, Any]] = []
        self.before_put: Callable[[], None] = lambda: None
        self.after_put: Callable[[], None] = lambda: None

    def get_object(self, **parameters: Any) -> Any:
        with self.lock:
            self.gets.append(parameters.get("IfNoneMatch"))
            return aws.s3().get_object(**parameters)

    def put_object(self, **parameters: Any) -> Any:
        with self.lock:
            self.puts.append(parameters)
            self.before_put()
            answer = aws.s3().put_object(**parameters)
            self.after_put()
            return answer
