"""The devstack's token verification, with the tests' own keys."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from devstack.server.authorizer import TokenRefused, TokenVerifier, as_gateway_passes_them_on
from devstack.server.keys import KeysUnavailable

POOL_ARN = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_abc"
ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_abc"
KEY = rsa.generate_private_key(65537, 2048)


class Keys:
    """Stands in for the pool's published keys."""

    def key(self, key_id: str) -> Any:
        if key_id != "ours":
            return None
        return jwt.PyJWK.from_json(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()), algorithm="RS256")


@pytest.fixture
def verifier() -> TokenVerifier:
    made = TokenVerifier("http://127.0.0.1:1", POOL_ARN, "client")
    made._keys = Keys()  # type: ignore[assignment]
    return made


def token(kid: str = "ours", key: Any = KEY, **changes: Any) -> str:
    now = int(time.time())
    claims = {"sub": "me", "iss": ISSUER, "aud": "client", "token_use": "id", "iat": now, "exp": now + 60} | changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, "RS256", headers={"kid": kid})


def test_a_valid_token_yields_its_claims(verifier: TokenVerifier) -> None:
    assert verifier.claims(f"Bearer {token()}")["sub"] == "me"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"nbf": int(time.time()) + 1000},
        {"iat": int(time.time()) + 1000},
        {"aud": "another"},
        {"aud": ["client", "another"]},
        {"aud": None},
        {"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_xyz"},
        {"iss": None},
        {"token_use": "access"},
        {"token_use": None},
        {"kid": "another"},
        {"key": rsa.generate_private_key(65537, 2048)},
    ],
)
def test_any_other_token_is_refused(verifier: TokenVerifier, changes: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        verifier.claims(token(**changes))


def test_keys_that_cannot_be_fetched_are_not_the_clients_fault() -> None:
    with pytest.raises(KeysUnavailable):
        TokenVerifier("http://127.0.0.1:1", POOL_ARN, "client").claims(token())


def test_claims_are_passed_on_as_the_gateway_does() -> None:
    claims = {"cognito:groups": ["a", "b"], "exp": 0, "email_verified": True, "auth_time": 7, "gone": None}

    assert as_gateway_passes_them_on(claims) == {
        "cognito:groups": "a,b",
        "exp": "Thu Jan 01 00:00:00 UTC 1970",
        "email_verified": "true",
        "auth_time": "7",
    }
