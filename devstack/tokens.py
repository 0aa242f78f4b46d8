"""Tokens of the people of the running devstack."""

from __future__ import annotations

from devstack.aws import sign_in
from devstack.people import PEOPLE
from devstack.settings import DevstackError, Settings
from devstack.state import START_IT, StateFolder, read_json


def id_token(settings: Settings, user: str) -> str:
    """Return a valid ID token of a user of the running devstack.

    `user` is a name of `devstack.people.PEOPLE` or an address. Raises DevstackError if there is no such user or no
    running devstack.
    """
    state = StateFolder(settings.state)
    running = state.running()
    email = user if "@" in user else f"{user}@dragonpost.example"
    passwords = read_json(state.users)
    if email not in passwords:
        raise DevstackError(f"there is no user {user}; the users are {', '.join(person.name for person in PEOPLE)}")
    try:
        return sign_in.id_token(running["aws_url"], running["user_pool_client_id"], email, passwords[email])
    except OSError as error:
        raise DevstackError(
            f"the embedded AWS does not answer at {running['aws_url']} ({error}). {START_IT}"
        ) from error
