"""What a new embedded AWS starts with: the dragons, and people who may log in."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from typing import Any

from devstack.aws.deployment import client
from devstack.people import PEOPLE, Person
from devstack.settings import Settings
from devstack.state import StateFolder, read_json, write_json
from operations import PROJECT, contents
from operations.deploy.commands import DeployError


def put_everything(settings: Settings, state: StateFolder, outputs: Mapping[str, str]) -> list[str]:
    """Put what is not there yet: the dragons, parameters that somebody deleted, and people who may log in.

    `outputs` are those of the resources stack. Returns what to print: what was put, and what a person has to mend.
    That does not stop the devstack, because it is mended by commands to the emulator. Raises botocore's errors.
    """
    dragons = (PROJECT / "infrastructure" / "dragons.json").read_bytes()
    said = []
    try:
        for put in contents.complete(settings.stage, lambda service: client(settings, service), dragons):
            said.append(f"put {put}")  # noqa: PERF401 - what was put before it failed is told, too
    except DeployError as error:
        said.append(f"not all is there: {error}")
    create_people(client(settings, "cognito-idp"), state, outputs["UserPoolId"])
    return said


def create_people(cognito: Any, state: StateFolder, pool_id: str) -> None:
    """Create everybody in PEOPLE who does not exist yet, with the passwords that users.json keeps.

    The passwords are made once for each state folder, so that there is none in the source.
    """
    passwords = read_json(state.users)
    for person in PEOPLE:
        passwords.setdefault(person.email, f"Dp-{secrets.token_urlsafe(18)}-7")
    write_json(state.users, passwords)
    for person in PEOPLE:
        _create(cognito, pool_id, person, passwords)


def _create(cognito: Any, pool_id: str, person: Person, passwords: Mapping[str, str]) -> None:
    who = {"UserPoolId": pool_id, "Username": person.email}
    attributes = {"email": person.email, "email_verified": "true"}
    if person.company_id:
        attributes["custom:company_id"] = person.company_id
    with contextlib.suppress(cognito.exceptions.UsernameExistsException):
        cognito.admin_create_user(
            **who,
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
            MessageAction="SUPPRESS",
        )
    cognito.admin_set_user_password(**who, Password=passwords[person.email], Permanent=True)
    if person.is_operator:
        cognito.admin_add_user_to_group(**who, GroupName="operators")
