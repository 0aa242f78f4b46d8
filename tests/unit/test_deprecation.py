"""What is deprecated is said in the answers that it concerns, and in the OpenAPI document; nothing else is."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from openapi_spec_validator import validate

from chalicelib.faults import Fault, InvalidInput
from chalicelib.web.application import EXPOSED_HEADERS, Dragonpost
from chalicelib.web.deprecation import deprecated
from chalicelib.web.responses import Reply
from operations.generate import CannotGenerate, deprecations, openapi
from tests.fakes.settings import FakeSettings
from tests.lambda_events import proxy_event

JANUARY, APRIL, JULY = (date(2027, month, 1) for month in (1, 4, 7))
SAID = {"Deprecation": "@1798761600", "Sunset": "Thu, 01 Jul 2027 00:00:00 GMT"}


@pytest.fixture
def app() -> Dragonpost:
    """An app with a route whose parameter `old` is deprecated, and one that is deprecated itself."""
    app = Dragonpost("test", FakeSettings())

    @app.get("/dragons")
    @deprecated(JANUARY, JULY, parameter="old")
    def dragons() -> Reply:
        return Reply(b"[]")

    @app.get("/dragons/{name}")
    @deprecated(JANUARY, JULY)
    @deprecated(JANUARY, APRIL, parameter="old")
    def dragon(name: str) -> Reply:
        if name == "none":
            raise InvalidInput(Fault("parameter", "name", "is none"))
        return Reply(name.encode())

    return app


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("/dragons", {}),
        ("/dragons?new=1", {}),
        ("/dragons?old=1", SAID),
        ("/dragons/ember", SAID),
        ("/dragons/none", SAID),
        ("/dragons/ember?old=1", SAID | {"Sunset": "Thu, 01 Apr 2027 00:00:00 GMT"}),
    ],
)
def test_an_answer_says_what_its_request_used(app: Dragonpost, reference: str, said: dict[str, str]) -> None:
    route = "/dragons/{name}" if reference.startswith("/dragons/") else "/dragons"

    headers = app(proxy_event("GET", reference, route), None)["headers"]

    assert {name: headers[name] for name in SAID if name in headers} == said


def test_nothing_goes_before_it_is_deprecated() -> None:
    with pytest.raises(ValueError, match="deprecated since 2027-07-01 cannot be gone on 2027-01-01"):
        deprecated(since=JULY, sunset=JANUARY)


@pytest.fixture
def document(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The document, if one route and one parameter of another were deprecated."""
    monkeypatch.setattr(deprecations, "EXPOSED_HEADERS", (*EXPOSED_HEADERS, *SAID))
    for path, parameter in (("/dragons", "limit"), ("/families", None)):
        view = openapi.routes()["GET", path].view_function
        monkeypatch.setattr(view, "deprecations", (), raising=False)
        deprecated(JANUARY, JULY, parameter)(view)
    return json.loads(json.dumps(openapi.document()))


def test_the_document_marks_what_is_deprecated_and_declares_the_headers(document: dict[str, Any]) -> None:
    validate(document)
    listing, families = document["paths"]["/dragons"]["get"], document["paths"]["/families"]["get"]

    assert [found.get("name") for found in listing["parameters"] if found.get("deprecated")] == ["limit"]
    assert "deprecated" not in listing
    assert families["deprecated"]
    assert families["description"].endswith("Deprecated since 2027-01-01; it goes on 2027-07-01.")
    assert SAID.keys() <= listing["responses"]["200"]["headers"].keys()
    text = json.dumps({path: item for path, item in document["paths"].items() if path not in ("/dragons", "/families")})
    assert "Deprecat" not in text
    assert "deprecated" not in text


@pytest.mark.parametrize(
    ("parameter", "exposed", "fault"),
    [("colour", SAID, "listDragons has no query parameter colour"), ("limit", (), "add Deprecation and Sunset to")],
)
def test_a_deprecation_that_clients_would_not_see_is_an_error(
    monkeypatch: pytest.MonkeyPatch, parameter: str, exposed: Any, fault: str
) -> None:
    monkeypatch.setattr(deprecations, "EXPOSED_HEADERS", (*EXPOSED_HEADERS, *exposed))
    view = openapi.routes()["GET", "/dragons"].view_function
    monkeypatch.setattr(view, "deprecations", (), raising=False)
    deprecated(JANUARY, JULY, parameter)(view)

    with pytest.raises(CannotGenerate, match=fault):
        openapi.document()
