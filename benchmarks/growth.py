"""Measures what our app costs as the registry grows, in both of its homes, and writes benchmarks/GROWTH.md.

`make bench-growth`, or `make bench-growth QUICK=1` while you develop.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks import growth_report, machine
from benchmarks.cases import ADDER, API
from benchmarks.cold_start import starting
from benchmarks.grown_aws import HOMES, GrownAws, Registry
from benchmarks.grown_cases import cases
from benchmarks.growth_report import NEW, Count, Effort, row_of
from benchmarks.lane import Behind, Lane
from benchmarks.package import Packaged, packaged
from benchmarks.peer import OURS, PeerError
from benchmarks.spread import Samples

TURN_S = 0.1
RUNS_MAX = 300


FULL = Effort((10, 100, 1_000, 10_000, 100_000, 1_000_000), rounds=7, cold_rounds=3)
QUICK = Effort((10, 1_000, 100_000), rounds=3, cold_rounds=1)


def main() -> None:
    """Check that each answer is right, then measure. Ends with status 1, and the reason, if one is not."""
    effort = QUICK if sys.argv[1:] == ["--quick"] else FULL
    began_s, began = time.monotonic(), machine.description()
    samples = Samples()
    made = packaged(OURS)
    registries = [(home, dragons) for home in HOMES for dragons in effort.sizes]
    _say(began_s, "warm")
    counts = _warm(made, registries, effort, samples)
    for registry in registries:
        _say(began_s, f"new functions, {registry[1]:,} dragons in {registry[0]}")
        _cold(made, registry, effort, samples)
    growth_report.write(samples, counts, effort, began, time.monotonic() - began_s)
    _say(began_s, f"wrote {growth_report.GROWTH.name}")


def _say(began_s: float, what: str) -> None:
    print(f"  {time.monotonic() - began_s:4.0f} s  {what}", file=sys.stderr, flush=True)


def _warm(
    made: Packaged, registries: Sequence[Registry], effort: Effort, samples: Samples
) -> Mapping[tuple[Registry, str], Count]:
    """Measure functions that have answered before: CPU, with AWS answered in place of the SDK. Return what they ask."""
    counts = {}
    with contextlib.ExitStack() as running:
        turns = []
        for registry, function in itertools.product(registries, (API, ADDER)):
            aws = Behind("in_place_of_calls", registry=registry)
            lane = running.enter_context(Lane(made, aws, function=function))
            for name in [name for name, case in cases(*registry).items() if case.function == function]:
                lane.check(name)
                told = lane.check(name)  # settings were read the first time
                counts[registry, name] = Count(told["calls"], told["items"])
                cpu_s, _ = lane.time(name, 1)
                turns.append((registry, lane, name, max(1, min(RUNS_MAX, round(TURN_S / cpu_s)))))
        for _ in range(effort.rounds):
            for registry, lane, name, count in turns:
                samples.add(row_of(registry, name), str(registry[1]), lane.time(name, count)[0])
    return counts


def _cold(made: Packaged, registry: Registry, effort: Effort, samples: Samples) -> None:
    """Measure new functions, which have AWS behind TLS on this machine: CPU, and memory."""
    aws = GrownAws(entries=registry[1], home=registry[0])
    aws.document(None)  # which is made when it is first read: that takes longer than a function waits for an answer
    with starting([made], aws) as starts:
        for _ in range(effort.cold_rounds):
            for name in NEW:
                cost = starts.start(made, name, cases(*registry)[name])
                samples.add(row_of(registry, f"{name}, cpu"), str(registry[1]), cost.cpu_s)
                samples.add(row_of(registry, f"{name}, memory"), str(registry[1]), cost.peak_kb * 1024)


if __name__ == "__main__":
    try:
        main()
    except PeerError as error:
        sys.exit(f"error: {error}")
