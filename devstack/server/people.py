"""Offering the people of this state folder to the sign-in form of the pages that this server serves.

The app knows nothing of them but where its page may ask for them (`DRAGONPOST_PEOPLE`), which no deployed stage says.
Anybody who can reach this server can reach the embedded AWS as its root user, so their passwords protect nothing here;
pages of other origins get no answer that they can read, though.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

from devstack.people import PEOPLE, Person
from devstack.server.asgi import Answering
from devstack.server.gateway import Answer, Refused, Request, problem
from devstack.state import read_json

PLACE = "devstack/people"  # relative to the pages, which are all at the top
VARIABLE = "DRAGONPOST_PEOPLE"
_THIS_MACHINE = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class PeopleOffered:
    """Answers `GET /devstack/people`, and leaves every other request to the app."""

    def __init__(self, app: Answering, passwords: Path) -> None:
        """Take users.json of the state folder, which is read each time."""
        self._app = app
        self._passwords = passwords

    def answer(self, request: Request) -> Answer:
        """Return the people, or the app's answer."""
        if (request.method, request.target) != ("GET", f"/{PLACE}"):
            return self._app.answer(request)
        if not all(map(_THIS_MACHINE.fullmatch, request.header_lines().get("host", ("",)))):
            # Another host's name may lead here, too (DNS rebinding); its pages would then be of the same origin.
            return problem(Refused(HTTPStatus.FORBIDDEN, "Only pages of this machine may ask for its people."))
        passwords = read_json(self._passwords)
        offered = [_offer(person, passwords[person.email]) for person in PEOPLE if person.email in passwords]
        return Answer(HTTPStatus.OK, list(_HEADERS.items()), json.dumps(offered).encode())


def _offer(person: Person, password: Any) -> dict[str, str]:
    role = "operator" if person.is_operator else f"of company {person.company_id}"
    return {"name": person.name, "role": role, "email": person.email, "password": str(password)}
