"""Rounds: in each, everybody has a turn, so whatever the machine does meanwhile happens to all alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.aws import Aws
from benchmarks.cases import CASES
from benchmarks.cold_start import starting
from benchmarks.lane import Behind, Lane
from benchmarks.package import Packaged
from benchmarks.rows import LATENCY_S, Cold, Warm
from benchmarks.spread import Samples

TURN_S = 0.2  # enough for several collections of garbage where an app makes much of it
RUNS_MAX = 600
RUNS_TO_WARM_UP = 10


@dataclass(frozen=True)
class Effort:
    """How often to measure: sittings, each with new processes, and rounds in each; cold starts and seconds of load."""

    sittings: int
    rounds: int
    cold_rounds: int
    load_rounds: int
    load_s: float


FULL = Effort(sittings=3, rounds=5, cold_rounds=13, load_rounds=5, load_s=2)
QUICK = Effort(sittings=1, rounds=3, cold_rounds=3, load_rounds=2, load_s=1)

Say = Callable[[str], None]


def conform(packages: Sequence[Packaged], say: Say) -> None:
    """Run every case through everybody. Raises `PeerError` for the first that answers or calls AWS in another way."""
    for made in packages:
        for function in made.peer.handlers:
            names = [name for name, case in CASES.items() if case.function == function]
            for stub in ("in_place_of_calls", "behind_http") if names else ():
                with Lane(made, Behind(stub), function=function) as lane:
                    for name in names:
                        lane.check(name)
        say(f"{made.peer.name} answers every case as it should")


def warm(packages: Sequence[Packaged], measured: Sequence[Warm], effort: Effort, samples: Samples) -> None:
    """Measure warm apps: CPU, or time where AWS takes some."""
    for _ in range(effort.sittings):
        with contextlib.ExitStack() as running:
            turns = [
                (each, made.peer.name, running.enter_context(lane)) for each, made, lane in _lanes(packages, measured)
            ]
            counts = [runs_of_a_turn(lane, each) for each, _, lane in turns]
            for _ in range(effort.rounds):
                for (each, name, lane), count in zip(turns, counts, strict=True):
                    cpu_s, wall_s = lane.time(each.case, count)
                    samples.add(each.row.name, name, wall_s if each.latency_s else cpu_s)


def cold(packages: Sequence[Packaged], measured: Sequence[Cold], effort: Effort, samples: Samples) -> None:
    """Measure cold starts. The first of each is not counted: it finds files that nobody has read yet."""
    cases = dict.fromkeys(each.case for each in measured)
    with starting(packages, Aws(latency_s=LATENCY_S)) as starts:
        for number in range(effort.cold_rounds + 1):
            for case in cases:
                for made in packages:
                    if CASES[case].function not in made.peer.handlers:
                        continue
                    cost = starts.start(made, case, CASES[case])
                    for each in measured if number else ():
                        if each.case == case:
                            samples.add(each.row.name, made.peer.name, getattr(cost, each.shows))


def _lanes(packages: Sequence[Packaged], measured: Sequence[Warm]) -> list[tuple[Warm, Packaged, Lane]]:
    """Start the workers that the rows need: one for all rows of an app that want the same of it.

    A large document leaves so much garbage behind that the collections of smaller ones would take longer.
    """
    lanes: dict[tuple[str, str, str, bool, float, int], Lane] = {}
    turns = []
    for each in measured:
        for made in packages:
            if each.function not in made.peer.handlers:
                continue
            silent = each.silent and bool(made.peer.silencing)
            wanted = (made.peer.name, each.stub, each.function, silent, each.latency_s, CASES[each.case].entries)
            if wanted not in lanes:
                aws = Behind(each.stub, each.latency_s)
                lanes[wanted] = Lane(made, aws, function=each.function, silent=silent)
            turns.append((each, made, lanes[wanted]))
    return turns


def runs_of_a_turn(lane: Lane, each: Warm) -> int:
    """Return how many runs take a turn, from a few that also warm the app up."""
    if each.latency_s:
        return 1
    lane.time(each.case, RUNS_TO_WARM_UP)
    cpu_s, _ = lane.time(each.case, RUNS_TO_WARM_UP)
    return max(1, min(RUNS_MAX, round(TURN_S / cpu_s)))
