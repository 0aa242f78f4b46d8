"""The part of Parameter Store that the service uses."""

from __future__ import annotations

from typing import Any


class FakeParameterStore:
    """Answers with the `values` under the path, and counts its `reads`. While `failure` is set, each read raises it."""

    def __init__(self, path: str, values: dict[str, str]) -> None:
        self.path = path
        self.values = values
        self.failure: Exception | None = None
        self.reads = 0

    def get_parameters(self, *, Names: list[str]) -> dict[str, Any]:  # noqa: N803
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        assert 1 <= len(set(Names)) == len(Names) <= 10
        found, missing = [], []
        for name in Names:
            assert name.startswith(self.path), f"{name} was asked for"
            value = self.values.get(name.removeprefix(self.path))
            if value is None:
                missing.append(name)
            else:
                found.append({"Name": name, "Value": value})
        return {"Parameters": found, "InvalidParameters": missing}
