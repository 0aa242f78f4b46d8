"""Suite 3: whatever AWS does to a call that a route makes, the client gets the right problem, in time, and no details.

Which calls a route makes is taken from a recording. Each of them is then made to fail in every way, for every attempt
or for the first one only; what is counted is at the proxy, and what is measured is what the client waits.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests

from devstack.api import ApiServer, listen
from devstack.deployment import Deployment
from devstack.settings import Settings
from tests.e2e.running import Api, Devstack, free_ports
from tests.e2e.waiting import until
from tests.proof import functions
from tests.proof.fault_proxy import SECRET, SECRET_HOST, Fault, FaultProxy, Rule
from tests.proof.report import Report, Scale
from tests.proof.routes import Herd, Route, routes

SUITE = "3 the API under faults"
ANSWERS_WITHIN_S = 29  # the gateway's limit, and the function's
ATTEMPTS_MAX = 3
HANGS_S = 6.0  # longer than the functions wait for an answer
REFRESH_DUE_WITHIN_S = 90
WAITING = "POST /dragons, waiting"

LASTING = (
    Fault.THROTTLE,
    Fault.ERROR,
    Fault.REFUSE,
    Fault.CUT_BEFORE,
    Fault.CUT_AFTER,
    Fault.GARBAGE,
    Fault.DENY,
    Fault.HANG,
)
QUICK = tuple(fault for fault in LASTING if fault is not Fault.HANG)
# What the SDK repeats; a client must not notice if it happens once.
PASSING = (Fault.THROTTLE, Fault.ERROR, Fault.REFUSE, Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.HANG)

# Nothing of it belongs in an answer: names, codes and addresses of AWS, of its SDK and of the embedded one.
DETAILS = re.compile(
    rf"{re.escape(SECRET)}|{re.escape(SECRET_HOST)}|arn:|amazonaws|aws|boto|s3|dynamo|sqs|lambda|ssm|step ?functions|"
    r"dragonpost-local|127\.0\.0\.1|localhost|traceback|exception|\.py\b|denied|throttl|slowdown|ASIA[A-Z0-9]{12}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Call:
    """One kind of AWS call."""

    service: str
    operation: str

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True)
class Case:
    """A route, the call of it that goes wrong, how, and for how many attempts (None: all)."""

    route: Route
    call: Call
    fault: Fault
    times: int | None = None

    def __str__(self) -> str:
        return f"{self.route.name}: {self.call} {self.fault} {'once' if self.times else 'always'}"

    def expected(self) -> frozenset[int]:
        """Return the statuses that are right."""
        if self.times and self.fault in PASSING:
            return self.route.succeeds_with
        if self.call.operation == "DescribeExecution" and self.route.name.startswith("POST"):
            return frozenset({202})  # it has started; not being able to look is no failure
        if self.call.service == "sqs":
            return frozenset({503})  # the queue did not take it, for whatever reason
        return frozenset({{Fault.DENY: 500, Fault.HANG: 504}.get(self.fault, 503)})


@dataclass
class Findings:
    """What was wrong with the answers, and how long they took."""

    tried: int = 0
    wrong: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    def check(self, case: str, answer: requests.Response, expected: Set[int], took_s: float) -> None:
        """Look at one answer."""
        self.tried += 1
        self.longest_s = max(self.longest_s, took_s)
        self.wrong += [f"{case}: {fault}" for fault in _faults_of(answer, expected, took_s)]


def _faults_of(answer: requests.Response, expected: Set[int], took_s: float) -> Iterator[str]:
    if answer.status_code not in expected:
        yield f"{answer.status_code}, expected {expected}: {answer.text[:300]}"
    if took_s > ANSWERS_WITHIN_S:
        yield f"took {took_s:.1f} s"
    if answer.status_code < 400:
        return
    if answer.headers["Content-Type"] != "application/problem+json":
        yield f"no problem but {answer.text[:300]}"
    elif answer.json()["request_id"] != answer.headers["X-Request-Id"]:
        yield "the request id is not the one in the header"
    if answer.status_code in (503, 504) and not answer.headers.get("Retry-After", "").isdigit():
        yield "no Retry-After"
    if detail := DETAILS.search(answer.text):
        yield f"shows {detail[0]!r}: {answer.text}"


@pytest.fixture(scope="module")
def proxy(proving_ground: Devstack) -> Iterator[FaultProxy]:
    """A proxy that the API's function reaches AWS through."""
    with (
        FaultProxy(proving_ground.running["aws_url"], Random(0)) as running,
        functions.reaching_aws_at(proving_ground, running.url, functions.API),
    ):
        yield running


@pytest.fixture(scope="module")
def every_route(proving_ground: Devstack, proving_apis: dict[str, Api]) -> Iterator[list[Route]]:
    """All routes of the deployed API."""
    herd = Herd(proving_ground, 1000)
    yield routes(proving_apis["gateway"], herd)
    herd.remove()


def test_every_failing_call_gives_the_right_problem(
    proxy: FaultProxy, every_route: list[Route], proving_ground: Devstack, report: Report, scale: Scale, rng: Random
) -> None:
    calls = {route.name: _recorded(proxy, route) for route in every_route}
    print(f"\n{SUITE}: {calls}", flush=True)
    cases = _cases(every_route, calls, scale, rng)
    by_service: dict[str, list[list[Case]]] = {}
    for (service, *_), group in groupby(sorted(cases, key=_together), key=_together):
        by_service.setdefault(service, []).append(list(group))
    _warm_up(every_route if scale.name == "full" else every_route[-len(by_service) :])
    before = _sizes(proving_ground)

    findings = Findings()
    with ThreadPoolExecutor(len(by_service)) as pool:
        list(pool.map(lambda groups: [_try(group, proxy, findings) for group in groups], by_service.values()))
    after = _sizes(proving_ground)

    grown = [f"a worker has {size}, was at most {before}" for size in after if size > tuple(map(max, *before, (3, 12)))]
    lost = findings.wrong + grown
    report.add(
        SUITE,
        "each failing AWS call of each route is the right problem, in time and without details",
        tried=findings.tried,
        survived=findings.tried - len(findings.wrong),
        lost=len(lost),
        note=f"{sum(map(len, calls.values()))} calls of {len(calls)} routes; the longest answer took "
        f"{findings.longest_s:.1f} s; threads and sockets of a worker at the end {max(after)}",
    )
    assert not lost


def _recorded(proxy: FaultProxy, route: Route) -> list[Call]:
    """Return the calls that a route makes once the function is warm."""
    assert route.send().status_code in route.succeeds_with
    mark = len(proxy.calls)
    assert route.send().status_code in route.succeeds_with
    made = [Call(call.request.service, call.request.operation) for call in proxy.since(mark)]
    return [call for call in dict.fromkeys(made) if call.service != "ssm"]


def _cases(every_route: list[Route], calls: dict[str, list[Call]], scale: Scale, rng: Random) -> list[Case]:
    """Return all cases, or at the fast scale one lasting and one passing fault of each call, on one of its routes."""
    cases = []
    for call in dict.fromkeys(call for made in calls.values() for call in made):
        affected = [route for route in every_route if call in calls[route.name]]
        if scale.name == "fast":
            lasting, passing = rng.choice(QUICK), rng.choice([fault for fault in PASSING if fault in QUICK])
            cases.append(Case(rng.choice(affected), call, lasting))
            cases.append(Case(rng.choice(affected), call, passing, times=1))
            continue
        cases += [Case(route, call, fault) for fault in LASTING for route in affected]
        cases += [Case(route, call, fault, times=1) for fault in PASSING for route in affected]
    return cases


def _together(case: Case) -> tuple[str, str, str, int, str]:
    """Return what cases have in common that are tried at the same time; one that is done once is tried alone."""
    alone = case.route.name if case.times else ""
    return case.call.service, case.call.operation, case.fault, case.times or 0, alone


def _try(cases: list[Case], proxy: FaultProxy, findings: Findings) -> None:
    """Try cases that share a rule at the same time."""
    first = cases[0]
    rule = Rule(first.fault, first.call.service, first.call.operation, times=first.times, seconds=HANGS_S)
    mark = len(proxy.calls)
    with proxy.misbehaving(rule), ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(lambda case: _send(case, findings), cases))
    met = len([call for call in proxy.since(mark, first.call.service, first.call.operation) if call.fault])
    if met > len(cases) * ATTEMPTS_MAX or not met:
        findings.wrong.append(f"{first}: {met} attempts of {len(cases)} requests")


def _send(case: Case, findings: Findings) -> None:
    began = time.monotonic()
    answer = case.route.send()
    findings.check(str(case), answer, case.expected(), time.monotonic() - began)


def _warm_up(every_route: list[Route]) -> None:
    """Have as many workers as there will be requests at a time."""
    with ThreadPoolExecutor(len(every_route)) as pool:
        list(pool.map(lambda route: route.send(), every_route))


def _sizes(devstack: Devstack) -> list[tuple[int, int]]:
    """Return the number of threads and sockets of each process that runs the API's function."""
    return [
        (functions.threads_of(pid), functions.connections_of(pid)) for pid in functions.workers(devstack, functions.API)
    ]


def test_neither_slow_calls_in_a_row_nor_a_lost_parameter_store_are_waited_for(
    proxy: FaultProxy, every_route: list[Route], proving_apis: dict[str, Api], report: Report, scale: Scale
) -> None:
    if scale.name == "fast":
        pytest.skip("over a minute: make prove; tests/unit/test_settings.py and test_aws_answers.py have the rules")
    _warm_up(every_route)
    mark, over = len(proxy.calls), threading.Event()
    refreshing, in_a_row = Findings(), Findings()
    with proxy.misbehaving(Rule(Fault.HANG, "ssm", seconds=HANGS_S)), ThreadPoolExecutor(1) as pool:
        asking = pool.submit(_ask_now_and_then, proving_apis["gateway"], refreshing, over)
        # Two at a time that have no call in common.
        for pair in ({"PUT /dragons/{name}", "GET /submissions/{id}"}, {"DELETE /dragons/{name}", WAITING}):
            _try_all_slow([route for route in every_route if route.name in pair], proxy, in_a_row)
        alone_since = len(proxy.calls)  # a refresh from now on is one that a request of `_ask_now_and_then` makes
        until(lambda: proxy.since(alone_since, "ssm"), REFRESH_DUE_WITHIN_S)
        over.set()
        asking.result()

    report.add(
        SUITE,
        "several slow calls in a row are answered in time",
        tried=in_a_row.tried,
        survived=in_a_row.tried - len(in_a_row.wrong),
        lost=len(in_a_row.wrong),
        note=f"the longest answer took {in_a_row.longest_s:.1f} s",
    )
    report.add(
        SUITE,
        "Parameter Store failing after a good start changes nothing",
        tried=refreshing.tried,
        survived=refreshing.tried - len(refreshing.wrong),
        lost=len(refreshing.wrong),
        note=f"{len(proxy.since(mark, 'ssm'))} failed refreshes; the longest answer took {refreshing.longest_s:.1f} s",
    )
    assert not in_a_row.wrong
    assert not refreshing.wrong
    assert refreshing.longest_s < 5, "a refresh that hangs is not waited for"


def _ask_now_and_then(api: Api, findings: Findings, over: threading.Event) -> None:
    """Ask for a message that is not there, which takes one call; the settings grow old meanwhile."""
    while not over.wait(0.2):
        began = time.monotonic()
        answer = api.get(f"/message/{uuid.uuid4()}")
        findings.check("Parameter Store fails", answer, {404}, time.monotonic() - began)


def _try_all_slow(pair: list[Route], proxy: FaultProxy, findings: Findings) -> None:
    """Have each kind of call hang twice and be slow the third time."""
    rules = [
        rule
        for service, operation in (
            ("s3", "GetObject"),
            ("s3", "PutObject"),
            ("states", "StartExecution"),
            ("states", "DescribeExecution"),
            ("states", "GetExecutionHistory"),
        )
        for rule in (
            Rule(Fault.HANG, service, operation, times=2, seconds=HANGS_S),
            Rule(Fault.DELAY, service, operation, seconds=4.5),
        )
    ]

    def send(route: Route) -> None:
        began = time.monotonic()
        answer = route.send()
        took_s = time.monotonic() - began
        findings.check(f"{route.name}, all slow", answer, route.succeeds_with | {202, 503, 504}, took_s)
        print(f"{SUITE}: {route.name}, all slow: {answer.status_code} in {took_s:.1f} s", flush=True)

    with proxy.misbehaving(*rules), ThreadPoolExecutor(len(pair)) as pool:
        list(pool.map(send, pair))


def test_parameter_store_failing_at_the_start_is_a_clear_problem_and_passes(
    proxy: FaultProxy, proving_ground: Devstack, proving_apis: dict[str, Api], report: Report, scale: Scale, rng: Random
) -> None:
    api, findings = proving_apis["gateway"], Findings()
    for fault in LASTING if scale.name == "full" else [rng.choice(QUICK)]:
        for pid in functions.workers(proving_ground, functions.API):
            functions.kill(pid)
        with proxy.misbehaving(Rule(fault, "ssm", seconds=HANGS_S)):
            assert api.get("/health", None).status_code == 200
            began = time.monotonic()
            answer = api.get("/dragons")
            expected = {{Fault.DENY: 500, Fault.HANG: 504}.get(fault, 503)}
            findings.check(f"Parameter Store {fault} at the start", answer, expected, time.monotonic() - began)
        findings.check(f"Parameter Store well after {fault}", api.get("/dragons"), {200}, 0)
    report.add(
        SUITE,
        "Parameter Store failing at the start is a clear problem, and passes",
        tried=findings.tried,
        survived=findings.tried - len(findings.wrong),
        lost=len(findings.wrong),
    )
    assert not findings.wrong


@contextlib.contextmanager
def _local_server(devstack: Devstack, proxy: FaultProxy, folder: Path) -> Iterator[tuple[str, int]]:
    """A second local server that reaches AWS through the proxy; yields its URL and process id."""
    port, _ = free_ports()
    settings = Settings(port, int(proxy.url.rpartition(":")[2]), devstack.state)
    with listen(port, "the port") as listening:
        server = ApiServer(settings, folder / "api.log", listening, lambda: None)
        try:
            assert server.replace(Deployment("", "", devstack.running["outputs"], "")) == ""
            assert server.pid
            yield settings.local_url, server.pid
        finally:
            server.end()


def test_a_slow_dependency_piles_up_neither_threads_nor_connections(
    proxy: FaultProxy,
    proving_ground: Devstack,
    proving_apis: dict[str, Api],
    report: Report,
    scale: Scale,
    tmp_path: Path,
) -> None:
    clients, waves = scale.of(15, 60), 2
    token = proving_apis["local"].token("operator")
    slow = Rule(Fault.HANG, "s3", seconds=scale.of(1, 6))
    expected = {scale.of(200, 504)}
    findings = Findings()
    with _local_server(proving_ground, proxy, tmp_path) as (url, pid):

        def read(_: int) -> Any:
            began = time.monotonic()
            with requests.Session() as http:
                http.trust_env = False
                headers = {"Authorization": f"Bearer {token}"}
                answer = http.get(f"{url}/dragons?limit=1", headers=headers, timeout=ANSWERS_WITHIN_S + 10)
            return answer, time.monotonic() - began

        read(0)
        resting = (functions.threads_of(pid), functions.connections_of(pid))
        rests = []
        for _ in range(waves):
            with proxy.misbehaving(replace(slow)), ThreadPoolExecutor(clients) as pool:
                for answer, took_s in pool.map(read, range(clients)):
                    findings.check("S3 is slow", answer, expected, took_s)
            until(lambda: functions.threads_of(pid) <= resting[0] + 1)
            rests.append((functions.threads_of(pid), functions.connections_of(pid)))
        findings.check("S3 is well again", read(0)[0], {200}, 0)

    piled = [rest for rest in rests if rest[0] > resting[0] + 1 or rest[1] > resting[1] + 17]
    report.add(
        SUITE,
        "a slow dependency piles up neither threads nor connections",
        tried=findings.tried,
        survived=findings.tried - len(findings.wrong),
        lost=len(findings.wrong) + len(piled),
        note=f"{waves} waves of {clients} clients on the local server; threads and sockets before {resting}, after "
        f"{rests[-1]}; the longest answer took {findings.longest_s:.1f} s",
    )
    assert not findings.wrong
    assert not piled
