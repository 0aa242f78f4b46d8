"""A simulation of the service under load. It measures nothing; docs/scaling.md says what it assumes.

Requests arrive at random, at a rate that changes. Each has to pass the stage's throttle and the account's, needs an
environment of its function (a new one starts cold, and only so many may), and makes the calls to AWS that
`benchmarks/calls.py` lists, one after another or side by side. A call takes some time, and counts towards a quota; the
SDK tries it three times, as `chalicelib/aws.py` has it. A message that is accepted is on the queue, off which the
consumer takes batches, as many side by side as its mapping allows.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from benchmarks.calls import CALLS, SETTINGS, SIDE_BY_SIDE
from benchmarks.quotas import CONSUMER_CONCURRENCY, LAMBDA_CONCURRENCY, QUOTAS, READ_SETTINGS, USES, Quota

Process = Generator[simpy.Event, Any, str | None]  # what it returns is the limit that it met, or None

POST = "POST /post-message"
LOOK = (POST, "dynamodb GetItem")  # has one attempt, and if that fails the message is queued all the same
STORE_EACH, STORE_BATCH = "store_messages, each message", "store_messages, the batch"

# Assumed, not measured: what a call takes, as the median and the 99th percentile.
LATENCY_S: Mapping[str, tuple[float, float]] = {
    "dynamodb": (0.004, 0.02),
    "s3": (0.025, 0.12),
    "sqs": (0.010, 0.05),
    "ssm": (0.015, 0.08),
    "stepfunctions": (0.030, 0.12),
}
OWN_S = 0.002  # 1 ms of CPU, with the SDK's (RESULTS.md), at the share of a processor that 1,024 MB have
COLD_S = 0.35  # 0.13 s of CPU (RESULTS.md), and what Lambda needs for a new environment
SETTINGS_KEPT_S = 60.0
ATTEMPTS = 3
BATCH = 10
INVISIBLE_S = 180.0  # the queue's VisibilityTimeout
POLLERS_AT_FIRST, MORE_POLLERS_PER_S = 5, 5.0  # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
_99TH = 2.326  # percentile of a normal distribution, in standard deviations


@dataclass(frozen=True)
class Scenario:
    """What arrives: requests of a route, at a rate (of a time) a second, for so many seconds.

    `quotas` are those of the account that differ from the defaults, `concurrency` is how many functions it may run at
    once, and `consumers` how many batches of messages are stored at once.
    """

    name: str
    route: str
    rate: Callable[[float], float]
    seconds: float
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    concurrency: int = LAMBDA_CONCURRENCY
    consumers: int = CONSUMER_CONCURRENCY


class Bucket:
    """A token bucket: full at first."""

    def __init__(self, env: simpy.Environment, quota: Quota) -> None:
        self._env, self._quota = env, quota
        self._tokens, self._at = quota.at_once, env.now

    def take(self, units: float = 1) -> bool:
        """Take so many tokens, or none and return False."""
        self._tokens = min(self._quota.at_once, self._tokens + (self._env.now - self._at) * self._quota.per_s)
        self._at = self._env.now
        if self._tokens < units:
            return False
        self._tokens -= units
        return True


@dataclass
class Function:
    """A function: how fast it may grow and be called, and its environments that have nothing to do.

    Of each of these, `idle` has the time at which it reads its settings anew.
    """

    scaling: Bucket
    requests: Bucket
    reads_settings: bool
    idle: list[float] = field(default_factory=list)


class Simulation:
    """One scenario, and what became of all that arrived."""

    def __init__(self, scenario: Scenario, seed: int = 1) -> None:
        self.scenario = scenario
        self.env = simpy.Environment()
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.quotas = {**QUOTAS, **scenario.quotas}
        self.buckets = {name: Bucket(self.env, quota) for name, quota in self.quotas.items()}
        self.api = self._function(scenario.route)
        self.consumer = self._function(STORE_EACH)
        self.arrived = self.stored = self.cold = self.running = self.running_max = 0
        self.took_s: list[float] = []  # each answer
        self.refused: Counter[str] = Counter()  # by status and limit
        self.throttled: Counter[str] = Counter()  # calls and batches that have to be tried again, by limit
        self.queue: deque[float] = deque()  # of when each message was accepted
        self.in_flight = 0
        self.oldest_s = 0.0  # the age of the oldest message that a batch had
        self.stored_at_s = 0.0

    def run(self) -> Simulation:
        """Run until everything is answered and stored."""
        self.env.process(self._arrivals())
        if self.scenario.route == POST:
            self.env.process(self._mapping())
        self.env.run()
        return self

    def _function(self, work: str) -> Function:
        scaling, requests = (Bucket(self.env, self.quotas[f"Lambda's {of}"]) for of in ("scaling", "requests"))
        return Function(scaling, requests, work in READ_SETTINGS)

    def _arrivals(self) -> Process:
        while self.env.now < self.scenario.seconds:
            rate = self.scenario.rate(self.env.now)
            yield self.env.timeout(self.random.expovariate(rate))
            self.arrived += 1
            self.env.process(self._request())
        return None

    def _request(self) -> Process:
        began, route = self.env.now, self.scenario.route
        for throttle in ("the stage's throttle", "API Gateway's quota"):
            if not self.buckets[throttle].take():
                self.refused[f"429, {throttle}"] += 1
                return throttle
        limit = yield from self._invoked(self.api, self._answer(route))
        if limit:
            self.refused[f"503, {limit}"] += 1
            return limit
        self.took_s.append(self.env.now - began)
        if route == POST:
            self.queue.append(self.env.now)
        return None

    def _invoked(self, function: Function, work: Process) -> Process:
        """Run a function once."""
        if self.running >= self.scenario.concurrency:
            return "Lambda's concurrency"
        if not function.requests.take():
            return "Lambda's requests"
        if not function.idle and not function.scaling.take():
            return "Lambda's scaling"
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        limit = None
        anew_at = function.idle.pop() if function.idle else None
        if anew_at is None:
            self.cold += 1
            yield self.env.timeout(COLD_S)
        if function.reads_settings and self.env.now >= (anew_at or 0):
            limit = yield from self._calls("settings", SETTINGS)
            if anew_at is not None:
                limit = None  # a refresh that fails keeps the old values
            anew_at = None if limit else self.env.now + SETTINGS_KEPT_S * self.random.uniform(0.8, 1.2)
        yield self.env.timeout(OWN_S)
        limit = limit or (yield from work)
        self.running -= 1
        function.idle.append(anew_at or 0)
        return limit

    def _answer(self, route: str) -> Process:
        """Make the calls of an answer."""
        if route not in SIDE_BY_SIDE:
            return (yield from self._calls(route, CALLS[route]))
        calls = [self.env.process(self._calls(route, [call])) for call in CALLS[route]]
        yield self.env.all_of(calls)
        return next((call.value for call in calls if call.value), None)

    def _calls(self, made_for: str, calls: Sequence[str]) -> Process:
        """Make calls, one after another."""
        for call in calls:
            quota, units = USES.get(made_for, {}).get(call, (None, 0))
            for attempt in range(ATTEMPTS):
                yield self.env.timeout(self._latency_s(call))
                if quota is None or self.buckets[quota].take(units):
                    break
                self.throttled[quota] += 1
                if (made_for, call) == LOOK:
                    break
                if attempt == ATTEMPTS - 1:
                    return quota
                yield self.env.timeout(self.random.random() * 2**attempt)  # botocore.retries.standard
        return None

    def _latency_s(self, call: str) -> float:
        median, percentile = LATENCY_S[call.partition(" ")[0]]
        return self.random.lognormvariate(math.log(median), math.log(percentile / median) / _99TH)

    @property
    def _is_over(self) -> bool:
        return self.env.now >= self.scenario.seconds and self.stored == len(self.took_s) and not self.running

    def _mapping(self) -> Process:
        """Poll the queue: in five places at first, and in five more each second that it has messages."""
        for number in range(self.scenario.consumers):
            while number >= POLLERS_AT_FIRST and not self.queue and not self._is_over:
                yield self.env.timeout(1)
            self.env.process(self._poller())
            if number >= POLLERS_AT_FIRST:
                yield self.env.timeout(1 / MORE_POLLERS_PER_S)
        return None

    def _poller(self) -> Process:
        while not self._is_over:
            if not self.queue:
                yield self.env.timeout(0.05)
                continue
            batch = [self.queue.popleft() for _ in range(min(BATCH, len(self.queue)))]
            self.in_flight += len(batch)
            self.oldest_s = max(self.oldest_s, self.env.now - batch[0])
            limit = yield from self._invoked(self.consumer, self._stored(batch))
            if limit:  # Lambda could not run it, or it got no settings
                self.throttled[limit] += 1
                for accepted_at in batch:
                    self.env.process(self._again(accepted_at))
        return None

    def _stored(self, batch: Sequence[float]) -> Process:
        yield self.env.all_of([self.env.process(self._message(accepted_at)) for accepted_at in batch])
        return (yield from self._calls(STORE_BATCH, CALLS[STORE_BATCH]))

    def _message(self, accepted_at: float) -> Process:
        limit = yield from self._calls(STORE_EACH, CALLS[STORE_EACH])
        if limit:
            self.env.process(self._again(accepted_at))
            return limit
        self.in_flight -= 1
        self.stored += 1
        self.stored_at_s = self.env.now
        return None

    def _again(self, accepted_at: float) -> Process:
        """Have a message that was not deleted appear on the queue again."""
        yield self.env.timeout(INVISIBLE_S)
        self.in_flight -= 1
        self.queue.appendleft(accepted_at)
        return None
