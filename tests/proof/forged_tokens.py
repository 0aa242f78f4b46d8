"""Tokens that must open nothing. Each differs in one respect from a token that is valid.

The embedded AWS keeps a pool's private keys in files. The tests sign with them, and so make tokens that are right in
everything except the claim under test, as a wrong clock or a confused issuer would.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from random import Random
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.e2e.running import Devstack

HOUR_S = 3600
PASSWORD = "Another-place-1"
LONG = 20_000


class PoolKeys:
    """The signing keys of the devstack's pool, and a key of our own that nobody should trust."""

    def __init__(self, stack: Devstack) -> None:
        pool = stack.running["user_pool_id"]
        folder = stack.state / "emulator" / "state" / "cognito-pool-keys"
        found = load_pem_private_key((folder / f"{pool}-id.pem").read_bytes(), None)
        assert isinstance(found, rsa.RSAPrivateKey)
        self.id_key = found
        self.own_key = rsa.generate_private_key(65537, 2048)


def base64url(data: bytes) -> str:
    """Encode bytes as the parts of a token are encoded (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: object) -> str:
    """Return one part of a token."""
    return base64url(json.dumps(value).encode())


def signed(claims: Mapping[str, Any], key: rsa.RSAPrivateKey, header: Mapping[str, Any]) -> str:
    """Return a token signed with RS256. Header members that are None are left out."""
    text = f"{part({name: value for name, value in header.items() if value is not None})}.{part(claims)}"
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    return f"{text}.{base64url(algorithm.sign(text.encode(), key))}"


def without_token() -> dict[str, str | None]:
    """Return `Authorization` headers (None: no header) that hold no token at all."""
    return {
        "none": None,
        "empty": "",
        "Bearer alone": "Bearer",
        "Bearer and a space": "Bearer ",
        "not a token": "Bearer x",
        "three dots": "Bearer ...",
        "empty parts": "Bearer ..",
        "basic": "Basic b3BlcmF0b3I6cGFzc3dvcmQ=",
        "20 kB": "Bearer " + "A" * LONG,
        "20 kB in three parts": "Bearer " + ".".join(["A" * (LONG // 3)] * 3),
    }


def altered(genuine: str, rng: Random) -> dict[str, str]:
    """Return what an attacker can make of a genuine token without any key."""
    header, payload, signature = genuine.split(".")
    head, claims = (json.loads(base64.urlsafe_b64decode(text + "==")) for text in (header, payload))
    cut = rng.randrange(1, len(genuine))
    flipped = bytearray(base64.urlsafe_b64decode(signature + "=="))
    flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    made: dict[str, str] = {
        "truncated anywhere": genuine[:cut],
        "truncated by one": genuine[:-1],
        "without signature": f"{header}.{payload}.",
        "without its last part": f"{header}.{payload}",
        "a fourth part": f"{genuine}.{signature}",
        "a bit of the signature": f"{header}.{payload}.{base64url(bytes(flipped))}",
        "another token's signature": f"{header}.{part({**claims, 'jti': str(uuid.uuid4())})}.{signature}",
        "header is a list": f"{part([head])}.{payload}.{signature}",
        "header is nested deeply": f"{base64url(b'[' * 5000)}.{payload}.{signature}",
        "claims are a list": f"{header}.{part([claims])}.{signature}",
        "kid is a number": f"{part({**head, 'kid': 1})}.{payload}.{signature}",
        "20 kB of key id": f"{part({**head, 'kid': 'k' * LONG})}.{payload}.{signature}",
    }
    for name, value in {
        "company": {"custom:company_id": str(uuid.UUID(int=rng.getrandbits(128), version=4))},
        "group": {"cognito:groups": ["operators"]},
        "user": {"sub": str(uuid.UUID(int=rng.getrandbits(128), version=4))},
        "expiry": {"exp": int(time.time()) + 1_000_000},
    }.items():
        made[f"altered claims: {name}"] = f"{header}.{part({**claims, **value})}.{signature}"
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        for end in ("", signature):
            kind = f"alg {algorithm!r}, {'signed' if end else 'unsigned'}"
            made[kind] = f"{part({**head, 'alg': algorithm})}.{payload}.{end}"
    return made


def with_public_key_as_secret(genuine: str, public: rsa.RSAPublicKey) -> dict[str, str]:
    """Return tokens signed with HS256 whose secret is the public key, which everybody can read (CVE-2015-9235)."""
    header, payload, _ = genuine.split(".")
    head = json.loads(base64.urlsafe_b64decode(header + "=="))
    secrets = {
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "PKCS1 PEM": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "JWK": jwt.algorithms.RSAAlgorithm.to_jwk(public).encode(),
        "nothing": b"",
    }
    made = {}
    for name, secret in secrets.items():
        text = f"{part({**head, 'alg': 'HS256'})}.{payload}"
        mac = base64url(hmac.new(secret, text.encode(), hashlib.sha256).digest())
        made[f"HS256 with the public key as {name}"] = f"{text}.{mac}"
    return made


def with_wrong_claims(claims: Mapping[str, Any], key: rsa.RSAPrivateKey, head: Mapping[str, Any]) -> dict[str, str]:
    """Return tokens signed with the pool's own key, each with one wrong claim."""
    now = int(time.time())
    issuer = claims["iss"]
    wrong: dict[str, dict[str, Any]] = {
        "expired": {"exp": now - 1},
        "expired long ago": {"iat": now - 2 * HOUR_S, "exp": now - HOUR_S},
        "expires never": {"exp": "never"},
        "not yet valid (nbf)": {"nbf": now + HOUR_S},
        "not yet valid (iat)": {"iat": now + HOUR_S, "exp": now + 2 * HOUR_S},
        "another issuer": {"iss": issuer.rpartition("/")[0] + "/us-east-1_Another00"},
        "another region's issuer": {"iss": issuer.replace("us-east-1.", "eu-west-1.")},
        "an issuer that begins alike": {"iss": issuer + "x"},
        "an issuer of our own": {"iss": "http://127.0.0.1:1/" + issuer.rpartition("/")[2]},
        "no issuer": {"iss": None},
        "another client": {"aud": "another-client"},
        "no client": {"aud": None},
        "clients in a list": {"aud": [claims["aud"]]},
        "an access token's use": {"token_use": "access"},
        "no use": {"token_use": None},
        "a use in other case": {"token_use": "ID"},
        "nobody": {"sub": None},
        "an empty user": {"sub": ""},
    }
    made = {}
    for name, changes in wrong.items():
        changed = {claim: value for claim, value in {**claims, **changes}.items() if value is not None}
        made[f"signed by the pool: {name}"] = signed(changed, key, head)
    return made


def with_own_key(
    claims: Mapping[str, Any], key: rsa.RSAPrivateKey, head: Mapping[str, Any], keys_url: str
) -> dict[str, str]:
    """Return tokens that are signed with our own key, and say where to find it."""
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    headers: dict[str, dict[str, Any]] = {
        "the pool's key id": {},
        "no key id": {"kid": None},
        "a key id nobody has": {"kid": "nobody-has-this"},
        "a key id that is a path": {"kid": "../../../../../../etc/passwd"},
        "a key id that is a device": {"kid": "/dev/null"},
        "a key id that is a URL": {"kid": keys_url},
        "a key id that is a file URL": {"kid": "file:///etc/passwd"},
        "a key id that is a query": {"kid": "' OR '1'='1"},
        "a key id with a line break": {"kid": "a\r\nX-Forged: 1"},
        "the key in the header (jwk)": {"jwk": {**public, "kid": head["kid"]}},
        "the key set in the header (jku)": {"jku": keys_url, "kid": "own"},
        "the certificate in the header (x5u)": {"x5u": keys_url, "kid": "own"},
    }
    return {f"own key, {name}": signed(claims, key, {**head, **changes}) for name, changes in headers.items()}


def genuine_elsewhere(stack: Devstack) -> dict[str, str]:
    """Return tokens that Cognito itself made: from another pool, for another client, and an access token."""
    cognito = stack.client("cognito-idp")
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    pool = cognito.create_user_pool(PoolName="another-pool")["UserPool"]["Id"]
    elsewhere = cognito.create_user_pool_client(UserPoolId=pool, ClientName="theirs", ExplicitAuthFlows=flows)
    create_user(stack, "operator@elsewhere.example", pool=pool)
    ours = stack.running["user_pool_id"]
    beside = cognito.create_user_pool_client(UserPoolId=ours, ClientName="beside", ExplicitAuthFlows=flows)
    create_user(stack, "guest@beside.example")
    other_pool = log_in(stack, "operator@elsewhere.example", elsewhere["UserPoolClient"]["ClientId"])
    other_client = log_in(stack, "guest@beside.example", beside["UserPoolClient"]["ClientId"])
    here = log_in(stack, "guest@beside.example", stack.running["user_pool_client_id"])
    return {
        "another pool's ID token": other_pool["IdToken"],
        "another pool's access token": other_pool["AccessToken"],
        "another client's ID token": other_client["IdToken"],
        "another client's access token": other_client["AccessToken"],
        "an access token": here["AccessToken"],
        "a refresh token": here["RefreshToken"],
    }


def create_user(stack: Devstack, email: str, company_id: str = "", *, pool: str = "") -> None:
    """Create a user with this company in the devstack's pool, or in another one."""
    cognito = stack.client("cognito-idp")
    who = {"UserPoolId": pool or stack.running["user_pool_id"], "Username": email}
    attributes = {"email": email, "email_verified": "true"}
    if company_id:
        attributes["custom:company_id"] = company_id
    cognito.admin_create_user(
        **who,
        UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        MessageAction="SUPPRESS",
    )
    cognito.admin_set_user_password(**who, Password=PASSWORD, Permanent=True)


def log_in(stack: Devstack, email: str, client_id: str = "") -> dict[str, str]:
    """Log in a user that `create_user` made, and return the tokens under Cognito's names."""
    answer = stack.client("cognito-idp").initiate_auth(
        AuthFlow="USER_PASSWORD_AUTH",
        ClientId=client_id or stack.running["user_pool_client_id"],
        AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
    )
    return dict(answer["AuthenticationResult"])
