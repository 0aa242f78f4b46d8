"""What the service answers with."""

import base64
from collections.abc import Mapping
from typing import Any

from chalice.app import Response

from chalicelib.web.conditional import etag_of, none_match
from chalicelib.web.problems import CONTENT_TYPE, Problem


class Reply(Response):
    """A response whose body is already bytes. UTF-8 text goes out as text, anything else as base64.

    Chalice would decide that by the API's binary media types. Here those are `*/*`, so that request bodies arrive as
    bytes; API Gateway passes a text answer on as it is.
    """

    def __init__(self, body: bytes, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body, {"Content-Type": "application/json", **(headers or {})}, status_code)

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:  # noqa: ARG002 - see the class
        """Return the answer in the form of API Gateway's Lambda proxy integration."""
        answer = {"statusCode": self.status_code, "headers": dict(self.headers), "multiValueHeaders": {}}
        try:
            return {**answer, "body": self.body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            return {**answer, "body": base64.b64encode(self.body).decode(), "isBase64Encoded": True}


def revalidated(body: bytes, if_none_match: str | None, headers: Mapping[str, str] | None = None) -> Reply:
    """Return the body with its ETag, or a 304 without it if the client has that version (RFC 9110 §15.4.5)."""
    etag = etag_of(body)
    validated = {"ETag": etag, "Cache-Control": "no-cache", **(headers or {})}
    if not none_match(if_none_match, etag):
        return Reply(b"", 304, validated)
    return Reply(body, 200, validated)


def problem_reply(problem: Problem, request_id: str) -> Reply:
    """Return a problem as the answer to the request with this id."""
    return Reply(problem.body(request_id), problem.status, {**problem.headers, "Content-Type": CONTENT_TYPE})
