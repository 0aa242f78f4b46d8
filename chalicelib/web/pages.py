"""The pages for people: the console, the interactive documentation, and the files they are made of.

Nothing is read before somebody asks for it, and nothing but the version is kept: an API function that is never asked
for a page pays for neither. Pages refer to everything by relative URLs, so they work below any stage prefix.
"""

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from string import Template

import msgspec

from chalicelib.dragons.model import FIELDS
from chalicelib.web import problems
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.requests import Request, header
from chalicelib.web.responses import Reply, revalidated

STATIC = Path(__file__).parent / "static"

ASSETS = frozenset({
    "api.js", "aside.js", "beside.js", "console.css", "console.js", "docs.css", "docs.js", "dom.js",
    "dragon.js", "dragonpost.svg", "dragons.js", "editor.js", "exact.js", "fields.js", "figtree-ext.woff2",
    "figtree.woff2", "fonts.css", "fonts.txt", "fraunces.woff2", "fresh.js", "graph.js", "kept.js", "letter.js",
    "letters.js", "lists.js", "lookup.js", "message.js", "messages.js", "post.js", "registry.js", "report.js",
    "reports.js", "routes.js", "session.js", "signin.js", "stages.js", "submission.js", "timeline.js",
    "times.js", "workflow.json",
})  # fmt: skip

# Swagger UI comes from a pinned package in vendor/ (requirements-vendor.txt). It is found, never imported: its Python
# needs packages that are not installed.
SWAGGER_UI_PACKAGE = "star_openapi_swagger"
SWAGGER_UI = {
    "swagger-ui.css": "templates/swagger/css/swagger-ui.css",
    "swagger-ui-bundle.js": "templates/swagger/js/swagger-ui-bundle.js",
}
SWAGGER_UI_MAX_AGE_S = 86_400

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}

# https://www.w3.org/TR/CSP3/. Swagger UI needs nothing beyond it: it sets styles through the DOM, and its icons are
# data: images of its own style sheet.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self' {cognito}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The console never makes HTML from text, and the browser enforces that. (Swagger UI does, from text that it sanitises.)
_NO_HTML_FROM_TEXT = "; require-trusted-types-for 'script'; trusted-types 'none'"


class _Info(msgspec.Struct):
    version: str


class _Document(msgspec.Struct):
    info: _Info


def console(request: Request, client_id: str) -> Reply:
    """Return the console, or a redirect to its canonical address.

    Takes the user pool client's id, with which people sign in.
    """
    path: str = request.context["path"]
    if not path.endswith("/"):  # AWS serves `/prod` as well, from where `static/…` would lead to `/static/…`
        return _moved(path.rpartition("/")[2] + "/")
    policy = _POLICY + _NO_HTML_FROM_TEXT
    return _page("console.html", request, policy, client_id=client_id, dragon_fields=_dragon_fields())


def docs(request: Request, client_id: str) -> Reply:
    """Return the interactive documentation, or a redirect to its canonical address.

    Takes the user pool client's id, with which people sign in. Ends the request with 404 if this deployment was
    packaged without Swagger UI.
    """
    if request.context["path"].endswith("/"):
        return _moved("../docs")
    for name in SWAGGER_UI:
        _swagger_ui_file(name)
    return _page("docs.html", request, _POLICY, client_id=client_id)


def asset(name: str, if_none_match: str | None) -> Reply:
    """Return a file that a page refers to, or 304. Ends the request with 404 for any other name."""
    if name in SWAGGER_UI:
        # A new version comes with a deployment, and seldom, so browsers need not ask each time.
        return _file(_swagger_ui_file(name), if_none_match, f"public, max-age={SWAGGER_UI_MAX_AGE_S}")
    if name in ASSETS:
        return _file(STATIC / name, if_none_match, "no-cache")
    raise ProblemRaised(problems.FILE_NOT_FOUND)


def openapi_document(if_none_match: str | None) -> Reply:
    """Return the API's OpenAPI document, or 304. `make generate` writes it."""
    return _file(STATIC / "openapi.json", if_none_match, "no-cache")


@cache
def version() -> str:
    """Return the service's version, which the package states in its OpenAPI document and nowhere else."""
    return msgspec.json.decode((STATIC / "openapi.json").read_bytes(), type=_Document).info.version


def cognito_endpoint() -> str:
    """Return where browsers sign in: the stage's region on AWS, the embedded AWS locally."""
    local = os.environ.get("AWS_ENDPOINT_URL")
    if local:
        return local.rstrip("/") + "/"
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return f"https://cognito-idp.{region}.amazonaws.com/"


def _people() -> str:
    """Return where the sign-in form finds people to offer, as the devstack's server has it, or nothing."""
    return os.environ.get("DRAGONPOST_PEOPLE", "")


def _dragon_fields() -> str:
    """Return a dragon's fields as JSON in the console's order: the address comes last, its nearest part first."""
    return msgspec.json.encode(
        [
            {
                "name": name,
                "label": field.label,
                "lengthMax": field.rule.length_max,
                "ofAddress": field.address_part > 0,
                "examples": field.examples,
            }
            for name, field in sorted(FIELDS.items(), key=lambda item: item[1].address_part)
        ]
    ).decode()


def _page(name: str, request: Request, policy: str, **values: str) -> Reply:
    """Return a page with these values filled in, and with what the sign-in form needs."""
    import html  # noqa: PLC0415 - every cold start would import its table of entities

    endpoint = cognito_endpoint()
    template = Template((STATIC / name).read_text(encoding="utf-8"))
    values |= {"cognito_endpoint": endpoint, "people": _people()}
    page = template.substitute({place: html.escape(value) for place, value in values.items()})
    headers = {
        "Content-Type": _CONTENT_TYPES[".html"],
        "Content-Security-Policy": policy.format(cognito=endpoint),
        "Referrer-Policy": "no-referrer",
    }
    return revalidated(page.encode(), header(request, "If-None-Match"), headers)


def _file(path: Path, if_none_match: str | None, cache_control: str) -> Reply:
    headers = {"Content-Type": _CONTENT_TYPES[path.suffix], "Cache-Control": cache_control}
    return revalidated(path.read_bytes(), if_none_match, headers)


def _swagger_ui_file(name: str) -> Path:
    spec = find_spec(SWAGGER_UI_PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder, SWAGGER_UI[name])
        if path.is_file():
            return path
    raise ProblemRaised(problems.SWAGGER_UI_NOT_FOUND)


def _moved(reference: str) -> Reply:
    # Relative (RFC 9110 §10.2.2), so it also works behind a proxy that adds a prefix of its own.
    return Reply(b"", 308, {"Location": reference, "Content-Type": "text/plain"})
