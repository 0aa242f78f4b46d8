"""Does everything that the service can do, once: all routes, both pipelines, and the failures that they provide for."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import requests

from tests.e2e.messages import forget_row
from tests.e2e.running import Api
from tests.e2e.waiting import until
from tests.people import COMPANIES
from tests.samples import dragon_members, message_body

AMBER = COMPANIES["amber"]
# Whoever looks at dead letters hides them from others for a moment, so one visitor does it at a time.
LOOKING_AT_LETTERS = threading.Lock()
PAGES = ("/", "/docs", "/openapi.json", "/static/console.css", "/health")


@dataclass
class Tour:
    """One visitor, who remembers what it made and can ask for it again."""

    api: Api
    dragon: dict[str, Any] = field(default_factory=lambda: dragon_members(f"Tourist {uuid.uuid4().hex[:12]}"))
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    answers: dict[str, requests.Response] = field(default_factory=dict)

    @property
    def dragon_path(self) -> str:
        """The path of the dragon."""
        return "/dragons/" + quote(self.dragon["dragon_name_str"])

    def look_at_pages(self) -> None:
        """Ask for everything that needs no token."""
        for path in PAGES:
            self._keep(f"GET {path}", self.api.get(path, None))

    def look_after(self) -> None:
        """Ask what operators ask."""
        ready = self.api.get("/ready")
        assert ready.status_code == 200, ready.text
        self._keep("GET /ready", ready)
        with LOOKING_AT_LETTERS:
            self._ask("a dragon", self.dragon_path[9:])
            self._ask("a submission", self.post_dragon().headers["Location"].rpartition("/")[2])
            self._ask("a message", self.message_id)
            self._keep("GET /operator/dead-letters", self.api.get("/operator/dead-letters?limit=1"))
            for action in ("redrive", "replace", "delete"):
                self._act(action, f"/operator/dead-letters/{self._letter()}")

    def _ask(self, what: str, wanted: str) -> None:
        self._keep(f"GET /operator/timeline: {what}", self.api.get(f"/operator/timeline?id={wanted}"))

    def _letter(self) -> str:
        """Bury a message of our own, as the consumer does; return the letter's id."""
        url = self.api.devstack.running["outputs"]["MessageDeadLetterQueueUrl"]
        body = self._body(str(uuid.uuid4())).decode()
        return str(self.api.devstack.client("sqs").send_message(QueueUrl=url, MessageBody=body)["MessageId"])

    def _act(self, action: str, letter: str) -> None:
        seen = self.api.get(letter)
        self._keep("GET /operator/dead-letters/{id}", seen)
        headers = {"If-Match": seen.headers["ETag"], "Content-Type": "application/json"}
        if action == "delete":
            self._keep(f"a letter: {action}", self.api.request("DELETE", letter, headers=headers))
            return
        body = self._body(str(uuid.uuid4())) if action == "replace" else b""
        self._keep(f"a letter: {action}", self.api.post(f"{letter}/{action}", data=body, headers=headers))

    def report(self) -> None:
        """Report a dragon twice, and check the outcome of both reports."""
        wait = {"headers": {"Prefer": "wait=10"}}
        added = self.post_dragon(**wait)
        self._keep("POST /dragons: added", added)
        self._keep("POST /dragons: duplicate", self.post_dragon(**wait))
        pending = self.post_dragon()
        self._keep("POST /dragons: pending", pending)
        self._keep("GET /submissions/{id}", self.api.get(pending.headers["Location"]))
        self._keep("GET /submissions/{id}: its steps", self.api.get(f"{pending.headers['Location']}?steps=true"))
        self._keep("GET /submissions/{id}: unknown", self.api.get(f"/submissions/{uuid.uuid4()}"))
        self._keep("GET /submissions", self.api.get("/submissions?limit=1"))
        self._keep("GET /families", self.api.get("/families?limit=1"))
        self._keep("GET /dragons", self.api.get("/dragons?limit=1"))
        self._keep("GET /dragons: a prefix", self.api.get("/dragons?limit=1&namePrefix=to"))
        self._keep("GET /dragons/{name}", self.api.get(self.dragon_path))
        self._keep("HEAD /dragons/{name}", self.api.request("HEAD", self.dragon_path))

    def correct(self) -> None:
        """Correct the dragon, then remove it."""
        self._keep("PUT /dragons/{name}", self.put_dragon())
        self._keep("DELETE /dragons/{name}", self.api.request("DELETE", self.dragon_path))

    def post_messages(self) -> None:
        """Post a message. Post it, and another under its id, again when half of it is stored, and when all of it is.

        Waits until all of them are settled, and reads the message.
        """
        self._keep("POST /post-message", self.post_message())
        until(lambda: self.get_message().status_code == 200)
        self._keep("GET /message/{id}", self.get_message())
        self._keep("GET /messages", self.api.get("/messages?limit=1", "amber"))
        self._keep("GET /message/{id}: any company", self.api.get(f"/message/{self.message_id}"))
        forget_row(self.api.devstack, self.message_id, AMBER)
        before = self._dead_letters()
        self._keep("POST /post-message: conflict", self.post_message(order_amount="20.01"))
        until(lambda: self._dead_letters() > before)
        self._keep("POST /post-message: half stored", self.post_message())
        until(lambda: self.get_message().status_code == 200)
        self._keep("POST /post-message: again", self.post_message())
        self._keep("POST /post-message: conflict seen", self.post_message(order_amount="20.01"))

    def everything(self) -> Tour:
        """Do all of this, with both pipelines at the same time."""
        self.look_at_pages()
        other = replace(self, api=Api(self.api.devstack, self.api.target, _tokens=self.api._tokens))
        with ThreadPoolExecutor(1) as pool:
            posting = pool.submit(other.post_messages)
            self.report()
            self.correct()
            posting.result()
        self.look_after()
        return self

    def post_dragon(self, **options: Any) -> requests.Response:
        """Report the dragon."""
        return self.api.post("/dragons", json=self.dragon, **options)

    def add_dragon(self) -> str:
        """Report the dragon, wait for the end however busy the machine is, and return the submission's status."""
        place = self.post_dragon().headers["Location"]
        return str(until(lambda: self._settled(place))["status"])

    def _settled(self, place: str) -> dict[str, Any] | None:
        shown: dict[str, Any] = self.api.get(place).json()
        return None if shown["status"] == "pending" else shown

    def put_dragon(self) -> requests.Response:
        """Correct the dragon."""
        seen = self.api.get(self.dragon_path).headers.get("ETag", '"none"')
        changed = {**self.dragon, "description_str": "Seen twice."}
        return self.api.request("PUT", self.dragon_path, json=changed, headers={"If-Match": seen})

    def post_message(self, request_id: str | None = None, **data: str) -> requests.Response:
        """Post the message for amber's company; `data` replaces members of its data, as JSON text."""
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id or str(uuid.uuid4())}
        return self.api.post("/post-message", "amber", data=self._body(self.message_id, **data), headers=headers)

    def _body(self, message_id: str, **data: str) -> bytes:
        return message_body({"company_id": json.dumps(AMBER), "message_id": json.dumps(message_id)}, data)

    def get_message(self) -> requests.Response:
        """Read the message as amber."""
        return self.api.get(f"/message/{self.message_id}", "amber")

    def _keep(self, name: str, answer: requests.Response) -> None:
        assert answer.status_code < 500, f"{name}: {answer.status_code} {answer.text}"
        self.answers[name] = answer

    def _dead_letters(self) -> int:
        running = self.api.devstack.running
        attributes = self.api.devstack.client("sqs").get_queue_attributes(
            QueueUrl=running["outputs"]["MessageDeadLetterQueueUrl"],
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return sum(map(int, attributes.values()))
