"""The pages as the app serves them. tests/e2e/test_browser.py tests what they do in a browser."""

from __future__ import annotations

import gzip
import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from chalicelib.dragons.model import FIELDS
from chalicelib.web import pages, problems
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.requests import Request
from operations import PROJECT
from operations.generate import CannotGenerate, workflow_graph
from tests.lambda_events import proxy_event

CONSOLE_BYTES_MAX = 120_000  # the typefaces included
PAGES = {"console.html", "docs.html"}
OF_DOCS = {"docs.css", "docs.js"}


@pytest.fixture(autouse=True)
def _in_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


@pytest.fixture
def swagger_ui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that holds the two files of Swagger UI, and nothing that could be imported."""
    package = tmp_path / pages.SWAGGER_UI_PACKAGE
    for place in pages.SWAGGER_UI.values():
        (package / place).parent.mkdir(parents=True, exist_ok=True)
        (package / place).write_text("of Swagger UI", encoding="utf-8")
    (package / "__init__.py").write_text("raise AssertionError('imported')", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *without_vendor()])
    yield package
    assert pages.SWAGGER_UI_PACKAGE not in sys.modules


def without_vendor() -> list[str]:
    return [path for path in sys.path if Path(path).name != "vendor"]


def request(path: str, context_path: str, **headers: str) -> Request:
    event: dict[str, Any] = proxy_event("GET", path, path, headers=headers)
    event["requestContext"]["path"] = context_path
    event["headers"] = {name.lower(): value for name, value in event["headers"].items()}
    event["pathParameters"] = {}
    return Request(event)


def refers_to(page: str) -> set[str]:
    """Return the URLs that a page refers to."""
    found: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update(value for name, value in attrs if name in ("href", "src") and value)

    Reader().feed(page)
    return found


class TestPages:
    @pytest.mark.usefixtures("swagger_ui")
    @pytest.mark.parametrize("page", ["console", "docs"])
    def test_the_policy_allows_only_the_server_and_cognito(self, page: str) -> None:
        reply = answered(page)
        policy = {
            name: values
            for name, *values in (part.split() for part in reply.headers["Content-Security-Policy"].split(";"))
        }

        assert policy["default-src"] == ["'none'"]
        assert policy["script-src"] == policy["style-src"] == policy["font-src"] == ["'self'"]
        assert policy["img-src"] == ["'self'", "data:"]
        assert policy["connect-src"] == ["'self'", "https://cognito-idp.eu-west-1.amazonaws.com/"]
        assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == ["'none'"]
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"

    def test_the_consoles_policy_forbids_making_html_from_text(self) -> None:
        assert (
            "require-trusted-types-for 'script'; trusted-types 'none'"
            in answered("console").headers["Content-Security-Policy"]
        )

    @pytest.mark.usefixtures("swagger_ui")
    @pytest.mark.parametrize("page", ["console", "docs"])
    def test_there_is_no_inline_script_or_style(self, page: str) -> None:
        text = answered(page).body.decode()

        assert text.count("<script") == text.count("<script defer src=") + text.count('<script type="module" src=')
        assert "<style" not in text
        assert not [word for word in text.split() if word.startswith(("style=", "onclick=", "onload=", "onsubmit="))]

    @pytest.mark.usefixtures("swagger_ui")
    @pytest.mark.parametrize("page", ["console", "docs"])
    def test_a_page_refers_only_to_known_files_by_relative_urls(self, page: str) -> None:
        other = {"docs", "openapi.json", "./"}

        files = {reference for reference in refers_to(answered(page).body.decode()) if reference[0] != "#"} - other

        assert files <= {f"static/{name}" for name in (*pages.ASSETS, *pages.SWAGGER_UI)}

    def test_values_from_the_settings_are_escaped(self) -> None:
        reply = pages.console(request("/", "/prod/"), '"><script>alert(1)</script>')

        assert b'data-client-id="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in reply.body

    def test_the_console_has_a_dragons_fields_in_the_order_of_its_forms(self) -> None:
        (text,) = re.findall('data-dragon-fields="(.*?)"', answered("console").body.decode())
        fields = json.loads(html.unescape(text))

        assert {field["name"]: field["label"] for field in fields} == {
            name: field.label for name, field in FIELDS.items()
        }
        names = [field["name"] for field in fields]
        assert names[:3] == ["dragon_name_str", "family_str", "description_str"]
        assert names[-4:] == [f"location_{part}_str" for part in ("neighborhood", "city", "state", "country")]

    @pytest.mark.parametrize(
        ("environment", "endpoint"),
        [
            ({}, "https://cognito-idp.us-east-1.amazonaws.com/"),
            ({"AWS_DEFAULT_REGION": "eu-west-1"}, "https://cognito-idp.eu-west-1.amazonaws.com/"),
            (
                {"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-west-1"},
                "https://cognito-idp.eu-north-1.amazonaws.com/",
            ),
            ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/", "AWS_REGION": "eu-north-1"}, "http://127.0.0.1:4566/"),
        ],
    )
    def test_people_sign_in_where_the_stage_is(
        self, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], endpoint: str
    ) -> None:
        for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        assert pages.cognito_endpoint() == endpoint

    def test_the_console_has_what_a_form_needs_of_each_field(self) -> None:
        (text,) = re.findall('data-dragon-fields="(.*?)"', answered("console").body.decode())
        fields = {field.pop("name"): field for field in json.loads(html.unescape(text))}

        assert fields == {
            name: {
                "label": field.label,
                "lengthMax": field.rule.length_max,
                "ofAddress": name.startswith("location_"),
                "examples": list(field.examples),
            }
            for name, field in FIELDS.items()
        }

    def test_the_document_is_asked_for_again_each_time(self) -> None:
        reply = pages.openapi_document(None)

        assert reply.headers["Cache-Control"] == "no-cache"
        assert pages.openapi_document(reply.headers["ETag"]).status_code == 304

    def test_a_local_page_signs_in_at_the_embedded_aws(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")

        assert b'data-cognito-endpoint="http://127.0.0.1:4566/"' in answered("console").body

    @pytest.mark.usefixtures("swagger_ui")
    @pytest.mark.parametrize("page", ["console", "docs"])
    def test_a_page_offers_nobody_unless_the_local_server_says_where_they_are(
        self, monkeypatch: pytest.MonkeyPatch, page: str
    ) -> None:
        assert b'data-people=""' in answered(page).body
        monkeypatch.setenv("DRAGONPOST_PEOPLE", "devstack/people")
        assert b'data-people="devstack/people"' in answered(page).body

    def test_a_page_that_the_browser_has_is_not_sent_again(self) -> None:
        etag = answered("console").headers["ETag"]

        reply = pages.console(request("/", "/prod/", **{"If-None-Match": etag}), "client")

        assert (reply.status_code, reply.body) == (304, b"")

    @pytest.mark.usefixtures("swagger_ui")
    def test_each_page_has_one_address_so_that_relative_urls_work(self) -> None:
        """`/prod/` and `/prod/docs` resolve to `/prod/static/…`; `/prod` and `/prod/docs/` would not."""
        of_stage = pages.console(request("/", "/prod"), "client")
        of_mapped = pages.console(request("/", "/v1/prod"), "client")
        of_docs = pages.docs(request("/docs", "/prod/docs/"), "client")

        assert (of_stage.status_code, of_stage.headers["Location"]) == (308, "prod/")
        assert of_mapped.headers["Location"] == "prod/"
        assert (of_docs.status_code, of_docs.headers["Location"]) == (308, "../docs")
        assert (of_docs.body, of_docs.headers["Content-Type"]) == (b"", "text/plain")

    def test_docs_without_swagger_ui_say_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "path", without_vendor())

        with pytest.raises(ProblemRaised) as raised:
            answered("docs")

        assert raised.value.problem == problems.SWAGGER_UI_NOT_FOUND


class TestAssets:
    def test_every_static_file_is_an_asset_or_a_page(self) -> None:
        files = {path.name for path in pages.STATIC.iterdir()}

        assert files == pages.ASSETS | PAGES | {"openapi.json"}

    @pytest.mark.parametrize(
        ("name", "content_type"),
        [
            ("console.js", "text/javascript; charset=utf-8"),
            ("console.css", "text/css; charset=utf-8"),
            ("dragonpost.svg", "image/svg+xml"),
            ("workflow.json", "application/json"),
            ("figtree.woff2", "font/woff2"),
            ("fonts.txt", "text/plain; charset=utf-8"),
        ],
    )
    def test_an_asset_has_its_type_and_is_revalidated(self, name: str, content_type: str) -> None:
        reply = pages.asset(name, None)

        assert (reply.status_code, reply.headers["Content-Type"]) == (200, content_type)
        assert reply.headers["Cache-Control"] == "no-cache"
        assert pages.asset(name, reply.headers["ETag"]).status_code == 304

    @pytest.mark.parametrize("name", ["console.html", "../pages.py", "..%2Fpages.py", "/etc/passwd", "", "x.js"])
    def test_no_other_file_is_served(self, name: str) -> None:
        with pytest.raises(ProblemRaised) as raised:
            pages.asset(name, None)

        assert raised.value.problem == problems.FILE_NOT_FOUND

    @pytest.mark.usefixtures("swagger_ui")
    def test_browsers_may_cache_swagger_ui(self) -> None:
        reply = pages.asset("swagger-ui.css", None)

        assert (reply.body, reply.headers["Content-Type"]) == (b"of Swagger UI", "text/css; charset=utf-8")
        assert reply.headers["Cache-Control"] == "public, max-age=86400"
        assert pages.asset("swagger-ui.css", reply.headers["ETag"]).status_code == 304

    def test_the_console_is_light(self) -> None:
        files = (pages.ASSETS | {"console.html"}) - OF_DOCS
        size = sum(len(gzip.compress((pages.STATIC / name).read_bytes(), 5)) for name in files)
        print(f"console: {size:,} bytes compressed")

        assert size < CONSOLE_BYTES_MAX

    def test_no_script_makes_html_from_text(self) -> None:
        forbidden = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function")

        for path in pages.STATIC.glob("*.js"):
            assert not [word for word in forbidden if word in path.read_text(encoding="utf-8")], path.name

    def test_nothing_is_stored_but_a_session_and_what_is_kept_for_it_and_that_only_for_its_tab(self) -> None:
        for path in pages.STATIC.glob("*.js"):
            text = path.read_text(encoding="utf-8")
            assert not [word for word in ("localStorage", "indexedDB", "cookie =") if word in text], path.name
            assert "sessionStorage" not in text or path.name in {"session.js", "kept.js"}

    @pytest.mark.parametrize("script", ["console.js", "docs.js"])
    def test_whoever_signs_out_on_either_page_leaves_nothing_of_what_was_kept(self, script: str) -> None:
        """`kept.js` forgets it when the session ends, on each page that loads it."""
        assert "kept.js" in imported_by(script)


def imported_by(script: str) -> set[str]:
    """Return the scripts that a script loads, by itself or through others."""
    found: set[str] = set()
    to_read = {script}
    while to_read:
        text = (pages.STATIC / to_read.pop()).read_text(encoding="utf-8")
        new = set(re.findall(r'^import .*?"\./(.*?)"', text, re.MULTILINE)) - found
        found |= new
        to_read |= new
    return found


def test_the_app_reads_no_page_before_a_client_asks_for_one() -> None:
    program = """
import sys
opened = []
sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == "open" else None)
import app
print([path for path in opened if "/static/" in path or "swagger" in path])
print([name for name in sys.modules if "swagger" in name])
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)

    assert ran.stdout.split() == ["[]", "[]"]


class TestWorkflowGraph:
    def test_it_has_every_state_and_every_transition(self) -> None:
        definition = json.loads(workflow_graph.DEFINITION.read_text(encoding="utf-8"))
        graph = workflow_graph.graph_of(definition)
        states = {state["name"]: state for state in graph["states"]}

        assert states.keys() == definition["States"].keys()
        for name, state in definition["States"].items():
            rules = [state, *state.get("Choices", ()), *state.get("Catch", ())]
            ways = {rule["Next"] for rule in rules if "Next" in rule} | (
                {state["Default"]} if "Default" in state else set()
            )
            assert {edge["to"] for edge in states[name]["edges"]} == ways

    def test_a_state_that_nobody_has_words_for_is_named(self) -> None:
        unknown = {"StartAt": "Nap", "States": {"Nap": {"Type": "Succeed"}}}

        with pytest.raises(CannotGenerate, match="Nap: say in WORDS"):
            workflow_graph.graph_of(unknown)

    def test_there_are_words_for_no_other_states_and_they_fit_into_two_lines(self) -> None:
        graph = json.loads(workflow_graph.GRAPH.read_text(encoding="utf-8"))
        said = {name: words for states in workflow_graph.WORDS.values() for name, words in states.items()}

        assert said == {state["name"]: state["words"] for state in graph["states"]}
        assert max(map(len, said.values())) <= 32

    def test_no_two_states_are_in_the_same_place_and_transitions_lead_down(self) -> None:
        graph = json.loads(workflow_graph.GRAPH.read_text(encoding="utf-8"))
        states = {state["name"]: state for state in graph["states"]}

        assert len({(state["lane"], state["rank"]) for state in graph["states"]}) == len(states)
        for state in graph["states"]:
            assert all(states[edge["to"]]["rank"] > state["rank"] for edge in state["edges"])

    def test_a_loop_is_refused(self) -> None:
        loop = {
            "StartAt": "Added?",
            "States": {"Added?": {"Type": "Pass", "Next": "Added"}, "Added": {"Type": "Pass", "Next": "Added?"}},
        }

        with pytest.raises(CannotGenerate, match="loop"):
            workflow_graph.graph_of(loop)

    def test_a_definition_that_cannot_be_read_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "broken.json").write_text("{", encoding="utf-8")
        monkeypatch.setattr(workflow_graph, "DEFINITION", tmp_path / "broken.json")

        with pytest.raises(CannotGenerate, match=r"broken\.json is not JSON"):
            workflow_graph.files()


def answered(page: str) -> Any:
    if page == "console":
        return pages.console(request("/", "/prod/"), "client")
    return pages.docs(request("/docs", "/prod/docs"), "client")
