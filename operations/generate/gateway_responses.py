"""What API Gateway answers by itself, without the service: the service's own problems, with its headers.

They go into the packaged app's template (`app_overrides`). `operations/deploy/chalice_command.py` gives them to an API
that `chalice deploy` makes; a bare one goes without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.model import StringShape

from chalicelib.web import problems
from chalicelib.web.application import EXPOSED_HEADERS
from chalicelib.web.problems import Problem
from chalicelib.web.requests import BODY_BYTES_MAX
from operations.generate import CannotGenerate

NO_ANSWER_RETRY_AFTER_S = 5

# If there is no route, the gateway looks for an AWS signature, and mistakes `Bearer` for a broken one.
PROBLEMS: Mapping[str, Problem] = {
    "ACCESS_DENIED": problems.REFUSED_BY_GATEWAY,
    "API_CONFIGURATION_ERROR": problems.INTERNAL_ERROR,
    "AUTHORIZER_CONFIGURATION_ERROR": problems.INTERNAL_ERROR,
    "AUTHORIZER_FAILURE": problems.INTERNAL_ERROR,
    "BAD_REQUEST_BODY": problems.UNREADABLE,
    "BAD_REQUEST_PARAMETERS": problems.UNREADABLE,
    "DEFAULT_4XX": problems.ROUTE_NOT_FOUND,
    "DEFAULT_5XX": problems.INTERNAL_ERROR,
    "EXPIRED_TOKEN": problems.TOKEN_EXPIRED,
    "INTEGRATION_FAILURE": problems.no_answer(NO_ANSWER_RETRY_AFTER_S),
    "INTEGRATION_TIMEOUT": problems.timed_out(NO_ANSWER_RETRY_AFTER_S),
    "INVALID_API_KEY": problems.REFUSED_BY_GATEWAY,
    "INVALID_SIGNATURE": problems.ROUTE_NOT_FOUND,
    "MISSING_AUTHENTICATION_TOKEN": problems.ROUTE_NOT_FOUND,
    "QUOTA_EXCEEDED": problems.too_many_requests(retry_after_s=3600),
    "REQUEST_TOO_LARGE": problems.body_too_large(BODY_BYTES_MAX),
    "RESOURCE_NOT_FOUND": problems.ROUTE_NOT_FOUND,
    "THROTTLED": problems.too_many_requests(retry_after_s=1),
    "UNAUTHORIZED": problems.TOKEN_NEEDED,
    "UNSUPPORTED_MEDIA_TYPE": problems.NOT_JSON,
    "WAF_FILTERED": problems.REFUSED_BY_GATEWAY,
}


def gateway_responses(allow_origin: Mapping[str, str] | str) -> dict[str, Any]:
    """Return the `GatewayResponses` of an `AWS::Serverless::Api`.

    Takes the origin that browsers may call from, in quotes, or as CloudFormation fills it in. Raises `CannotGenerate`
    if a response type of API Gateway has no problem here, so that none of its own answers is left as AWS made it
    (https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html).
    """
    kinds = _response_types()
    unlike = kinds ^ PROBLEMS.keys()
    if unlike:
        raise CannotGenerate(f"API Gateway's response types differ from those in {__name__}: {sorted(unlike)}")
    return {kind: _response(PROBLEMS[kind], allow_origin) for kind in sorted(kinds)}


def _response_types() -> set[str]:
    shape = botocore.session.get_session().get_service_model("apigateway").shape_for("GatewayResponseType")
    assert isinstance(shape, StringShape)  # noqa: S101 - it has been an enumeration of names since 2017
    return set(shape.enum)


def _response(problem: Problem, allow_origin: Mapping[str, str] | str) -> dict[str, Any]:
    """Return one answer. A header's value is in quotes, or is without them the name of a value in the context."""
    literal = {
        "Content-Type": problems.CONTENT_TYPE,
        "Access-Control-Expose-Headers": ", ".join(EXPOSED_HEADERS),
        "X-Content-Type-Options": "nosniff",
        **problem.headers,
    }
    headers = {
        **{name: f"'{value}'" for name, value in literal.items()},
        "Access-Control-Allow-Origin": allow_origin,
        "X-Request-Id": "context.requestId",
    }
    return {
        "StatusCode": problem.status,
        "ResponseParameters": {"Headers": headers},
        "ResponseTemplates": {"application/json": problem.body("$context.requestId").decode()},
    }
