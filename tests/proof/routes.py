"""Every route that calls AWS, as a request that succeeds while nothing is wrong."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from chalicelib.messages.listing import PARTS
from tests.e2e.messages import a_message, post, stored
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.samples import dragon_members

WAITED = frozenset({201, 202})  # on a busy machine, the workflow takes longer than a client may wait

Answered = Callable[[], requests.Response]


@dataclass(frozen=True)
class Route:
    """One route. `send` makes a new request each time, and `succeeds_with` are the statuses that mean success.

    `spared` are the operations whose failure does not fail the request: the answer is 202 all the same. `at_once` is
    how many calls of one operation it makes at the same time, so that each may fail before the request does.
    """

    name: str
    send: Answered
    succeeds_with: frozenset[int]
    spared: frozenset[str] = frozenset()
    at_once: int = 1


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
        Route("POST /post-message", lambda: post(api, a_message()), frozenset({202}), frozenset({"GetItem"})),
        Route("GET /messages", lambda: api.get("/messages?limit=5", "amber"), frozenset({200}), at_once=PARTS),
        Route("GET /message/{id}", lambda: api.get(location, "amber"), frozenset({200})),
        Route("GET /message/{id} of any company", lambda: api.get(location), frozenset({200})),
    ]
