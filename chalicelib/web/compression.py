"""Compressed answers (RFC 9110 §8.4, §12.5.3).

API Gateway could compress by itself (`minimumCompressionSize`). That is not used: its documentation mentions no ETag
for the compressed form, it compresses only what has passed Lambda's limit of 6 MB, and the local server cannot do it.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gzip-compression-decompression.html
"""

import re
from collections.abc import Mapping
from typing import Any

from chalicelib.representation import gzip_etag
from chalicelib.web.responses import Reply

SIZE_MIN_BYTES = 1_400  # a body that fits into one packet gains nothing

# They are compiled when an answer is large enough to be compressed.
_COMPRESSIBLE = r"text/.*|application/(.*\+)?json|(application|text)/javascript|image/svg\+xml"
_BEGINS_WITH_MEDIA_TYPE = r"\s*[^\s/;,]+/[^\s/;,]+\s*(?:[;,]|$)"
_CODING = r"\s*(?P<name>[^\s;]+)\s*(?:;\s*q=(?P<quality>[01](?:\.[0-9]{0,3})?)\s*)?"


def compressed(reply: Reply, request_headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer for this client: with gzip if it is large enough and compressible, and the client accepts it.

    Takes the reply, and the request's headers with lower-case names. Returns the form of the Lambda proxy integration.
    """
    answer = reply.to_dict()
    headers = answer["headers"]
    if reply.status_code == 304:
        headers |= {"Vary": "Accept-Encoding", "ETag": _tag_that_the_client_has(headers["ETag"], request_headers)}
    elif len(reply.body) >= SIZE_MIN_BYTES and _is_compressible(reply):
        headers["Vary"] = "Accept-Encoding"
        if _accepts_gzip(request_headers):
            headers["Content-Encoding"] = "gzip"
            if "ETag" in headers:
                headers["ETag"] = gzip_etag(headers["ETag"])
            answer |= {"body": reply.representation.gzipped, "isBase64Encoded": True}
    return answer


def _is_compressible(reply: Reply) -> bool:
    """Tell whether the body is text that can be compressed."""
    if reply.representation.text is None:
        return False
    return re.fullmatch(_COMPRESSIBLE, reply.headers["Content-Type"].split(";")[0]) is not None


def _accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Tell whether gzip may be sent.

    API Gateway turns base64 back into bytes only if `Accept` begins with a media type. A coding that is named goes
    before `*`, which stands for all others (RFC 9110 §12.5.3).
    """
    if not re.match(_BEGINS_WITH_MEDIA_TYPE, headers.get("accept", "")):
        return False
    qualities = _qualities(headers.get("accept-encoding", "").lower())
    named = [qualities[name] for name in ("gzip", "x-gzip") if name in qualities]
    return all(named) if named else qualities.get("*", 0) > 0


def _qualities(accept_encoding: str) -> dict[str, float]:
    """Return each coding's quality, from 0 (not acceptable) to 1. Items that cannot be parsed are left out."""
    codings = (re.fullmatch(_CODING, item) for item in accept_encoding.split(","))
    return {coding["name"]: float(coding["quality"] or 1) for coding in codings if coding}


def _tag_that_the_client_has(etag: str, request_headers: Mapping[str, str]) -> str:
    of_gzip = gzip_etag(etag)
    return of_gzip if of_gzip in request_headers.get("if-none-match", "") else etag
