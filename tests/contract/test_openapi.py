"""The OpenAPI document is valid and complete, and agrees with the code that it is generated from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from openapi_spec_validator import validate

from chalicelib.checked import Uuid
from chalicelib.dragons.submissions import Submission, rfc3339
from chalicelib.exact_json import parse_object
from chalicelib.messages import listing
from chalicelib.messages.model import message_from
from chalicelib.web.bodies import AcceptedMessage
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.submissions import settled
from operations.generate import CannotGenerate, openapi
from operations.generate.contract import examples
from operations.generate.contract.examples import refused
from operations.generate.contract.operations import OPERATIONS
from tests.samples import COMPANY, dragon


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The committed document."""
    return dict(json.loads(openapi.DOCUMENT.read_text(encoding="utf-8")))


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def test_a_route_without_a_description_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(OPERATIONS, ("GET", "/health"))

    with pytest.raises(CannotGenerate, match="GET /health has no description"):
        openapi.document()


def test_a_description_without_a_route_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, ("PATCH", "/dragons"), OPERATIONS["GET", "/health"])

    with pytest.raises(CannotGenerate, match="PATCH /dragons is described, but is not a route"):
        openapi.document()


def test_an_example_of_a_refusal_that_the_service_accepts_is_an_error() -> None:
    with pytest.raises(CannotGenerate, match="accepts what an example shows as refused"):
        refused(Uuid.parse, COMPANY)


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)


def test_every_operation_has_what_readers_and_generators_need(document: dict[str, Any]) -> None:
    for method, path, operation in operations_of(document):
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert operation["tags"], (method, path)
        assert {"429", "500", "503"} <= set(operation["responses"]), (method, path)
    names = [operation["operationId"] for _, _, operation in operations_of(document)]
    assert len(names) == len(set(names))


def test_operations_need_a_token_exactly_where_their_routes_have_an_authorizer(document: dict[str, Any]) -> None:
    for method, path, operation in operations_of(document):
        guarded = openapi.routes()[method.upper(), path].authorizer is not None
        assert bool(operation["security"]) is guarded, (method, path)
        assert ("401" in operation["responses"]) is guarded, (method, path)


def test_every_answer_names_the_request_id(document: dict[str, Any]) -> None:
    answers = [
        answer for _, _, operation in operations_of(document) for answer in operation["responses"].values()
    ] + list(document["components"]["responses"].values())

    assert all("$ref" in answer or "X-Request-Id" in answer["headers"] for answer in answers)


@pytest.mark.parametrize(
    "end",
    [("rejected", "duplicate"), ("rejected", "invalid"), ("failed", None)],
    ids=["duplicate", "refused", "failed"],
)
def test_every_header_of_a_report_that_was_refused_or_failed_is_declared(document: dict[str, Any], end: Any) -> None:
    status, refusal = end
    submission = Submission("s1", "arn", status, dragon(), "me", "then", refusal=refusal)
    with pytest.raises(ProblemRaised) as raised:
        settled(submission, "/prod", 5)

    answer = document["paths"]["/dragons"]["post"]["responses"][str(raised.value.problem.status)]
    assert set(raised.value.problem.headers) <= set(answer["headers"])


@pytest.mark.parametrize("status", ["422", "500"])
def test_a_header_that_only_some_answers_of_the_status_have_is_not_promised(
    document: dict[str, Any], status: str
) -> None:
    """There is no submission if the key was used for another dragon, or if the service has a bug."""
    declared = document["paths"]["/dragons"]["post"]["responses"][status]["headers"]

    assert "required" not in resolved(document, declared["Location"])


def test_the_documented_lengths_are_those_of_what_the_service_writes(document: dict[str, Any]) -> None:
    """For what a constant bounds that stands elsewhere: an id, a time and an archive's key have one form each."""
    members = document["components"]["schemas"]
    when = rfc3339(datetime(2026, 11, 26, tzinfo=UTC))
    message = message_from(parse_object(msgspec.json.encode(examples.MESSAGE)))

    assert members["SubmissionStatus"]["properties"]["started_at"]["maxLength"] == len(when)
    assert members["ListedMessage"]["properties"]["accepted_at"]["maxLength"] == len(listing.bound(when))
    assert members["Metadata"]["properties"]["message_id"]["maxLength"] == len(COMPANY)
    assert members["StoredMetadata"]["properties"]["message_s3_key"]["maxLength"] == len(message.archive_key)
    assert members["StoredOrderMessage"]["properties"]["digest"]["maxLength"] == len(message.digest())


def bodies_of(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Find every example, with the schema beside it."""
    if isinstance(node, list):
        for item in node:
            yield from bodies_of(item)
    if isinstance(node, dict):
        if "schema" in node:
            named = [example["value"] for example in node.get("examples", {}).values()]
            alone = [node["example"]] if "example" in node else []
            for example in (*named, *alone, *node["schema"].get("examples", [])):
                yield node["schema"], example
        for member in node.values():
            yield from bodies_of(member)


def test_every_example_matches_its_schema(document: dict[str, Any]) -> None:
    found = list(bodies_of(document))

    assert len(found) > 40
    for schema, example in found:
        bundled = {**schema, "components": document["components"]}
        jsonschema_rs.Draft202012Validator(bundled, validate_formats=True).validate(example)


def test_only_parameters_that_a_request_needs_have_a_value_to_begin_with(document: dict[str, Any]) -> None:
    """Swagger UI and its like send an `example` unless somebody clears the field; `examples` of a schema they show."""
    parameters = [
        resolved(document, item)
        for _, _, operation in operations_of(document)
        for item in operation.get("parameters", [])
    ]

    assert {item["name"]: item.get("required", False) for item in parameters if "example" in item} == {
        "dragon_name": True,
        "If-Match": True,
        "id": True,
        "letter_id": True,
        "message_id": True,
        "submission_id": True,
    }
    assert document["components"]["parameters"]["IfMatchRequired"]["example"] == "*"


def test_what_the_examples_send_belongs_together(document: dict[str, Any]) -> None:
    """Whoever sends them as they are reports, reads and corrects one dragon, and posts and reads one message."""
    parameters, paths = document["components"]["parameters"], document["paths"]
    dragons = [
        example["value"]
        for operation in (paths["/dragons"]["post"], paths["/dragons/{dragon_name}"]["put"])
        for example in operation["requestBody"]["content"]["application/json"]["examples"].values()
    ]
    (message,) = paths["/post-message"]["post"]["requestBody"]["content"]["application/json"]["examples"].values()

    assert len(dragons) == 4
    for dragon_example in dragons:
        name = dragon_example.get("dragon_name_str") or dragon_example["dragonName"]
        assert name == parameters["DragonName"]["example"]
    assert message["value"]["metadata"]["message_id"] == parameters["MessageId"]["example"]


def test_every_json_body_has_an_example(document: dict[str, Any]) -> None:
    without = [
        (method, path, status)
        for method, path, operation in operations_of(document)
        for status, answer in operation["responses"].items()
        for media_type, content in answer.get("content", {}).items()
        if "json" in media_type and "examples" not in content and path != "/openapi.json"
    ]

    assert without == []


def test_every_link_leads_to_an_operation_and_fills_its_parameters(document: dict[str, Any]) -> None:
    parameters = {
        operation["operationId"]: {resolved(document, item)["name"] for item in operation.get("parameters", [])}
        for _, _, operation in operations_of(document)
    }
    for _, _, operation in operations_of(document):
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                filled = {name.partition(".")[2] or name for name in link["parameters"]}
                assert filled <= parameters[link["operationId"]]


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    _, _, kind, name = node["$ref"].split("/")
    return dict(document["components"][kind][name])


def test_the_version_is_the_projects(document: dict[str, Any]) -> None:
    assert document["info"]["version"] == openapi.version()


def test_an_answers_schema_has_the_members_of_the_struct_that_the_code_encodes(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["AcceptedMessage"]

    assert tuple(schema["properties"]) == AcceptedMessage.__struct_fields__
    assert schema["required"] == list(AcceptedMessage.__struct_fields__)
