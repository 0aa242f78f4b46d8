"""Every dragon reported as added is in the registry, once, however many report at once and whatever gets lost."""

from __future__ import annotations

import json
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
from chalicelib.dragons.model import Dragon, normalised_name
from chalicelib.dragons.repository import Addition, Change, S3DragonRepository
from tests.e2e.running import Api, Devstack
from tests.e2e.test_dragons import a_dragon
from tests.proof.registry import (
    AwkwardS3,
    Place,
    WriterProcess,
    all_dragons,
    distinct_names,
    persistently,
    repository,
    s3_client,
    spelled,
)
from tests.proof.report import Report
from tests.samples import dragon

SUITE = "1 concurrent reports"
SETTLED_WITHIN_S = 120  # on AWS it takes a second; here every function is another process on the same machine
EARLIER = tuple(f"earlier {number}" for number in range(5))


def answered(send: Callable[[], requests.Response]) -> tuple[requests.Response, int]:
    """Send a request as a careful client does: again, if there is no answer or one that asks for patience.

    The embedded AWS starts a hundred functions on this machine; it may need longer than a client waits. Returns the
    answer, and how often the request was sent again.
    """
    for again in range(20):
        try:
            answer = send()
        except requests.RequestException:
            continue
        if answer.status_code not in (502, 503, 504):
            return answer, again
        time.sleep(float(answer.headers.get("Retry-After", 1)))
    raise AssertionError("twenty times no answer")


def reported(api: Api, body: dict[str, Any], key: str, *, waits: bool) -> tuple[str, int]:
    """Report a dragon, again under the same key if need be.

    Returns `added` or `rejected`, and how often it was sent again.
    """
    headers = {"Idempotency-Key": key} | ({"Prefer": "wait=10"} if waits else {})
    answer, again = answered(lambda: api.post("/dragons", headers=headers, json=body))
    assert answer.status_code in (201, 202, 409), f"{answer.status_code} {answer.text}"
    if answer.status_code != 202:
        return {201: "added", 409: "rejected"}[answer.status_code], again
    found = settled(api, answer.headers["Location"])
    assert found["status"] != "rejected" or "is in the registry" in found["reason"]
    return found["status"], again


def settled(api: Api, location: str) -> dict[str, Any]:
    """Follow a submission to its end, as slowly as the service asks for."""
    ends = time.monotonic() + SETTLED_WITHIN_S
    while time.monotonic() < ends:
        answer, _ = answered(lambda: api.get(location))
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


class SlowStart:
    """Lets in a few at first, and one more each time somebody leaves, up to a limit.

    The embedded AWS has two cores here, not a machine for each function. A hundred that start at once would all be
    killed at their time limits, and start again.
    """

    def __init__(self, first: int, limit: int) -> None:
        self._places = threading.Semaphore(first)
        self._lock = threading.Lock()
        self._more = limit - first
        self.inside = self.inside_max = 0

    def __enter__(self) -> None:
        self._places.acquire()
        with self._lock:
            self.inside += 1
            self.inside_max = max(self.inside, self.inside_max)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1
            grows = self._more > 0
            self._more -= grows
        self._places.release(2 if grows else 1)


@dataclass
class Crowd:
    """Clients that report dragons at once, and what each was told. A report's description says which one it is."""

    apis: Mapping[str, Api]
    names: list[str]
    run: str
    pace: SlowStart
    outcomes: list[tuple[str, str, str]] = field(default_factory=list)  # (normalised name, status, description)
    unseen: list[str] = field(default_factory=list)
    sent_again: int = 0

    def client(self, jobs: list[tuple[str, str]], seed: int) -> None:
        """Report these dragons, (spelling, description), one after another, at either target."""
        rng = Random(seed)
        own = {target: Api(api.devstack, target, _tokens=api._tokens) for target, api in self.apis.items()}
        for spelling, description in jobs:
            body = a_dragon(dragon_name_str=spelling, description_str=description)
            key = f"{description} {self.run}".replace(" ", "-")
            with self.pace:
                status, again = reported(rng.choice(list(own.values())), body, key, waits=rng.random() < 0.5)
            self.sent_again += again
            self.outcomes.append((normalised_name(spelling), status, description))
            if status == "added":  # from now on everybody sees it, at either target and under any spelling
                self.unseen += [
                    f"{spelling}: not seen at {target}" for target, api in own.items() if not is_shown(api, body)
                ]

    def what_is_wrong(self, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
        """Compare what the clients were told with the registry before and after."""
        wrong = list(self.unseen)
        kept: dict[str, list[str]] = {}
        for found in after:
            kept.setdefault(normalised_name(found["dragon_name_str"]), []).append(found["description_str"])
        for name in map(normalised_name, self.names):
            told = [(status, description) for key, status, description in self.outcomes if key == name]
            added = [description for status, description in told if status == "added"]
            if len(added) != 1 or {status for status, _ in told} - {"added", "rejected"} or kept.get(name) != added:
                wrong.append(f"{name}: {told}, kept {kept.get(name)}")
        wrong += [f"{key} is there {len(entries)} times" for key, entries in kept.items() if len(entries) != 1]
        return wrong + [f"{found['dragon_name_str']} is gone" for found in before if found not in after]


def is_shown(api: Api, body: dict[str, Any]) -> bool:
    """Tell whether a dragon is read as it was reported."""
    seen, _ = answered(lambda: api.get("/dragons/" + quote(body["dragon_name_str"])))
    return seen.status_code == 200 and bool(seen.json()["description_str"] == body["description_str"])


class TestThroughTheDeployedStack:
    def test_one_name_is_added_once_and_nothing_is_lost(
        self, proving_ground: Devstack, proving_apis: dict[str, Api], rng: Random, report: Report
    ) -> None:
        of = report.scale.of
        reports, clients, names = of(40, 200), of(10, 50), distinct_names(rng, of(8, 40))
        work = [(spelled(names[number % len(names)], rng), f"made {number}") for number in range(reports)]
        rng.shuffle(work)
        for api in proving_apis.values():
            api.token("operator")
        before = everything(proving_apis["gateway"])
        crowd = Crowd(proving_apis, names, f"{rng.getrandbits(64):x}", SlowStart(min(clients, 6), clients))
        print(f"  {reports} reports of {len(names)} names by {clients} clients")
        with ThreadPoolExecutor(clients) as pool:
            seeds = [rng.getrandbits(32) for _ in range(clients)]
            list(pool.map(crowd.client, [work[number::clients] for number in range(clients)], seeds))
        print(f"  {crowd.sent_again} of them sent again, up to {crowd.pace.inside_max} at once")

        after = everything(proving_apis["local"])
        assert len(crowd.outcomes) == reports
        wrong = crowd.what_is_wrong(before, after) + document_differs(proving_ground, after)
        note = f"deployed stack, {clients} clients, {len(names)} names, up to {crowd.pace.inside_max} at once"
        promise = "one `added` for each name, the others `rejected`, and all of it is read back"
        report.add(SUITE, promise, tried=reports, survived=reports - len(wrong), lost=len(wrong), note=note)
        assert not wrong

    def test_of_changes_to_one_version_exactly_one_wins(
        self, proving_ground: Devstack, proving_apis: dict[str, Api], rng: Random, report: Report
    ) -> None:
        """PUT and DELETE with the same ETag, while others report dragons."""
        rounds, rivals = report.scale.of(3, 12), 6
        apis = list(proving_apis.values())
        names = distinct_names(rng, rounds)
        wrong: list[str] = []
        for number, name in enumerate(names):
            made = a_dragon(dragon_name_str=name)
            assert reported(apis[0], made, f"first-{rng.getrandbits(64):x}", waits=True)[0] == "added"
            place = "/dragons/" + quote(name)
            seen = apis[0].get(place).headers["ETag"]
            kinds = [rng.choice(["PUT", "PUT", "DELETE"]) for _ in range(rivals)]

            def change(
                rival: int, place: str = place, seen: str = seen, kinds: list[str] = kinds, made: Any = made
            ) -> int:
                api = Api(proving_ground, ("local", "gateway")[rival % 2], _tokens=apis[rival % 2]._tokens)
                body = {**made, "family_str": f"rival {rival}"} if kinds[rival] == "PUT" else None
                return api.request(kinds[rival], place, json=body, headers={"If-Match": seen}).status_code

            with ThreadPoolExecutor(rivals + 2) as pool:
                noise = [
                    pool.submit(apis[n].post, "/dragons", json=a_dragon(dragon_name_str=f"{name} beside {n}"))
                    for n in range(2)
                ]
                statuses = list(pool.map(change, range(rivals)))
                assert {future.result().status_code for future in noise} == {202}
            winners = [rival for rival, status in enumerate(statuses) if status in (200, 204)]
            now = apis[number % 2].get(place)
            if len(winners) != 1 or set(statuses) - {200, 204, 404, 412}:
                wrong.append(f"{kinds} got {statuses}")
            elif kinds[winners[0]] == "PUT" and now.json().get("family_str") != f"rival {winners[0]}":
                wrong.append(f"{winners[0]} won, and {now.text} is there")
            elif kinds[winners[0]] == "DELETE" and now.status_code != 404:
                wrong.append(f"removed, and {now.text} is there")

        report.add(SUITE, "of changes with the same ETag exactly one wins", tried=rounds * rivals,
                   survived=rounds * rivals - len(wrong), lost=len(wrong), note="deployed stack")  # fmt: skip
        assert not wrong


def document_differs(stack: Devstack, read: list[dict[str, Any]]) -> list[str]:
    """Compare what clients read with the document itself."""
    bucket = stack.running["outputs"]["DragonBucketName"]
    entries = json.loads(stack.client("s3").get_object(Bucket=bucket, Key="dragons.json")["Body"].read())
    shown = {json.dumps({k: v for k, v in entry.items() if k != "submission_id"}, sort_keys=True) for entry in entries}
    listed = {json.dumps(found, sort_keys=True) for found in read}
    wrong = [] if shown == listed and len(entries) == len(read) else [f"the document differs: {shown ^ listed}"]
    submissions = Counter(entry.get("submission_id") for entry in entries)
    return wrong + [f"{who} added {count}" for who, count in submissions.items() if who is not None and count > 1]


@pytest.fixture
def place(proving_ground: Devstack, rng: Random) -> Iterator[Place]:
    """A document of the test's own, with some dragons that were there earlier."""
    s3, bucket = proving_ground.client("s3"), proving_ground.running["outputs"]["DragonBucketName"]
    key = f"proof-{rng.getrandbits(64):x}.json"
    entries = [{**a_dragon(dragon_name_str=name), "weight_num": "1.50"} for name in EARLIER]
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(entries).encode())
    yield bucket, key
    s3.delete_object(Bucket=bucket, Key=key)


@pytest.fixture
def aws_url(proving_ground: Devstack) -> str:
    return str(proving_ground.running["aws_url"])


def what_is_wrong(dragons: S3DragonRepository, winners: dict[str, str], names: list[str]) -> list[str]:
    """Compare the registry with who won which name; a winner's submission id is in the description."""
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
    """Writers that correct, add and remove, and what each was told."""

    def __init__(self, client: Any, place: Place, names: list[str], turns: int) -> None:
        self._client = client
        self._place = place
        self._names = names
        self._turns = turns
        self.versions: dict[str, list[int]] = {name: [0] for name in names}  # those that somebody was told are written
        self.added: list[str] = []
        for name in names:
            repository(client, place).add(dragon(name, description_str="0"), name)

    def correct(self, number: int) -> None:
        """Put a dragon's next version in the place of the one that was seen, again and again."""
        name = self._names[number % len(self._names)]
        dragons = self._repository(number)
        for _ in range(self._turns):
            seen = dragons.get(name)
            assert seen is not None
            version = int(seen.description_str) + 1
            following = dragon(name, description_str=str(version), family_str=str(number))
            change = persistently(lambda following=following, seen=seen: dragons.replace(following, seen.__eq__))
            if change is Change.DONE:
                self.versions[name].append(version)

    def add(self, number: int) -> None:
        """Add dragons of other names, and remove every other one."""
        dragons = self._repository(number)
        for turn in range(self._turns // 2):
            name = f"passing {number} {turn}"
            assert persistently(lambda name=name: dragons.add(dragon(name), name)) is Addition.ADDED
            if turn % 2:
                assert persistently(lambda name=name: dragons.remove(name, dragon(name).__eq__)) is Change.DONE
            else:
                self.added.append(name)

    def what_is_wrong(self, found: list[Dragon]) -> list[str]:
        """Compare what was told with what is there."""
        there = {each.key: each.description_str for each in found}
        wrong = []
        for name, versions in self.versions.items():
            if sorted(versions) != list(range(len(versions))):
                wrong.append(f"{name}: versions {sorted(versions)}")
            if there.get(normalised_name(name)) != str(max(versions)):
                wrong.append(f"{name}: version {there.get(normalised_name(name))} is there of {max(versions)}")
        expected = {normalised_name(name) for name in (*self._names, *self.added, *EARLIER)}
        return wrong + [f"{key} is lost or left over" for key in expected ^ there.keys()]

    def _repository(self, number: int) -> S3DragonRepository:
        return repository(AwkwardS3(self._client, Random(number), latency_s=0.005), self._place)


class TestOnTheRepository:
    @pytest.mark.parametrize("kind", ["slow", "lossy"])
    def test_sixty_four_writers_lose_nothing_and_add_nothing_twice(
        self, kind: str, aws_url: str, place: Place, rng: Random, report: Report
    ) -> None:
        """Each thread is a warm function of its own. A lost answer is followed by a retry of the same submission."""
        threads, names = 64, distinct_names(rng, report.scale.of(20, 60))
        each = report.scale.of(1, 4)
        chance = 0.3 if kind == "lossy" else 0.0
        client = s3_client(aws_url)
        s3 = AwkwardS3(client, Random(rng.getrandbits(64)), chance=chance, latency_s=0.01)
        work = [[(rng.choice(names), f"{n}-{m}", rng.getrandbits(64)) for m in range(each)] for n in range(threads)]
        told: list[tuple[str, str, Addition]] = []
        unseen: list[str] = []
        retried: list[str] = []

        def write(jobs: list[tuple[str, str, int]]) -> None:
            dragons, reader = repository(s3, place), repository(client, place)
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
              f"{len(retried)} retried, lost {s3.lost}")  # fmt: skip

        added = [(key, submission) for key, submission, outcome in told if outcome is Addition.ADDED]
        wrong = unseen + what_is_wrong(repository(client, place), dict(added), names)
        wrong += [f"{key} was added {n} times" for key, n in Counter(key for key, _ in added).items() if n != 1]
        note = f"lost: {sum(s3.lost.values())} requests or answers" if chance else "latency between read and write"
        report.add(SUITE, f"64 writers at one document ({kind})", tried=len(told), survived=len(told) - len(wrong),
                   lost=len(wrong), note=note)  # fmt: skip
        assert not wrong

    def test_changes_removals_and_additions_at_once_lose_nothing(
        self, aws_url: str, place: Place, rng: Random, report: Report
    ) -> None:
        """Versions of a dragon follow each other one by one, because each needs the one before."""
        client = s3_client(aws_url)
        ledger = Ledger(client, place, distinct_names(rng, report.scale.of(4, 8)), report.scale.of(6, 40))
        with ThreadPoolExecutor(24) as pool:
            list(pool.map(lambda number: ledger.correct(number) if number % 3 else ledger.add(number), range(24)))

        wrong = ledger.what_is_wrong(all_dragons(repository(client, place)))
        tried = sum(map(len, ledger.versions.values())) + len(ledger.added)
        report.add(SUITE, "corrections, removals and additions at once: each version has one winner", tried=tried,
                   survived=tried - len(wrong), lost=len(wrong), note="24 writers")  # fmt: skip
        assert not wrong

    def test_changes_whose_answers_are_lost_have_one_winner(
        self, aws_url: str, place: Place, rng: Random, report: Report
    ) -> None:
        """Rivals want different things of the same version; two who want the very same may both be told it is done."""
        rounds, rivals = report.scale.of(6, 40), 6
        client = s3_client(aws_url)
        s3 = AwkwardS3(client, Random(rng.getrandbits(64)), chance=0.5, latency_s=0.003)
        wrong = []
        doubtful = 0
        for name in distinct_names(rng, rounds):
            first = dragon(name)
            repository(client, place).add(first, name)
            wanted = [dragon(name, family_str=f"rival {n}") for n in range(rivals - 1)]

            def rival(number: int, wanted: list[Any] = wanted, first: Any = first, name: str = name) -> Change | None:
                dragons = repository(s3, place)
                try:
                    if number == len(wanted):
                        return dragons.remove(name, first.__eq__)
                    return dragons.replace(wanted[number], first.__eq__)
                except DependencyUnavailable:  # the client gets a 503 or 504, and has to look
                    return None

            with ThreadPoolExecutor(rivals) as pool:
                changes = list(pool.map(rival, range(rivals)))
            now = repository(client, place).get(name)
            winners = [number for number, change in enumerate(changes) if change is Change.DONE]
            doubtful += changes.count(None)
            is_there = [*wanted, None].index(now) if now != first else None
            if len(winners) > 1 or (winners and winners[0] != is_there):
                wrong.append(f"{name}: {changes}, and {now} is there")
            if is_there is not None and not winners and changes[is_there] is not None:
                wrong.append(f"{name}: what {is_there} wanted is there, and it was told {changes[is_there]}")
        print(f"  {rounds} races, {doubtful} answers in doubt, lost {s3.lost}")

        report.add(SUITE, "of changes to one version whose answers get lost, at most one wins", tried=rounds * rivals,
                   survived=rounds * rivals - len(wrong), lost=len(wrong),
                   note=f"half of all writes disturbed; {doubtful} told that it is in doubt")  # fmt: skip
        assert not wrong

    def test_processes_that_are_killed_leave_nothing_half_done(
        self, aws_url: str, place: Place, rng: Random, report: Report
    ) -> None:
        """They lose answers, too; what one was at is known from what it said last."""
        processes, each = report.scale.of(3, 6), report.scale.of(8, 25)
        names = distinct_names(rng, processes * each // 2)
        work = [[(f"{p}-{n}", spelled(rng.choice(names), rng).strip()) for n in range(each)] for p in range(processes)]
        told: dict[str, str] = {}
        kills = begun = between = answers_lost = 0
        left = work
        # Every process is killed some time after its first write began; what it did not finish begins again elsewhere.
        for generation in range(report.scale.of(2, 4)):
            last = generation == report.scale.of(2, 4) - 1
            running = [WriterProcess(aws_url, place, jobs, 0.2, rng.getrandbits(32)) for jobs in left if jobs]
            for process in running:
                assert process.begins.wait(60)
                if last:
                    assert process.wait() == 0
                else:
                    time.sleep(rng.uniform(0, 0.15))  # any moment will do
                    killed = process.kill()
                    kills += killed
                    begun += len(process.begun) - len(process.outcomes)
                    between += killed and process.said == "read"
                answers_lost += process.lost
                for submission, outcome in process.outcomes.items():
                    assert told.setdefault(submission, outcome) == outcome
            # The killed one's last submission too: it may have been carried out or not.
            left = [[job for job in process.work if job[0] not in process.outcomes] for process in running]
        unfinished = [submission for jobs in left for submission, _ in jobs]

        dragons = repository(s3_client(aws_url), place)
        name_of = {submission: normalised_name(name) for jobs in work for submission, name in jobs}
        winners = Counter(name_of[submission] for submission, outcome in told.items() if outcome == "added")
        there = Counter(found.key for found in all_dragons(dragons))
        wrong = [f"{key}: {winners[key]} were told it was added" for key in set(name_of.values()) if winners[key] != 1]
        wrong += [f"{key} is there {there[key]} times" for key in set(name_of.values()) if there[key] != 1]
        wrong += [f"{name} is gone" for name in EARLIER if there[normalised_name(name)] != 1]
        entries = json.loads(s3_client(aws_url).get_object(Bucket=place[0], Key=place[1])["Body"].read())
        holder = {normalised_name(entry["dragon_name_str"]): entry.get("submission_id") for entry in entries}
        wrong += [f"{s} was told {told[s]}" for s, key in name_of.items() if (holder[key] == s) != (told[s] == "added")]
        note = (f"{kills} SIGKILLs, {begun} additions cut short ({between} between read and write) and done again, "
                f"{answers_lost} requests or answers lost")  # fmt: skip
        print(f"  {note}")

        report.add(SUITE, "processes killed while they write", tried=len(name_of), survived=len(name_of) - len(wrong),
                   lost=len(wrong), note=note)  # fmt: skip
        if report.scale.name == "full":
            assert between > 0, "no writer was killed between read and write"
            assert answers_lost > 0
        assert not unfinished
        assert not wrong
