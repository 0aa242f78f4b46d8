"""The API as its callers see it. The tests play API Gateway's part."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from tests.lambda_events import Headers, claims, proxy_event, received_record
from tests.samples import COMPANY, OTHER_COMPANY

OPERATOR = claims()
CLERK = claims(sub="clerk", cognito__groups=None, custom__company_id=COMPANY)
OTHER_CLERK = claims(sub="other-clerk", cognito__groups=None, custom__company_id=OTHER_COMPANY)
VISITOR = claims(sub="visitor", cognito__groups=None)


@dataclass(frozen=True)
class Answer:
    """An answer, as API Gateway would pass it on."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON value."""
        return json.loads(self.body)


class Service:
    """Sends requests to app.py the way API Gateway does."""

    def __init__(self, app: ModuleType) -> None:
        self.app = app

    def request(
        self,
        method: str,
        reference: str,
        token_claims: Mapping[str, Any] | None = OPERATOR,
        *,
        headers: Headers | None = None,
        body: bytes | None = None,
        stage: str = "prod",
    ) -> Answer:
        """Send a request with these verified claims (None: without a token)."""
        event = proxy_event(
            method,
            reference,
            self._route(reference),
            headers=headers,
            body=body,
            token_claims=token_claims,
            stage=stage,
        )
        answer = self.app.app(json.loads(json.dumps(event)), None)
        json.dumps(answer)  # Lambda would
        text = answer["body"].encode()
        return Answer(answer["statusCode"], answer["headers"], b64decode(text) if answer["isBase64Encoded"] else text)

    def get(self, reference: str, token_claims: Mapping[str, Any] | None = OPERATOR, **options: Any) -> Answer:
        """Send a GET."""
        return self.request("GET", reference, token_claims, **options)

    def post(
        self, reference: str, body: bytes, token_claims: Mapping[str, Any] | None = OPERATOR, **headers: str
    ) -> Answer:
        """Send a POST of JSON; a header's `_` stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(
            "POST", reference, token_claims, body=body, headers={"Content-Type": "application/json", **named}
        )

    def consume(self, messages: list[dict[str, Any]]) -> None:
        """Give received messages to the consumer as one batch."""
        self.app.store_messages({"Records": [received_record(message) for message in messages]}, None)

    def _route(self, reference: str) -> str:
        parts = urlsplit(reference).path.split("/")
        for route in self.app.app.routes:
            wanted = route.split("/")
            if len(wanted) == len(parts) and all(
                want.startswith("{") or want == part for want, part in zip(wanted, parts, strict=True)
            ):
                return str(route)
        raise AssertionError(f"the gateway has no route for {reference}")


def workflow_of(app: ModuleType) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that maps an execution's input to what infrastructure/dragons.asl.json returns for it."""

    def run(execution: dict[str, Any]) -> dict[str, Any]:
        shared = {name: execution[name] for name in ("submission_id", "dragon", "correlation_id")}
        more = {name: execution[name] for name in ("confirmation_required", "requested_by")}
        result = app.validate_dragon({**shared, **more, "execution_name": execution["submission_id"]}, None)
        if result["outcome"] == "valid":
            result = app.add_dragon(shared, None)
        if result["outcome"] == "added":
            return {"status": "added", "reason": None, "notification": "sent"}
        return {"status": "rejected", "notification": "sent", **result}

    return run
