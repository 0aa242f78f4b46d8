"""What the OpenAPI document says about a route that is deprecated, or that has a deprecated parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chalicelib.web.application import EXPOSED_HEADERS
from chalicelib.web.deprecation import Deprecation
from operations.generate import CannotGenerate
from operations.generate.contract import components

Json = dict[str, Any]

_HEADERS: Json = {
    "Deprecation": {
        "description": "Since when what the request used is deprecated, as `@` and Unix time (RFC 9745).",
        "schema": components.text(12, pattern="^@[0-9]+$"),
    },
    "Sunset": {
        "description": "When what the request used goes, as an HTTP date (RFC 8594).",
        "schema": components.text(29, pattern=" GMT$"),
    },
}


def marked(operation: Json, deprecations: Sequence[Deprecation]) -> Json:
    """Return the operation with what is deprecated of it, and with the headers that its successful answers have then.

    Raises CannotGenerate if it has no such query parameter, or if browsers would hide the headers from pages.
    """
    if not deprecations:
        return operation
    if not _HEADERS.keys() <= set(EXPOSED_HEADERS):
        raise CannotGenerate(f"add {' and '.join(_HEADERS)} to EXPOSED_HEADERS (chalicelib/web/application.py)")
    for deprecation in deprecations:
        operation = _marked(operation, deprecation)
    responses = {
        status: answer if "$ref" in answer else {**answer, "headers": {**answer["headers"], **_HEADERS}}
        for status, answer in operation["responses"].items()
    }
    return {**operation, "responses": responses}


def _marked(operation: Json, deprecation: Deprecation) -> Json:
    if deprecation.parameter is None:
        return operation | _said(operation, deprecation)
    parameters = [components.resolved(parameter) for parameter in operation.get("parameters", [])]
    if not any((found["in"], found["name"]) == ("query", deprecation.parameter) for found in parameters):
        raise CannotGenerate(f"{operation['operationId']} has no query parameter {deprecation.parameter}")
    marked_ones = [
        found | _said(found, deprecation) if found["name"] == deprecation.parameter else given
        for found, given in zip(parameters, operation["parameters"], strict=True)
    ]
    return {**operation, "parameters": marked_ones}


def _said(item: Json, deprecation: Deprecation) -> Json:
    since, sunset = deprecation.since, deprecation.sunset
    return {
        "deprecated": True,
        "description": f"{item['description']} Deprecated since {since}; it goes on {sunset}.",
    }
