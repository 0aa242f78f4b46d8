"""Who may use which route. The routes are the app's own: a new one fails here until somebody decides who may use it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

import app as declared
from operations import PROJECT
from tests.integration.service import CLERK, OPERATOR, VISITOR, Answer, Service
from tests.lambda_events import claims

ROUTES = {
    (method, path): entry
    for path, methods in declared.app.routes.items()
    for method, entry in methods.items()
    if method != "HEAD"
}
GUARDED = [route for route, entry in ROUTES.items() if entry.authorizer]

# What anybody may read: liveness, the document, and the pages, which show nothing of the registry before you sign in.
PUBLIC = {
    ("GET", "/health"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/"),
    ("GET", "/static/{name}"),
}

# The statuses that a caller without a company, a caller with one and an operator get for a request that is empty except
# for its token: 403 if the route is not for them, otherwise the status of an empty stage or a missing body.
DECIDED: Mapping[tuple[str, str], tuple[int, int, int]] = {
    ("GET", "/dragons"): (200, 200, 200),
    ("POST", "/dragons"): (415, 415, 415),
    ("GET", "/dragons/{dragon_name}"): (404, 404, 404),
    ("PUT", "/dragons/{dragon_name}"): (403, 403, 415),
    ("DELETE", "/dragons/{dragon_name}"): (403, 403, 404),
    ("GET", "/families"): (200, 200, 200),
    ("GET", "/submissions"): (200, 200, 200),
    ("GET", "/submissions/{submission_id}"): (404, 404, 404),
    ("POST", "/post-message"): (403, 415, 415),
    ("GET", "/messages"): (403, 200, 400),  # an operator has to name a company
    ("GET", "/message/{message_id}"): (403, 404, 404),
    ("GET", "/operator/dead-letters"): (403, 403, 200),
    ("GET", "/operator/dead-letters/{letter_id}"): (403, 403, 404),
    ("DELETE", "/operator/dead-letters/{letter_id}"): (403, 403, 428),
    ("POST", "/operator/dead-letters/{letter_id}/redrive"): (403, 403, 409),
    ("POST", "/operator/dead-letters/{letter_id}/replace"): (403, 403, 415),
    ("GET", "/operator/timeline"): (403, 403, 400),
    ("GET", "/ready"): (403, 403, 503),  # there is no workflow here
}

NOT_ACCEPTED: Mapping[str, Mapping[str, Any] | None] = {
    "no token": None,
    "no claims": {},
    "an access token": claims(token_use="access"),
    "another client's token": claims(aud="another-client"),
    "a token without an audience": claims(aud=None, client_id="x"),
    "nobody's token": claims(sub=""),
}


def test_the_document_promises_a_403_where_one_is_decided_and_nowhere_else() -> None:
    paths = json.loads((PROJECT / "chalicelib" / "web" / "static" / "openapi.json").read_text(encoding="utf-8"))[
        "paths"
    ]

    promised = {
        (method.upper(), path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "403" in operation["responses"]
    }
    assert promised == {route for route, statuses in DECIDED.items() if 403 in statuses}


def ask(service: Service, route: tuple[str, str], token_claims: Mapping[str, Any] | None) -> Answer:
    """Send a request without a body to a route. Its path parameters name things that do not exist."""
    method, path = route
    return service.request(method, re.sub(r"\{\w+\}", "e0721e56-fb09-4273-ae74-7bcbc92d43eb", path), token_claims)


def test_every_route_is_guarded_or_meant_for_everybody() -> None:
    assert ROUTES.keys() - set(GUARDED) == PUBLIC


def test_who_may_use_it_is_decided_for_every_guarded_route() -> None:
    assert DECIDED.keys() == set(GUARDED)


@pytest.mark.parametrize("token", NOT_ACCEPTED)
def test_every_guarded_route_checks_the_token_itself_before_anything_else(service: Service, token: str) -> None:
    for route in GUARDED:
        answer = ask(service, route, NOT_ACCEPTED[token])

        assert answer.status == 401, route
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_each_caller_gets_what_is_decided(service: Service) -> None:
    found = {
        route: tuple(ask(service, route, caller).status for caller in (VISITOR, CLERK, OPERATOR)) for route in GUARDED
    }

    assert found == DECIDED
