"""Every view of the console and the docs page, always with the same answers: for axe, and for comparing pictures.

The operator's sign-in is real. The browser answers the console's requests to the API by itself, from the data below.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from playwright.sync_api import Page, Route, expect

from operations import PROJECT
from tests.e2e.browser import Visit

ZONE = "Europe/Zurich"
COMPANY = "e0721e56-fb09-4273-ae74-7bcbc92d43eb"
_DRAGONS = sorted(
    json.loads((PROJECT / "infrastructure" / "dragons.json").read_text(encoding="utf-8")),
    key=lambda dragon: dragon["dragon_name_str"].casefold(),
)
_STEPS = ["Complete?", "RecordPending", "ValidateDragon", "Valid?", "Reporter?", "AddDragon", "Added?"]
_ENDS = {
    "added": ["ComposeAdded", "NotifyAdded", "Confirmation?", "RecordAdded", "Added"],
    "rejected": ["ComposeRejected", "NotifyRejected", "RecordRejected", "Rejected"],
    "pending": [],
}
_REPORTS = {
    "Nettlewing": ("pending", None),
    "Ashfall": ("rejected", "A dragon named Ashfall is in the registry."),
    "Kilnsong": ("added", None),
}
_MESSAGES = {
    "0a1b2c3d-0000-4000-8000-000000000003": "19.90",
    "0a1b2c3d-0000-4000-8000-000000000002": "12345678901234567890.12",
    "0a1b2c3d-0000-4000-8000-000000000001": "7",
}
_TAKEN = next(iter(_MESSAGES))
_UNREAD = "0a1b2c3d-0000-4000-8000-000000000009"
_AWAITED = "0a1b2c3d-0000-4000-8000-000000000004"  # accepted, and stored by nobody
_LETTERS = {
    "63aaed90-7553-4751-adc1-1bcefa7652da": (
        f"conflict: {COMPANY}/{_TAKEN}.json is archived with another payload",
        _TAKEN,
    ),
    "63aaed90-7553-4751-adc1-1bcefa7652db": ("failed every delivery", _UNREAD),
    "63aaed90-7553-4751-adc1-1bcefa7652dc": ("unreadable: not JSON: Expecting value at character 1", None),
}
_LETTER = next(iter(_LETTERS))
_PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Scene:
    """A view: where it is, what somebody does there, and what is to be seen then.

    It is the operator's, unless it says `nobody`, or `newcomer`: somebody without a company. `complaint` is what the
    browser says of an answer that is meant to be bad. On a phone, pictures show the `whole` page, or one screen of it.
    """

    address: str
    seen: str
    act: Callable[[Page], None] | None = None
    user: str = "operator"
    path: str = "/"
    complaint: str = ""
    whole: bool = True


def _report(page: Page) -> None:
    form = page.get_by_role("form", name="Report")
    for name in ("Kilnsong", "Ashfall"):
        form.get_by_role("button", name="Fill in an example").click()
        form.get_by_label("Name").fill(name)
        form.get_by_role("button", name="Report").click()
        expect(page.locator("#watched > li", has_text=name)).to_contain_text(re.compile("Added|Refused"))
    expect(page.get_by_role("link", name="See the dragon that has the name")).to_be_visible()
    _fill_in_report(page)


def _fill_in_report(page: Page) -> None:
    form = page.get_by_role("form", name="Report")
    for label, text in {"Family": "green", "Description": "Hums.", "City": "Delft", "Country": "Netherlands"}.items():
        form.get_by_label(label).fill(text)
    for label in ("Neighbourhood", "State or region"):
        form.get_by_label(label).fill("Old Town")


def _report_nothing_valid(page: Page) -> None:
    form = page.get_by_role("form", name="Report")
    form.get_by_role("button", name="Clear").click()
    for field in form.locator("input:not([type=checkbox]), textarea").all():
        field.fill("+")
    form.get_by_role("button", name="Report").click()


def _fill_in_message(page: Page) -> None:
    values = {
        "Order amount": "21",
        "Order time": "2023-12-10T22:00:00Z",
        "Order id": "a929b88e-bc47-4f7d-9584-61c3c94ad2f2",
        "Further data": '"items": [{"sku": "honey", "price": 2.50}]',
        "Message id": _TAKEN,
        "Company id": COMPANY,
        "Message time": "2023-12-10T22:02:38Z",
    }
    form = page.get_by_role("form", name="Message")
    for label, text in values.items():
        form.get_by_label(label).fill(text)


def _post_another(page: Page) -> None:
    _fill_in_message(page)
    page.get_by_role("button", name="Post", exact=True).click()


def _look_up(page: Page) -> None:
    page.get_by_role("combobox").fill("b")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("ArrowDown")


def _correct(page: Page) -> None:
    page.get_by_role("button", name="Correct or remove").click()
    expect(page.get_by_role("dialog").get_by_label("City")).not_to_have_value("")


def _own_names(page: Page) -> None:
    page.get_by_role("button", name="own names").click()


def _no_letters(page: Page) -> None:
    none = {"count": 0, "dead_letters": []}
    page.route("**/operator/dead-letters", lambda route: route.fulfill(json=none), times=1)
    page.get_by_role("button", name="Refresh").click()


def _send_anew(page: Page) -> None:
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("The message, as JSON").fill('{"metadata": {}}')
    page.get_by_role("button", name="Send anew").click()
    page.get_by_role("button", name="Really send it?").click()


def _no_dragons(page: Page) -> None:
    page.route(re.compile(r"/(dragons|families)\?"), lambda route: route.fulfill(json=[]), times=2)
    _show_anew(page, "Dragons")


def _unavailable(page: Page) -> None:
    ill = _problem(503, "The service is unavailable", "The registry cannot be read right now. Try again in a moment.")
    page.route(re.compile(r"/dragons\?"), lambda route: route.fulfill(**ill), times=1)
    _show_anew(page, "Dragons")


def _show_anew(page: Page, view: str) -> None:
    page.get_by_role("navigation", name="Views").get_by_role("link", name=view).click()


def _post_and_wait(page: Page) -> None:
    _fill_in_message(page)
    page.get_by_label("Message id").fill(_AWAITED)
    page.get_by_role("button", name="Post", exact=True).click()


def _post_and_wait_too_long(page: Page) -> None:
    _post_and_wait(page)
    expect(page.locator("#message-shown .status")).to_be_visible()
    page.evaluate("at => (Date.now = () => at)", page.evaluate("Date.now()") + 5 * 60 * 1000)


def _sign_in_for_the_first_time(page: Page) -> None:
    _let_cognito_answer(page, {"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "any"})
    _sign_in(page)


def _be_interrupted(page: Page) -> None:
    """Report a dragon with a token that is no longer good, twelve hours after signing in."""
    form = page.get_by_role("form", name="Report")
    form.get_by_role("button", name="Clear").click()
    form.get_by_label("Name").fill("Kilnsong")
    _fill_in_report(page)
    page.route("**/dragons", lambda route: route.fulfill(status=401, json={}), times=1)
    _let_cognito_answer(page, None)
    form.get_by_role("button", name="Report").click()


def _sign_in_too_late(page: Page) -> None:
    page.reload()
    expect(page.locator(".opblock").first).to_be_visible()
    _let_cognito_answer(page, _signed_in(lasts_s=0))
    _sign_in(page)
    expect(page.get_by_role("dialog")).to_be_visible()
    _without_its_address(page)


def _sign_in(page: Page) -> None:
    page.get_by_label("User name").fill(_NEWCOMER)
    page.get_by_label("Password", exact=True).fill("Given-to-them-1!")
    page.get_by_role("button", name="Sign in").click()


def _let_cognito_answer(page: Page, signing_in: dict[str, Any] | None) -> None:
    """Have the browser answer for Cognito: with this when somebody signs in, with nothing when they sign out.

    No token is renewed. If there is no answer to signing in, Cognito itself gives it.
    """
    endpoint = page.locator("html").get_attribute("data-cognito-endpoint") or ""

    def answer(route: Route) -> None:
        action = route.request.headers["x-amz-target"].rpartition(".")[2]
        if action == "GetTokensFromRefreshToken":
            route.fulfill(status=400, json={"__type": "NotAuthorizedException", "message": "Refresh Token has expired"})
        elif action == "InitiateAuth" and signing_in is None:
            route.fallback()
        else:
            route.fulfill(json=signing_in if action == "InitiateAuth" else {})

    page.route(re.compile(re.escape(endpoint.rstrip("/")) + "/?$"), answer)


def _signed_in(*, lasts_s: int) -> dict[str, Any]:
    """Return Cognito's answer for somebody without a company, with a token that only the browser reads."""
    claims = {"sub": "newcomer", "email": _NEWCOMER, "iat": 0, "exp": lasts_s}
    token = f".{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}."
    return {"AuthenticationResult": {"IdToken": token, "RefreshToken": "any"}}


_NEWCOMER = "newcomer@dragonpost.example"


def _without_its_address(page: Page) -> None:
    """Take away what is another each time: the port that this run got."""
    page.locator("#servers option").evaluate("option => (option.textContent = 'https://dragonpost.example')")


def _open_an_operation(page: Page) -> None:
    page.locator(".opblock", has=page.locator('[data-path="/families"]')).locator(".opblock-summary-control").click()
    expect(page.get_by_role("button", name="Execute")).to_be_visible()
    _without_its_address(page)
    page.locator(".opblock.is-open").evaluate("operation => operation.scrollIntoView()")


SCENES = {
    "welcome": Scene("#/dragons/Ashfall", "#sign-in", user="nobody"),
    "new-password": Scene("#/dragons/Ashfall", "#new_password", _sign_in_for_the_first_time, user="nobody"),
    "dragons": Scene("#/dragons", ".card"),
    "dragons-table": Scene("#/dragons?view=table&family=red", "tbody tr"),
    "dragons-none": Scene("#/dragons?namePrefix=Zz&family=red", ".empty"),
    "dragons-empty": Scene("#/dragons", ".empty", _no_dragons),
    "dragons-unavailable": Scene("#/dragons", ".problem", _unavailable, complaint="503"),
    "dragon": Scene("#/dragons/Ashfall", ".sheet"),
    "dragon-none": Scene("#/dragons/Nobody", ".empty"),
    "lookup": Scene("#/dragons/Amberwick", "[aria-selected=true]", _look_up),
    "find-none": Scene("#/find?q=00000000-0000-4000-8000-000000000000", ".empty"),
    "report": Scene("#/reports/new", "#watched .stages", _report),
    "report-faults": Scene("#/reports/new", "#report .fault", _report_nothing_valid),
    "reports": Scene("#/reports", "tbody tr"),
    "submission-pending": Scene("#/reports/Nettlewing", "#steps li"),
    "submission": Scene("#/reports/Kilnsong", "#steps li"),
    "submission-own-names": Scene("#/reports/Ashfall", ".own-names", _own_names),
    "submission-none": Scene("#/reports/nothing", ".empty"),
    "messages-whose": Scene("#/messages", ".empty"),
    "messages": Scene(f"#/messages?company_id={COMPANY}", "tbody tr"),
    "messages-none": Scene(f"#/messages?company_id={COMPANY}&from=2023-12-11T00:00:00.000Z", ".empty"),
    "message": Scene(f"#/messages/{list(_MESSAGES)[1]}?company_id={COMPANY}", ".members"),
    "message-none": Scene("#/messages/0a1b2c3d-0000-4000-8000-00000000000f", ".empty"),
    "post": Scene("#/messages/new", "#message-form", _fill_in_message),
    "message-refused": Scene("#/messages/new", ".differs", _post_another),
    "operations": Scene("#/letters", "tbody tr"),
    "operations-none": Scene("#/letters", ".empty", _no_letters),
    "letter": Scene(f"#/letters/{_LETTER}", ".differs"),
    "letter-faults": Scene(f"#/letters/{_LETTER}", "[aria-invalid]", _send_anew),
    "letter-none": Scene("#/letters/63aaed90-7553-4751-adc1-000000000000", ".empty"),
    "timeline": Scene(f"#/timeline?id={_TAKEN}", "#moments li"),
    "timeline-own-names": Scene(f"#/timeline?id={_TAKEN}", ".own-names", _own_names),
    "timeline-none": Scene("#/timeline?id=00000000-0000-4000-8000-000000000000", ".empty"),
    "message-accepted": Scene("#/messages/new", "#message-shown .pending", _post_and_wait),
    "message-late": Scene("#/messages/new", ".empty", _post_and_wait_too_long),  # the clock stands still from here on
    "correct": Scene("#/dragons/Ashfall", "dialog[open]", _correct, whole=False),
    "again": Scene("#/reports/new", "dialog[open]", _be_interrupted, whole=False),  # the last of the operator's
    "messages-no-company": Scene("#/messages", ".empty", user="newcomer"),
    "docs": Scene("", ".opblock", _without_its_address, user="nobody", path="/docs"),
    "docs-new-password": Scene(
        "", "#new_password", _sign_in_for_the_first_time, user="nobody", path="/docs", whole=False
    ),
    "docs-again": Scene("", "dialog[open]", _sign_in_too_late, user="nobody", path="/docs", whole=False),
    "docs-operation": Scene("", "[id].is-open", _open_an_operation, user="newcomer", path="/docs", whole=False),
}


def scenes(visited: Visit, names: set[str] | None = None) -> Iterator[tuple[str, Page]]:
    """Go through the views, or those that are named. Yield the name of each and the page."""
    unknown = (names or set()) - SCENES.keys()
    assert not unknown, f"no scene is called {unknown}"
    here = None
    for name, scene in SCENES.items():
        if names is not None and name not in names:
            continue
        if here != (here := (scene.path, scene.user)):
            _enter(visited, *here)
        yield name, _play(visited, scene)


def _enter(visited: Visit, path: str, user: str) -> None:
    """Open one of the two pages, as somebody who has just come."""
    page = visited.open(path)
    api = re.compile(
        re.escape(visited.api.base_url) + "/(dragons|families|submissions|messages?|post-message|operator|ready)\\b"
    )
    page.unroute_all()
    page.route(api, lambda route: _answer(route, visited.api.base_url))
    if page.evaluate("sessionStorage.length"):
        page.evaluate("sessionStorage.clear()")
        page.reload()
    page.evaluate("document.fonts.ready")
    if path == "/docs":
        expect(page.locator(".opblock").first).to_be_visible()
    if user == "operator":
        visited.sign_in(user)
    elif user == "newcomer":
        _let_cognito_answer(page, _signed_in(lasts_s=3600))
        _sign_in(page)
    elif page.locator("html").get_attribute("data-people"):
        expect(page.locator(".people")).to_be_visible()
    if user != "nobody":
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def _play(visited: Visit, scene: Scene) -> Page:
    page = visited.page
    page.evaluate("document.querySelectorAll('dialog[open]').forEach(dialog => dialog.close())")
    if scene.address:
        visited.at(scene.address)
    expect(page.locator("main > section:visible [aria-busy]")).to_have_count(0)
    if scene.act:
        scene.act(page)
    expect(page.locator(scene.seen).filter(visible=True).first).to_be_visible()
    if not scene.seen.startswith("["):
        page.evaluate("scrollTo(0, 0)")
    if scene.complaint:
        visited.complaints[:] = [complaint for complaint in visited.complaints if scene.complaint not in complaint]
    return page


def _answer(route: Route, base_url: str) -> None:
    request = urlsplit(route.request.url.removeprefix(base_url))
    _, noun, *rest = request.path.split("/")
    query = dict(parse_qsl(request.query))
    answer = _ANSWERS[route.request.method, noun](unquote("/".join(rest)), query, route)
    route.fulfill(**answer)


def _json(value: Any, **headers: str) -> dict[str, Any]:
    return {"json": value, "headers": headers}


def _problem(status: int, title: str, detail: str, **more: Any) -> dict[str, Any]:
    body = {"title": title, "status": status, "detail": detail, **more}
    return {"status": status, "content_type": _PROBLEM, "body": json.dumps(body)}


def _dragons(name: str, query: dict[str, str], _route: Route) -> dict[str, Any]:
    if name:
        found = [dragon for dragon in _DRAGONS if dragon["dragon_name_str"] == name]
        return _json(found[0], ETag='"one"') if found else _problem(404, "Not Found", "There is no such dragon.")
    begins, family = query.get("namePrefix", "").casefold(), query.get("family")
    matching = [
        dragon
        for dragon in _DRAGONS
        if dragon["dragon_name_str"].casefold().startswith(begins) and family in (None, dragon["family_str"])
    ]
    shown = matching[: int(query["limit"])]
    return _json(shown, **({"Link": '</dragons?cursor=x>; rel="next"'} if len(shown) < len(matching) else {}))


def _families(_name: str, _query: dict[str, str], _route: Route) -> dict[str, Any]:
    counts = Counter(dragon["family_str"] for dragon in _DRAGONS)
    return _json([{"family_str": family, "count": count} for family, count in sorted(counts.items())])


def _report_taken(_name: str, _query: dict[str, str], route: Route) -> dict[str, Any]:
    name = (route.request.post_data_json or {})["dragon_name_str"]
    if name not in _REPORTS:
        errors = [{"pointer": f"#/{field}", "detail": "must hold a letter or digit"} for field in _FAULTY]
        return _problem(400, "The request is not valid", "Some things are wrong; see errors.", errors=errors)
    body = {"submission_id": name, "status": "pending", "started_at": "2023-12-10T21:00:00.000Z"}
    return {**_json(body), "status": 202}


_FAULTY = ("dragon_name_str", "family_str", "location_city_str", "reportingPhoneNumber")


def _submissions(name: str, _query: dict[str, str], _route: Route) -> dict[str, Any]:
    if not name:
        return _json([_submission(each) for each in _REPORTS if each != "Nettlewing"])
    if name not in _REPORTS:
        return _problem(404, "Not Found", "There is no such submission.")
    status, _ = _REPORTS[name]
    taken = _STEPS[:3] if status == "pending" else _STEPS + _ENDS[status]
    steps = [
        {"name": step, "status": "succeeded", "at": f"2023-12-10T21:00:00.{at:03}Z"} for at, step in enumerate(taken)
    ]
    if status == "pending":
        steps[-1]["status"] = "running"
    return _json({**_submission(name), "steps": steps}, **({"Retry-After": "60"} if status == "pending" else {}))


def _submission(name: str) -> dict[str, Any]:
    status, reason = _REPORTS[name]
    settled = status != "pending"
    return {
        "submission_id": name,
        "status": status,
        "dragon_name_str": name,
        "reason": reason,
        "notification": "sent" if settled else None,
        "started_at": "2023-12-10T21:00:00.000Z",
        "finished_at": "2023-12-10T21:00:00.412Z" if settled else None,
    }


def _messages(_name: str, query: dict[str, str], _route: Route) -> dict[str, Any]:
    if "from" in query or query.get("company_id") != COMPANY:
        return _json([])
    rows = [
        f'{{"message_id": "{message_id}", "company_id": "{COMPANY}", "accepted_at": "2023-12-10T22:0{9 - at}:00Z", '
        f'"order_id": "a929b88e-bc47-4f7d-9584-61c3c94ad2f2", "order_amount": {amount}}}'
        for at, (message_id, amount) in enumerate(_MESSAGES.items())
    ]
    return {"content_type": "application/json", "body": f"[{', '.join(rows)}]"}


def _message(message_id: str, _query: dict[str, str], _route: Route) -> dict[str, Any]:
    if message_id not in _MESSAGES:
        return _problem(404, "Not Found", "No message is stored under this id.")
    body = f"""{{"metadata": {{"message_time": "2023-12-10T22:02:38Z", "company_id": "{COMPANY}",
        "message_id": "{message_id}", "message_s3_key": "{COMPANY}/{message_id}.json"}},
        "data": {{"order_id": "a929b88e-bc47-4f7d-9584-61c3c94ad2f2", "order_time": "2023-12-10T22:00:00Z",
        "order_amount": {_MESSAGES[message_id]}, "items": [{{"sku": "honey", "price": 2.5}}]}},
        "digest": "sha-256:0"}}"""
    return {"content_type": "application/json", "body": body}


def _posted(_name: str, _query: dict[str, str], route: Route) -> dict[str, Any]:
    if (route.request.post_data_json or {})["metadata"]["message_id"] == _AWAITED:
        return {**_json({"digest": "any"}), "status": 202}
    return _problem(409, "Another message is stored under this id", "It stays.")


def _operator(what: str, query: dict[str, str], _route: Route) -> dict[str, Any]:
    noun, _, letter_id = what.partition("/")
    if noun == "timeline":
        return _timeline(query["id"])
    if not letter_id:
        return _json({"count": 24, "dead_letters": [_listed(each) for each in _LETTERS]})
    if letter_id not in _LETTERS:
        return _problem(404, "Not Found", "The queue of dead letters has none with this id.")
    stored = _message(_TAKEN, {}, _route)["body"]
    refused = {**json.loads(stored), "digest": None, "data": {**json.loads(stored)["data"], "order_amount": 21}}
    del refused["digest"], refused["metadata"]["message_s3_key"]
    letter = {**_listed(letter_id), "attributes": {"correlation_id": _UNREAD}, "body": json.dumps(refused)}
    return {
        "content_type": "application/json",
        "headers": {"ETag": '"one"'},
        "body": f'{json.dumps(letter)[:-1]}, "stored": {stored}}}',
    }


def _listed(letter_id: str) -> dict[str, Any]:
    reason, message_id = _LETTERS[letter_id]
    company = COMPANY if message_id else None
    sent = "2023-12-10T22:02:38.113Z"
    return {"letter_id": letter_id, "sent_at": sent, "reason": reason, "message_id": message_id, "company_id": company}


def _timeline(wanted: str) -> dict[str, Any]:
    if wanted not in _MESSAGES:
        return _problem(404, "Not Found", "No store knows anything of this id.")
    reason, _ = _LETTERS[_LETTER]
    moments = [
        (
            "22:02:00.000",
            "bucket messages",
            f"archived, and indexed in table messages: {COMPANY}/{wanted}.json (330 bytes)",
        ),
        ("22:02:38.113", "queue messages-dead", f"dead letter {_LETTER} of company {COMPANY}: {reason}"),
    ]
    return _json(
        {
            "id": wanted,
            "answers": [
                f"message {wanted} of company {COMPANY}: stored",
                f"message {wanted} of company {COMPANY} is a dead letter: {reason}",
            ],
            "moments": [
                {"at": f"2023-12-10T{at}Z", "to_the_second": at.endswith("000"), "source": source, "what": what}
                for at, source, what in moments
            ],
            "limits": [],
            "related": {
                "messages": [wanted],
                "companies": [COMPANY],
                "submissions": [],
                "dead_letters": [_LETTER],
                "requests": [_UNREAD],
            },
        }
    )


def _replaced(_what: str, _query: dict[str, str], _route: Route) -> dict[str, Any]:
    errors = [
        {"pointer": "#/metadata/message_id", "detail": "is needed"},
        {"pointer": "#/data", "detail": "is needed"},
    ]
    return _problem(400, "The request is not valid", "Some things are wrong; see errors.", errors=errors)


def _ready(_name: str, _query: dict[str, str], _route: Route) -> dict[str, Any]:
    return _json({"status": "ready", "dependencies": []})


_ANSWERS = {
    ("GET", "dragons"): _dragons,
    ("GET", "families"): _families,
    ("POST", "dragons"): _report_taken,
    ("GET", "submissions"): _submissions,
    ("GET", "messages"): _messages,
    ("GET", "message"): _message,
    ("POST", "post-message"): _posted,
    ("GET", "operator"): _operator,
    ("POST", "operator"): _replaced,
    ("GET", "ready"): _ready,
}
