"""Verifying Cognito ID tokens as API Gateway's authorizer does. Chalice's local server lets everybody in."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt

from devstack.server.keys import KeySet

_TIMES = ("exp", "iat")


class TokenRefused(Exception):
    """The request has no token, or one that is not ours. The message names the rule."""


class TokenVerifier:
    """Checks ID tokens of one user pool and client against the keys that the emulator publishes."""

    def __init__(self, aws_url: str, pool_arn: str, client_id: str) -> None:
        region, pool_id = pool_arn.split(":")[3], pool_arn.rpartition("/")[2]
        self._issuer = f"https://cognito-idp.{region}.amazonaws.com/{pool_id}"
        self._client_id = client_id
        self._keys = KeySet(f"{aws_url}/{pool_id}/.well-known/jwks.json")

    def claims(self, authorization: str | None) -> dict[str, str]:
        """Return the claims of the token in an `Authorization` header, with or without `Bearer`, as API Gateway would.

        Raises TokenRefused, or `devstack.server.keys.KeysUnavailable`.
        """
        token = _token(authorization)
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != "RS256":  # before a key is looked for: `none` and HS256 have none
                raise TokenRefused("the token is not signed with RS256")
            key = self._keys.key(str(header.get("kid")))
            if key is None:
                raise TokenRefused("the token is signed with a key that the pool does not have")
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._client_id,
                issuer=self._issuer,
                options={"require": ["exp", "iat", "iss", "aud", "token_use"], "strict_aud": True},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(str(error)) from error
        if claims["token_use"] != "id":  # noqa: S105 - the kind of token
            raise TokenRefused("the token is not an ID token")
        return as_gateway_passes_them_on(claims)


def as_gateway_passes_them_on(claims: Mapping[str, Any]) -> dict[str, str]:
    """Return claims in the form in which API Gateway passes them to a function: all of them strings."""
    return {name: _as_text(name, value) for name, value in claims.items() if value is not None}


def _token(authorization: str | None) -> str:
    scheme, _, rest = (authorization or "").strip().partition(" ")
    token = rest.strip() if scheme.lower() == "bearer" else scheme
    if not token:
        raise TokenRefused("there is no token")
    return token


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if name in _TIMES:
        return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(value))
    if isinstance(value, list):
        return ",".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)
