"""Look whether a deployed stage works: `.venv/bin/python -m operations.smoke --stage dev`. It takes less than a minute.

It signs in as visitors that it makes and removes, and goes once through both pipelines: a report that the workflow has
to refuse, so that no dragon is added, and a message that is posted, read back and removed. `make deploy` ends with it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from devstack.settings import DevstackError
from operations import visitors
from operations.api import Answer, Api, ApiNotFound, api_of
from operations.contents import of_this_environment
from operations.reach import reach
from operations.stages import STAGES
from operations.stores import Clients, StageOutdated, Standing
from operations.terminal import printable
from operations.visitors import Visitor

STORED_WITHIN_S = 60
# What was deployed a moment ago may not be served everywhere yet.
SERVED_WITHIN_S = 15
NOT_YET = frozenset({403, 404, 503})
LOOKS_EVERY_S = 0.5


class Broken(Exception):
    """The stage did not do what it has to; the message says what was expected, and what came."""


def expect(answer: Answer, status: int, what: str) -> Answer:
    """Return the answer. Raises Broken if it has another status."""
    if answer.status != status:
        request_id = answer.headers.get("X-Request-Id", "none")
        raise Broken(
            f"{what}: {answer.status} instead of {status}: {printable(answer.body.decode(errors='replace'))[:500]}\n"
            f"  its X-Request-Id is {request_id}"
        )
    return answer


def content(answer: Answer, what: str) -> Any:
    """Return the JSON of a 200. Raises Broken if it is another answer: a proxy's page, say."""
    if (found := expect(answer, 200, what).json) is None:
        raise Broken(f"{what}: 200 without JSON: {printable(answer.body.decode(errors='replace'))[:500]}")
    return found


class Smoke:
    """One look at a stage, as an operator and as somebody of a company."""

    def __init__(self, stage: Standing, api: Api, operator: Visitor, clerk: Visitor) -> None:
        self._stage = stage
        self._api = api
        self._operator = operator
        self._clerk = clerk
        self.reported = False

    def everything(self) -> Iterator[str]:
        """Try one thing after the other, and yield what worked. Raises Broken at the first that does not."""
        yield from self._pages()
        yield from self._strangers()
        token = visitors.id_token(self._stage, self._operator)
        listed = content(self._api.send("GET", "/dragons?limit=1", token), "GET /dragons")
        yield "an operator signs in, and lists the dragons"
        yield self._report(token, listed)
        yield from self._message(visitors.id_token(self._stage, self._clerk))

    def _pages(self) -> Iterator[str]:
        expect(self._first_answer(), 200, "GET /health")
        document = content(self._api.send("GET", "/openapi.json"), "GET /openapi.json")
        expect(self._api.send("GET", "/"), 200, "GET /")
        yield f"it answers at {self._api.url}/, with version {document['info']['version']}"

    def _first_answer(self) -> Answer:
        """Ask again for a while if the gateway does not know the stage yet, or may not call the function yet."""
        deadline = time.monotonic() + SERVED_WITHIN_S
        while (answer := self._api.send("GET", "/health")).status in NOT_YET and time.monotonic() < deadline:
            time.sleep(LOOKS_EVERY_S)
        return answer

    def _strangers(self) -> Iterator[str]:
        refused = expect(self._api.send("GET", "/dragons"), 401, "GET /dragons without a token")
        origin, allowed = STAGES[self._stage.name].allow_origin, refused.headers.get("Access-Control-Allow-Origin")
        if self._api.has_gateway_responses and allowed != origin:
            raise Broken(f"the gateway's own answers allow the origin {allowed} instead of {origin}")
        forged = {"Authorization": "Bearer a.b.c"}
        expect(self._api.send("GET", "/dragons", headers=forged), 401, "GET /dragons with a forged token")
        yield "nobody gets in without a token"

    def _report(self, token: str, listed: list[dict[str, Any]]) -> str:
        if not listed:
            return "the registry is empty, so no report was made that the workflow would refuse"
        self.reported, wait = True, {"Prefer": "wait=10"}
        answer = self._api.send("POST", "/dragons", token, listed[0], wait)
        if answer.status != 202:  # the workflow took less than ten seconds
            expect(answer, 409, "POST /dragons, of a dragon that is in the registry")
            return "the workflow refuses a dragon that is in the registry"
        place = f"/submissions/{answer.json['submission_id']}"
        settled = until(lambda: self._settled(place, token), "the workflow to settle a report")
        if settled["status"] != "rejected":
            raise Broken(f"the report of a dragon that is in the registry became {settled}")
        return "the workflow refuses a dragon that is in the registry"

    def _settled(self, place: str, token: str) -> dict[str, Any] | None:
        found: dict[str, Any] = content(self._api.send("GET", place, token), f"GET {place}")
        return None if found["status"] == "pending" else found

    def _message(self, token: str) -> Iterator[str]:
        message = a_message(self._clerk.company_id)
        place = f"/message/{message['metadata']['message_id']}"
        expect(self._api.send("POST", "/post-message", token, message), 202, "POST /post-message")
        stored = until(lambda: self._stored(place, token), "a message that was accepted to be stored")
        if stored["data"] != message["data"]:
            raise Broken(f"a message was posted with {message['data']}, and is stored with {stored['data']}")
        yield "a message is accepted, stored and read back as it was sent"
        again = self._api.send("POST", "/post-message", token, message)
        expect(again, 200, "POST /post-message, of a message that is stored")
        yield "the same message again is known"

    def _stored(self, place: str, token: str) -> dict[str, Any] | None:
        answer = self._api.send("GET", place, token)
        if answer.status == 404:
            return None
        found: dict[str, Any] = content(answer, f"GET {place}")
        return found


def a_message(company_id: str) -> dict[str, Any]:
    """Return a message as a client of this company sends it."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "metadata": {"message_time": now, "company_id": company_id, "message_id": str(uuid.uuid4())},
        "data": {"order_id": str(uuid.uuid4()), "order_time": now, "order_amount": 19.99, "note": "make smoke"},
    }


def until(look: Callable[[], dict[str, Any] | None], what: str) -> dict[str, Any]:
    """Look until there is something. Raises Broken after `STORED_WITHIN_S`."""
    deadline = time.monotonic() + STORED_WITHIN_S
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise Broken(f"waited {STORED_WITHIN_S} s in vain for {what}")
        time.sleep(LOOKS_EVERY_S)
    return found


def smoke(name: str, clients: Clients) -> None:
    """Look at a stage, and print what worked. Raises Broken, and what stands in the way of looking."""
    stage = Standing.found(name, clients)
    api = api_of(name, clients)
    # Its message is stored, or broken for hours yet before it is a dead letter.
    with visitors.visiting(stage, _say, dead_letters=False) as (operator, clerk, _):
        look = Smoke(stage, api, operator, clerk)
        for worked in look.everything():
            print(f"ok  {worked}", flush=True)
    stays = "an execution of the workflow with its notification, and log lines" if look.reported else "log lines"
    print(f"what stays: {stays}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns the exit status."""
    stage = _parse(arguments).stage
    try:
        reach(stage)
        smoke(stage, clients)
    except Broken as error:
        print(f"broken: {error}\n  `make logs STAGE={stage} ID=<X-Request-Id>` may say why", file=sys.stderr)
        return 1
    except (ApiNotFound, DevstackError, StageOutdated, visitors.VisitorsRemain) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError, OSError, json.JSONDecodeError) as error:
        print(f"error: {error}. Is the stage deployed, and may you create users in its pool?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.smoke", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
