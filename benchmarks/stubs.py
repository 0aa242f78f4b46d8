"""AWS inside the measured process, in one of two places: before the SDK's work, or behind it.

`in_place_of_calls` answers what a boto3 client is asked, so that what remains is what the app itself costs.
`behind_http` answers what botocore would send over HTTP, so that the SDK's own work is part of what is measured:
validating, signing, parsing. Both are the same for every app, however it makes its clients.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.aws import Aws

_REQUEST_ID = "0e1f2a3b-4c5d-4e6f-8a9b-0c1d2e3f4a5b"
_OK: Mapping[str, Any] = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RequestId": _REQUEST_ID, "RetryAttempts": 0}
_UNCHANGED: Mapping[str, Any] = {
    "Error": {"Code": "304", "Message": "Not Modified"},
    "ResponseMetadata": {**_OK, "HTTPStatusCode": 304},
}


def in_place_of_calls(aws: Aws) -> None:
    """Have every boto3 client of this process answered without the SDK."""
    from botocore.client import BaseClient  # noqa: PLC0415 - it is the measured app's
    from botocore.exceptions import ClientError  # noqa: PLC0415
    from botocore.response import StreamingBody  # noqa: PLC0415

    def call(_client: object, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "GetObject":
            etag, body = aws.document(parameters.get("IfNoneMatch"))
            if body is None:
                raise ClientError(_UNCHANGED, operation)  # type: ignore[arg-type]
            return {"ETag": etag, "Body": StreamingBody(io.BytesIO(body), len(body)), "ResponseMetadata": _OK}
        if operation == "PutObject":
            return {"ETag": aws.put(parameters["Body"]), "ResponseMetadata": _OK}
        return {**aws.answer(operation, parameters), "ResponseMetadata": _OK}

    BaseClient._make_api_call = call  # type: ignore[attr-defined] # noqa: SLF001 - there is no public place before the SDK's work


def behind_http(aws: Aws) -> None:
    """Have everything answered that botocore would send from this process."""
    from botocore.awsrequest import AWSResponse  # noqa: PLC0415 - it is the measured app's
    from botocore.httpsession import URLLib3Session  # noqa: PLC0415

    def send(_session: object, request: Any) -> AWSResponse:
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        status, answered, body = respond(aws, request.method, headers, request.body)
        return AWSResponse(request.url, status, answered, _Raw(body))  # type: ignore[arg-type] # it copies them

    URLLib3Session.send = send  # type: ignore[assignment]


def respond(
    aws: Aws, method: str, headers: Mapping[str, str], body: bytes | str | None
) -> tuple[int, dict[str, str], bytes]:
    """Answer one HTTP request to AWS, given its headers with lower-case names: the status, the headers and the body."""
    if "x-amz-target" in headers:
        operation = headers["x-amz-target"].rpartition(".")[2]
        answer = json.dumps(aws.answer(operation, json.loads(body or b"{}"))).encode()
        return 200, {**_sized(answer), "Content-Type": "application/x-amz-json-1.0"}, answer
    if method == "PUT":
        return 200, {**_sized(b""), "ETag": aws.put(_content(headers, body))}, b""
    etag, document = aws.document(headers.get("if-none-match"))
    if document is None:
        return 304, {**_named(), "ETag": etag}, b""
    return 200, {**_sized(document), "ETag": etag, "Content-Type": "application/json"}, document


def _named() -> dict[str, str]:
    return {"x-amzn-RequestId": _REQUEST_ID, "x-amz-request-id": _REQUEST_ID}


def _sized(body: bytes) -> dict[str, str]:
    return {**_named(), "Content-Length": str(len(body))}


def unchunked(sent: io.BufferedIOBase) -> bytes:
    """Return what was sent in chunks, without what follows them (RFC 9112 §7.1).

    S3's own encoding, `aws-chunked`, has the same form.
    """
    parts = []
    while size := int(sent.readline().partition(b";")[0], 16):
        parts.append(sent.read(size))
        sent.readline()
    while sent.readline().strip():
        pass
    return b"".join(parts)


def _content(headers: Mapping[str, str], body: bytes | str | None) -> bytes:
    """Return what a PUT stores. Whatever botocore would still have to read and encode is left alone."""
    if not isinstance(body, bytes):
        return b""
    return unchunked(io.BytesIO(body)) if "aws-chunked" in headers.get("content-encoding", "") else body


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


class _Raw(io.BytesIO):
    """A body as urllib3 gives it to botocore."""

    def stream(self, amount: int = 1024, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: ARG002
        while chunk := self.read(amount):
            yield chunk
