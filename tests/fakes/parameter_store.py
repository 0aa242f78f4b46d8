"""The part of Parameter Store that the service uses."""

from __future__ import annotations

import math
from typing import Any


class FakeParameterStore:
    """Answers with the `values` under the path, in pages of `page_sizes`, and counts its `reads`.

    While `failure` is set, each read raises it.
    """

    def __init__(self, path: str, values: dict[str, str]) -> None:
        self.path = path
        self.values = values
        self.failure: Exception | None = None
        self.page_sizes: list[int] = []
        self.reads = 0

    def get_parameters_by_path(self, *, Path: str, MaxResults: int, NextToken: str = "0") -> dict[str, Any]:  # noqa: N803
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        assert Path == self.path, f"{Path} was asked for"
        assert MaxResults <= 10
        found = [{"Name": Path + name, "Value": value} for name, value in self.values.items()]
        sizes = self.page_sizes or [MaxResults] * max(1, math.ceil(len(found) / MaxResults))
        page = int(NextToken)
        begins = sum(sizes[:page])
        ends = begins + sizes[page]
        return {"Parameters": found[begins:ends]} | ({"NextToken": str(page + 1)} if page + 1 < len(sizes) else {})
