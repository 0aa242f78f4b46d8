"""Measures what the service's rules cost by themselves: `.venv/bin/python -m benchmarks.floors`, in half a minute.

A plain handler that keeps this service's rules (peers/floor.py) runs beside the raw handler, and beside ours.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks import rows
from benchmarks.lane import Behind, Lane
from benchmarks.package import Packaged, packaged
from benchmarks.peer import FOLDER, OURS, RAW
from benchmarks.rounds import runs_of_a_turn

ROUNDS = 9
ROWS = {"post silent": "exact", "post invalid": "exact", "list": "exact decoded", "long list": "exact decoded"}


def main() -> None:
    """Print each row's floors and ours, as ratios to the raw handler's cost in the same round."""
    raw, ours = packaged(RAW), packaged(OURS)
    shutil.copy(FOLDER / "peers" / "floor.py", ours.unzipped)
    for row in rows.APP:
        if floors := ROWS.get(row.row.name):
            made = {"raw": raw, "ours": ours} | {name: _floor(ours, name) for name in floors.split()}
            ratios = _ratios(row, made)
            print(f"{row.row.name:13}", *(f"{name} {statistics.median(found):.2f}" for name, found in ratios.items()))


def _floor(ours: Packaged, function: str) -> Packaged:
    peer = replace(OURS, name=function, handlers={"api": f"floor.{function}"}, binary=False)
    return replace(ours, peer=peer)


def _ratios(row: rows.Warm, made: Mapping[str, Packaged]) -> dict[str, Sequence[float]]:
    with contextlib.ExitStack() as running:
        lanes = {name: running.enter_context(Lane(each, Behind(row.stub), silent=True)) for name, each in made.items()}
        for lane in lanes.values():
            lane.check(row.case)
        counts = {name: runs_of_a_turn(lane, row) for name, lane in lanes.items()}
        rounds = [{name: lane.time(row.case, counts[name])[0] for name, lane in lanes.items()} for _ in range(ROUNDS)]
    return {name: [costs[name] / costs["raw"] for costs in rounds] for name in made if name != "raw"}


if __name__ == "__main__":
    main()
