"""Measures everything, and writes benchmarks/RESULTS.md: `make bench`, or `make bench QUICK=1` while you develop."""

from __future__ import annotations

import sys
import time

from benchmarks import load, machine, report, rounds, rows
from benchmarks.package import packaged
from benchmarks.peer import PEERS, PeerError
from benchmarks.spread import Samples


def main() -> None:
    """Check that everybody does the same, then measure. Ends with status 1, and the reason, if somebody does not."""
    effort = rounds.QUICK if sys.argv[1:] == ["--quick"] else rounds.FULL
    began_s, began = time.monotonic(), machine.description()
    samples = Samples()

    def say(what: str) -> None:
        print(f"  {time.monotonic() - began_s:4.0f} s  {what}", file=sys.stderr, flush=True)

    packages = [packaged(peer) for peer in PEERS]
    for made in packages:
        samples.add(rows.PACKAGE.name, made.peer.name, made.bytes)
    rounds.conform(packages, say)
    for title, measured in (("warm", rows.APP), ("warm, with the SDK", rows.WITH_SDK), ("waiting", rows.WAITING)):
        say(title)
        rounds.warm(packages, measured, effort, samples)
    say("cold")
    rounds.cold(packages, rows.COLD, effort, samples)
    say("the local server")
    load.measure(effort, samples)
    report.write(samples, effort, time.monotonic() - began_s, began, machine.versions(packages))
    say(f"wrote {report.RESULTS.name}")


if __name__ == "__main__":
    try:
        main()
    except PeerError as error:
        sys.exit(f"error: {error}")
