"""The simulation's mechanism: what arrives is accounted for, queues behave as the theory says, and each limit binds."""

from __future__ import annotations

import math

import pytest

from benchmarks import simulate
from benchmarks.calls import CALLS, SETTINGS
from benchmarks.quotas import CONSUMER_CONCURRENCY, QUOTAS, READ_SETTINGS, USES, Quota
from benchmarks.simulation import (
    ATTEMPTS,
    COLD_S,
    LATENCY_S,
    LOOK,
    OWN_S,
    POST,
    STORE_BATCH,
    STORE_EACH,
    Scenario,
    Simulation,
)
from chalicelib import aws
from operations import PROJECT
from operations.stages import STAGES

ENDLESS = {name: Quota(1e9, 1e9) for name in QUOTAS}
DRAGONS = "GET /dragons"
PAGE = (PROJECT / "docs" / "scaling.md").read_text(encoding="utf-8")


def simulated(
    route: str, per_s: float, seconds: float, *, concurrency: int = 10_000, consumers: int = 10, **limits: Quota
) -> Simulation:
    """Simulate requests at one rate, without any quota but those that are given by their names."""
    scenario = Scenario("a test", route, lambda _: per_s, seconds, ENDLESS | limits, concurrency, consumers)
    return Simulation(scenario).run()


class TestConservation:
    def test_whatever_arrives_is_answered_or_refused_and_whatever_is_accepted_is_stored(self) -> None:
        tight = {
            "the stage's throttle": Quota(400, 100),
            "Lambda's scaling": Quota(5, 20),
            "a new table's writes": Quota(100, 20),
            "an S3 prefix's writes": Quota(100, 20),
            "Parameter Store": Quota(2, 2),
        }
        done = Simulation(Scenario("tight", POST, lambda _: 500, 3, tight, concurrency=30)).run()

        assert done.refused.total() > 0
        assert done.throttled.total() > 0
        assert done.arrived == len(done.took_s) + done.refused.total()
        assert done.stored == len(done.took_s)
        assert (len(done.queue), done.in_flight, done.running) == (0, 0, 0)

    def test_the_same_seed_gives_the_same_figures_and_another_one_others(self) -> None:
        scenario = Scenario("any", DRAGONS, lambda _: 50, 2)

        first, again, other = (Simulation(scenario, seed).run().took_s for seed in (1, 1, 2))

        assert first == again != other


class TestTheory:
    def test_as_many_requests_are_refused_as_erlangs_formula_says(self) -> None:
        """Whatever distribution the times have, their mean decides (Erlang's loss formula, an M/G/c/c system)."""
        median, percentile = LATENCY_S["dynamodb"]
        sigma = math.log(percentile / median) / 2.326
        mean_s = OWN_S + median * math.exp(sigma**2 / 2)
        functions, per_s = 4, 400.0

        done = simulated("GET /message/{message_id}", per_s, 60, concurrency=functions)

        refused = done.refused["503, Lambda's concurrency"] / done.arrived
        assert refused == pytest.approx(erlang_b(functions, per_s * mean_s), rel=0.08)

    def test_requests_that_find_room_take_what_their_calls_take(self) -> None:
        done = simulated(POST, 200, 20)

        assert len(done.took_s) == done.arrived
        median_s = sorted(done.took_s)[len(done.took_s) // 2]
        assert 0.014 < median_s < 0.02  # 4 and 10 ms, and 2 of its own

    def test_a_function_that_is_new_takes_longer_by_a_cold_start(self) -> None:
        done = simulated("GET /health", 100, 3)

        assert done.cold == sum(took_s > COLD_S for took_s in done.took_s)
        assert min(done.took_s) == pytest.approx(OWN_S)
        assert max(done.took_s) == pytest.approx(COLD_S + OWN_S)


def erlang_b(servers: int, load: float) -> float:
    """Return the share that finds all servers busy."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked


class TestLimits:
    def test_a_throttle_lets_its_rate_through_and_what_it_holds(self) -> None:
        done = simulated("GET /health", 1_000, 10, **{"the stage's throttle": Quota(100, 50)})

        assert len(done.took_s) == pytest.approx(10 * 100 + 50, abs=3)
        assert set(done.refused) == {"429, the stage's throttle"}

    def test_a_call_is_tried_three_times_before_its_request_is_refused(self) -> None:
        done = simulated(DRAGONS, 20, 1, **{"an S3 prefix's reads": Quota(0, 0)})

        assert done.refused == {"503, an S3 prefix's reads": done.arrived}
        assert done.throttled["an S3 prefix's reads"] == ATTEMPTS * done.arrived

    def test_a_message_is_accepted_though_the_look_at_the_index_is_refused(self) -> None:
        none = {"a new table's reads": Quota(0.001, 0)}
        scenario = Scenario("any", POST, lambda _: 20, 1, ENDLESS | none)
        simulation = Simulation(scenario)
        simulation.buckets["a new table's reads"].take = (  # type: ignore[method-assign]
            lambda units=1: units == 1  # the consumer's read is consistent
        )

        done = simulation.run()

        assert len(done.took_s) == done.stored == done.arrived
        assert done.throttled == {"a new table's reads": done.arrived}

    def test_a_new_function_that_gets_no_settings_refuses_and_asks_again_for_the_next_request(self) -> None:
        done = simulated(DRAGONS, 100, 5, **{"Parameter Store": Quota(1, 2)})

        assert done.refused["503, Parameter Store"] > 0
        assert len(done.took_s) > done.arrived / 2

    def test_only_so_many_environments_may_start_in_a_second(self) -> None:
        done = simulated(DRAGONS, 1_000, 2, **{"Lambda's scaling": Quota(1, 5)})

        assert done.cold <= 5 + 2
        assert done.refused["503, Lambda's scaling"] > 0

    def test_fewer_batches_at_once_leave_messages_on_the_queue_for_longer(self) -> None:
        few, many = (simulated(POST, 400, 5, consumers=consumers) for consumers in (2, 10))

        assert few.oldest_s > 2
        assert many.oldest_s < 1
        assert few.stored == len(few.took_s)


class TestWhatItIsFedWith:
    def test_every_call_that_counts_towards_a_quota_is_one_that_a_test_asserts(self) -> None:
        for made_for, uses in USES.items():
            calls = CALLS.get(made_for, SETTINGS)
            assert set(uses) <= set(calls), made_for
            assert {quota for quota, _ in uses.values()} <= QUOTAS.keys()
        assert READ_SETTINGS | {POST, STORE_EACH, STORE_BATCH} <= CALLS.keys()
        assert LOOK[1] in CALLS[POST]

    def test_the_sdk_tries_as_often_as_it_is_set_up_to(self) -> None:
        assert aws._CONFIG.retries["total_max_attempts"] == ATTEMPTS

    def test_the_stages_own_limits_are_those_of_the_templates(self) -> None:
        assert QUOTAS["the stage's throttle"] == Quota(1_000, 500)
        assert STAGES["prod"].consumer_concurrency == CONSUMER_CONCURRENCY

    def test_every_scenario_is_about_a_route_whose_calls_are_known(self) -> None:
        assert {scenario.route for scenario in simulate.scenarios()} <= CALLS.keys()


class TestReport:
    def test_a_row_says_what_became_of_all_and_what_limited(self) -> None:
        done = simulated(DRAGONS, 40, 5, **{"an S3 prefix's reads": Quota(10, 10)})

        cells = [cell.strip() for cell in simulate.row(done).split("|")[1:-1]]

        assert cells[0] == "`GET /dragons`, a test"
        assert cells[1] == str(done.arrived)
        assert cells[2].endswith(" %")
        assert cells[8].startswith("an S3 prefix's reads (")

    def test_the_page_shows_what_the_simulation_says(self) -> None:
        """If it does not, put what `make simulate` prints there, and see whether the sentences below it still hold."""
        section = PAGE.partition("\n## The simulation\n")[2].partition("\n## ")[0]
        table = [line for line in section.splitlines() if line.startswith("| `")]
        quick = ("as deployed, 100/s", "as deployed, 300/s", "as deployed, 0 to 1,000/s at once")

        assert [line.split(" | ")[0] for line in table] == [
            f"| {simulate.title(each)}" for each in simulate.scenarios()
        ]
        for scenario in simulate.scenarios():
            if scenario.name in quick:
                assert simulate.row(Simulation(scenario).run()) in table

    def test_the_page_has_every_limit_with_its_figure_and_its_source(self) -> None:
        for quota in QUOTAS.values():
            assert f"{quota.per_s:,.0f}" in PAGE
            assert quota.source in PAGE
