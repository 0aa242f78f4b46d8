"""Compressed answers (RFC 9110 §8.4, §12.5.3).

API Gateway could compress by itself (`minimumCompressionSize`). That is not used: its documentation mentions no ETag
for the compressed form, it compresses only what has passed Lambda's limit of 6 MB, and the local server cannot do it.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gzip-compression-decompression.html

A compressed representation differs from the plain one, so it has a strong ETag of its own (RFC 9110 §8.8.3.3): the
plain one's with `-gzip` inside the quotes. Preconditions treat the two as equal.
"""

import base64
import gzip
import re
from collections.abc import Mapping
from typing import Any

SIZE_MIN_BYTES = 1_400  # a body that fits into one packet gains nothing
LEVEL = 5

_COMPRESSIBLE = re.compile(r"text/.*|application/(.*\+)?json|(application|text)/javascript|image/svg\+xml")
_BEGINS_WITH_MEDIA_TYPE = re.compile(r"\s*[^\s/;,]+/[^\s/;,]+\s*(?:[;,]|$)")
_CODING = re.compile(r"\s*(?P<name>[^\s;]+)\s*(?:;\s*q=(?P<quality>[01](?:\.[0-9]{0,3})?)\s*)?")


def compressed(answer: Mapping[str, Any], request_headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer for this client: with gzip if it is large enough and compressible, and the client accepts it.

    Takes the answer in the form of the Lambda proxy integration, and the request's headers with lower-case names.
    """
    headers = dict(answer["headers"])
    if answer["statusCode"] == 304:
        return {**answer, "headers": _with_the_tag_the_client_has(headers, request_headers)}
    if answer.get("isBase64Encoded") or not _COMPRESSIBLE.fullmatch(headers.get("Content-Type", "").split(";")[0]):
        return dict(answer)
    body = answer["body"].encode()
    if len(body) < SIZE_MIN_BYTES:
        return dict(answer)
    headers["Vary"] = "Accept-Encoding"
    if not _accepts_gzip(request_headers):
        return {**answer, "headers": headers}
    headers["Content-Encoding"] = "gzip"
    if "ETag" in headers:
        headers["ETag"] = gzip_etag(headers["ETag"])
    packed = base64.b64encode(gzip.compress(body, LEVEL, mtime=0)).decode()
    return {**answer, "headers": headers, "body": packed, "isBase64Encoded": True}


def gzip_etag(etag: str) -> str:
    """Return the entity tag of the compressed form, given that of the plain form."""
    return f'{etag[:-1]}-gzip"'


def plain_etag(etag: str) -> str:
    """Return the entity tag of the plain form, given that of either form."""
    return etag.removesuffix('-gzip"') + '"' if etag.endswith('-gzip"') else etag


def _accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Tell whether gzip may be sent.

    API Gateway turns base64 back into bytes only if `Accept` begins with a media type. A coding that is named goes
    before `*`, which stands for all others (RFC 9110 §12.5.3).
    """
    if not _BEGINS_WITH_MEDIA_TYPE.match(headers.get("accept", "")):
        return False
    qualities = _qualities(headers.get("accept-encoding", "").lower())
    named = [qualities[name] for name in ("gzip", "x-gzip") if name in qualities]
    return all(named) if named else qualities.get("*", 0) > 0


def _qualities(accept_encoding: str) -> dict[str, float]:
    """Return each coding's quality, from 0 (not acceptable) to 1. Items that cannot be parsed are left out."""
    codings = (_CODING.fullmatch(item) for item in accept_encoding.split(","))
    return {coding["name"]: float(coding["quality"] or 1) for coding in codings if coding}


def _with_the_tag_the_client_has(headers: dict[str, str], request_headers: Mapping[str, str]) -> dict[str, str]:
    of_gzip = gzip_etag(headers["ETag"])
    has_gzip = of_gzip in request_headers.get("if-none-match", "")
    return {**headers, "Vary": "Accept-Encoding", "ETag": of_gzip if has_gzip else headers["ETag"]}
