"""What the proof suites tried, and the results: one row for each promise, printed and written to a file."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest


def only_at_full_scale(why: str) -> pytest.MarkDecorator:
    """Return the mark of what is not for the fast scale, for this reason."""
    return pytest.mark.skipif(_scale() != "full", reason=f"{why}: make prove")


def _scale() -> str:
    return os.environ.get("PROOF_SCALE", "fast")


@dataclass(frozen=True)
class Scale:
    """How hard to try: `fast` is part of `make test`, `full` is `make prove`."""

    name: str

    def of(self, fast: int, full: int) -> int:
        """Return the number for this scale."""
        return full if self.name == "full" else fast


@dataclass
class Row:
    """One promise: how often it was tried, how often it held, and how much was lost (which must be 0)."""

    suite: str
    promise: str
    tried: int
    survived: int
    lost: int
    note: str = ""


@dataclass
class Report:
    """The rows of a run, and the seed that repeats it."""

    seed: int
    scale: Scale
    rows: list[Row] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def add(self, suite: str, promise: str, *, tried: int, survived: int, lost: int = 0, note: str = "") -> None:
        """Add a row. The test of the promise still makes its own assertions."""
        self.rows.append(Row(suite, promise, tried, survived, lost, note))

    @property
    def lost(self) -> int:
        """How much was lost, over all promises."""
        return sum(row.lost for row in self.rows)

    def random(self, purpose: str) -> random.Random:
        """Return a separate generator for each purpose, so that suites do not depend on each other's order."""
        return random.Random(f"{self.seed}:{purpose}")

    def as_markdown(self) -> str:
        """Return the report as a table."""
        lines = [
            f"Seed {self.seed}, scale {self.scale.name}, {time.monotonic() - self.started:.0f} s; lost: {self.lost}.",
            "",
            "| suite | promise | tried | survived | lost | note |",
            "| --- | --- | ---: | ---: | ---: | --- |",
        ]
        lines += [
            f"| {row.suite} | {row.promise} | {row.tried:,} | {row.survived:,} | {row.lost} | {row.note} |"
            for row in sorted(self.rows, key=lambda row: int(row.suite.split()[0]))
        ]
        return "\n".join(lines) + "\n"


def from_environment() -> Report:
    """Return an empty report with the seed and scale of `PROOF_SEED` and `PROOF_SCALE` (default: random, fast).

    A seed that is drawn here stays in the environment, so that the workers of this run have the same.
    """
    seed = int(os.environ.get("PROOF_SEED") or random.SystemRandom().randrange(10**9))
    os.environ["PROOF_SEED"] = str(seed)
    scale = _scale()
    if scale not in ("fast", "full"):
        raise ValueError(f"PROOF_SCALE must be fast or full, not {scale}")
    return Report(seed, Scale(scale))


def place() -> Path | None:
    """Return the file to write the report to, if `PROOF_REPORT` names one."""
    named = os.environ.get("PROOF_REPORT")
    return Path(named) if named else None
