"""Clients that go on using a stage while it is upgraded, and all that they were answered."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.deploy.prod import Prod
from tests.e2e.dragons import a_dragon
from tests.e2e.messages import a_message, exactly
from tests.e2e.running import Api

LOOKS_AGAIN_AFTER_S = 0.05
PAGE = 40
# The emulator's own answers for an API that it has deleted, and for one that has no stage yet.
NO_API = frozenset({(404, b'{"message": "Not Found"}'), (403, b'{"message":"Forbidden"}')})


class Visitors:
    """They report dragons, post and read messages, and list dragons, each in a thread of its own."""

    def __init__(self, prod: Prod, tokens: dict[str, str], messages: Mapping[str, str], dragons: set[str]) -> None:
        """Take the tokens of operator and amber, messages by their paths as they are read, and names in the registry.

        The messages and the dragons have to be seen by everybody, all the time.
        """
        self._prod = prod
        self._tokens = tokens
        self._messages = messages
        self._dragons = dragons
        self._apis = prod.client("apigateway")
        self.over = threading.Event()
        self.answers: Counter[tuple[str, int]] = Counter()  # by what was asked, and the status
        self.rounds: Counter[str] = Counter()  # by visitor
        self.ended = False  # whether one of them has ended, of itself or because it was over
        self.broken: list[str] = []  # each 5xx, and each connection that broke
        self.wrong: list[str] = []  # each other answer that nobody should get
        # The path of the submission of each reported dragon, by its name, or None if the answer was that it is added.
        self.reported: dict[str, str | None] = {}
        self.posted: dict[str, str] = {}  # each accepted message by its path, as it was posted
        self.away: list[float] = []  # when there was no API (seconds since 1970)

    def kinds(self) -> dict[str, Callable[[Api], None]]:
        """Return what each visitor does in a round, by its name."""
        return {
            "reporter": lambda api: self._report(api, {}),
            "patient reporter": lambda api: self._report(api, {"Prefer": "wait=10"}),
            "poster": self._post,
            "second poster": self._post,
            "reader": self._read,
            "lister": self._list,
        }

    def note(self) -> str:
        """What the report says of the run."""
        told = f"{len(self.kinds())} clients"
        if self.away:
            told += f"; for {max(self.away) - min(self.away):.1f} s the emulator had no API (AWS updates it in place)"
        return told

    def visit(self, kind: str) -> None:
        """Do one round after another until it is over."""
        api = Api(self._prod, "gateway", _tokens=self._tokens)
        try:
            while not self.over.is_set():
                self.kinds()[kind](api)
                self.rounds[kind] += 1
        finally:
            self.ended = True

    def ask(self, api: Api, what: str, method: str, reference: str, **options: Any) -> requests.Response | None:
        """Send a request and note the answer. Return it, or None for a 5xx or a broken connection.

        Where the emulator has no API, the request has reached nobody, so it is sent again, to the API that there is by
        then. On AWS the API keeps its address, and serves its old deployment until it serves the new one.
        """
        while True:
            try:
                answer = api.request(method, reference, **options)
            except requests.RequestException as error:
                self.broken.append(f"{what}: {error}")
                return None
            if (answer.status_code, answer.content) not in NO_API:
                break
            self.away.append(time.time())
            self._find_api()
            time.sleep(LOOKS_AGAIN_AFTER_S)
        self.answers[what, answer.status_code] += 1
        if answer.status_code >= 500:
            self.broken.append(f"{what}: {answer.status_code} {answer.text} {dict(answer.headers)}")
            return None
        return answer

    def _find_api(self) -> None:
        """Lead everybody to the API that there is."""
        for api in self._apis.get_rest_apis()["items"]:
            address = f"{self._prod.settings.aws_url}/_aws/execute-api/{api['id']}/{self._prod.stage}"
            self._prod.running["gateway_url"] = address

    def _expect(self, answer: requests.Response, *statuses: int) -> bool:
        if answer.status_code not in statuses:
            self.wrong.append(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}")
        return answer.status_code in statuses

    def _report(self, api: Api, headers: Mapping[str, str]) -> None:
        dragon = a_dragon()
        name = dragon["dragon_name_str"]
        answer = self.ask(api, "POST /dragons", "POST", "/dragons", json=dragon, headers=headers)
        if answer is None or not self._expect(answer, 201, 202):
            return
        if answer.status_code == 201:
            self.reported[name] = None
            return
        place = self.reported[name] = str(answer.headers["Location"])
        while (shown := self.ask(api, "GET /submissions/{id}", "GET", place)) is not None:
            if not self._expect(shown, 200) or shown.json()["status"] != "pending" or self.over.is_set():
                return
            time.sleep(LOOKS_AGAIN_AFTER_S)

    def _post(self, api: Api) -> None:
        message = a_message(f"{len(self.posted)}.10")
        headers = {"Content-Type": "application/json"}
        answer = self.ask(
            api, "POST /post-message", "POST", "/post-message", user="amber", data=message.encode(), headers=headers
        )
        if answer is not None and self._expect(answer, 202):
            self.posted[str(answer.headers["Location"])] = message

    def _read(self, api: Api) -> None:
        for place, before in self._messages.items():
            answer = self.ask(api, "GET /message/{id}", "GET", place, user="amber")
            if answer is not None and self._expect(answer, 200) and exactly(answer.text) != exactly(before):
                self.wrong.append(f"{place} was {before}, and is {answer.text}")
            if self.over.is_set():
                return

    def _list(self, api: Api) -> None:
        seen: set[str] = set()
        reference = f"/dragons?limit={PAGE}"
        while reference:
            answer = self.ask(api, "GET /dragons", "GET", reference)
            if answer is None or not self._expect(answer, 200):
                return
            seen |= {dragon["dragon_name_str"] for dragon in answer.json()}
            reference = answer.links.get("next", {}).get("url", "")
        self.wrong += [f"{name} was not listed" for name in self._dragons - seen]


@contextlib.contextmanager
def visiting(visitors: Visitors) -> Iterator[None]:
    """Have all of them visit the stage in the block. Raises whatever ended one of them."""
    kinds = list(visitors.kinds())
    with ThreadPoolExecutor(len(kinds)) as pool:
        running = [pool.submit(visitors.visit, kind) for kind in kinds]
        try:
            yield
        finally:
            visitors.over.set()
    for each in running:
        each.result()
