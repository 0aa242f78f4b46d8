"""Every dragon reported as added is in the registry, once, however many report at once and whatever gets lost."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
import requests

from chalicelib.aws import DependencyUnavailable
from chalicelib.dragons.dynamodb import TableContended
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.repository import Addition, Change, DragonRepository
from tests.e2e.dragons import a_dragon
from tests.e2e.homes import registry_in_dynamodb
from tests.e2e.running import Api, Devstack
from tests.proof import functions
from tests.proof.awkward import AwkwardDynamoDB
from tests.proof.fault_proxy import Fault, FaultProxy, Rule
from tests.proof.homes import Document, Home, Table, client_of, deployed_home
from tests.proof.registry import WriterProcess, all_dragons, distinct_names, persistently, spelled
from tests.proof.report import Report, only_at_full_scale
from tests.samples import dragon

SUITE = "1 concurrent reports"
SETTLED_WITHIN_S = 120  # on AWS this takes a second; here every function is a process on the same machine
EARLIER = tuple(f"earlier {number}" for number in range(5))
PATIENCE = (502, 503, 504)  # the statuses that ask the client to wait
READ_AGAIN_EVERY_S = 0.1
HISTORY_EVENTS_TOLD = 20  # all attempts of the last step that failed, and the events after it
REPORTED_AGAIN_MAX = 5
WORKFLOW_ATTEMPTS = 3  # at a step that fails: infrastructure/dragons.asl.json

needs_full_scale = only_at_full_scale("restarts the function that adds")


def fire_rules(home: Home) -> list[Rule]:
    """Return rules that give a home every kind of fault, so that about one write in eight fails all SDK attempts."""
    return [
        Rule(Fault.CUT_AFTER, home.service, home.writes, chance=0.4),
        *[
            Rule(fault, home.service, operation, chance=0.04, seconds=0.5)
            for fault in (Fault.THROTTLE, Fault.ERROR, Fault.CUT_BEFORE, Fault.DELAY)
            for operation in (home.reads, home.writes)
        ],
    ]


def lost_answer_rules(home: Home) -> list[Rule]:
    """Return rules that lose the answer to the first write, and refuse the SDK's retry: the function fails."""
    return [
        Rule(Fault.CUT_AFTER, home.service, home.writes, times=1),
        Rule(Fault.DENY, home.service, home.writes, times=1),
    ]


def never_recognised(home: Home) -> Rule:
    """Return a rule, to be put after these, that keeps the function from finding out that it has written."""
    reads_first = home.recognises == home.reads
    return Rule(Fault.DENY, home.service, home.recognises, first=2 if reads_first else 1)


class ReportFailed(AssertionError):
    """A submission ended as `failed`. The message has all that Step Functions knows about it."""

    def __init__(self, stack: Devstack, submission_id: str) -> None:
        states = stack.client("stepfunctions")
        machine = stack.running["outputs"]["DragonWorkflowArn"]
        arn = machine.replace(":stateMachine:", ":execution:") + ":" + submission_id
        execution = states.describe_execution(executionArn=arn)
        events = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        told = {name: execution.get(name) for name in ("status", "error", "cause", "startDate", "stopDate")}
        super().__init__(
            json.dumps({"execution": told, "events": events[-HISTORY_EVENTS_TOLD:]}, default=str, indent=1)
        )
        causes = [event["taskFailedEventDetails"]["cause"] for event in events if event["type"] == "TaskFailed"]
        unanswered = re.compile(rf"{deployed_home(stack).called} (is not available|refused)")
        self.attempts_without_home = sum(unanswered.search(cause) is not None for cause in causes)


def answered(send: Callable[[], requests.Response]) -> tuple[requests.Response, int]:
    """Send a request as a careful client does: repeat it if there is no answer, or one that asks the client to wait.

    Behind the gateway, each request of a crowd is a process that starts on this machine, and may need longer than a
    client waits. Returns the answer, and how often the request was repeated.
    """
    for again in range(20):
        try:
            answer = send()
        except requests.RequestException:
            continue
        if answer.status_code not in PATIENCE:
            return answer, again
        time.sleep(float(answer.headers.get("Retry-After", 1)))
    raise AssertionError("no answer to any of twenty attempts")


def reported(api: Api, body: dict[str, Any], key: str, *, waits: bool) -> tuple[str, int]:
    """Report a dragon, and repeat the report under the same key if necessary.

    Returns `added` or `rejected`, and how often the report was repeated. Raises `ReportFailed`.
    """
    headers = {"Idempotency-Key": key} | ({"Prefer": "wait=10"} if waits else {})
    answer, again = answered(lambda: api.post("/dragons", headers=headers, json=body))
    if answer.status_code in (201, 409):
        return {201: "added", 409: "rejected"}[answer.status_code], again
    if answer.status_code == 500 and "submission-failed" in answer.text:
        raise ReportFailed(api.devstack, answer.headers["Location"].rpartition("/")[2])
    assert answer.status_code == 202, f"{answer.status_code} {answer.text}"
    found = settled(api, answer.headers["Location"])
    if found["status"] == "failed":
        raise ReportFailed(api.devstack, found["submission_id"])
    assert found["status"] != "rejected" or "is in the registry" in found["reason"]
    return found["status"], again


def settled(api: Api, location: str) -> dict[str, Any]:
    """Poll a submission until its end, as slowly as the service asks. The local server has to answer each time."""
    ends = time.monotonic() + SETTLED_WITHIN_S
    while time.monotonic() < ends:
        answer, again = answered(lambda: api.get(location))
        assert not again or api.target == "gateway", f"{location}: no answer to the first attempt"
        assert answer.status_code == 200, answer.text
        if answer.json()["status"] != "pending":
            return dict(answer.json())
        time.sleep(float(answer.headers["Retry-After"]))
    raise AssertionError(f"{location} is not settled: {answer.text}")


def everything(api: Api) -> list[dict[str, Any]]:
    """Return the registry as a client reads it, page after page."""
    found: list[dict[str, Any]] = []
    reference = "/dragons?limit=1000"
    while reference:
        answer, _ = answered(lambda reference=reference: api.get(reference))
        assert answer.status_code == 200, answer.text
        found += answer.json()
        reference = answer.links.get("next", {}).get("url", "")
    return found


@dataclass
class Crowd:
    """Clients that report dragons at the same time, and what each was told. The description identifies a report.

    If the registry's home misbehaves, set `may_fail`: a report may then end as `failed` if every attempt met a fault.
    It is unknown whether its dragon was added, so the client reports it again under another key.
    """

    apis: Mapping[str, Api]
    names: list[str]
    run: str
    together: threading.Barrier
    may_fail: bool = False
    outcomes: list[tuple[str, str, str]] = field(default_factory=list)  # (normalised name, status, description)
    unseen: list[str] = field(default_factory=list)
    known: list[dict[str, Any]] = field(default_factory=list)  # the reports that a client was told were added
    sent_again: int = 0
    read_again: int = 0

    def report(self, number: int, spelling: str, description: str, seed: int) -> None:
        """Report a dragon at either target, again if it failed, and look for it if it was added.

        The clients wait for each other with their first reports, and send them at once.
        """
        rng = Random(seed)
        own = {target: Api(api.devstack, target, _tokens=api._tokens) for target, api in self.apis.items()}
        if number < self.together.parties:
            self.together.wait()
        for _ in range(REPORTED_AGAIN_MAX):
            body = a_dragon(dragon_name_str=spelling, description_str=description)
            status = self._told(rng.choice(list(own.values())), body, waits=rng.random() < 0.5)
            self.outcomes.append((normalised_name(spelling), status, description))
            if status == "added":  # from now on everybody sees it, at both targets
                self.unseen += [
                    f"{spelling}: not seen at {target}" for target, api in own.items() if not is_shown(api, body)
                ]
                self.known.append(body)
            if status != "failed":
                return
            description += ", again"
        raise AssertionError(f"{spelling} failed {REPORTED_AGAIN_MAX} times")

    def read_on(self, target: str, over: threading.Event, seed: int) -> None:
        """Read the dragons known as added again and again, under any spelling, until everything is over."""
        rng = Random(seed)
        own = Api(self.apis[target].devstack, target, _tokens=self.apis[target]._tokens)
        while not over.wait(READ_AGAIN_EVERY_S):
            if self.known:
                body = rng.choice(self.known)
                again = {**body, "dragon_name_str": spelled(body["dragon_name_str"], rng).strip()}
                self.unseen += [] if is_shown(own, again) else [f"{again['dragon_name_str']}: gone at {target}"]
                self.read_again += 1

    def _told(self, api: Api, body: dict[str, Any], *, waits: bool) -> str:
        key = f"{body['description_str']} {self.run}".replace(" ", "-")
        try:
            status, again = reported(api, body, key, waits=waits)
        except ReportFailed as failed:
            if not self.may_fail or failed.attempts_without_home < WORKFLOW_ATTEMPTS:
                raise
            return "failed"
        self.sent_again += again
        return status

    def what_is_wrong(self, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
        """Compare what the clients were told with the registry before and after.

        One report has the name, and only that one was told `added`; or if none was, it was told `failed`.
        """
        wrong = list(self.unseen)
        kept: dict[str, list[str]] = {}
        for found in after:
            kept.setdefault(normalised_name(found["dragon_name_str"]), []).append(found["description_str"])
        for name in map(normalised_name, self.names):
            told = [(status, description) for key, status, description in self.outcomes if key == name]
            holders = kept.get(name, [])
            added = [description for status, description in told if status == "added"]
            failed = [description for status, description in told if status == "failed"]
            if len(holders) != 1 or (added != holders and (added or holders[0] not in failed)):
                wrong.append(f"{name}: {told}, kept {holders}")
        wrong += [f"{key} is there {len(entries)} times" for key, entries in kept.items() if len(entries) != 1]
        return wrong + [f"{found['dragon_name_str']} is gone" for found in before if found not in after]


def is_shown(api: Api, body: dict[str, Any]) -> bool:
    """Return True if a dragon is read as it was reported."""
    seen, _ = answered(lambda: api.get("/dragons/" + quote(body["dragon_name_str"])))
    return seen.status_code == 200 and bool(seen.json()["description_str"] == body["description_str"])


def crowd_at_work(
    apis: Mapping[str, Api], rng: Random, *, reports: int, names: int, clients: int, may_fail: bool = False
) -> Crowd:
    """Let that many clients report dragons with that many names at the same time, until all reports are settled."""
    crowd = Crowd(
        apis, distinct_names(rng, names), f"{rng.getrandbits(64):x}", threading.Barrier(clients, timeout=60), may_fail
    )
    work = [(spelled(crowd.names[number % names], rng), f"made {number}") for number in range(reports)]
    rng.shuffle(work)
    for api in apis.values():
        api.token("operator")
    over = threading.Event()
    with ThreadPoolExecutor(len(apis)) as readers:
        reading = [readers.submit(crowd.read_on, target, over, rng.getrandbits(32)) for target in apis]
        try:
            with ThreadPoolExecutor(clients) as pool:
                jobs = [(number, *job, rng.getrandbits(32)) for number, job in enumerate(work)]
                list(pool.map(lambda job: crowd.report(*job), jobs))
        finally:
            over.set()
        for reader in reading:
            reader.result()
    print(f"  {reports} reports of {names} names, {crowd.sent_again} of them sent again, "
          f"{clients} at once, {crowd.read_again} reads meanwhile")  # fmt: skip
    assert sum(status != "failed" for _, status, _ in crowd.outcomes) == reports
    return crowd


@pytest.fixture(scope="module", params=["s3", pytest.param("dynamodb", marks=needs_full_scale)])
def registry(request: pytest.FixtureRequest, proving_ground: Devstack) -> Iterator[Home]:
    """The registry's home, as it is deployed, and then the other one."""
    moved = registry_in_dynamodb(proving_ground) if request.param == "dynamodb" else contextlib.nullcontext()
    with moved:
        yield deployed_home(proving_ground)


class TestThroughTheDeployedStack:
    def test_one_name_is_added_once_and_nothing_is_lost(
        self, registry: Home, proving_apis: dict[str, Api], rng: Random, report: Report
    ) -> None:
        of = report.scale.of
        reports, clients, names = of(30, 200), of(10, 50), of(6, 40)
        before = everything(proving_apis["gateway"])
        crowd = crowd_at_work(proving_apis, rng, reports=reports, names=names, clients=clients)

        after = everything(proving_apis["local"])
        wrong = crowd.what_is_wrong(before, after) + differs(registry, after)
        note = (
            f"deployed stack, {registry.called}, {clients} clients that start at once, {names} names; "
            f"{crowd.read_again} reads meanwhile of what was known as added"
        )
        promise = "one `added` for each name, the others `rejected`, and all of it is read back"
        report.add(SUITE, promise, tried=reports, survived=reports - len(wrong), lost=len(wrong), note=note)
        assert not wrong
        assert crowd.read_again

    def test_exactly_one_of_several_changes_to_the_same_version_wins(
        self, registry: Home, proving_ground: Devstack, proving_apis: dict[str, Api], rng: Random, report: Report
    ) -> None:
        """Clients send PUT and DELETE with the same ETag, while others report dragons."""
        rounds, rivals = report.scale.of(2, 12), 6
        apis = list(proving_apis.values())
        names = distinct_names(rng, rounds)
        wrong: list[str] = []
        doubtful = settled_rounds = 0
        for number, name in enumerate(names):
            made = a_dragon(dragon_name_str=name)
            assert reported(apis[0], made, f"first-{rng.getrandbits(64):x}", waits=True)[0] == "added"
            place = "/dragons/" + quote(name)
            seen = answered(lambda place=place: apis[0].get(place))[0].headers["ETag"]
            kinds = [rng.choice(["PUT", "PUT", "DELETE"]) for _ in range(rivals)]

            def change(
                rival: int, place: str = place, seen: str = seen, kinds: list[str] = kinds, made: Any = made
            ) -> int | None:
                """Send a change once: repeated, it would lose to itself. None means that the outcome is unknown."""
                api = Api(proving_ground, ("local", "gateway")[rival % 2], _tokens=apis[rival % 2]._tokens)
                body = {**made, "family_str": f"rival {rival}"} if kinds[rival] == "PUT" else None
                try:
                    answer = api.request(kinds[rival], place, json=body, headers={"If-Match": seen})
                except requests.RequestException:
                    return None
                return None if answer.status_code in PATIENCE else answer.status_code

            with ThreadPoolExecutor(rivals + 2) as pool:
                noise = [
                    pool.submit(
                        answered,
                        lambda n=n, name=name: apis[n].post(
                            "/dragons", json=a_dragon(dragon_name_str=f"{name} by {n}")
                        ),
                    )
                    for n in range(2)
                ]
                statuses = list(pool.map(change, range(rivals)))
                reported_meanwhile = [future.result()[0] for future in noise]
            assert {answer.status_code for answer in reported_meanwhile} == {202}
            for n, answer in enumerate(reported_meanwhile):
                assert settled(apis[n], answer.headers["Location"])["status"] == "added"
            now, _ = answered(lambda place=place, number=number: apis[number % 2].get(place))
            assert now.status_code in (200, 404), now.text
            there = now.json()["family_str"] if now.status_code == 200 else None
            wanted = [f"rival {rival}" if kind == "PUT" else None for rival, kind in enumerate(kinds)]
            won = [wanted[rival] for rival, status in enumerate(statuses) if status in (200, 204)]
            perhaps = [wanted[rival] for rival, status in enumerate(statuses) if status is None]
            doubtful += len(perhaps)
            settled_rounds += won == [there]
            if won != [there] and (won or not perhaps or there not in [*perhaps, made["family_str"]]):
                wrong.append(f"{kinds} got {statuses}, and {now.text} is there")
            if set(statuses) - {200, 204, 404, 412, None}:
                wrong.append(f"{kinds} got {statuses}")

        report.add(SUITE, "exactly one of the changes with the same ETag wins", tried=rounds * rivals,
                   survived=rounds * rivals - len(wrong), lost=len(wrong),
                   note=f"deployed stack, {registry.called}; {doubtful} were told that it is in doubt")  # fmt: skip
        assert not wrong
        assert settled_rounds * 2 >= rounds, "too many rounds are in doubt to draw a conclusion"


@pytest.fixture(scope="class")
def fire(proving_ground: Devstack, report: Report) -> Iterator[FaultProxy]:
    """A proxy between the function that adds and AWS. It misbehaves only when told to."""
    with (
        FaultProxy(proving_ground.running["aws_url"], report.random("fire")) as proxy,
        functions.reaching_aws_at(proving_ground, proxy.url, functions.ADD_DRAGON),
    ):
        yield proxy


@needs_full_scale
class TestUnderFire:
    def test_an_addition_whose_answer_is_lost_is_added_by_its_retry_and_never_rejected(
        self, registry: Home, fire: FaultProxy, proving_apis: dict[str, Api], report: Report
    ) -> None:
        body, mark = a_dragon(), len(fire.calls)
        with fire.misbehaving(*lost_answer_rules(registry)):
            status, _ = reported(proving_apis["gateway"], body, f"lost-{body['dragon_name_str'][-12:]}", waits=False)

        assert status == "added"
        written = fire.since(mark, registry.service, registry.writes)
        assert [call.fault for call in written if call.fault] == [Fault.CUT_AFTER, Fault.DENY]
        assert is_shown(proving_apis["local"], body)
        report.add(SUITE, "added, but the answer lost and the SDK's retry refused: the workflow's retry says `added`",
                   tried=1, survived=1, note=registry.called)  # fmt: skip

    def test_a_report_that_failed_after_its_dragon_was_added_is_rejected_when_it_is_repeated(
        self, registry: Home, fire: FaultProxy, proving_apis: dict[str, Api], report: Report
    ) -> None:
        """As docs/problems.md says about `submission-failed`: the dragon may have been added, but never twice."""
        api, first = proving_apis["gateway"], a_dragon(description_str="first")
        key = f"failed-{first['dragon_name_str'][-12:]}"
        with fire.misbehaving(*lost_answer_rules(registry), never_recognised(registry)):
            with pytest.raises(ReportFailed) as failed:
                reported(api, first, key, waits=False)
            assert failed.value.attempts_without_home == WORKFLOW_ATTEMPTS, str(failed.value)

        assert is_shown(api, first)
        with pytest.raises(ReportFailed):
            reported(api, first, key, waits=True)
        again = {**first, "description_str": "again"}
        assert reported(api, again, f"{key}-again", waits=True)[0] == "rejected"
        assert is_shown(api, first)
        report.add(
            SUITE,
            "failed after it was added: the dragon is there, and a new report is `rejected`",
            tried=1,
            survived=1,
            note=registry.called,
        )

    def test_a_crowd_whose_additions_meet_faults_is_told_the_truth(
        self, registry: Home, fire: FaultProxy, proving_apis: dict[str, Api], rng: Random, report: Report
    ) -> None:
        reports, names, clients = 60, 30, 8
        before, mark = everything(proving_apis["gateway"]), len(fire.calls)
        with fire.misbehaving(*fire_rules(registry)):
            crowd = crowd_at_work(proving_apis, rng, reports=reports, names=names, clients=clients, may_fail=True)

        after = everything(proving_apis["local"])
        wrong = crowd.what_is_wrong(before, after) + differs(registry, after)
        faults = Counter(call.fault for call in fire.since(mark, registry.service) if call.fault)
        told = f"{registry.called}: " + ", ".join(f"{count} {fault}" for fault, count in faults.most_common())
        failed = sum(status == "failed" for _, status, _ in crowd.outcomes)
        print(f"  {told}; {failed} reports failed and were repeated")
        report.add(SUITE, "faults during additions: `added` once for each name, and never `rejected` after a retry",
                   tried=reports, survived=reports - len(wrong), lost=len(wrong),
                   note=f"{clients} clients, {names} names, {told}; {failed} failed and reported again")  # fmt: skip
        assert not wrong
        assert faults[Fault.CUT_AFTER] > 0
        assert len(faults) > 1, "only one kind of fault occurred"


def differs(home: Home, read: list[dict[str, Any]]) -> list[str]:
    """Compare what clients read with what the home holds."""
    entries = home.entries()
    shown = {json.dumps({k: v for k, v in entry.items() if k != "submission_id"}, sort_keys=True) for entry in entries}
    listed = {json.dumps(found, sort_keys=True) for found in read}
    wrong = home.what_is_wrong()
    wrong += [] if shown == listed and len(entries) == len(read) else [f"the home differs: {shown ^ listed}"]
    submissions = Counter(entry.get("submission_id") for entry in entries)
    return wrong + [f"{who} added {count}" for who, count in submissions.items() if who is not None and count > 1]


@pytest.fixture(params=["s3", "dynamodb"])
def home(request: pytest.FixtureRequest, proving_ground: Devstack, rng: Random) -> Iterator[Home]:
    """A home for one test alone, with some earlier dragons."""
    url, name = str(proving_ground.running["aws_url"]), f"proof-{rng.getrandbits(64):x}"
    bucket = proving_ground.running["outputs"]["DragonBucketName"]
    made: Home = Document(url, bucket, f"{name}.json") if request.param == "s3" else Table(url, name)
    made.make([{**a_dragon(dragon_name_str=name), "weight_num": "1.50"} for name in EARLIER])
    yield made
    made.remove()


def what_is_wrong(dragons: DragonRepository, winners: dict[str, str], names: list[str]) -> list[str]:
    """Compare the registry with the winners of the names. A dragon's description has the winner's submission id."""
    found = all_dragons(dragons)
    count = Counter(each.key for each in found)
    wrong = [f"{key} is there {times} times" for key, times in count.items() if times != 1]
    wrong += [f"{name} is gone" for name in EARLIER if count[normalised_name(name)] != 1]
    kept = {each.key: each.description_str for each in found}
    for name in names:
        key = normalised_name(name)
        if winners.get(key) != kept.get(key):
            wrong.append(f"{name}: {winners.get(key)} was told it was added, {kept.get(key)} is there")
    return wrong + [f"nobody added {key}" for key in kept.keys() - set(map(normalised_name, (*names, *EARLIER)))]


class Ledger:
    """Writers that correct, add and remove dragons, and what each was told."""

    def __init__(self, home: Home, client: Any, names: list[str], turns: int) -> None:
        self._home = home
        self._client = home.awkward(client, Random(turns), latency_s=0.005)
        self._names = names
        self._turns = turns
        self.versions: dict[str, list[int]] = {name: [0] for name in names}  # those that a writer was told were written
        self.added: list[str] = []
        for name in names:
            home.repository(client).add(dragon(name, description_str="0"), name)

    def correct(self, number: int) -> None:
        """Replace a dragon's version that was seen by the next one, again and again."""
        name = self._names[number % len(self._names)]
        dragons = self._home.repository(self._client)
        for _ in range(self._turns):
            seen = dragons.get(name)
            assert seen is not None
            version = int(seen.description_str) + 1
            following = dragon(name, description_str=str(version), family_str=str(number))
            change = persistently(lambda following=following, seen=seen: dragons.replace(following, seen.__eq__))
            if change is Change.DONE:
                self.versions[name].append(version)

    def add(self, number: int) -> None:
        """Add dragons with other names, and remove every second one."""
        dragons = self._home.repository(self._client)
        for turn in range(self._turns // 2):
            name = f"passing {number} {turn}"
            assert persistently(lambda name=name: dragons.add(dragon(name), name)) is Addition.ADDED
            if turn % 2:
                assert persistently(lambda name=name: dragons.remove(name, dragon(name).__eq__)) is Change.DONE
            else:
                self.added.append(name)

    def what_is_wrong(self, found: list[Dragon]) -> list[str]:
        """Compare what the writers were told with the registry."""
        there = {each.key: each.description_str for each in found}
        wrong = []
        for name, versions in self.versions.items():
            if sorted(versions) != list(range(len(versions))):
                wrong.append(f"{name}: versions {sorted(versions)}")
            if there.get(normalised_name(name)) != str(max(versions)):
                wrong.append(f"{name}: version {there.get(normalised_name(name))} is there of {max(versions)}")
        expected = {normalised_name(name) for name in (*self._names, *self.added, *EARLIER)}
        return wrong + [f"{key} is lost or left over" for key in expected ^ there.keys()]


class TestOnTheRepository:
    @pytest.mark.parametrize("kind", ["slow", "lossy"])
    def test_sixty_four_writers_lose_nothing_and_add_nothing_twice(
        self, kind: str, home: Home, rng: Random, report: Report
    ) -> None:
        """Each thread stands for a warm function. After a lost answer, it tries the same submission again."""
        threads, names = 64, distinct_names(rng, report.scale.of(20, 60))
        each = report.scale.of(1, 4)
        chance = 0.3 if kind == "lossy" else 0.0
        client = client_of(home)
        awkward = home.awkward(client, Random(rng.getrandbits(64)), chance=chance, latency_s=0.01)
        work = [[(rng.choice(names), f"{n}-{m}", rng.getrandbits(64)) for m in range(each)] for n in range(threads)]
        told: list[tuple[str, str, Addition]] = []
        unseen: list[str] = []
        retried: list[str] = []

        def write(jobs: list[tuple[str, str, int]]) -> None:
            dragons, reader = home.repository(awkward), home.repository(client)
            for name, submission, seed in jobs:
                wanted = dragon(spelled(name, Random(seed)).strip(), description_str=submission)
                outcome = persistently(lambda wanted=wanted, s=submission: dragons.add(wanted, s), retried)
                told.append((wanted.key, submission, outcome))
                seen = reader.get(name)
                if seen is None or (outcome is Addition.ADDED and seen != wanted):
                    unseen.append(f"{submission}: {outcome}, and {seen} is there")
                again = persistently(lambda wanted=wanted, s=submission: dragons.add(wanted, s))
                if again is not outcome:
                    unseen.append(f"{submission}: {outcome} turned into {again}")

        started = time.monotonic()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(write, work))
        print(f"  {kind}: {len(told)} additions by {threads} writers in {time.monotonic() - started:.1f} s, "
              f"{dict(Counter(retried))} retried, lost {awkward.lost}")  # fmt: skip

        added = [(key, submission) for key, submission, outcome in told if outcome is Addition.ADDED]
        wrong = unseen + home.what_is_wrong() + what_is_wrong(home.repository(client), dict(added), names)
        wrong += [f"{key} was added {n} times" for key, n in Counter(key for key, _ in added).items() if n != 1]
        note = f"lost: {sum(awkward.lost.values())} requests or answers" if chance else "latency between read and write"
        report.add(SUITE, f"64 writers of one registry ({kind})", tried=len(told), survived=len(told) - len(wrong),
                   lost=len(wrong), note=f"{home.called}; {note}")  # fmt: skip
        assert not wrong

    @pytest.mark.parametrize("home", [pytest.param("dynamodb", marks=needs_full_scale)], indirect=True)
    def test_a_burst_that_the_table_does_not_take_at_once_is_added_in_the_end(
        self, home: Home, rng: Random, report: Report
    ) -> None:
        """An addition gives up after some ten seconds. The workflow then tries it again, for minutes."""
        writers, rests_s = 64, 0.3
        client = client_of(home)
        throttled = AwkwardDynamoDB(client, Random(rng.getrandbits(64)), rests_s=rests_s)
        retried: list[str] = []

        def add(name: str) -> Addition:
            dragons = home.repository(throttled)
            outcome: Addition = persistently(lambda: dragons.add(dragon(name, description_str=name), name), retried)
            return outcome

        names = distinct_names(rng, writers)
        with ThreadPoolExecutor(writers) as pool:
            outcomes = list(pool.map(add, names))

        wrong = [name for name, outcome in zip(names, outcomes, strict=True) if outcome is not Addition.ADDED]
        wrong += home.what_is_wrong()
        wrong += what_is_wrong(home.repository(client), {normalised_name(name): name for name in names}, names)
        note = f"{home.called}; {1 / rests_s:.0f} transactions a second; {len(retried)} additions gave up at first"
        report.add(SUITE, "a burst that is throttled is added in the end", tried=writers,
                   survived=writers - len(wrong), lost=len(wrong), note=note)  # fmt: skip
        assert set(retried) == {TableContended.__name__}
        assert not wrong

    def test_simultaneous_changes_removals_and_additions_lose_nothing(
        self, home: Home, rng: Random, report: Report
    ) -> None:
        """A dragon's versions follow each other one by one, because each needs the previous one."""
        client = client_of(home)
        ledger = Ledger(home, client, distinct_names(rng, report.scale.of(4, 8)), report.scale.of(4, 40))
        with ThreadPoolExecutor(24) as pool:
            list(pool.map(lambda number: ledger.correct(number) if number % 3 else ledger.add(number), range(24)))

        wrong = home.what_is_wrong() + ledger.what_is_wrong(all_dragons(home.repository(client)))
        tried = sum(map(len, ledger.versions.values())) + len(ledger.added)
        report.add(SUITE, "corrections, removals and additions at once: each version has one winner", tried=tried,
                   survived=tried - len(wrong), lost=len(wrong), note=f"{home.called}; 24 writers")  # fmt: skip
        assert not wrong

    def test_changes_whose_answers_are_lost_have_at_most_one_winner(
        self, home: Home, rng: Random, report: Report
    ) -> None:
        """The rivals want different changes. Two who want the very same change may both be told that it is done."""
        rounds, rivals = report.scale.of(4, 40), 6
        client = client_of(home)
        awkward = home.awkward(client, Random(rng.getrandbits(64)), chance=0.5, latency_s=0.003)
        wrong = []
        doubtful = won = 0
        for name in distinct_names(rng, rounds):
            first = dragon(name)
            home.repository(client).add(first, name)
            wanted = [dragon(name, family_str=f"rival {n}") for n in range(rivals - 1)]

            def rival(number: int, wanted: list[Any] = wanted, first: Any = first, name: str = name) -> Change | None:
                dragons = home.repository(awkward)
                try:
                    if number == len(wanted):
                        return dragons.remove(name, first.__eq__)
                    return dragons.replace(wanted[number], first.__eq__)
                except DependencyUnavailable:  # the client gets a 503 or 504, and has to read the dragon
                    return None

            with ThreadPoolExecutor(rivals) as pool:
                changes = list(pool.map(rival, range(rivals)))
            now = home.repository(client).get(name)
            winners = [number for number, change in enumerate(changes) if change is Change.DONE]
            doubtful += changes.count(None)
            won += len(winners)
            is_there = [*wanted, None].index(now) if now != first else None
            if len(winners) > 1 or (winners and winners[0] != is_there):
                wrong.append(f"{name}: {changes}, and {now} is there")
            if is_there is not None and not winners and changes[is_there] is not None:
                wrong.append(f"{name}: what {is_there} wanted is there, and it was told {changes[is_there]}")
        print(f"  {rounds} races, {doubtful} answers in doubt, lost {awkward.lost}")
        wrong += home.what_is_wrong()

        note = f"{home.called}; half of all writes disturbed; {won} told that they won, {doubtful} that it is in doubt"
        report.add(SUITE, "at most one of the changes to a version wins if answers get lost", tried=rounds * rivals,
                   survived=rounds * rivals - len(wrong), lost=len(wrong), note=note)  # fmt: skip
        assert not wrong
        assert won * 4 >= rounds, "too few winners to draw a conclusion"

    def test_killed_processes_leave_nothing_half_done(self, home: Home, rng: Random, report: Report) -> None:
        """They lose answers, too. The last line that a process printed says what it was doing."""
        processes, each = report.scale.of(3, 6), report.scale.of(8, 25)
        names = distinct_names(rng, processes * each // 2)
        work = [[(f"{p}-{n}", spelled(rng.choice(names), rng).strip()) for n in range(each)] for p in range(processes)]
        told: dict[str, str] = {}
        kills = begun = between = answers_lost = 0
        left = work
        # Every process is killed some time after its first write began. Another one repeats what it did not finish.
        for generation in range(report.scale.of(2, 4)):
            last = generation == report.scale.of(2, 4) - 1
            running = [WriterProcess(home, jobs, 0.2, rng.getrandbits(32)) for jobs in left if jobs]
            for process in running:
                assert process.begins.wait(60)
                if last:
                    assert process.wait() == 0
                else:
                    time.sleep(rng.uniform(0, 0.15))  # any moment is fine
                    killed = process.kill()
                    kills += killed
                    begun += len(process.begun) - len(process.outcomes)
                    between += killed and process.said == home.unsettled
                answers_lost += process.lost
                for submission, outcome in process.outcomes.items():
                    assert told.setdefault(submission, outcome) == outcome
            # This includes the last submission of the killed process, which may or may not have been carried out.
            left = [[job for job in process.work if job[0] not in process.outcomes] for process in running]
        unfinished = [submission for jobs in left for submission, _ in jobs]

        dragons = home.repository(client_of(home))
        name_of = {submission: normalised_name(name) for jobs in work for submission, name in jobs}
        winners = Counter(name_of[submission] for submission, outcome in told.items() if outcome == "added")
        there = Counter(found.key for found in all_dragons(dragons))
        wrong = [f"{key}: {winners[key]} were told it was added" for key in set(name_of.values()) if winners[key] != 1]
        wrong += [f"{key} is there {there[key]} times" for key in set(name_of.values()) if there[key] != 1]
        wrong += [f"{name} is gone" for name in EARLIER if there[normalised_name(name)] != 1]
        holder = {normalised_name(each["dragon_name_str"]): each.get("submission_id") for each in home.entries()}
        wrong += home.what_is_wrong()
        wrong += [f"{s} was told {told[s]}" for s, key in name_of.items() if (holder[key] == s) != (told[s] == "added")]
        note = (f"{home.called}; {kills} SIGKILLs, {begun} additions cut short ({between} after a {home.unsettled}) "
                f"and done again, {answers_lost} requests or answers lost")  # fmt: skip
        print(f"  {note}")

        report.add(SUITE, "processes killed while they write", tried=len(name_of), survived=len(name_of) - len(wrong),
                   lost=len(wrong), note=note)  # fmt: skip
        if report.scale.name == "full":
            assert between > 0, f"no writer was killed after a {home.unsettled}"
            assert answers_lost > 0
        assert not unfinished
        assert not wrong
