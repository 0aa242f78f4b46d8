"""The people of a state folder, offered to the sign-in form of the local server's pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devstack.people import PEOPLE
from devstack.server.gateway import Answer, Request
from devstack.server.people import PeopleOffered


class App:
    def answer(self, request: Request) -> Answer:
        return Answer(299, [], request.target.encode())


def ask(passwords: Path, target: str = "/devstack/people", method: str = "GET", host: str = "127.0.0.1:8000") -> Answer:
    return PeopleOffered(App(), passwords).answer(Request(method, target, [("Host", host)]))


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "users.json"
    path.write_text(json.dumps({person.email: f"of {person.name}" for person in PEOPLE}), encoding="utf-8")
    return path


def test_a_page_of_this_machine_is_told_everybody_and_may_not_keep_it(passwords: Path) -> None:
    answer = ask(passwords)

    assert answer.status == 200
    assert [(each["name"], each["email"], each["password"]) for each in json.loads(answer.body)] == [
        (person.name, person.email, f"of {person.name}") for person in PEOPLE
    ]
    assert ("Cache-Control", "no-store") in answer.headers


def test_another_origins_pages_cannot_read_it(passwords: Path) -> None:
    assert not [name for name, _ in ask(passwords).headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example:8000", "localhost.example", ""])
def test_a_host_that_only_resolves_to_this_machine_is_told_nothing(passwords: Path, host: str) -> None:
    answer = ask(passwords, host=host)

    assert answer.status == 403
    assert b"of amber" not in answer.body


@pytest.mark.parametrize(("method", "target"), [("GET", "/dragons"), ("POST", "/devstack/people")])
def test_every_other_request_is_the_apps(passwords: Path, method: str, target: str) -> None:
    assert ask(passwords, target, method).status == 299


def test_before_anybody_has_a_password_nobody_is_offered(tmp_path: Path) -> None:
    assert json.loads(ask(tmp_path / "none.json").body) == []
