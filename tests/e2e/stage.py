"""A deployed stage that `make verify` looks at, in the place of a devstack."""

from __future__ import annotations

import functools
from typing import Any

import boto3


class Stage:
    """A stage of an account, which the environment's credentials lead to, and the visitors who may sign in there."""

    def __init__(self, place: dict[str, Any]) -> None:
        """Take what `tests.people.verified_stage` returns."""
        self.stage = str(place["stage"])
        self.running: dict[str, Any] = place["running"]
        self._people: dict[str, dict[str, str]] = place["people"]

    def email(self, user: str) -> str:
        """Return the address of operator, amber or cobalt."""
        return self._people[user]["email"]

    def password(self, user: str) -> str:
        """Return the password of operator, amber or cobalt."""
        return self._people[user]["password"]

    def token(self, user: str) -> str:
        """Log in as operator, amber or cobalt, and return the ID token."""
        answer = self.client("cognito-idp").initiate_auth(
            ClientId=self.running["user_pool_client_id"],
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": self.email(user), "PASSWORD": self.password(user)},
        )
        return str(answer["AuthenticationResult"]["IdToken"])

    @functools.cache  # noqa: B019 - there is one stage, for the whole run
    def client(self, service: str) -> Any:
        """Return a boto3 client of the account."""
        return boto3.client(service)  # type: ignore[call-overload]
