"""What is measured, and what it should come to. A row's figures are better if they are lower, unless it is a `rate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cases import CASES
from benchmarks.peer import POWERTOOLS, RAW, Peer

LATENCY_S = 0.015


@dataclass(frozen=True)
class Aim:
    """At most so many times what another has in the same row, or in the row `of`. For a rate it is at least."""

    times: float
    against: str
    of: str | None = None


@dataclass(frozen=True)
class Limit:
    """At most this much."""

    value: float


@dataclass(frozen=True)
class Row:
    """One row of a table. Values are kept in the unit of `scale` 1 (s, bytes), and shown in `unit` of that scale."""

    name: str
    title: str
    unit: str
    scale: float
    aims: Sequence[Aim | Limit] = ()
    rate: bool = False


@dataclass(frozen=True)
class Warm:
    """A row of a warm app: which case it runs, in place of which calls, and whether time counts or CPU."""

    row: Row
    case: str
    stub: str = "in_place_of_calls"
    silent: bool = False
    latency_s: float = 0.0

    @property
    def function(self) -> str:
        """The function that the case is for."""
        return CASES[self.case].function


@dataclass(frozen=True)
class Cold:
    """A row of cold starts: which case it runs, and what of its cost it shows (a member of `ColdStart`)."""

    row: Row
    case: str
    shows: str


def _of(peer: Peer, times: float, row: str | None = None) -> Aim:
    return Aim(times, peer.name, row)


def _us(name: str, title: str, *aims: Aim) -> Row:
    return Row(name, title, "µs", 1e6, aims)


def _ms(name: str, title: str, *aims: Aim) -> Row:
    return Row(name, title, "ms", 1e3, aims)


APP = [
    Warm(_us("post", "`POST /post-message`, valid", _of(POWERTOOLS, 0.6)), "post"),
    Warm(_us("post silent", "the same, logging off", _of(RAW, 2.5)), "post", silent=True),
    Warm(_us("post invalid", "`POST /post-message`, invalid", _of(POWERTOOLS, 0.6)), "post invalid"),
    Warm(_us("get", "`GET /message/{id}`"), "get message"),
    Warm(_us("list", "`GET /dragons`, 1,000 entries, 200 shown, document new", _of(RAW, 0.45)), "list, new"),
    # The aim is from a measurement whose raw handler keeps no document, so it reads it anew.
    Warm(_us("list known", "the same, document known (304 from S3)", _of(RAW, 0.1, "list")), "list, known"),
    Warm(_us("long list", "10,000 entries, document new", _of(RAW, 0.5)), "list of 10,000, new"),
    Warm(_us("long list known", "10,000 entries, document known"), "list of 10,000, known"),
    Warm(_us("consume", "the consumer's batch of 10"), "consume"),
]

WITH_SDK = [
    Warm(_us("sdk post", "`POST /post-message`, valid"), "post", "behind_http"),
    Warm(_us("sdk get", "`GET /message/{id}`"), "get message", "behind_http"),
    Warm(_us("sdk list", "`GET /dragons`, 1,000 entries, document new"), "list, new", "behind_http"),
    Warm(_us("sdk list known", "the same, document known"), "list, known", "behind_http"),
    Warm(_us("sdk consume", "the consumer's batch of 10"), "consume", "behind_http"),
]

WAITING = [
    Warm(_ms("batch", "the consumer's batch of 10, warm", _of(RAW, 0.25)), "consume", latency_s=LATENCY_S),
]

COLD = [
    Cold(_ms("cold post", "first `POST /post-message`", _of(RAW, 0.75)), "post", "cpu_s"),
    Cold(_ms("cold import", "of that, the import"), "post", "init_cpu_s"),
    Cold(_ms("cold consume", "first batch of 10", _of(RAW, 0.6)), "consume", "cpu_s"),
    Cold(_ms("cold get", "first `GET /message/{id}`", _of(RAW, 0.65)), "get message", "cpu_s"),
    Cold(_ms("cold list", "first `GET /dragons`, 1,000 entries", _of(RAW, 0.7)), "list, known", "cpu_s"),
    Cold(
        _ms(
            "cold wall",
            "first `POST /post-message`, time",
        ),
        "post",
        "wall_s",
    ),
    Cold(_ms("cold batch", "the first batch alone, time", _of(RAW, 0.35)), "consume", "call_s"),
    Cold(
        Row("cold memory", "peak memory, first `POST /post-message`", "MiB", 1 / 1024, [_of(RAW, 0.85)]),
        "post",
        "peak_kb",
    ),
    Cold(
        Row("cold consumer memory", "peak memory, first batch of 10", "MiB", 1 / 1024, [_of(RAW, 0.85)]),
        "consume",
        "peak_kb",
    ),
]

PACKAGE = Row("package", "bytes of the package", "kB", 1e-3, [Limit(4e6)])

CONNECTIONS = (1, 8, 32)
STOCK = "stock `chalice local`"
SERVER = "`make run`"
SERVED = {
    connections: Row(
        f"served {connections}",
        f"{connections} connection{'s' if connections > 1 else ''}, kept alive",
        "requests/s",
        1,
        [Aim(20 if connections == 1 else 1, STOCK)],
        rate=True,
    )
    for connections in CONNECTIONS
}
