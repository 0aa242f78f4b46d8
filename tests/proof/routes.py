"""Every route that calls AWS, as a request that succeeds while nothing is wrong."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests

from chalicelib.messages.listing import PARTS
from tests.e2e.dragons import a_dragon, settled
from tests.e2e.messages import a_message, post, stored
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.proof.tour import LOOKING_AT_LETTERS
from tests.samples import dragon_members

WAITED = frozenset({201, 202})  # on a busy machine, the workflow takes longer than a client may wait

Answered = Callable[[], requests.Response]


@dataclass(frozen=True)
class Route:
    """One route. `send` makes a new request each time, and `succeeds_with` are the statuses that mean success.

    `spared` are the operations whose failure does not fail the request, and `unavailable` those whose failure is a 503
    for whatever reason. `unseen` are those that the SDK's next attempt finds done, without what the lost answer had.
    `at_once` is how many calls of one operation it makes at the same time, so that each may fail before the request
    does. `names` is what a 503 names as ill if an operation fails, which has one attempt: readiness alone has that.
    """

    name: str
    send: Answered
    succeeds_with: frozenset[int]
    spared: frozenset[str] = frozenset()
    at_once: int = 1
    unavailable: frozenset[str] = frozenset()
    unseen: frozenset[str] = frozenset()
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass
class Herd:
    """Dragons written straight to the registry, so that each request that changes a dragon has one of its own."""

    devstack: Devstack
    count: int

    def __post_init__(self) -> None:
        self.mark = f"Herd {uuid.uuid4().hex[:8]}"
        self._next = 0
        self._lock = threading.Lock()
        self._change(lambda dragons: [*dragons, *(self._dragon(number) for number in range(self.count))])

    def one(self) -> dict[str, Any]:
        """Return a dragon that nobody has used yet."""
        with self._lock:
            self._next += 1
            assert self._next <= self.count, "the herd is too small"
            return self._dragon(self._next - 1)

    def remove(self) -> None:
        """Remove the dragons that are left from the registry."""
        self._change(lambda dragons: [each for each in dragons if not each["dragon_name_str"].startswith(self.mark)])

    def _dragon(self, number: int) -> dict[str, Any]:
        return dragon_members(f"{self.mark} {number}")

    def _change(self, change: Callable[[Sequence[Any]], list[Any]]) -> None:
        s3 = self.devstack.client("s3")
        place = {"Bucket": self.devstack.running["outputs"]["DragonBucketName"], "Key": "dragons.json"}

        def swapped() -> bool:
            found = s3.get_object(**place)
            body = json.dumps(change(json.loads(found["Body"].read()))).encode()
            try:
                s3.put_object(**place, Body=body, IfMatch=found["ETag"])
            except s3.exceptions.ClientError:
                return False
            return True

        until(swapped)


def routes(api: Api, herd: Herd) -> list[Route]:
    """Return the routes. This also makes the data that they read."""
    seen = herd.one()["dragon_name_str"]
    location = post(api, a_message()).headers["Location"]
    reported, once = dragon_members(f"{herd.mark} reported"), {"Idempotency-Key": str(uuid.uuid4())}
    submission = api.post("/dragons", json=reported, headers=once).headers["Location"]
    stored(api, location)
    until(lambda: api.get(submission).json()["status"] != "pending")

    def place(dragon: dict[str, Any]) -> str:
        return "/dragons/" + quote(dragon["dragon_name_str"])

    def correct() -> requests.Response:
        dragon = herd.one()
        return api.request("PUT", place(dragon), json={**dragon, "family_str": "new"}, headers={"If-Match": "*"})

    def report(**headers: str) -> requests.Response:
        return api.post("/dragons", json=dragon_members(f"{herd.mark} {uuid.uuid4().hex}"), headers=headers)

    return [
        Route("GET /dragons", lambda: api.get("/dragons?limit=5"), frozenset({200})),
        Route("GET /families", lambda: api.get("/families?limit=5"), frozenset({200})),
        Route("GET /dragons/{name}", lambda: api.get("/dragons/" + quote(seen)), frozenset({200})),
        Route("PUT /dragons/{name}", correct, frozenset({200})),
        Route("DELETE /dragons/{name}", lambda: api.request("DELETE", place(herd.one())), frozenset({204})),
        Route("POST /dragons", report, frozenset({202})),
        # It has started; it is no failure if nobody can tell how it stands.
        Route(
            "POST /dragons, waiting",
            lambda: report(Prefer="wait=10"),
            WAITED,
            frozenset({"Query", "DescribeExecution"}),
        ),
        # Without DescribeExecution, the API cannot know whether it was the same dragon.
        Route("POST /dragons, repeated", lambda: api.post("/dragons", json=reported, headers=once), frozenset({202})),
        Route("GET /submissions/{id}", lambda: api.get(submission), frozenset({200})),
        Route("GET /submissions/{id}, its steps", lambda: api.get(f"{submission}?steps=true"), frozenset({200})),
        Route("GET /submissions", lambda: api.get("/submissions?limit=5"), frozenset({200})),
        # Without a look in the index, the message is accepted all the same.
        Route(
            "POST /post-message",
            lambda: post(api, a_message()),
            frozenset({202}),
            frozenset({"GetItem"}),
            unavailable=frozenset({"SendMessage"}),
        ),
        Route("GET /messages", lambda: api.get("/messages?limit=5", "amber"), frozenset({200}), at_once=PARTS),
        Route("GET /message/{id}", lambda: api.get(location, "amber"), frozenset({200})),
        Route("GET /message/{id} of any company", lambda: api.get(location), frozenset({200})),
    ]


READY = "GET /ready"
LETTERS = "/operator/dead-letters"
# Whoever receives letters hides them, also from the next attempt. Those who could not let go of them wait until they
# are visible again.
_HIDING = {"unseen": frozenset({"ReceiveMessage"}), "spared": frozenset({"ChangeMessageVisibilityBatch"})}
_ILL = {
    "GetParameters": frozenset({"parameters"}),
    "HeadObject": frozenset({"registry"}),
    "HeadBucket": frozenset({"archive"}),
    "GetItem": frozenset({"submissions", "index"}),
    "GetQueueAttributes": frozenset({"queue", "dead-letters"}),
    "DescribeStateMachine": frozenset({"workflow"}),
}


def operators_routes(api: Api, other: Api) -> list[Route]:
    """Return the routes for operators. This also makes the data that they read.

    `other` is a client of a target whose AWS is well.
    """
    location = post(api, a_message()).headers["Location"]
    dragon = a_dragon()
    assert settled(api, api.post("/dragons", json=dragon).headers["Location"])["status"] == "added"
    stored(api, location)
    message_id, name = location.rpartition("/")[2], quote(dragon["dragon_name_str"])
    sqs, queue = api.devstack.client("sqs"), api.devstack.running["outputs"]["MessageDeadLetterQueueUrl"]

    def alone(send: Callable[[str], requests.Response]) -> Answered:
        """Send a request about a letter that has the queue for itself, while nobody else looks at letters."""

        def sent() -> requests.Response:
            with LOOKING_AT_LETTERS:
                sqs.purge_queue(QueueUrl=queue)
                buried = sqs.send_message(QueueUrl=queue, MessageBody=a_message())
                return send(f"{LETTERS}/{buried['MessageId']}")

        return sent

    def acting(method: str, action: str = "", body: Callable[[], str] = str) -> Answered:
        def act(letter: str) -> requests.Response:
            headers = {"If-Match": other.get(letter).headers["ETag"], "Content-Type": "application/json"}
            return api.request(method, letter + action, data=body().encode(), headers=headers)

        return alone(act)

    ok, accepted = frozenset({200}), frozenset({202})
    return [
        Route(READY, lambda: api.get("/ready"), ok, at_once=2, names=_ILL),
        # An answer that was lost is no failure here: a page never claims to be the whole queue.
        Route(f"GET {LETTERS}", alone(lambda _: api.get(f"{LETTERS}?limit=1")), ok, _HIDING["spared"]),
        Route(f"GET {LETTERS}/{{letter_id}}", alone(api.get), ok, **_HIDING),
        Route(f"POST {LETTERS}/{{letter_id}}/redrive", acting("POST", "/redrive"), accepted, **_HIDING),
        Route(
            f"POST {LETTERS}/{{letter_id}}/replace",
            acting("POST", "/replace", a_message),
            accepted,
            unavailable=frozenset({"SendMessage"}),
            **_HIDING,
        ),
        Route(f"DELETE {LETTERS}/{{letter_id}}", acting("DELETE"), frozenset({204}), **_HIDING),
        Route(
            "GET /operator/timeline of a message",
            alone(lambda _: api.get(f"/operator/timeline?id={message_id}")),
            ok,
            _HIDING["spared"],
        ),
        Route("GET /operator/timeline of a dragon", lambda: api.get(f"/operator/timeline?id={name}"), ok),
    ]
