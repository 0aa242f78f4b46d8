"""Parameter Store as far as the service uses it."""

from __future__ import annotations

from typing import Any


class FakeParameterStore:
    """Answers with `values` under the path, or raises `failure` while there is one; counts its `reads`."""

    def __init__(self, path: str, values: dict[str, str]) -> None:
        self.path = path
        self.values = values
        self.failure: Exception | None = None
        self.reads = 0

    def get_parameters_by_path(self, *, Path: str, MaxResults: int) -> dict[str, Any]:  # noqa: N803
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        assert Path == self.path
        assert len(self.values) <= MaxResults <= 10
        return {"Parameters": [{"Name": Path + name, "Value": value} for name, value in self.values.items()]}
