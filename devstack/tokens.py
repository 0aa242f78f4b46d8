"""Logging in to the running devstack."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from devstack.aws.seed import PEOPLE
from devstack.settings import DevstackError, Settings
from devstack.state import StateFolder, read_json

_START_IT = "Start it with `make run` in another terminal (with the same DRAGONPOST_STATE, if you set one)."


def id_token(settings: Settings, user: str) -> str:
    """Return a valid ID token of a user of the running devstack.

    `user` is a name of `devstack.aws.seed.PEOPLE` or an address. Raises DevstackError if there is no such user or no
    running devstack.
    """
    state = StateFolder(settings.state)
    running = read_json(state.run)
    if not running:
        raise DevstackError(f"no devstack is running on {settings.state}. {_START_IT}")
    email = user if "@" in user else f"{user}@dragonpost.example"
    passwords = read_json(state.users)
    if email not in passwords:
        raise DevstackError(f"there is no user {user}; the users are {', '.join(person.name for person in PEOPLE)}")
    return _log_in(running["aws_url"], running["user_pool_client_id"], email, passwords[email])


def _log_in(aws_url: str, client_id: str, email: str, password: str) -> str:
    """Call InitiateAuth, which needs no credentials. Without boto3 this takes half the time."""
    body = {
        "AuthFlow": "USER_PASSWORD_AUTH",
        "ClientId": client_id,
        "AuthParameters": {"USERNAME": email, "PASSWORD": password},
    }
    request = urllib.request.Request(  # noqa: S310 - the address comes from our own run.json
        aws_url,
        data=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
        },
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return str(json.load(answer)["AuthenticationResult"]["IdToken"])
    except urllib.error.HTTPError as error:
        raise DevstackError(f"{email} cannot log in: {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise DevstackError(f"the embedded AWS does not answer at {aws_url} ({error}). {_START_IT}") from error
