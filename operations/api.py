"""A deployed stage's API over HTTP, as a client calls it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from operations import PROJECT
from operations.deploy.target import app_stack
from operations.environment import LOOPBACK
from operations.stores import Clients

ANSWERS_WITHIN_S = 30  # API Gateway gives up after 29


class ApiNotFound(Exception):
    """The stage has no API, or none that this command can find; the message says what to do."""


@dataclass(frozen=True)
class Answer:
    """An answer: its status, its headers (whose names may be asked for in any case), and its body."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, or None if it is none."""
        with contextlib.suppress(ValueError):
            return json.loads(self.body)
        return None


def api_of(stage: str, clients: Clients) -> Api:
    """Return a stage's API. Raises ApiNotFound."""
    stacks = _output(stage, clients("cloudformation"))
    if not (url := stacks or _recorded(stage)):
        raise ApiNotFound(
            f"stage {stage} has no API that could be found: deploy it (make deploy STAGE={stage}), or, if "
            "`chalice deploy` did that in another folder, go there: its .chalice/deployed/ says where the API is"
        )
    return Api(_served(url, stage), has_gateway_responses=bool(stacks))


def _served(url: str, stage: str) -> str:
    """Return where an API is served, without a `/` at its end.

    AWS serves it at a host of its own. An emulator, to which AWS_ENDPOINT_URL leads, serves all of them at its own.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")
    if urlsplit(endpoint).hostname not in LOOPBACK:
        return url.rstrip("/")
    api_id = str(urlsplit(url).hostname).partition(".")[0]
    return f"{endpoint}/_aws/execute-api/{api_id}/{stage}"


def _output(stage: str, cloudformation: Any) -> str:
    try:
        [stack] = cloudformation.describe_stacks(StackName=app_stack(stage))["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return ""
        raise
    return str({each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}.get("EndpointURL", ""))


def _recorded(stage: str) -> str:
    """Return what `chalice deploy` has recorded in this folder, or ""."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        recorded = json.loads((PROJECT / ".chalice" / "deployed" / f"{stage}.json").read_text(encoding="utf-8"))
        return next(str(each["rest_api_url"]) for each in recorded["resources"] if "rest_api_url" in each)
    return ""


class Api:
    """Requests to an API; `token` is an ID token of the stage's user pool.

    `has_gateway_responses` is whether the gateway's own answers are surely the template's. A bare `chalice deploy`
    leaves them out.
    """

    def __init__(self, url: str, *, has_gateway_responses: bool = True) -> None:
        self.url = url
        self.has_gateway_responses = has_gateway_responses
        bundle = os.environ.get("AWS_CA_BUNDLE")  # of a proxy that inspects TLS, or of an emulator
        context = ssl.create_default_context(cafile=bundle or None)
        handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
        if urlsplit(url).hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def send(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, `body` as JSON. Raises OSError if there is no answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the address is the stage's own
            self.url + path, data=data, method=method, headers=dict(headers or {})
        )
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=ANSWERS_WITHIN_S) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, refused.headers, refused.read())
        except http.client.HTTPException as broken:
            raise OSError(f"{method} {self.url}{path} got no whole answer: {broken!r}") from broken
