"""Lambda events as AWS sends them, made from the recorded ones in `events/`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_EVENTS = Path(__file__).parent / "events"
_PROXY = json.loads((_EVENTS / "api_gateway_proxy.json").read_text(encoding="utf-8"))
_CLAIMS = json.loads((_EVENTS / "claims.json").read_text(encoding="utf-8"))
_SQS_RECORD = json.loads((_EVENTS / "sqs_record.json").read_text(encoding="utf-8"))

Headers = Mapping[str, str | Sequence[str]]

AUDIENCE: str = _CLAIMS["aud"]
OPERATOR_SUB: str = _CLAIMS["sub"]


def claims(**changes: Any) -> dict[str, Any]:
    """Return an operator's claims as API Gateway's authorizer passes them; a change to None leaves one out."""
    changed = _CLAIMS | {name.replace("__", ":"): value for name, value in changes.items()}
    return {name: value for name, value in changed.items() if value is not None}


def proxy_event(
    method: str,
    reference: str,
    route: str,
    *,
    headers: Headers | None = None,
    body: bytes | None = None,
    token_claims: Mapping[str, Any] | None = None,
    stage: str = "prod",
) -> dict[str, Any]:
    """Return the event of a request to the deployed API.

    Takes headers with one value each, or with the values of several lines; the path with its query (percent-encoded,
    without the stage), the route it matches, and the verified claims of its token. Path parameters stay encoded and
    bodies come as base64, as on AWS. An empty `stage` makes the paths those of the local server.
    """
    event: dict[str, Any] = deepcopy(_PROXY)
    url = urlsplit(reference)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(url.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    lines = {
        name: [value] if isinstance(value, str) else list(value)
        for name, value in {**event["headers"], **(headers or {})}.items()
    }
    event |= {
        "resource": route,
        "path": url.path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in lines.items()},
        "multiValueHeaders": lines,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": _path_parameters(url.path, route),
        "body": None if body is None else base64.b64encode(body).decode(),
        "isBase64Encoded": body is not None,
    }
    event["requestContext"] |= {
        "resourcePath": route,
        "httpMethod": method,
        "path": f"/{stage}{url.path}" if stage else url.path,
    }
    if token_claims is not None:
        event["requestContext"]["authorizer"] = {"claims": dict(token_claims)}
    return event


def queue_event(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the event of a batch. Each record holds what differs from the recorded one."""
    return {"Records": [deepcopy(_SQS_RECORD) | dict(record) for record in records]}


def received_record(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record that the event source mapping makes from a message that `ReceiveMessage` returned."""
    attributes = {
        name: {
            "stringValue": value["StringValue"],
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
    }


def _path_parameters(path: str, route: str) -> dict[str, str] | None:
    given = zip(route.split("/"), path.split("/"), strict=False)
    return {part[1:-1]: text for part, text in given if part.startswith("{")} or None
