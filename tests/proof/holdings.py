"""What a stage holds: dragons, submissions, messages and dead letters, and which of them it has lost later on."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.e2e.dragons import a_dragon, settled
from tests.e2e.messages import a_message, post, queue_unseen, stored
from tests.e2e.running import Api
from tests.e2e.waiting import until

REPORTED, CORRECTED, REMOVED = 16, 4, 2
AMOUNTS = (
    *("20", "20.00", "2.0e1", "1e-7", "0"),
    *("0.1000000000000000055511151231257827", "98765432109876543210.123456789"),
)
LETTERS = 4
CLIENTS = 4


@dataclass
class Holdings:
    """What was put into a stage through its API, each as it was read then."""

    api: Api
    tokens: dict[str, str] = field(default_factory=dict)
    dragons: dict[str, dict[str, Any]] = field(default_factory=dict)  # by name, others' dragons too
    submissions: dict[str, dict[str, Any]] = field(default_factory=dict)  # by path, with their steps
    keys: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # each one's path, and its dragon
    messages: dict[str, str] = field(default_factory=dict)  # texts by path
    letters: Counter[str] = field(default_factory=Counter)  # bodies and attributes

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the resources stack now."""
        return dict(self.api.devstack.running["outputs"])

    def fill(self) -> None:
        """Report, correct and remove dragons, post messages, and have some of them become dead letters."""
        self.tokens = {user: self.api.token(user) for user in ("operator", "amber", "cobalt")}
        with ThreadPoolExecutor(CLIENTS) as pool:
            names = [added.result() for added in [pool.submit(self._add_dragon) for _ in range(REPORTED)]]
            list(pool.map(self._store_message, AMOUNTS))
        for name in names[:CORRECTED]:
            self._correct(name)
        for name in names[-REMOVED:]:
            assert self.api.request("DELETE", path_of(name)).status_code == 204
        self.dragons = {dragon["dragon_name_str"]: dragon for dragon in registry(self.api)}
        for place in list(self.messages)[:LETTERS]:
            queue_unseen(self.api.devstack, a_message("77", message_id=id_in(place)))
        self.letters = until(lambda: letters if (letters := self._dead_letters()).total() == LETTERS else None)

    def lost(self) -> Mapping[str, tuple[int, list[str]]]:
        """Return, for each kind, how many there were, and those that are not there any more, or not as they were."""
        now = {dragon["dragon_name_str"]: dragon for dragon in registry(self.api)}
        letters = self.letters - self._dead_letters()
        return {
            "dragons": (len(self.dragons), [each for each, was in self.dragons.items() if now.get(each) != was]),
            "messages": (
                len(self.messages),
                [each for each, was in self.messages.items() if self.message(each) != was],
            ),
            "dead letters": (self.letters.total(), list(letters.elements())),
            "submissions": (
                len(self.submissions),
                [each for each, was in self.submissions.items() if self.submission(f"{each}?steps=true") != was],
            ),
        }

    def submission(self, reference: str) -> dict[str, Any]:
        """What the API says of a submission."""
        answer = self.api.get(reference)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def message(self, place: str) -> str | None:
        """The text of a message as its company reads it, or None if it is not there."""
        answer = self._own().get(place, "amber")
        return answer.text if answer.status_code == 200 else None

    def _dead_letters(self) -> Counter[str]:
        """Return all letters, which return to the queue at once, with how often each is there."""
        sqs, found = self.api.devstack.client("sqs"), {}
        url = self.outputs["MessageDeadLetterQueueUrl"]
        while received := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=30
        ).get("Messages"):
            found |= {letter["MessageId"]: letter for letter in received}
        for letter in found.values():
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"], VisibilityTimeout=0)
        return Counter(
            json.dumps([letter["Body"], letter.get("MessageAttributes")], sort_keys=True, default=str)
            for letter in found.values()
        )

    def _add_dragon(self) -> str:
        api, dragon, key = self._own(), a_dragon(), f"before-{uuid.uuid4()}"
        answer = api.post("/dragons", json=dragon, headers={"Idempotency-Key": key})
        place = answer.headers["Location"]
        self.submissions[place] = settled(api, place)
        assert self.submissions[place]["status"] == "added"
        self.keys[key] = place, dragon
        return str(dragon["dragon_name_str"])

    def _correct(self, name: str) -> None:
        seen = self.api.get(path_of(name))
        changed = {**seen.json(), "description_str": f"Seen twice near {name}."}
        answer = self.api.request("PUT", path_of(name), json=changed, headers={"If-Match": seen.headers["ETag"]})
        assert answer.status_code == 200, answer.text

    def _store_message(self, amount: str) -> None:
        api = self._own()
        place = post(api, a_message(amount)).headers["Location"]
        self.messages[place] = stored(api, place)

    def _own(self) -> Api:
        """Return a client for one thread."""
        return Api(self.api.devstack, self.api.target, _tokens=self.api._tokens)


def path_of(name: str) -> str:
    """Return the path of a dragon."""
    return "/dragons/" + quote(name)


def id_in(place: str) -> str:
    """Return the id at the end of a path."""
    return place.rpartition("/")[2]


def registry(api: Api) -> list[dict[str, Any]]:
    """Return all dragons, page after page."""
    found: list[dict[str, Any]] = []
    reference = "/dragons?limit=1000"
    while reference:
        answer = api.get(reference)
        assert answer.status_code == 200, answer.text
        found += answer.json()
        reference = answer.links.get("next", {}).get("url", "")
    return found
