"""Closed-loop load on the local server: nothing breaks or leaks, and beyond capacity nothing accepted is lost."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import requests

from operations import PROJECT
from tests.e2e.homes import registry_in_dynamodb
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.proof.report import Report, Scale, only_at_full_scale

pytestmark = pytest.mark.alone

SUITE = "4 load"
READS = ("/health", "/dragons?limit=20", "/dragons?family=red", "/dragons/Ashfall", "/openapi.json")
RSS_GROWTH_MAX = 0.05
UNANSWERED_MAX = 0.1  # of all requests, however many arrive at once
ACCEPTED_MIN = 10  # fewer would not show whether any is lost
DRAINED_WITHIN_S = 300
RECOVERED_WITHIN_S = 60


@dataclass(frozen=True)
class Load:
    """The results of a load: latencies in ms, statuses by number, the ids of all messages that were taken.

    Also how many refusals did not say when to try again.
    """

    p50: float
    p90: float
    p99: float
    max: float
    rate: float
    errors: int  # including timeouts
    timeouts: int
    statuses: dict[str, int]
    accepted: list[str]
    without_retry_after: int

    @property
    def answers(self) -> int:
        """Return how many answers arrived."""
        return sum(self.statuses.values())

    @property
    def figures(self) -> str:
        """Return the percentiles as the report shows them."""
        return f"{self.rate:.0f}/s, p50 {self.p50:.0f} ms, p90 {self.p90:.0f}, p99 {self.p99:.0f}, max {self.max:.0f}"

    def of_status(self, wanted: Callable[[int], bool]) -> int:
        """Count the answers with a status for which `wanted` returns True."""
        return sum(count for status, count in self.statuses.items() if wanted(int(status)))


@pytest.fixture(scope="module", autouse=True)
def _autocannon(scale: Scale) -> None:
    node = shutil.which("node")
    found = node and subprocess.run([node, "-e", "require.resolve('autocannon')"], cwd=PROJECT, check=False)
    if not found or found.returncode != 0:
        tell = pytest.fail if scale.name == "full" else pytest.skip
        tell("autocannon is not installed: npm ci")


@pytest.fixture
def company(rng: Random) -> str:
    """A company for this test alone."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def put_load(api: Api, company: str, *, connections: int, seconds: int, reads: tuple[str, ...], posts: int) -> Load:
    """Send the reads and the posts in turn on each connection, one request at a time, for the given time.

    The company determines the messages; which connection sends which of them depends on timing.
    """
    orders = {
        "url": api.base_url,
        "token": api.token("operator"),
        "company_id": company,
        "connections": connections,
        "seconds": seconds,
        "reads": reads,
        "posts": posts,
    }
    ran = subprocess.run(
        ["node", "tests/proof/load.cjs"],
        cwd=PROJECT,
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        timeout=seconds + 90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return Load(**json.loads(ran.stdout))


class Memory:
    """Samples a process's resident memory until the block ends."""

    def __init__(self, pid: int) -> None:
        self._file = Path(f"/proc/{pid}/statm")
        self._samples: list[tuple[float, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth_after_warm_up(self) -> float:
        """Return by what fraction the median of the last tenth exceeds that of the tenth after the first third."""
        pages = [resident for _, resident in self._samples]
        tenth = max(len(pages) // 10, 1)
        third = len(pages) // 3
        warm, last = statistics.median(pages[third : third + tenth]), statistics.median(pages[-tenth:])
        return last / warm - 1

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self._samples.append((time.monotonic(), int(self._file.read_text().split()[1])))


def lost(devstack: Devstack, company: str, accepted: list[str]) -> set[str]:
    """Wait until the queue is empty; return the accepted messages that are then missing in archive or index."""
    until(lambda: _is_drained(devstack), DRAINED_WITHIN_S)
    return set(accepted) - (_indexed(devstack, company) & _archived(devstack, company))


def _is_drained(devstack: Devstack) -> bool:
    waiting = devstack.client("sqs").get_queue_attributes(
        QueueUrl=devstack.running["outputs"]["MessageQueueUrl"],
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    return sum(map(int, waiting.values())) == 0


def _indexed(devstack: Devstack, company: str) -> set[str]:
    pages = (
        devstack.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=devstack.running["outputs"]["MessageTableName"],
            FilterExpression="company_id = :company",
            ExpressionAttributeValues={":company": {"S": company}},
            ProjectionExpression="message_id",
        )
    )
    return {row["message_id"]["S"] for page in pages for row in page["Items"]}


def _archived(devstack: Devstack, company: str) -> set[str]:
    pages = (
        devstack.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=devstack.running["outputs"]["MessageBucketName"], Prefix=f"{company}/")
    )
    return {Path(item["Key"]).stem for page in pages for item in page.get("Contents", [])}


def _answers_soon(api: Api) -> bool:
    """Return True if a request is answered at once. One that gets no answer is still waiting behind the load."""
    try:
        return api.get("/health", None).elapsed.total_seconds() < 0.5
    except requests.RequestException:
        return False


def test_steady_load_gets_no_server_errors_and_leaks_no_memory(
    report: Report, scale: Scale, company: str, proving_ground: Devstack, proving_apis: dict[str, Api]
) -> None:
    seconds = scale.of(2, 180)
    print(f"  {seconds} s of load on 16 connections", flush=True)
    with Memory(proving_ground.running["pids"]["api"]) as memory:
        load = put_load(proving_apis["local"], company, connections=16, seconds=seconds, reads=READS * 4, posts=1)
    missing = lost(proving_ground, company, load.accepted)

    broken = load.of_status(lambda status: status >= 500) + load.errors
    growth = memory.growth_after_warm_up
    note = f"{load.figures}; memory {growth:+.1%} after warm-up; "
    note += f"{len(load.accepted)} messages accepted, {len(load.accepted) - len(missing)} of them stored"
    report.add(
        SUITE,
        f"{seconds} s, 16 connections",
        tried=load.answers,
        survived=load.answers - broken,
        lost=len(missing),
        note=note,
    )
    assert load.answers > 100
    assert load.accepted
    assert broken == 0, load.statuses
    assert set(load.statuses) <= {"200", "202"}, load.statuses
    assert not missing
    if scale.name == "full":
        assert growth < RSS_GROWTH_MAX


@only_at_full_scale("the registry's other home")
def test_steady_load_on_the_registry_in_dynamodb_gets_no_server_errors(
    report: Report, company: str, proving_ground: Devstack, proving_apis: dict[str, Api]
) -> None:
    with registry_in_dynamodb(proving_ground):
        load = put_load(proving_apis["local"], company, connections=16, seconds=20, reads=READS, posts=0)

    broken = load.of_status(lambda status: status >= 500) + load.errors
    report.add(
        SUITE,
        "20 s, 16 connections, the registry in DynamoDB",
        tried=load.answers,
        survived=load.answers - broken,
        note=load.figures,
    )
    assert load.answers > 100
    assert broken == 0, load.statuses
    assert set(load.statuses) == {"200"}, load.statuses


def test_far_beyond_capacity_it_queues_or_refuses_then_recovers_and_keeps_what_it_accepted(
    report: Report, scale: Scale, company: str, proving_ground: Devstack, proving_apis: dict[str, Api]
) -> None:
    """It may refuse any number of requests if it says when to try again, and it answers nearly all."""
    api, seconds, connections = proving_apis["local"], scale.of(1, 20), scale.of(200, 600)
    print(f"  {seconds} s of load on {connections} connections", flush=True)
    load = put_load(api, company, connections=connections, seconds=seconds, reads=("/dragons?limit=5",), posts=1)

    until(lambda: _answers_soon(api), RECOVERED_WITHIN_S)
    after = put_load(api, company, connections=1, seconds=scale.of(1, 2), reads=READS, posts=0)
    missing = lost(proving_ground, company, load.accepted)

    asked = load.answers + load.errors
    refused = load.of_status(lambda status: status in (429, 503, 504))
    wrong = load.of_status(lambda status: status not in (200, 202, 429, 503, 504)) + load.without_retry_after
    note = (
        f"{load.figures}; {refused} refused, {load.errors - load.timeouts} connections broken, "
        f"{load.timeouts} timed out; p50 {after.p50:.0f} ms right after; {len(load.accepted)} accepted, "
        f"{len(load.accepted) - len(missing)} of them stored"
    )
    report.add(
        SUITE,
        f"{seconds} s, {connections} connections",
        tried=asked,
        survived=asked - load.errors - wrong,
        lost=len(missing),
        note=note,
    )
    assert wrong == 0, load
    assert load.errors <= UNANSWERED_MAX * asked, note
    assert len(load.accepted) >= ACCEPTED_MIN
    assert set(after.statuses) == {"200"}
    assert after.errors == 0
    assert not missing
