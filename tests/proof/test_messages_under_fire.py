"""Suite 2: every accepted message is stored, or is a dead letter with its reason, whatever fails on the way.

The suite sends messages of all kinds to the queue, in batches and over HTTP, some twice, in random order. Meanwhile it
kills the consumer's processes, and S3, DynamoDB and SQS misbehave. Afterwards it looks for every payload.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import requests

from chalicelib import exact_json
from chalicelib.faults import InvalidInput
from chalicelib.messages.stored import StoredMessage
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.proof import functions
from tests.proof.fault_proxy import Fault, FaultProxy, Rule
from tests.proof.order_traffic import BESIDE, HOPELESS, Sent, batches, message_in, payload_of, text_hash, traffic
from tests.proof.report import Report, Scale

SUITE = "2 messages under fire"
CLIENTS = 8
POST_ATTEMPTS_MAX = 12
# As deployed, these are 180 s and 5 deliveries. Here a failed message is delivered again sooner, so it may be delivered
# more often. The time must be longer than a worker needs to start: the emulator starts one after every failed batch.
VISIBILITY_S = (3, 8)
RECEIVES_MAX = 25
DRAINED_WITHIN_S = 300
LOOKS_EMPTY_S = 1.0
# Counts calls to S3: there is one for each message. After every kill, the emulator's mapping does nothing for a second.
CALLS_BETWEEN_KILLS = {"fast": (30, 80), "full": (40, 200)}

# How often each call meets each fault. The SDK repeats some of the failed calls; the others fail the delivery.
CHANCES = {
    Fault.THROTTLE: 0.007,
    Fault.ERROR: 0.007,
    Fault.REFUSE: 0.007,
    Fault.CUT_BEFORE: 0.007,
    Fault.CUT_AFTER: 0.015,
    Fault.DENY: 0.001,
    Fault.GARBAGE: 0.001,
    Fault.DELAY: 0.007,
    Fault.HANG: 0.0005,
}
SECONDS = {Fault.DELAY: 0.5, Fault.HANG: 6.0}
HANGS_AT = 50


@dataclass
class Post:
    """The message post of a devstack: its queues and stores."""

    devstack: Devstack
    mark: str
    companies: list[str]
    outputs: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.outputs = self.devstack.running["outputs"]
        self.sqs = self.devstack.client("sqs")
        self.queue, self.dead = self.outputs["MessageQueueUrl"], self.outputs["MessageDeadLetterQueueUrl"]

    def send(self, batch: list[Sent]) -> None:
        """Send a batch straight to the queue."""
        entries = [{"Id": str(number), "MessageBody": sent.body} for number, sent in enumerate(batch)]
        assert not self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries).get("Failed")

    def waiting(self) -> int:
        """Return how many messages the queue holds, including those in flight."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=list(names))["Attributes"]
        return sum(int(found[name]) for name in names)

    def until_drained(self) -> None:
        """Wait until the queue is empty and stays so."""
        empty_since: list[float] = []

        def stays_empty() -> bool:
            if self.waiting():
                empty_since.clear()
                return False
            empty_since.append(time.monotonic())
            return time.monotonic() - empty_since[0] > LOOKS_EMPTY_S

        until(stays_empty, DRAINED_WITHIN_S)

    def archived(self) -> dict[str, str]:
        """Return the payload of each of our archived messages, by its key."""
        s3, bucket = self.devstack.client("s3"), self.outputs["MessageBucketName"]
        keys = [
            entry["Key"]
            for company in self.companies
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{company}/")
            for entry in page.get("Contents", [])
        ]
        with ThreadPoolExecutor(CLIENTS) as pool:
            bodies = pool.map(lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read(), keys)
            return {key: payload_of(body) for key, body in zip(keys, bodies, strict=True)}

    def indexed(self) -> dict[str, str]:
        """Return the payload of each of our index rows, by the archive's key that it names."""
        found = {}
        pages = (
            self.devstack.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["MessageTableName"])
        )
        for row in (row for page in pages for row in page["Items"]):
            if row["company_id"]["S"] in self.companies:
                members = exact_json.parse_object(StoredMessage.from_item(row).as_json())
                key, digest = members["metadata"].pop("message_s3_key"), members.pop("digest")
                found[key] = payload_of(exact_json.encode(members))
                assert digest == f"sha-256:{found[key]}"
        return found

    def dead_letters(self) -> list[Letter]:
        """Take our letters off the dead-letter queue, and leave the others there."""
        ours, others = [], []
        while letters := self.sqs.receive_message(
            QueueUrl=self.dead,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
            VisibilityTimeout=60,
        ).get("Messages"):
            for letter in letters:
                if self.mark in letter["Body"]:
                    ours.append(Letter.of(letter))
                    self.sqs.delete_message(QueueUrl=self.dead, ReceiptHandle=letter["ReceiptHandle"])
                else:
                    others.append(letter["ReceiptHandle"])
        for handle in others:
            self.sqs.change_message_visibility(QueueUrl=self.dead, ReceiptHandle=handle, VisibilityTimeout=0)
        return ours


@dataclass(frozen=True)
class Letter:
    """A dead letter: the reason, how often the queue delivered the message, and the message itself."""

    reason: str
    receives: int
    body: str

    @property
    def kind(self) -> str:
        """The kind of reason, or "" if the queue itself gave up."""
        return self.reason.partition(":")[0]

    @classmethod
    def of(cls, message: dict[str, Any]) -> Letter:
        """Make a letter from a received message."""
        reason = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "")
        # This receive counts as well.
        return cls(reason, int(message["Attributes"]["ApproximateReceiveCount"]) - 1, message["Body"])


RESPONSE_TYPES: list[list[str]] = [[], ["ReportBatchItemFailures"]]


@pytest.mark.parametrize("response_types", RESPONSE_TYPES, ids=["whole batches", "single items"])
def test_every_accepted_message_is_stored_or_a_dead_letter_with_its_reason(
    response_types: list[str],
    proving_ground: Devstack,
    proving_apis: dict[str, Api],
    report: Report,
    scale: Scale,
    rng: Random,
) -> None:
    if scale.name == "fast" and RESPONSE_TYPES[report.seed % 2] != response_types:
        pytest.skip("the fast scale tries one way of reporting failures, which the seed chooses")
    mark = f"fire-{rng.getrandbits(64):016x}-{uuid.uuid4().hex[:8]}"
    companies = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(3)]
    post = Post(proving_ground, mark, companies)
    messages = traffic(scale.of(100, 2500), companies, mark, rng)

    visibility_s = scale.of(*VISIBILITY_S)
    # A generator for each thread: otherwise the choices of one would depend on the progress of the others.
    for_proxy, for_killer, for_sender = (Random(rng.getrandbits(64)) for _ in range(3))

    began = time.monotonic()
    with (
        FaultProxy(proving_ground.running["aws_url"], for_proxy) as proxy,
        _arranged(post, proxy, response_types, visibility_s),
    ):
        with (
            proxy.misbehaving(*_rules(scale)),
            _killing_workers(proving_ground, proxy, for_killer, CALLS_BETWEEN_KILLS[scale.name]) as killed,
        ):
            accepted, refused = _sent(messages, post, proving_apis["gateway"], for_sender, clients=scale.of(4, CLIENTS))
            print(f"\n{SUITE}: {len(accepted)} accepted in {time.monotonic() - began:.0f} s", flush=True)
            until(lambda: post.waiting() < len(messages) // 20, DRAINED_WITHIN_S)
        print(
            f"{SUITE}: {len(killed)} workers killed, {_told(proxy)}; calm after {time.monotonic() - began:.0f} s",
            flush=True,
        )
        post.until_drained()
        print(f"{SUITE}: drained after {time.monotonic() - began:.0f} s", flush=True)

    found = _found(post)
    lost = _lost(accepted, found)
    misplaced = _misplaced(found, {sent.payload for sent in accepted if sent.kind in HOPELESS})
    misplaced += [f"conflicts with nothing, or with itself: {sent}" for sent in refused if not _has_rival(sent, found)]
    payloads = {sent.payload for sent in accepted}
    exhausted = sum(not letter.reason for letter in found.letters)
    report.add(
        SUITE,
        f"every accepted payload is stored or a dead letter with its reason ({response_types or 'whole batches'})",
        tried=len(payloads),
        survived=len(payloads) - len(lost),
        lost=len(lost) + len(misplaced),
        note=f"{len(messages)} messages, {len(killed)} workers killed, {sum(_faults(proxy).values())} faults, "
        f"{len(found.archived)} stored, {len(refused)} refused as conflicts, {len(found.letters)} dead letters, "
        f"{exhausted} of them after {RECEIVES_MAX} deliveries",
    )
    assert killed
    assert set(_faults(proxy)) >= {fault.value for fault in (CHANCES if scale.name == "full" else [Fault.CUT_AFTER])}
    assert not lost
    assert not misplaced
    assert found.indexed.items() <= found.archived.items(), "an index row points to nothing, or to something else"


@dataclass(frozen=True)
class Found:
    """What is there once everything is over."""

    archived: dict[str, str]
    indexed: dict[str, str]
    letters: list[Letter]

    def stored(self) -> set[str]:
        """Return the payloads that are in archive and index with equal content."""
        return set(dict(self.archived.items() & self.indexed.items()).values())


def _found(post: Post) -> Found:
    return Found(post.archived(), post.indexed(), post.dead_letters())


def _lost(accepted: list[Sent], found: Found) -> list[Sent]:
    """Return the messages that are neither stored nor among the dead letters."""
    settled = {("stored", payload) for payload in found.stored()}
    settled |= {(letter.kind, _identity(letter)) for letter in found.letters}
    return [sent for sent in accepted if not {(kind, sent.payload) for kind in _ENDS[sent.kind]} & settled]


# How each kind of message may end. If two messages conflict, the first to be stored stays.
_EXHAUSTED = ""
_ENDS = {
    "good": {"stored", "conflict", _EXHAUSTED},
    "again": {"stored", "conflict", _EXHAUSTED},
    "conflict": {"stored", "conflict", _EXHAUSTED},
    "unreadable": {"unreadable", _EXHAUSTED},
    "invalid": {"invalid", _EXHAUSTED},
}


def _identity(letter: Letter) -> str:
    try:
        return payload_of(letter.body)
    except (exact_json.MalformedJson, InvalidInput):
        return text_hash(letter.body)


def _misplaced(found: Found, hopeless: set[str]) -> list[str]:
    """Return the dead letters that should not be there: good messages, and letters that nothing explains.

    `hopeless` has the hashes of the texts that can never be stored.
    """
    stored = found.stored()
    wrong = []
    for letter in found.letters:
        if letter.kind == "conflict":
            payload = payload_of(letter.body)
            if payload in stored or found.archived.get(message_in(letter.body).archive_key) in (None, payload):
                wrong.append(f"conflicts with nothing, or with itself: {letter}")
        elif letter.kind == _EXHAUSTED and letter.receives < RECEIVES_MAX:
            wrong.append(f"neither a reason nor {RECEIVES_MAX} deliveries: {letter}")
        elif letter.kind in HOPELESS and text_hash(letter.body) not in hopeless:
            wrong.append(f"could have been stored: {letter}")
        elif letter.kind not in (_EXHAUSTED, *HOPELESS):
            wrong.append(f"an unknown reason: {letter}")
    return wrong


def _has_rival(sent: Sent, found: Found) -> bool:
    """Return whether another payload is stored under a message's company and id."""
    return found.indexed.get(message_in(sent.body).archive_key) not in (None, sent.payload)


def test_a_good_message_that_is_buried_as_a_conflict_with_itself_is_found() -> None:
    """A consumer killed between archive and index might leave this, if it took its own object for another's."""
    (good,) = (sent for sent in traffic(2, [str(uuid.uuid4())], "mark", Random(1)) if sent.kind == "good")
    key, letter = message_in(good.body).archive_key, Letter("conflict: …", 1, good.body)

    assert _misplaced(Found({key: good.payload}, {}, [letter]), set())
    assert _misplaced(Found({}, {}, [letter]), set())
    assert not _misplaced(Found({key: "another"}, {}, [letter]), set())


def _sent(messages: list[Sent], post: Post, api: Api, rng: Random, *, clients: int) -> tuple[list[Sent], list[Sent]]:
    """Send everything, a fifth of what the API would accept through the API; return what it accepted and refused."""
    over_http = [sent for sent in messages if sent.kind not in HOPELESS and rng.random() < 0.2]
    chosen = {id(sent) for sent in over_http}
    direct = [sent for sent in messages if id(sent) not in chosen]
    for again in rng.sample(direct, len(direct) // 10):  # SQS may deliver twice, even within a batch
        direct.insert(direct.index(again) if rng.random() < BESIDE else rng.randrange(len(direct)), again)
    api.token("operator")
    with ThreadPoolExecutor(clients) as pool:
        posted = pool.map(lambda sent: _posted(api, sent), over_http)
        for batch in batches(direct, rng):
            post.send(batch)
        taken = list(zip(over_http, posted, strict=True))
        return direct + [sent for sent, accepted in taken if accepted], [
            sent for sent, accepted in taken if not accepted
        ]


def _posted(api: Api, sent: Sent) -> bool:
    """Post a message until it is accepted, or refused as a conflict, as a client would; fails if it never is.

    Returns whether it was accepted.
    """
    for _ in range(POST_ATTEMPTS_MAX):
        try:
            answer = api.post("/post-message", data=sent.body.encode(), headers={"Content-Type": "application/json"})
        except requests.RequestException:  # nobody knows whether it was accepted
            continue
        if answer.status_code in (200, 202):
            return True
        if answer.status_code == 409:
            return False
        assert answer.status_code in (500, 502, 503, 504), answer.text
    raise AssertionError(f"not accepted in {POST_ATTEMPTS_MAX} attempts")


def _rules(scale: Scale) -> list[Rule]:
    times_as_often = scale.of(2, 1)
    rules = [
        Rule(fault, service=service, chance=chance * times_as_often, seconds=SECONDS.get(fault, 0.0))
        for fault, chance in CHANCES.items()
        for service in ("s3", "dynamodb", "sqs")
    ]
    if scale.name == "full":  # the rarest fault is not left to chance alone
        rules.insert(0, Rule(Fault.HANG, "s3", "PutObject", first=HANGS_AT, times=1, seconds=SECONDS[Fault.HANG]))
    return rules


def _faults(proxy: FaultProxy) -> Counter[str]:
    return Counter(call.fault.value for call in proxy.calls if call.fault)


def _told(proxy: FaultProxy) -> str:
    return ", ".join(f"{count} {fault}" for fault, count in _faults(proxy).most_common())


@contextlib.contextmanager
def _killing_workers(
    devstack: Devstack, proxy: FaultProxy, rng: Random, calls_between: tuple[int, int]
) -> Iterator[list[int]]:
    """Kill processes of the consumer, each after a random number of calls; yields the list of their ids."""
    killed: list[int] = []
    over = threading.Event()

    def stored() -> int:
        return len(proxy.since(0, "s3"))

    def kill() -> None:
        due = stored() + rng.randint(*calls_between)
        while not over.wait(0.02):
            if stored() < due:
                continue
            running = functions.workers(devstack, functions.STORE_MESSAGES)
            if running and functions.kill(victim := rng.choice(running)):
                killed.append(victim)
                due = stored() + rng.randint(*calls_between)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


@contextlib.contextmanager
def _arranged(post: Post, proxy: FaultProxy, response_types: list[str], visibility_s: int) -> Iterator[None]:
    """Inside the block, put the proxy in place, repeat failed deliveries soon, and report failures in the given way."""
    aws = post.devstack.client("lambda")
    mapping = aws.list_event_source_mappings(FunctionName=functions.STORE_MESSAGES)["EventSourceMappings"][0]
    before = post.sqs.get_queue_attributes(QueueUrl=post.queue, AttributeNames=["VisibilityTimeout", "RedrivePolicy"])[
        "Attributes"
    ]
    redrive = json.dumps(json.loads(before["RedrivePolicy"]) | {"maxReceiveCount": RECEIVES_MAX})
    with functions.reaching_aws_at(post.devstack, proxy.url, functions.STORE_MESSAGES, functions.API):
        try:
            post.sqs.set_queue_attributes(
                QueueUrl=post.queue, Attributes={"VisibilityTimeout": str(visibility_s), "RedrivePolicy": redrive}
            )
            aws.update_event_source_mapping(UUID=mapping["UUID"], FunctionResponseTypes=response_types)
            yield
        finally:
            aws.update_event_source_mapping(
                UUID=mapping["UUID"], FunctionResponseTypes=mapping.get("FunctionResponseTypes", [])
            )
            post.sqs.set_queue_attributes(QueueUrl=post.queue, Attributes=before)
