"""Simulates the service under loads that this machine cannot make, for docs/scaling.md: `make simulate`."""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from benchmarks.quotas import QUOTAS, Quota
from benchmarks.simulation import POST, Scenario, Simulation

GET_DRAGONS, GET_FROM_TABLE, REPORT = "GET /dragons", "GET /dragons, in DynamoDB", "POST /dragons"
GET_MESSAGE, GET_MESSAGES = "GET /message/{message_id}", "GET /messages"
RAMP_S, HELD_S = 10.0, 10.0

# The stage's throttle at what the account allows, so that the account's limits show; and then those raised, too.
UNTHROTTLED: Mapping[str, Quota] = {"the stage's throttle": QUOTAS["API Gateway's quota"]}
RAISED_CONCURRENCY = 3_000
RAISED: Mapping[str, Quota] = {
    "the stage's throttle": Quota(20_000, 10_000),
    "API Gateway's quota": Quota(20_000, 10_000),
    "Lambda's requests": Quota(10 * RAISED_CONCURRENCY, RAISED_CONCURRENCY),
    "Parameter Store": Quota(1_000, 1_000),  # assumed of "higher throughput"
    "a new table's reads": Quota(40_000, 40_000),
    "a new table's writes": Quota(40_000, 40_000),
}
COMPANIES = 10
OF_COMPANIES: Mapping[str, Quota] = {"an S3 prefix's writes": Quota(3_500 * COMPANIES, 3_500 * COMPANIES)}


def _steady(per_s: float) -> Callable[[float], float]:
    return lambda now_s: per_s * min(1.0, (now_s + 0.1) / RAMP_S)


def _burst(per_s: float) -> Callable[[float], float]:
    return lambda _: per_s


def scenarios() -> Iterator[Scenario]:
    """Yield what docs/scaling.md shows, in its order."""
    seconds = RAMP_S + HELD_S
    for route, rates in ((POST, (100, 1_000, 10_000)), (GET_DRAGONS, (1_000,)), (GET_FROM_TABLE, (100, 1_000)),
                         (REPORT, (300, 1_000)), (GET_MESSAGES, (100, 1_000))):  # fmt: skip
        for per_s in rates:
            yield Scenario(f"as deployed, {per_s:,}/s", route, _steady(per_s), seconds)
    yield Scenario("as deployed, 0 to 1,000/s at once", GET_DRAGONS, _burst(1_000), HELD_S)
    for route in (POST, GET_MESSAGE, GET_DRAGONS, GET_FROM_TABLE):
        yield Scenario("throttle raised, 10,000/s", route, _steady(10_000), seconds, UNTHROTTLED)
    for route in (POST, GET_DRAGONS):
        yield Scenario("throttle raised, 0 to 10,000/s at once", route, _burst(10_000), HELD_S, UNTHROTTLED)
        yield Scenario("all raised, 0 to 10,000/s at once", route, _burst(10_000), HELD_S, RAISED, RAISED_CONCURRENCY)
    yield Scenario(
        f"all raised, 10,000/s of {COMPANIES} companies, 150 batches at once", POST, _steady(10_000), 3 * seconds,
        {**RAISED, **OF_COMPANIES}, RAISED_CONCURRENCY, consumers=150,
    )  # fmt: skip
    for consumers in (5, 10, 20):
        yield _of_a_company("as deployed, 1,000/s for 60 s", 1_000, 60, {}, consumers)
    for consumers in (10, 30, 100):
        yield _of_a_company("throttle raised, 10,000/s for 10 s", 10_000, 10, UNTHROTTLED, consumers)


def _of_a_company(name: str, per_s: float, seconds: float, quotas: Mapping[str, Quota], consumers: int) -> Scenario:
    name = f"{name}, one company's, {consumers:,} batches at once"
    return Scenario(name, POST, _burst(per_s), seconds, quotas, consumers=consumers)


def title(scenario: Scenario) -> str:
    """Return what a scenario is called in the table."""
    route, _, home = scenario.route.partition(",")
    return f"`{route}`{home}, {scenario.name}"


def row(done: Simulation) -> str:
    """Return what became of a scenario, as a row of a table in Markdown."""
    scenario = done.scenario
    share = {status: _share(_of_status(done.refused, status), done.arrived) for status in ("429", "503")}
    median, p99 = (f"{value * 1e3:,.0f}" for value in _percentiles(done.took_s))
    queue = f"{done.oldest_s:,.1f} s, {done.stored_at_s:,.0f} s" if scenario.route == POST else "–"
    cells = [
        title(scenario),
        f"{done.arrived:,}",
        _share(len(done.took_s), done.arrived),
        share["429"],
        share["503"],
        median,
        p99,
        f"{done.running_max:,}",
        _limits(done),
        queue,
    ]
    return f"| {' | '.join(cells)} |"


def _of_status(refused: Counter[str], status: str) -> int:
    return sum(count for reason, count in refused.items() if reason.startswith(status))


def _share(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return "0" if not part else f"{percent:.2f} %" if percent < 1 or 99 <= percent < 100 else f"{percent:.0f} %"


def _percentiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]


def _limits(done: Simulation) -> str:
    met = Counter(done.throttled)
    for reason, count in done.refused.items():
        met[reason.partition(", ")[2]] += count
    return "; ".join(f"{limit} ({count:,})" for limit, count in met.most_common(3)) or "nothing"


def main() -> None:
    """Print the table."""
    print(
        "| what | arrived | answered | 429 | 503 | median, ms | 99 %, ms | functions at most | limited by (times) "
        "| oldest message, all stored |"
    )
    print("| --- |" + " ---: |" * 7 + " --- | ---: |")
    for scenario in scenarios():
        print(row(Simulation(scenario).run()), flush=True)
        print(f"  simulated: {scenario.route}, {scenario.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
