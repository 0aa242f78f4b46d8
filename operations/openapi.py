"""Write the API's OpenAPI document: `python -m operations.openapi`, or `--check` that it is the one that is committed.

It is put together from what the service runs on (Chalice's route table, the msgspec models) and from
`operations.contract`, which says the rest. A route that nothing describes, and a description of no route, are errors,
so the document cannot drift. Nothing of this is part of the Lambda package; the service serves the file as it is.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from app import app
from chalicelib.dragons.model import ALIASES, Dragon, DragonFields, DragonReport
from chalicelib.messages.model import OrderMessage
from chalicelib.validation import CheckedText
from chalicelib.web import bodies
from operations import PROJECT
from operations.contract import components
from operations.contract.operations import OPERATIONS, TAGS, UNDESCRIBED_PATHS

Json = dict[str, Any]

DOCUMENT = PROJECT / "chalicelib" / "web" / "static" / "openapi.json"

_MODELS = (
    Dragon,
    DragonFields,
    DragonReport,
    OrderMessage,
    bodies.AcceptedMessage,
    bodies.AcceptedSubmission,
    bodies.Health,
    bodies.StoredOrderMessage,
    bodies.SubmissionStatus,
)

_DESCRIPTION = """\
One service that joins two systems: the **dragon registry** lists dragons, and takes reports of new ones through a \
workflow; the **message post** takes order messages, and shows them once they are stored.

Every operation but those tagged *Service* needs an ID token. `HEAD` works wherever `GET` does. Every answer has an \
`X-Request-Id`, `X-Content-Type-Options: nosniff` and the stage's CORS headers. `Location` and `Link` carry the \
prefix (the API's stage) of the request they answer.

Errors are problem documents (`application/problem+json`, RFC 9457). An address that is none of these is a 404; a \
method that an address does not know is a 405 with `Allow` from the service, and a 404 from Amazon API Gateway, which \
does not know 405.
"""


class Undescribed(Exception):
    """Routes and descriptions do not fit together; the message names which."""


def document() -> Json:
    """Return the OpenAPI document. Raises `Undescribed` if routes and descriptions do not fit together."""
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
        "servers": [{"url": ".", "description": "The service that this document comes from."}],
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


def text() -> str:
    """Return the document as the committed file has it."""
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


def version() -> str:
    """Return the project's version, which stands in pyproject.toml alone."""
    return str(tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def schemas() -> dict[str, Json]:
    """Return the models' JSON Schemas by name, and the problem document's."""
    _, found = msgspec.json.schema_components(
        _MODELS, schema_hook=_checked_type, ref_template="#/components/schemas/{name}"
    )
    models = {name: _tidied(schema) for name, schema in found.items()}
    _answer_whole(models["Dragon"])
    models["DragonReport"] |= {
        "if": {"properties": {"confirmationRequired": {"const": True}}, "required": ["confirmationRequired"]},
        "then": {"dependentRequired": {"confirmationRequired": ["reportingPhoneNumber"]}},
    }
    for name in ("DragonFields", "DragonReport"):
        models[f"WebClient{name}"] = _with_web_client_names(models[name], f"WebClient{name}")
    return dict(sorted((models | components.PROBLEM_SCHEMAS).items()))


def main(arguments: list[str] | None = None) -> int:
    """Write the document or check it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m operations.openapi", description="Write the OpenAPI document.")
    parser.add_argument("--check", action="store_true", help="fail if the committed file is another one")
    wanted = text()
    if not parser.parse_args(arguments).check:
        DOCUMENT.write_text(wanted, encoding="utf-8")
        return 0
    if DOCUMENT.is_file() and DOCUMENT.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{DOCUMENT.relative_to(PROJECT)} is out of date: run python -m operations.openapi", file=sys.stderr)
    return 1


def routes() -> dict[tuple[str, str], Any]:
    """Return the routes that the document shows, by method and path. `HEAD` goes without saying."""
    return {
        (method, path): entry
        for path, methods in app.routes.items()
        for method, entry in methods.items()
        if path not in UNDESCRIBED_PATHS and method != "HEAD"
    }


def _check_described() -> None:
    there, described = set(routes()), set(OPERATIONS)
    faults = [f"{method} {path} has no description" for method, path in sorted(there - described)]
    faults += [f"{method} {path} is described, and no route" for method, path in sorted(described - there)]
    if faults:
        raise Undescribed("; ".join(faults) + " (operations/contract/operations.py)")


def _paths() -> Json:
    paths: Json = {}
    actual = routes()
    for (method, path), described in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(described, actual[method, path].authorizer)
    return paths


def _operation(described: Mapping[str, Any], authorizer: Any) -> Json:
    """Return an operation with what follows from its route: whether it needs a token, and what it may always answer."""
    answers = {**components.ALWAYS, **described["responses"]}
    if authorizer:
        answers["401"] = components.ref("responses", "Unauthorized")
    return {
        **described,
        "security": [{authorizer.name: []}] if authorizer else [],
        "responses": {status: _completed(answers[status]) for status in sorted(answers)},
    }


def _completed(answer: Json) -> Json:
    """Return an answer with the header that every answer has."""
    if "$ref" in answer:
        return answer
    return {**answer, "headers": {**components.headers_of("X-Request-Id"), **answer.get("headers", {})}}


def _checked_type(kind: type) -> Json:
    if not issubclass(kind, CheckedText) and not hasattr(kind, "schema"):
        raise NotImplementedError
    return {"description": _first_paragraph(inspect.getdoc(kind) or ""), **kind.schema}


def _tidied(node: Any) -> Any:
    """Return a schema of msgspec with whole descriptions, and with the type of each enumeration for generators."""
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


def _first_paragraph(text_: str) -> str:
    return text_.partition("\n\n")[0]


def _answer_whole(schema: Json) -> None:
    """Have an answer's schema promise every member: what was stored without one is answered with its default."""
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


if __name__ == "__main__":
    sys.exit(main())
