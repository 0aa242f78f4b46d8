"""Medians and their spread over rounds; ratios are taken within a round, and then their median."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of values, of which there is at least one."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass
class Samples:
    """What was measured: by row and by who it is of, one value for each round."""

    by_row: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, row: str, of: str, value: float) -> None:
        """Note the next round's value."""
        self.by_row[row][of].append(value)

    def row(self, name: str) -> Mapping[str, Spread]:
        """Return the spread of each in a row."""
        return {of: Spread.of(values) for of, values in self.by_row[name].items()}

    def ratio(self, row: str, of: str, against: str, other_row: str | None = None) -> Spread | None:
        """Return how many times the other's value one has, in the same rounds; None if either was not measured."""
        ours, theirs = self.by_row[row].get(of), self.by_row[other_row or row].get(against)
        return Spread.of([one / other for one, other in zip(ours, theirs, strict=True)]) if ours and theirs else None
