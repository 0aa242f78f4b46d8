"""Suite 3: whatever happens to a route's AWS call, the client gets the right problem, in time and without details.

A recording says which calls a route makes. The proxy then makes each of them fail in every way, on every attempt or
only on the first. The suite counts attempts at the proxy, and measures how long the client waits.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests

from chalicelib.messages.listing import PARTS
from chalicelib.web.problems import NOT_READY
from devstack.aws.deployment import Deployment
from devstack.server.process import ApiServer, listen
from devstack.settings import Settings
from operations import PROJECT
from tests.e2e.homes import registry_in_dynamodb
from tests.e2e.messages import a_message, post, stored
from tests.e2e.running import Api, Devstack, free_ports, listens
from tests.e2e.waiting import until
from tests.proof import functions
from tests.proof.fault_proxy import SECRET, SECRET_HOST, Fault, FaultProxy, Rule
from tests.proof.report import Report, Scale, only_at_full_scale
from tests.proof.roles import start_cold
from tests.proof.routes import READY, Herd, Route, operators_routes, routes

SUITE = "3 the API under faults"
ANSWERS_WITHIN_S = 29  # the limit of the gateway and of the function
ATTEMPTS_MAX = 3
HANGS_S = 6.0  # longer than the functions wait for an answer
REFRESH_DUE_WITHIN_S = 90
REFRESHES_MIN = 2  # that fail, or else nothing was tried; as many clients ask
ASKED_AFTERWARDS_MIN = 10
PAGES = ("/", "/docs")  # they say where to sign in, which is a setting that the environment has
# S3, Step Functions, SQS, DynamoDB.
ONE_FOR_EACH_SERVICE = ("GET /dragons", "POST /dragons", "POST /post-message", "GET /message/{id}")
OPERATORS_ROUTES_TRIED = 2  # at the fast scale
OF_THE_REGISTRY = {"GET /dragons", "GET /dragons/{name}", "PUT /dragons/{name}", "DELETE /dragons/{name}"}
# Pairs of routes that make no common call, each with the service that it calls.
SLOW_TOGETHER = (
    {"PUT /dragons/{name}": "s3", "GET /submissions/{id}, its steps": "dynamodb"},
    {"DELETE /dragons/{name}": "s3", "POST /dragons, waiting": "states"},
)

needs_full_scale = only_at_full_scale("tries the same in the registry's other home")

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
# The SDK repeats these; a client must not notice if one happens once.
PASSING = (Fault.THROTTLE, Fault.ERROR, Fault.REFUSE, Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.HANG)
DONE_UNSEEN = (Fault.CUT_AFTER, Fault.HANG)  # the call is done, and its answer is lost

# An answer must contain none of these: names, codes and addresses of AWS, its SDK and the embedded AWS.
DETAILS = re.compile(
    rf"{re.escape(SECRET)}|{re.escape(SECRET_HOST)}|arn:|amazonaws|aws|boto|s3|dynamo|sqs|lambda|ssm|step ?functions|"
    r"dragonpost-local|127\.0\.0\.1|localhost|traceback|exception|\.py\b|denied|throttl|slowdown|ASIA[A-Z0-9]{12}",
    re.IGNORECASE,
)
# The gateway's own headers, on every answer.
GATEWAY_HEADERS = frozenset({"x-amzn-requestid", "x-amz-request-id"})
# The parts that docs/api.md promises to show, and hashes and cursors, whose letters may spell anything.
PROMISED = re.compile(
    r'"execution_arn":"arn:aws:states:[^"]*:execution:dragonpost-local-dragons:[\w-]+"|"message_s3_key":|'
    r'"submission_id":"[\w-]+"|/submissions/[\w-]+|^ETag: .*$|\bcursor=[\w-]+|'
    r"\b(?:bucket|queue|table|workflow) dragonpost-local-[\w-]+",
    re.MULTILINE,
)
# And why a dependency is ill, in the answer that names it.
REASON = re.compile(r"(?:DynamoDB|Parameter Store|S3|SQS|Step Functions) (?:refused|is not available)(?:: \w+)?")


@dataclass(frozen=True)
class Call:
    """One kind of AWS call."""

    service: str
    operation: str

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}"


POSTING = "POST /post-message"
LOOK = Call("dynamodb", "GetItem")
LOOK_ADDS_MAX_S = 1.0
SLOW_S = 0.3  # shorter than a look may take


@dataclass(frozen=True)
class Case:
    """A route, which of its calls goes wrong, how, and on how many attempts (None: all)."""

    route: Route
    call: Call
    fault: Fault
    times: int | None = None

    def __str__(self) -> str:
        return f"{self.route.name}: {self.call} {self.fault} {'once' if self.times else 'always'}"

    def expected(self) -> frozenset[int]:
        """Return the statuses that are correct for this case."""
        if self.route.names:
            return frozenset({503})
        if self.times and self.fault in PASSING:
            lost = self.fault in DONE_UNSEEN and self.call.operation in self.route.unseen
            return frozenset({503}) if lost else self.route.succeeds_with
        if self.call.operation in self.route.spared:
            return self.route.succeeds_with - {201}  # nobody can tell that it is done
        if self.call.operation in self.route.unavailable:
            return frozenset({503})
        return frozenset({{Fault.DENY: 500, Fault.HANG: 504}.get(self.fault, 503)})


@dataclass
class Findings:
    """What was wrong with answers, and how long they took."""

    tried: int = 0
    wrong: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    def ask(self, case: str, send: Callable[[], requests.Response], expected: Set[int]) -> requests.Response:
        """Send a request, and check its answer."""
        answer = send()
        self.check(case, answer, expected, answer.elapsed.total_seconds())
        return answer

    def check(self, case: str, answer: requests.Response, expected: Set[int], took_s: float) -> None:
        """Check one answer."""
        self.tried += 1
        self.longest_s = max(self.longest_s, took_s)
        self.wrong += [f"{case}: {fault}" for fault in _faults_of(answer, expected, took_s)]

    def ask_of(self, case: Case) -> None:
        """Send a request of a case, and check its answer. That of `GET /ready` names what is ill, and nothing else."""
        answer = self.ask(str(case), case.route.send, case.expected())
        if case.route.names and (named := _ill(answer)) != case.route.names[case.call.operation]:
            self.wrong.append(f"{case}: names {named}")


def _ill(answer: requests.Response) -> set[str]:
    """Return what an answer of `GET /ready` names as ill."""
    return {each["name"] for each in answer.json().get("dependencies", ()) if each["status"] == "ill"}


def _faults_of(answer: requests.Response, expected: Set[int], took_s: float) -> Iterator[str]:
    if answer.status_code not in expected:
        yield f"{answer.status_code}, expected {expected}: {answer.text[:300]}"
    if took_s > ANSWERS_WITHIN_S:
        yield f"took {took_s:.1f} s"
    if detail := DETAILS.search(shown := _shown(answer)):
        yield f"shows {detail[0]!r}: {shown}"
    if answer.status_code < 400:
        return
    if answer.headers["Content-Type"] != "application/problem+json":
        yield f"no problem but {answer.text[:300]}"
    elif answer.json()["request_id"] != answer.headers["X-Request-Id"]:
        yield "the request id is not the one in the header"
    if answer.status_code in (503, 504) and not answer.headers.get("Retry-After", "").isdigit():
        yield "no Retry-After"


def _shown(answer: requests.Response) -> str:
    """Return the headers and the body without the parts that the app promises to show."""
    headers = [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() not in GATEWAY_HEADERS]
    shown = PROMISED.sub("", "\n".join([*headers, answer.text]))
    return REASON.sub("", shown) if NOT_READY in answer.text else shown


@pytest.fixture(scope="module")
def proxy(proving_ground: Devstack) -> Iterator[FaultProxy]:
    """A proxy through which the API's function reaches AWS."""
    with (
        FaultProxy(proving_ground.running["aws_url"], Random(0)) as running,
        functions.reaching_aws_at(proving_ground, running.url, functions.API),
    ):
        yield running


@pytest.fixture(scope="module")
def operators_proxy(proving_ground: Devstack) -> Iterator[FaultProxy]:
    """A proxy through which the function for operators reaches AWS."""
    with (
        FaultProxy(proving_ground.running["aws_url"], Random(0)) as running,
        functions.reaching_aws_at(proving_ground, running.url, functions.OPERATORS),
    ):
        yield running


@pytest.fixture(scope="module")
def for_operators(proving_apis: dict[str, Api]) -> list[Route]:
    """The routes of the deployed API that the function for operators answers."""
    return operators_routes(proving_apis["gateway"], proving_apis["local"])


@pytest.fixture(scope="module")
def every_route(proving_ground: Devstack, proving_apis: dict[str, Api]) -> Iterator[list[Route]]:
    """All routes of the deployed API."""
    herd = Herd(proving_ground, 1000)
    yield routes(proving_apis["gateway"], herd)
    herd.remove()


def test_every_operation_that_needs_a_token_is_among_the_routes(
    every_route: list[Route], for_operators: list[Route]
) -> None:
    """These are the operations that call AWS. One that is missing among the routes would not be tried."""
    document = json.loads((PROJECT / "chalicelib" / "web" / "static" / "openapi.json").read_text(encoding="utf-8"))
    with_token = {
        f"{method.upper()} {_nameless(path)}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in ("get", "post", "put", "delete") and operation.get("security", document.get("security"))
    }
    tried = {_nameless(re.split(", | of ", route.name)[0]) for route in (*every_route, *for_operators)}
    assert with_token == tried


def _nameless(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_every_failing_call_gives_the_right_problem(
    proxy: FaultProxy, every_route: list[Route], proving_ground: Devstack, report: Report, rng: Random
) -> None:
    _try_every_call(every_route, proxy, proving_ground, report, rng)


def test_every_failing_call_of_operators_gives_the_right_problem_or_names_what_is_ill(
    operators_proxy: FaultProxy,
    for_operators: list[Route],
    report: Report,
    scale: Scale,
    rng: Random,
) -> None:
    """One case after the other: `GET /ready` asks what others have fail, and letters are hidden while one looks."""
    chosen = for_operators if scale.name == "full" else rng.sample(for_operators, OPERATORS_ROUTES_TRIED)
    calls = {route.name: _recorded(operators_proxy, route) for route in chosen}
    cases = _cases(chosen, calls, scale, rng) if scale.name == "fast" else _operators_cases(chosen, calls, rng)
    findings = Findings()
    for case in cases:
        _try([case], operators_proxy, findings)
    report.add(
        SUITE,
        f"each failing AWS call of {len(calls)} routes for operators gives the right problem, or names what is ill",
        tried=findings.tried,
        survived=findings.tried - len(findings.wrong),
        lost=len(findings.wrong),
        note=f"{', '.join(sorted({str(case.call) for case in cases}))}; the longest answer took "
        f"{findings.longest_s:.1f} s",
    )
    assert not findings.wrong, "\n".join(findings.wrong)


def _operators_cases(every_route: list[Route], calls: dict[str, list[Call]], rng: Random) -> list[Case]:
    """Return a case for each call of each route, and for each call and fault; of what hangs, for each service."""
    makers: dict[Call, list[Route]] = {}
    for route in every_route:
        for call in calls[route.name]:
            makers.setdefault(call, []).append(route)
    cases = [Case(route, call, rng.choice(QUICK)) for call, affected in makers.items() for route in affected]
    services = dict.fromkeys(call.service for call in makers)
    hanging = {rng.choice([call for call in makers if call.service == service]) for service in services}
    for call, affected in makers.items():
        cases += [
            Case(rng.choice(affected), call, fault, times)
            for faults, times in ((LASTING, None), (PASSING, 1))
            for fault in faults
            if fault is not Fault.HANG or call in hanging
        ]
    return cases


@needs_full_scale
def test_every_failing_call_gives_the_right_problem_if_the_registry_is_in_dynamodb(
    proxy: FaultProxy, every_route: list[Route], proving_ground: Devstack, report: Report, rng: Random
) -> None:
    """Those of the routes that read or change it."""
    chosen = [route for route in every_route if route.name in OF_THE_REGISTRY]
    assert {route.name for route in chosen} == OF_THE_REGISTRY
    in_a_row = Findings()
    with registry_in_dynamodb(proving_ground):
        for pid in functions.workers(proving_ground, functions.API):
            functions.kill(pid)  # it would ask the document first
        _try_every_call(chosen, proxy, proving_ground, report, rng)
        _try_all_slow(every_route, {"DELETE /dragons/{name}": "dynamodb"}, proxy, in_a_row)
    report.add(
        SUITE,
        "several slow calls in a row to the registry in DynamoDB are answered in time",
        tried=in_a_row.tried,
        survived=in_a_row.tried - len(in_a_row.wrong),
        lost=len(in_a_row.wrong),
        note=f"the longest answer took {in_a_row.longest_s:.1f} s",
    )
    assert not in_a_row.wrong, "\n".join(in_a_row.wrong)


@pytest.mark.alone
def test_a_look_in_the_index_that_fails_or_hangs_keeps_no_message_from_the_queue(
    proxy: FaultProxy, proving_ground: Devstack, proving_apis: dict[str, Api], report: Report, scale: Scale, rng: Random
) -> None:
    """Stored messages are posted again: a look that works finds them (200), one that fails lets them pass (202)."""
    api = proving_apis["gateway"]
    message = a_message()
    stored(api, post(api, message).headers["Location"])
    faults = LASTING if scale.name == "full" else (Fault.HANG, Fault.DENY, rng.choice(QUICK))
    findings, added_s = Findings(), []
    for fault in faults:
        _start_anew(proving_ground, api)
        mark = len(proxy.calls)
        with proxy.misbehaving(Rule(fault, LOOK.service, LOOK.operation, seconds=HANGS_S)):
            for _ in range(2):
                findings.ask(f"the look {fault}", lambda: post(api, message), {202})
        looks = proxy.since(mark, LOOK.service, LOOK.operation)
        sent = proxy.since(mark, "sqs", "SendMessage")
        added_s.append(sent[0].at - looks[0].at)
        if len(looks) != 1 or added_s[-1] > LOOK_ADDS_MAX_S:
            findings.wrong.append(f"the look {fault}: {len(looks)} looks, the first added {added_s[-1]:.2f} s")
    _start_anew(proving_ground, api)
    with proxy.misbehaving(Rule(Fault.DELAY, LOOK.service, LOOK.operation, seconds=SLOW_S)):
        findings.ask("the look is slow", lambda: post(api, message), {200})
    report.add(
        SUITE,
        "a look in the index that is slow, hangs, is denied or fails keeps no message from the queue",
        tried=findings.tried,
        survived=findings.tried - len(findings.wrong),
        lost=len(findings.wrong),
        note=f"one look, then none for a while; it added at most {max(added_s):.2f} s",
    )
    assert not findings.wrong, "\n".join(findings.wrong)


def _try_every_call(
    chosen: list[Route], proxy: FaultProxy, proving_ground: Devstack, report: Report, rng: Random
) -> None:
    """Make each AWS call of these routes fail in every way, and check the answers."""
    calls = {route.name: _recorded(proxy, route) for route in chosen}
    for name, made in calls.items():
        print(f"{SUITE}: {name} calls {', '.join(map(str, made))}", flush=True)
    assert all(calls.values()), "a route without a known call would not be tried"
    cases = _cases(chosen, calls, report.scale, rng)
    by_service: dict[str, list[list[Case]]] = {}
    for (service, *_), group in groupby(sorted(cases, key=_together), key=_together):
        # A message that is posted to the failing queue must not look in the failing index, nor a report that waits for
        # the failing workflow read its row from the failing table, so these take turns.
        by_service.setdefault("dynamodb" if service in ("sqs", "states") else service, []).append(list(group))
    _warm_up(chosen if report.scale.name == "full" else chosen[-len(by_service) :])
    before = _sizes(proving_ground)

    findings = Findings()
    with ThreadPoolExecutor(len(by_service)) as pool:
        list(pool.map(lambda groups: [_try(group, proxy, findings) for group in groups], by_service.values()))
    after = _sizes(proving_ground)

    # A page of messages is asked of all parts of the index at once. Their threads and connections stay.
    allowed = _largest([*before, (3 + PARTS, 12 + PARTS)])
    grown = [f"a worker has {size}, was at most {allowed}" for size in after if _largest([size, allowed]) != allowed]
    lost = findings.wrong + grown
    report.add(
        SUITE,
        f"each failing AWS call of {len(calls)} routes gives the right problem, in time and without details",
        tried=findings.tried,
        survived=findings.tried - len(findings.wrong),
        lost=len(lost),
        note=f"{', '.join(sorted({str(case.call) for case in cases}))}; the longest answer took "
        f"{findings.longest_s:.1f} s; threads and sockets of a worker at the end {_largest(after)}",
    )
    assert not lost, "\n".join(lost)


def _start_anew(devstack: Devstack, api: Api) -> None:
    """Replace the API's function by one that has made no call yet, but has its clients and settings: it looks again."""
    for pid in functions.workers(devstack, functions.API):
        functions.kill(pid)
    assert post(api, a_message()).status_code == 202


def _recorded(proxy: FaultProxy, route: Route) -> list[Call]:
    """Return the calls that a route makes, except those for the settings, which readiness asks for, too."""
    mark = len(proxy.calls)
    assert route.send().status_code in route.succeeds_with
    made = [Call(call.request.service, call.request.operation) for call in proxy.since(mark)]
    return [call for call in dict.fromkeys(made) if call.service != "ssm" or route.name == READY]


def _cases(every_route: list[Route], calls: dict[str, list[Call]], scale: Scale, rng: Random) -> list[Case]:
    """Return all cases. At the fast scale, return one lasting or passing fault for each call, on one of its routes."""
    cases: list[Case] = []
    for call in dict.fromkeys(call for made in calls.values() for call in made):
        # After a look that failed, a function does not look for a while: a test of its own tries that.
        affected = [
            route for route in every_route if call in calls[route.name] and (route.name, call) != (POSTING, LOOK)
        ]
        if scale.name == "fast":
            lasting, passing = rng.choice(QUICK), rng.choice([fault for fault in PASSING if fault in QUICK])
            route = rng.choice(affected)
            cases.append(rng.choice([Case(route, call, lasting), Case(route, call, passing, times=1)]))
            continue
        cases += [Case(route, call, fault) for fault in LASTING for route in affected]
        cases += [Case(route, call, fault, times=1) for fault in PASSING for route in affected]
    return cases


def _together(case: Case) -> tuple[str, str, str, int, str]:
    """Return the key that cases share if they are tried at the same time.

    Cases that succeed in the end and may change the registry share none: they would compete with each other.
    """
    alone = case.route.name if case.times and case.call.service == "s3" else ""
    return case.call.service, case.call.operation, case.fault, case.times or 0, alone


def _try(cases: list[Case], proxy: FaultProxy, findings: Findings) -> None:
    """Try cases that share a rule, all at the same time."""
    first = cases[0]
    rule = Rule(first.fault, first.call.service, first.call.operation, attempts=first.times, seconds=HANGS_S)
    mark = len(proxy.calls)
    with proxy.misbehaving(rule), ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(findings.ask_of, cases))
    faulted = [call for call in proxy.since(mark, first.call.service, first.call.operation) if call.fault]
    attempts = Counter(call.request.sdk_call for call in faulted)
    # A request that this call fails makes no further one. One that succeeds may look again, or beat a rival.
    too_many = len(attempts) > sum(case.route.at_once for case in cases) and first.times is None
    if too_many or len(attempts) < len(cases) or max(attempts.values()) > ATTEMPTS_MAX:
        findings.wrong.append(f"{first}: {len(cases)} requests made calls of {list(attempts.values())} attempts")


def _warm_up(every_route: list[Route]) -> None:
    """Start as many workers as there will be requests at the same time."""
    with ThreadPoolExecutor(len(every_route)) as pool:
        list(pool.map(lambda route: route.send(), every_route))


def _largest(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return the largest number of threads and the largest number of sockets."""
    threads, sockets = zip(*sizes, strict=True)
    return max(threads), max(sockets)


def _sizes(devstack: Devstack) -> list[tuple[int, int]]:
    """Return the number of threads and sockets of each process that runs the API's function."""
    return [
        (functions.threads_of(pid), functions.connections_of(pid)) for pid in functions.workers(devstack, functions.API)
    ]


def test_slow_calls_in_a_row_and_a_lost_parameter_store_do_not_delay_answers_beyond_the_limit(
    proxy: FaultProxy,
    every_route: list[Route],
    proving_ground: Devstack,
    proving_apis: dict[str, Api],
    report: Report,
    scale: Scale,
) -> None:
    if scale.name == "fast":
        pytest.skip("over a minute: make prove; tests/unit/test_settings.py and test_aws_answers.py have the rules")
    start_cold(proving_ground, "api_handler")
    with proxy.misbehaving(Rule(Fault.DELAY, "s3", "GetObject", seconds=2)):  # so that each starts a function
        _warm_up([route for route in every_route if route.name == "GET /dragons"] * len(every_route))
    mark = len(proxy.calls)
    refreshing, in_a_row = Findings(), Findings()
    with proxy.misbehaving(Rule(Fault.HANG, "ssm", seconds=HANGS_S)):
        for services in SLOW_TOGETHER:
            _try_all_slow(every_route, services, proxy, in_a_row)
        alone_since = len(proxy.calls)  # only requests of `_asking_now_and_then` refresh the settings from here
        with _asking_now_and_then(proving_apis["gateway"], lambda: bool(proxy.since(mark, "ssm")), refreshing):
            until(lambda: proxy.since(alone_since, "ssm"), REFRESH_DUE_WITHIN_S)
            until(lambda: len(proxy.since(mark, "ssm")) >= REFRESHES_MIN, REFRESH_DUE_WITHIN_S)
            enough = refreshing.tried + ASKED_AFTERWARDS_MIN
            until(lambda: refreshing.tried >= enough)
    refreshes = proxy.since(mark, "ssm")

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
        note=f"requests since the first of {len(refreshes)} failed refreshes; the longest answer took "
        f"{refreshing.longest_s:.1f} s",
    )
    assert not in_a_row.wrong, "\n".join(in_a_row.wrong)
    assert not refreshing.wrong, "\n".join(refreshing.wrong)
    assert {call.fault for call in refreshes} == {Fault.HANG}
    assert refreshing.longest_s < 5, "a refresh that hangs is not waited for"


@contextlib.contextmanager
def _asking_now_and_then(api: Api, counts: Callable[[], bool], findings: Findings) -> Iterator[None]:
    """Inside the block, several clients ask for the dragons, whose place is asked of Parameter Store; the settings age.

    Answers count once `counts` returns True; before that, they have to be right as well.
    """
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.2):
            noted = findings if counts() else Findings()
            noted.ask("Parameter Store fails", lambda: api.get("/dragons?limit=1"), {200})
            assert findings is noted or not noted.wrong, noted.wrong

    with ThreadPoolExecutor(REFRESHES_MIN) as pool:
        asking = [pool.submit(ask) for _ in range(REFRESHES_MIN)]
        try:
            yield
        finally:
            over.set()
        for each in asking:
            each.result()


def _try_all_slow(every_route: list[Route], services: Mapping[str, str], proxy: FaultProxy, findings: Findings) -> None:
    """Make each kind of call from these routes to their services hang twice, and be slow the third time."""
    chosen = [route for route in every_route if route.name in services]
    mark = len(proxy.calls)
    rules = [
        rule
        for service, operation in (
            ("s3", "GetObject"),
            ("s3", "PutObject"),
            ("states", "StartExecution"),
            ("states", "DescribeExecution"),
            ("states", "GetExecutionHistory"),
            ("dynamodb", "Query"),
            ("dynamodb", "GetItem"),
            ("dynamodb", "TransactWriteItems"),
        )
        for rule in (
            Rule(Fault.HANG, service, operation, times=2, seconds=HANGS_S),
            Rule(Fault.DELAY, service, operation, seconds=4.5),
        )
    ]

    def send(route: Route) -> None:
        findings.ask(f"{route.name}, all slow", route.send, route.succeeds_with | {202, 503, 504})

    with proxy.misbehaving(*rules), ThreadPoolExecutor(len(chosen)) as pool:
        list(pool.map(send, chosen))
    for name, service in services.items():
        met = Counter(call.fault for call in proxy.since(mark, service))
        print(f"{SUITE}: {name}, all slow: {met[Fault.HANG]} calls hung, {met[Fault.DELAY]} were slow", flush=True)
        if not (met[Fault.HANG] and met[Fault.DELAY]):
            findings.wrong.append(f"{name} was not tried: {met}")


def test_parameter_store_is_asked_for_nothing_but_what_people_may_change(
    proxy: FaultProxy, proving_ground: Devstack, proving_apis: dict[str, Api], report: Report
) -> None:
    """It answers 40 calls a second, and a burst of cold starts makes more if each of them asks."""
    api = proving_apis["gateway"]
    with functions.reaching_aws_at(proving_ground, proxy.url, functions.STORE_MESSAGES):
        start_cold(proving_ground, "api_handler")
        mark = len(proxy.calls)
        stored(api, post(api, a_message()).headers["Location"])
        until(lambda: {call.request.operation for call in proxy.since(mark)} >= {"SendMessage", "DeleteMessageBatch"})
        calls = list(proxy.since(mark))
        for _ in range(2):
            assert api.get("/dragons?limit=1").status_code == 200
        asked_for_the_place = len(proxy.since(mark, "ssm")) - sum(call.request.service == "ssm" for call in calls)
    accepted = next(place for place, call in enumerate(calls) if call.request.operation == "SendMessage")
    asked = [call.request.service for call in calls[:accepted]].count("ssm")
    asked_by_the_consumer = [call.request.service for call in calls[accepted:]].count("ssm")
    held = [asked == 0, asked_by_the_consumer == 1, asked_for_the_place == 1]
    report.add(
        SUITE,
        "accepting a message asks Parameter Store nothing; storing and dragons ask it once, for what people may change",
        tried=len(held),
        survived=sum(held),
        lost=len(held) - sum(held),
    )
    assert asked == 0
    assert asked_by_the_consumer == 1, "for how long messages are kept"
    assert asked_for_the_place == 1


def test_parameter_store_failing_at_the_start_is_a_clear_problem_and_passes(
    proxy: FaultProxy, proving_ground: Devstack, proving_apis: dict[str, Api], report: Report, scale: Scale, rng: Random
) -> None:
    api, findings = proving_apis["gateway"], Findings()
    for fault in LASTING if scale.name == "full" else [rng.choice(QUICK)]:
        for pid in functions.workers(proving_ground, functions.API):
            functions.kill(pid)
        expected = {{Fault.DENY: 500, Fault.HANG: 504}.get(fault, 503)}
        with proxy.misbehaving(Rule(fault, "ssm", seconds=HANGS_S)):
            assert api.get("/health", None).status_code == 200
            findings.ask(f"Parameter Store {fault} at the start", lambda: api.get("/dragons?limit=1"), expected)
            assert {api.get(path, None).status_code for path in PAGES} == {200}
        findings.check(f"Parameter Store well after {fault}", api.get("/dragons?limit=1"), {200}, 0)
    report.add(
        SUITE,
        "Parameter Store failing at the start is a clear problem, and passes",
        tried=findings.tried,
        survived=findings.tried - len(findings.wrong),
        lost=len(findings.wrong),
    )
    assert not findings.wrong, "\n".join(findings.wrong)


def test_the_right_problem_is_given_when_nothing_listens_at_the_address_of_aws(
    every_route: list[Route], proving_ground: Devstack, proving_apis: dict[str, Api], report: Report, scale: Scale
) -> None:
    if scale.name == "fast":
        pytest.skip("two more starts of the function: make prove; connections that are reset are tried above")
    api, findings = proving_apis["gateway"], Findings()
    chosen = [route for route in every_route if route.name in ONE_FOR_EACH_SERVICE]
    with contextlib.ExitStack() as listening:
        gone = listening.enter_context(FaultProxy(proving_ground.running["aws_url"], Random(0)))
        with functions.reaching_aws_at(proving_ground, gone.url, functions.API):
            # The settings are read and all clients are made while the proxy listens, so that the services are tried.
            assert all(route.send().status_code in route.succeeds_with for route in chosen)
            listening.close()
            assert not listens(int(gone.url.rpartition(":")[2]))
            for route in chosen:
                findings.ask(f"{route.name}: nothing listens", route.send, {503})
            for pid in functions.workers(proving_ground, functions.API):
                functions.kill(pid)
            assert api.get("/health", None).status_code == 200
            findings.ask("nothing listens at the start", lambda: api.get("/dragons"), {503})
    report.add(
        SUITE,
        "nothing listening at the address of AWS gives the right problem, in time and without details",
        tried=findings.tried,
        survived=findings.tried - len(findings.wrong),
        lost=len(findings.wrong),
        note=f"the longest answer took {findings.longest_s:.1f} s",
    )
    assert len(chosen) == len(ONE_FOR_EACH_SERVICE)
    assert not findings.wrong, "\n".join(findings.wrong)


@contextlib.contextmanager
def _local_server(devstack: Devstack, proxy: FaultProxy, folder: Path) -> Iterator[tuple[str, int]]:
    """Run a second local server, which reaches AWS through the proxy; yields its URL and process id."""
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


@contextlib.contextmanager
def _highest(pid: int) -> Iterator[list[tuple[int, int]]]:
    """Yield a list to which the process's numbers of threads and sockets are added several times a second."""
    seen: list[tuple[int, int]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            seen.append((functions.threads_of(pid), functions.connections_of(pid)))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


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
        highest = resting
        for _ in range(waves):
            with proxy.misbehaving(replace(slow)), _highest(pid) as seen, ThreadPoolExecutor(clients) as pool:
                for answer, took_s in pool.map(read, range(clients)):
                    findings.check("S3 is slow", answer, expected, took_s)
            highest = _largest([highest, *seen])
            until(lambda: functions.connections_of(pid) <= resting[1] + 17)
            rests.append((functions.threads_of(pid), functions.connections_of(pid)))
        findings.check("S3 is well again", read(0)[0], {200}, 0)

    # The server keeps the threads of the first wave for the next ones.
    piled = [rest for rest in rests if rest[0] > rests[0][0] + 1 or rest[1] > resting[1] + 17]
    # While they wait, each client has a thread, a connection to the server, and one from there to S3. The rest is for
    # a refresh of the settings.
    if highest[0] > resting[0] + clients + 2 or highest[1] > resting[1] + 2 * clients + 4:
        piled.append(highest)
    report.add(
        SUITE,
        "a slow dependency piles up neither threads nor connections",
        tried=findings.tried,
        survived=findings.tried - len(findings.wrong),
        lost=len(findings.wrong) + len(piled),
        note=f"{waves} waves of {clients} clients on the local server; threads and sockets before {resting}, at most "
        f"{highest}, after {rests[-1]}; the longest answer took {findings.longest_s:.1f} s",
    )
    assert highest[0] > resting[0], "nobody waited"
    assert not findings.wrong, "\n".join(findings.wrong)
    assert not piled
