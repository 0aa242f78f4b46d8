"""What the service answers with."""

import base64
from collections.abc import Mapping
from typing import Any

from chalicelib.representation import Representation
from chalicelib.web.conditional import none_match
from chalicelib.web.problems import CONTENT_TYPE, Problem


class Reply:
    """A view's answer: status, headers, and a body that is already bytes."""

    def __init__(
        self, body: bytes | Representation, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Take the body, the status, and headers. The content type is JSON unless the headers have another."""
        self.representation = Representation.of(body)
        self.status_code = status_code
        self.headers = {"Content-Type": "application/json", **(headers or {})}

    @property
    def body(self) -> bytes:
        """The body's bytes."""
        return self.representation.body

    def to_dict(self) -> dict[str, Any]:
        """Return the answer in the form of API Gateway's Lambda proxy integration: UTF-8 as text, the rest as base64.

        Chalice would decide that by the API's binary media types. Here those are `*/*`, so that request bodies arrive
        as bytes; API Gateway passes a text answer on as it is.
        """
        text = self.representation.text
        return {
            "statusCode": self.status_code,
            "headers": self.headers.copy(),
            "multiValueHeaders": {},
            "body": base64.b64encode(self.body).decode() if text is None else text,
            "isBase64Encoded": text is None,
        }


def revalidated(
    body: bytes | Representation, if_none_match: str | None, headers: Mapping[str, str] | None = None
) -> Reply:
    """Return the body with its ETag, or a 304 without it if the client has that version (RFC 9110 §15.4.5)."""
    shown = Representation.of(body)
    validated = {"ETag": shown.etag, "Cache-Control": "no-cache", **(headers or {})}
    if not none_match(if_none_match, shown.etag):
        return Reply(b"", 304, validated)
    return Reply(shown, 200, validated)


def problem_reply(problem: Problem, request_id: str) -> Reply:
    """Return a problem as the answer to the request with this id."""
    return Reply(problem.body(request_id), problem.status, {**problem.headers, "Content-Type": CONTENT_TYPE})
