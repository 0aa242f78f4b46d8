"""The Postman collection and the OpenAPI document have the same operations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from operations import PROJECT
from operations.generate.openapi import DOCUMENT

COLLECTION = PROJECT / "postman" / "dragonpost.postman_collection.json"

# A request that follows a Location or a Link has the whole path in a variable.
FOLLOWED = {
    "{{dragon_path}}": "/dragons/{dragon_name}",
    "{{message_path}}": "/message/{message_id}",
    "{{next_path}}": "/dragons",
    "{{next_path}}&family=green": "/dragons",
    "{{submission_path}}": "/submissions/{submission_id}",
    "{{submission_path}}?steps=true": "/submissions/{submission_id}",
}

# The collection sends these in order to be refused.
WRONG_ON_PURPOSE = {("GET", "/wyverns"), ("DELETE", "/dragons")}


def documented() -> set[tuple[str, str]]:
    """Return every operation of the document. `HEAD` is implied wherever there is a `GET`."""
    paths: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    stated = {(method.upper(), path) for path, item in paths.items() for method in item}
    return stated | {("HEAD", path) for method, path in stated if method == "GET"}


def called() -> Iterator[tuple[str, str]]:
    """Yield the method and path (a template, or else the address) of every request that goes to the service."""
    collection = json.loads(COLLECTION.read_text(encoding="utf-8"))
    for folder in collection["item"]:
        for item in folder["item"]:
            url = item["request"]["url"]["raw"]
            if url.startswith("{{base_url}}"):
                yield item["request"]["method"], operation_path(url.removeprefix("{{base_url}}"))


def operation_path(address: str) -> str:
    """Return the path template that matches an address, or else the address itself."""
    if address in FOLLOWED:
        return FOLLOWED[address]
    path = address.partition("?")[0]
    templates = [template for _, template in documented() if template_matches(template, path)]
    return min(templates, key=lambda template: template.count("{"), default=path)


def template_matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\\{[a-z_]+\\}", "[^/]+", re.escape(template)), path) is not None


def test_every_request_is_for_an_operation_in_the_document() -> None:
    assert set(called()) - documented() == WRONG_ON_PURPOSE


def test_every_operation_in_the_document_is_requested() -> None:
    assert {operation for operation in documented() if operation[0] != "HEAD"} <= set(called())
