"""The API's OpenAPI document: chalicelib/web/static/openapi.json, which the service serves as it is.

It is put together from what the service runs on (Chalice's route table, the msgspec models, the problems) and from
`operations.generate.contract`, which says the rest. A route without a description and a description without a route
are errors, so the document cannot drift.
"""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from chalice.app import RouteEntry

from app import app
from chalicelib.checked import CheckedText
from chalicelib.dragons import model as dragon_model
from chalicelib.dragons import repository as dragon_repository
from chalicelib.dragons.model import ALIASES
from chalicelib.messages import model as message_model
from chalicelib.web import bodies, timeline
from chalicelib.web.deprecation import deprecations_of
from operations import PROJECT
from operations.generate import CannotGenerate, deprecations
from operations.generate.contract import components
from operations.generate.contract.operations import OPERATIONS, TAGS, UNDESCRIBED_PATHS

Json = dict[str, Any]

DOCUMENT = PROJECT / "chalicelib" / "web" / "static" / "openapi.json"

_DESCRIPTION = """\
One service that joins two systems: the **dragon registry** lists dragons, and takes reports of new ones through a \
workflow; the **message post** takes order messages, and shows them once they are stored.

Every operation needs an ID token, except those tagged *Service*. `HEAD` works wherever `GET` does. Every answer has \
an `X-Request-Id`, `X-Content-Type-Options: nosniff` and the stage's CORS headers. `Location` and `Link` start with \
the prefix (the API's stage) of the request that they answer.

Errors are problem documents (`application/problem+json`, RFC 9457). Any other address gets a 404. A method that an \
address does not have gets a 405 with `Allow` from the service, and a 404 from Amazon API Gateway, which does not know \
405.
"""


def files() -> dict[Path, str]:
    """Return the document as the committed file has it. Raises CannotGenerate as `document` does."""
    return {DOCUMENT.relative_to(PROJECT): json.dumps(document(), ensure_ascii=False, indent=1) + "\n"}


def document() -> Json:
    """Return the OpenAPI document. Raises CannotGenerate if routes and descriptions do not fit together."""
    _check_described()
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Dragonpost",
            "version": version(),
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Resolved against the address that the document was read from (OpenAPI 3.1.1 §4.6), so below any API stage.
        "servers": [
            {
                "url": ".",
                "description": "The stage that this document comes from: local, development or production.",
                "x-internal": False,
            }
        ],
        "tags": TAGS,
        "paths": _paths(),
        "components": {
            "schemas": schemas(),
            "parameters": components.PARAMETERS,
            "headers": components.HEADERS,
            "responses": {name: _completed(answer) for name, answer in components.RESPONSES.items()},
            "securitySchemes": components.SECURITY_SCHEMES,
        },
    }


def version() -> str:
    """Return the project's version, which only pyproject.toml states."""
    return str(tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def schemas() -> dict[str, Json]:
    """Return the models' JSON Schemas by name, and the problem document's."""
    _, found = msgspec.json.schema_components(
        _models(), schema_hook=_checked_type, ref_template="#/components/schemas/{name}"
    )
    models = {name: _tidied(schema) for name, schema in found.items()}
    _answer_whole(models["Dragon"])
    models["DragonReport"] |= {
        "if": {"properties": {"confirmationRequired": {"const": True}}, "required": ["confirmationRequired"]},
        "then": {
            "properties": {"reportingPhoneNumber": {"pattern": dragon_model.PhoneNumber.schema["pattern"]}},
            # For validators that refuse members which a subschema does not name: the others are checked above.
            "additionalProperties": True,
            "dependentRequired": {"confirmationRequired": ["reportingPhoneNumber"]},
        },
    }
    for name in ("DragonFields", "DragonReport"):
        models[f"WebClient{name}"] = _with_web_client_names(models[name], f"WebClient{name}")
    return dict(sorted((models | components.PROBLEM_SCHEMAS).items()))


def routes() -> dict[tuple[str, str], RouteEntry]:
    """Return the routes that the document shows, by method and path; not `HEAD`, which works wherever `GET` does."""
    return {
        (method, path): entry
        for path, methods in app.routes.items()
        for method, entry in methods.items()
        if path not in UNDESCRIBED_PATHS and method != "HEAD"
    }


def _check_described() -> None:
    there, described = set(routes()), set(OPERATIONS)
    faults = [f"{method} {path} has no description" for method, path in sorted(there - described)]
    faults += [f"{method} {path} is described, but is not a route" for method, path in sorted(described - there)]
    if faults:
        raise CannotGenerate("; ".join(faults) + " (operations/generate/contract/operations.py)")


def _paths() -> Json:
    paths: Json = {}
    actual = routes()
    for (method, path), described in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(described, actual[method, path])
    return paths


def _operation(described: Mapping[str, Any], route: RouteEntry) -> Json:
    """Return an operation with what follows from its route: whether it needs a token, what any may answer, and what is
    deprecated.
    """
    authorizer = route.authorizer
    answers = {**components.ALWAYS, **described["responses"]}
    if authorizer:
        answers["401"] = components.ref("responses", "Unauthorized")
    operation = {
        **described,
        "security": [{authorizer.name: []}] if authorizer else [],
        "responses": {status: _completed(answers[status]) for status in sorted(answers)},
    }
    return deprecations.marked(operation, deprecations_of(route.view_function))


def _completed(answer: Json) -> Json:
    """Return an answer with the headers that every answer has."""
    if "$ref" in answer:
        return answer
    always = components.headers_of("X-Request-Id", "Access-Control-Allow-Origin")
    return {**answer, "headers": {**always, **answer.get("headers", {})}}


def _models() -> list[type[msgspec.Struct]]:
    """Return the structs whose names the operations refer to; msgspec adds those that these are made of."""
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(list(OPERATIONS.values()))))
    known = {**vars(dragon_model), **vars(dragon_repository), **vars(message_model)}
    known |= {**vars(bodies), **vars(timeline)}
    named = [known[name] for name in sorted(referred & known.keys())]
    return [item for item in named if isinstance(item, type) and issubclass(item, msgspec.Struct)]


def _checked_type(kind: type) -> Json:
    if not issubclass(kind, CheckedText) and not hasattr(kind, "schema"):
        raise NotImplementedError
    return {"description": _first_paragraph(inspect.getdoc(kind) or ""), **kind.schema}


def _tidied(node: Any) -> Any:
    """Return msgspec's schema with each description on one line, and each enumeration's type, for code generators."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {name: _tidied(value) for name, value in node.items()}
    if isinstance(tidied.get("description"), str):
        tidied["description"] = " ".join(inspect.cleandoc(tidied["description"]).split())
    if isinstance(tidied.get("enum"), list):
        tidied = {"type": "string", **tidied}
    return tidied


def _first_paragraph(text: str) -> str:
    return text.partition("\n\n")[0]


def _answer_whole(schema: Json) -> None:
    """Make an answer's schema promise every member: a dragon stored without one is answered with its default."""
    for member in schema["properties"].values():
        member.pop("default", None)
    schema["required"] = list(schema["properties"])


def _with_web_client_names(schema: Json, title: str) -> Json:
    """Return a dragon's schema with the names that the course's web client sends."""
    names = {field: alias for alias, field in ALIASES.items()}
    return {
        **schema,
        "title": title,
        "description": f"{schema['description']} Under the names of the course's web client.",
        "properties": {names.get(name, name): member for name, member in schema["properties"].items()},
        "required": [names.get(name, name) for name in schema["required"]],
    }
