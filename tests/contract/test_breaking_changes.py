"""A change that breaks clients needs a version that says so."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operations import breaking_changes
from operations.breaking_changes import RELEASED, may_break
from operations.generate.openapi import DOCUMENT

pytestmark = pytest.mark.slow

Document = dict[str, Any]
Change = Callable[[Document], None]
Found = dict[Change, list[str]]  # by the change that was made


def schemas(document: Document) -> Document:
    return dict(document["components"]["schemas"])


def remove_operation(document: Document) -> None:
    del document["paths"]["/dragons/{dragon_name}"]["delete"]


def remove_path(document: Document) -> None:
    del document["paths"]["/health"]


def remove_property_of_answer(document: Document) -> None:
    del schemas(document)["Dragon"]["properties"]["family_str"]
    schemas(document)["Dragon"]["required"].remove("family_str")


def make_property_of_answer_optional(document: Document) -> None:
    schemas(document)["SubmissionStatus"]["required"].remove("reason")


def require_member_of_request(document: Document) -> None:
    schemas(document)["Metadata"]["properties"]["tenant"] = {"type": "string"}
    schemas(document)["Metadata"]["required"].append("tenant")


def require_member_that_was_optional(document: Document) -> None:
    schemas(document)["DragonReport"]["required"].append("reportingPhoneNumber")


def enumerate_what_was_free(document: Document) -> None:
    document["paths"]["/dragons"]["get"]["parameters"][0]["schema"]["enum"] = ["red"]


def refuse_further_members(document: Document) -> None:
    schemas(document)["Order"]["additionalProperties"] = False


def require_one_member_with_another(document: Document) -> None:
    schemas(document)["Order"]["dependentRequired"] = {"currency": ["exchange_rate"]}


def widen_enumeration_of_answer(document: Document) -> None:
    schemas(document)["SubmissionStatus"]["properties"]["status"]["enum"].append("archived")


def change_type(document: Document) -> None:
    schemas(document)["Order"]["properties"]["order_amount"] = {"type": "string"}


def narrow_limit(document: Document) -> None:
    document["components"]["parameters"]["Limit"]["schema"]["maximum"] = 10


def require_parameter(document: Document) -> None:
    tenant = {"name": "tenant", "in": "query", "required": True, "schema": {"type": "string"}}
    document["paths"]["/dragons"]["get"]["parameters"].append(tenant)


def remove_status(document: Document) -> None:
    del document["paths"]["/post-message"]["post"]["responses"]["202"]


def ask_for_token(document: Document) -> None:
    document["paths"]["/health"]["get"]["security"] = [{"dragonpost-users": []}]


BREAKING = (
    remove_path,
    remove_operation,
    remove_property_of_answer,
    make_property_of_answer_optional,
    require_member_of_request,
    require_member_that_was_optional,
    enumerate_what_was_free,
    refuse_further_members,
    require_one_member_with_another,
    widen_enumeration_of_answer,
    change_type,
    narrow_limit,
    require_parameter,
    remove_status,
    ask_for_token,
)


def test_removing_an_allowed_value_of_a_request_breaks_clients(tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    for path, values in ((before, ["red", "gold"]), (after, ["gold"])):
        document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
        document["paths"]["/dragons"]["get"]["parameters"][0]["schema"]["enum"] = values
        path.write_text(json.dumps(document), encoding="utf-8")

    assert breaking_changes.breaking_changes(before, after) != [[]]
    assert breaking_changes.breaking_changes(after, before) == [[]]


def change_nothing(document: Document) -> None:
    """Leave the document as it is."""


def add_path(document: Document) -> None:
    document["paths"]["/new"] = copy.deepcopy(document["paths"]["/health"])


def add_optional_member_of_request(document: Document) -> None:
    schemas(document)["DragonReport"]["properties"]["colour"] = {"type": "string"}


def add_property_of_answer(document: Document) -> None:
    schemas(document)["Dragon"]["properties"]["colour"] = {"type": "string"}


def give_another_example(document: Document) -> None:
    document["paths"]["/health"]["get"]["responses"]["200"]["content"]["application/json"]["examples"] = {
        "other": {"value": {"status": "ok"}}
    }


def describe_otherwise(document: Document) -> None:
    document["paths"]["/health"]["get"]["description"] = "Said in other words."


HARMLESS = (
    change_nothing,
    add_path,
    add_optional_member_of_request,
    add_property_of_answer,
    describe_otherwise,
    give_another_example,
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What is found after each change; all are compared in one go, for Node.js takes a while to start."""
    folder = tmp_path_factory.mktemp("changed")
    changes = {change: folder / f"{change.__name__}.json" for change in (*BREAKING, *HARMLESS)}
    for change, path in changes.items():
        present = json.loads(DOCUMENT.read_text(encoding="utf-8"))
        change(present)
        path.write_text(json.dumps(present), encoding="utf-8")
    return dict(zip(changes, breaking_changes.breaking_changes(DOCUMENT, *changes.values()), strict=True))


def test_the_present_document_breaks_no_client_of_the_released_one_unless_the_version_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert breaking_changes.main([]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("change", BREAKING, ids=lambda change: change.__name__)
def test_a_change_that_breaks_clients_is_found(change: Change, found: Found) -> None:
    assert found[change]


@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.__name__)
def test_a_change_that_breaks_no_client_is_allowed(change: Change, found: Found) -> None:
    assert found[change] == []


def test_a_breaking_change_fails_until_the_version_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    released = json.loads(RELEASED.read_text(encoding="utf-8"))
    released["info"]["version"] = "1.4.2"
    released["paths"]["/gone"] = released["paths"]["/health"]
    (tmp_path / "released.json").write_text(json.dumps(released), encoding="utf-8")
    monkeypatch.setattr(breaking_changes, "RELEASED", tmp_path / "released.json")

    monkeypatch.setattr(breaking_changes, "version", lambda: "1.5.0")
    assert breaking_changes.main([]) == 1
    assert "/gone" in capsys.readouterr().err
    monkeypatch.setattr(breaking_changes, "version", lambda: "2.0.0")
    assert breaking_changes.main([]) == 0


def test_a_release_keeps_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaking_changes, "RELEASED", tmp_path / "released.json")

    assert breaking_changes.main(["--release"]) == 0

    assert (tmp_path / "released.json").read_bytes() == DOCUMENT.read_bytes()


@pytest.mark.parametrize(
    ("released", "present", "allowed"),
    [
        ("0.1.0", "0.1.1", False),
        ("0.1.0", "0.2.0", True),
        ("0.9.3", "1.0.0", True),
        ("1.0.0", "1.1.0", False),
        ("1.9.0", "2.0.0", True),
    ],
)
def test_a_higher_version_says_that_clients_may_break(released: str, present: str, allowed: bool) -> None:
    assert may_break(released, present) is allowed
