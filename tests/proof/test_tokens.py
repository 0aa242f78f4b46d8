"""Nobody gets anything without a valid ID token from our pool and client, on the local server and at the gateway."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

import jwt
import pytest
import requests
from chalice.app import Chalice, CognitoUserPoolAuthorizer
from chalice.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa

from devstack.server.authorizer import TokenVerifier
from devstack.server.gateway import Gateway
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.fakes.key_server import MOODS, KeyServer
from tests.fakes.local_server import serving
from tests.proof import forged_tokens
from tests.proof.report import Report, Scale

SUITE = "6 tokens"
ROUTES = (
    ("GET", "/dragons"),
    ("GET", "/dragons/Ember"),
    ("POST", "/dragons"),
    ("PUT", "/dragons/Ember"),
    ("DELETE", "/dragons/Ember"),
    ("GET", "/families"),
    ("GET", "/submissions"),
    ("GET", "/submissions/x"),
    ("POST", "/post-message"),
    ("GET", "/messages"),
    ("GET", "/message/e0721e56-fb09-4273-ae74-7bcbc92d43eb"),
)
MEMBERS = {"type", "title", "status", "detail", "request_id"}


@dataclass(frozen=True)
class Forge:
    """What forgeries are made from: genuine tokens of an operator and a clerk, the pool's keys, other tokens."""

    genuine: str
    clerks: str
    keys: forged_tokens.PoolKeys
    elsewhere: dict[str, str]

    def headers(self, keys_url: str, rng: Random) -> dict[str, str | None]:
        """Return every kind of `Authorization` header that must be refused."""
        head, claims = parts(self.genuine)
        tokens = {
            **forged_tokens.altered(self.clerks, rng),
            **forged_tokens.with_public_key_as_secret(self.genuine, self.keys.id_key.public_key()),
            **forged_tokens.with_wrong_claims(claims, self.keys.id_key, head),
            **forged_tokens.with_own_key(claims, self.keys.own_key, head, keys_url),
            **self.elsewhere,
        }
        return {**forged_tokens.without_token(), **{name: f"Bearer {token}" for name, token in tokens.items()}}


@pytest.fixture(scope="module")
def forge(proving_ground: Devstack, proving_apis: dict[str, Api]) -> Forge:
    operators, clerks = (proving_apis["local"].token(user) for user in ("operator", "amber"))
    keys = forged_tokens.PoolKeys(proving_ground)  # the emulator makes them with the pool's first token
    return Forge(operators, clerks, keys, forged_tokens.genuine_elsewhere(proving_ground))


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims of a token."""
    header, claims = (json.loads(base64.urlsafe_b64decode(text + "==")) for text in token.split(".")[:2])
    return header, claims


def send(api: Api, method: str, route: str, authorization: str | None) -> requests.Response:
    """Send a request with exactly this `Authorization` header."""
    headers = {"Content-Type": "application/json"}
    if authorization is not None:
        headers["Authorization"] = authorization
    body = b"{}" if method in ("POST", "PUT") else None
    return api.request(method, route, None, headers=headers, data=body)


def why_not_refused(answer: requests.Response) -> str | None:
    """Return what is wrong with an answer that must be a 401 and nothing else, or None if it is one."""
    if answer.status_code != 401:
        return f"status {answer.status_code}"
    if not answer.headers.get("WWW-Authenticate", "").startswith("Bearer"):
        return "no WWW-Authenticate"
    if answer.headers["Content-Type"] != "application/problem+json" or set(answer.json()) - MEMBERS:
        return f"no plain problem: {answer.text:.200}"
    if "Traceback" in answer.text or "X-Forged" in answer.headers:
        return "shows too much"
    return None


@pytest.mark.parametrize("target", ["local", "gateway"])
def test_every_token_that_is_not_ours_is_a_401(
    target: str, proving_apis: dict[str, Api], forge: Forge, rng: Random, report: Report
) -> None:
    api = proving_apis[target]
    wrong: dict[str, str] = {}
    tried = 0
    with KeyServer(own=forge.keys.own_key).serving() as lure:
        for name, authorization in forge.headers(lure.url, rng).items():
            for method, route in rng.sample(ROUTES, report.scale.of(1, len(ROUTES))):
                tried += 1
                if why := why_not_refused(send(api, method, route, authorization)):
                    wrong[f"{name}: {method} {route}"] = why
        fetched = lure.asked

    report.add(SUITE, f"forged and misused tokens are refused ({target})", tried=tried, survived=tried - len(wrong),
               lost=len(wrong), note="every kind of forgery on every route that needs a token")  # fmt: skip
    assert not wrong
    assert fetched == 0, "keys were fetched from the address in the token"


@pytest.mark.parametrize("target", ["local", "gateway"])
def test_the_genuine_tokens_behind_the_forgeries_are_accepted(
    target: str, proving_apis: dict[str, Api], forge: Forge
) -> None:
    """Without this, all the 401s above could have one and the same uninteresting reason."""
    head, claims = parts(forge.genuine)
    resigned = forged_tokens.signed(claims, forge.keys.id_key, head)
    now = int(time.time())
    soon = forged_tokens.signed({**claims, "exp": now + 60, "nbf": now}, forge.keys.id_key, head)

    for token in (forge.genuine, resigned, soon):
        assert send(proving_apis[target], "GET", "/dragons", f"Bearer {token}").status_code == 200


@pytest.mark.parametrize("target", ["local", "gateway"])
def test_a_refused_token_changes_nothing(target: str, proving_apis: dict[str, Api], forge: Forge) -> None:
    api = proving_apis[target]
    before = api.get("/dragons").text
    name = api.get("/dragons?limit=1").json()[0]["dragon_name_str"]
    forgery = f"Bearer {forge.genuine[:-10]}AAAAAAAAAA"

    assert send(api, "DELETE", f"/dragons/{quote(name)}", forgery).status_code == 401
    assert api.get("/dragons").text == before


def test_a_token_expires_while_it_is_used(proving_apis: dict[str, Api], forge: Forge, report: Report) -> None:
    head, claims = parts(forge.genuine)
    apis = list(proving_apis.values())
    for lasting in (2, 5, 20):  # on a busy machine, a short-lived token may expire before it is used
        ends = int(time.time()) + lasting
        token = "Bearer " + forged_tokens.signed({**claims, "exp": ends}, forge.keys.id_key, head)
        before = [send(api, "GET", "/dragons?limit=1", token).status_code for api in apis]
        if time.time() < ends:
            break
    assert before == [200, 200], f"{time.time() - ends:+.1f} s after its expiry"
    until(lambda: time.time() > ends)
    late = sum(send(api, "GET", "/dragons?limit=1", token).status_code != 401 for api in apis)

    report.add(SUITE, "a token opens nothing after its expiry", tried=2, survived=2 - late, lost=late)
    assert late == 0


class LocalServer:
    """The devstack's HTTP server in this process, with one route that needs a token, and keys from our own address."""

    POOL_ARN = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_proof"
    CLIENT = "proof-client"

    def __init__(self, keys_url: str) -> None:
        app = Chalice("proof", configure_logs=False)
        authorizer = CognitoUserPoolAuthorizer("users", provider_arns=[self.POOL_ARN])
        app.route("/mine", authorizer=authorizer)(lambda: {"sub": app.current_request.context["authorizer"]["claims"]})
        verifier = TokenVerifier(keys_url, self.POOL_ARN, self.CLIENT)
        self.keys = verifier._keys
        self._gateway = Gateway(app, Config.create(chalice_app=app, lambda_timeout=10), verifier)
        self._serving = contextlib.ExitStack()

    def __enter__(self) -> LocalServer:
        host, port = self._serving.enter_context(serving(self._gateway))
        self.url = f"http://{host}:{port}/mine"
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.close()

    def token(self, key: rsa.RSAPrivateKey, key_id: str) -> str:
        """Return a valid token of the pool, signed with this key."""
        now = int(time.time())
        issuer = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_proof"
        claims = {"sub": "me", "iss": issuer, "aud": self.CLIENT, "token_use": "id", "iat": now, "exp": now + 600}
        return jwt.encode(claims, key, "RS256", headers={"kid": key_id})

    def get(self, token: str) -> requests.Response:
        """Send a request to the route."""
        return requests.get(self.url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


@pytest.fixture
def outage() -> Iterator[tuple[KeyServer, rsa.RSAPrivateKey]]:
    key = rsa.generate_private_key(65537, 2048)
    with KeyServer(known=key).serving() as server:
        yield server, key


@pytest.fixture
def quiet() -> Iterator[None]:
    """Silence the devstack's server, which says why it refuses a token: here that would be thousands of lines."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@pytest.mark.usefixtures("quiet")
def test_while_keys_cannot_be_fetched_known_ones_work_and_unknown_ones_are_a_503(
    outage: tuple[KeyServer, rsa.RSAPrivateKey], report: Report, scale: Scale, rng: Random
) -> None:
    keys, key = outage
    moods = [*MOODS[:-1], "hang"] if scale.name == "full" else [rng.choice(MOODS[:-1]), "hang"]
    tried = wrong = 0
    for mood in moods:
        with LocalServer(keys.url) as server, ThreadPoolExecutor(16) as pool:
            known = server.token(key, "known")
            assert server.get(known).status_code == 200
            keys.mood = mood
            server.keys._fetch_at = 0  # as if the pause after the first fetch were over
            asked = keys.asked
            started = time.monotonic()
            unknown = [pool.submit(server.get, server.token(key, f"unknown-{n}")) for n in range(scale.of(20, 100))]
            good = [pool.submit(server.get, known) for _ in range(scale.of(20, 100))]
            for future in unknown:
                answer = future.result()
                tried += 1
                wrong += not (answer.status_code == 503 and answer.headers.get("Retry-After"))
            for future in good:
                tried += 1
                wrong += future.result().status_code != 200
            seconds = time.monotonic() - started
            assert seconds < 15, f"{mood}: {seconds:.1f} s: requests wait for one fetch at most"
            assert keys.asked - asked <= 1 + seconds / 2, f"{mood}: the keys were asked for {keys.asked - asked} times"
            print(f"  keys {mood}: {keys.asked - asked} fetches, {seconds:.1f} s", file=sys.__stdout__)
            keys.mood = "answer"

    report.add(SUITE, "keys cannot be fetched: known ones work, unknown ones are a 503, fetches are few", tried=tried,
               survived=tried - wrong, lost=wrong, note=f"{len(moods)} kinds of outage, 16 clients")  # fmt: skip
    assert wrong == 0


@pytest.mark.usefixtures("quiet")
def test_tokens_with_made_up_key_ids_do_not_make_the_server_fetch_keys(
    outage: tuple[KeyServer, rsa.RSAPrivateKey], report: Report, scale: Scale
) -> None:
    keys, key = outage
    count = scale.of(50, 500)
    with LocalServer(keys.url) as server, ThreadPoolExecutor(8) as pool:
        started = time.monotonic()
        answers = list(pool.map(lambda n: server.get(server.token(key, f"made-up-{n}")).status_code, range(count)))
        seconds = time.monotonic() - started

    wrong = sum(status != 401 for status in answers)
    report.add(SUITE, "made-up key ids are 401, and cost one fetch in ten seconds", tried=count, survived=count - wrong,
               lost=wrong, note=f"{keys.asked} fetches")  # fmt: skip
    assert wrong == 0
    assert keys.asked <= 1 + seconds / 10
