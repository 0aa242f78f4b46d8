"""The routes of the pages: public, compressed, and with the headers that every answer has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chalicelib.web import pages
from tests.integration.service import Service
from tests.lambda_events import AUDIENCE


def test_the_console_needs_no_token_and_knows_the_client(service: Service) -> None:
    answer = service.get("/", None, stage="")

    assert answer.status == 200
    assert f'data-client-id="{AUDIENCE}"' in answer.body.decode()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Request-Id"]


def test_a_page_can_be_asked_for_without_its_body(service: Service) -> None:
    answer = service.request("HEAD", "/", None, stage="")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["ETag"] == service.get("/", None, stage="").headers["ETag"]


def test_an_asset_is_served_and_another_name_is_a_problem(service: Service) -> None:
    assert service.get("/static/console.js", None).headers["Content-Type"] == "text/javascript; charset=utf-8"
    unknown = service.get("/static/app.py", None)
    assert (unknown.status, unknown.headers["Content-Type"]) == (404, "application/problem+json")


def test_the_openapi_document_is_public_and_not_sent_again_to_a_client_that_has_it(service: Service) -> None:
    answer = service.get("/openapi.json", None)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.body == (pages.STATIC / "openapi.json").read_bytes()
    assert service.get("/openapi.json", None, headers={"If-None-Match": answer.headers["ETag"]}).status == 304


def test_docs_are_served_or_say_what_is_missing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).name != "vendor"])

    answer = service.get("/docs", None)

    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert "operations.vendor" in answer.json()["detail"]
