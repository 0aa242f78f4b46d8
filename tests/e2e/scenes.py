"""Every view of the console and the docs page, always with the same answers: for axe, and for comparing pictures.

The operator's sign-in is real. The browser answers the console's requests to the API by itself, from the data below.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.e2e.browser import Visit
from tests.e2e.scripted import (
    AWAITED,
    COMPANY,
    LETTER,
    LETTER_ALONE,
    LETTER_UNREADABLE,
    OF_SEVERAL,
    ORDER,
    STORED,
    TAKEN,
    UNREADABLE,
    Answer,
    answer,
    found,
    many_families,
    not_ready,
    problem,
    some_dragons,
)

ZONE = "Europe/Zurich"
_NOW = 1_702_371_600_000  # 2023-12-12T09:00:00Z: what happened in the answers was a while ago
_TOO_LONG_MS = 5 * 60 * 1000  # the console waits for a message for a minute
# The console's clock stands still, so that an age and the time of what is posted are always the same.
_STOP_CLOCK = """now => (globalThis.Date = class extends Date {
  constructor(...given) { super(...(given.length ? given : [now])); }
  static now() { return now; }
})"""
_PEOPLE = {
    "newcomer": {"sub": "newcomer", "email": "newcomer@dragonpost.example"},
    "member": {"sub": "member", "email": "member@dragonpost.example", "custom:company_id": COMPANY},
}


@dataclass(frozen=True)
class Scene:
    """A view: where it is, what somebody does there, and what is to be seen then.

    It is the operator's, unless it says `nobody`, `newcomer` (somebody without a company), or `member` (of a company).
    `instead` are the answers that are not as always, by their paths. `complaint` is what the browser says of an answer
    that is meant to be bad. Pictures show the `whole` page, or one screen of it. What is `rare` looks so much like
    another view that `make prove` alone looks at it. `on_paper` is what is printed.
    """

    address: str
    seen: str
    act: Callable[[Page], None] | None = None
    user: str = "operator"
    path: str = "/"
    instead: Mapping[str, Answer] = field(default_factory=dict)
    complaint: str = ""
    whole: bool = True
    rare: bool = False
    on_paper: bool = False


def _report(page: Page) -> None:
    form = page.get_by_role("form", name="Report")
    for name, status in {"Kilnsong": "Added", "Nettlewing": "Under way", "Ashfall": "Refused"}.items():
        form.get_by_role("button", name="Fill in an example").click()
        form.get_by_label("Name").fill(name)
        form.get_by_role("button", name="Report").click()
        expect(page.locator("#watched > li", has_text=name)).to_contain_text(status)
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
    for control in form.locator("input:not([type=checkbox]), textarea").all():
        control.fill("+")
    form.get_by_role("button", name="Report").click()


def _fill_in_message(page: Page, message_id: str = TAKEN, amount: str = "21") -> None:
    values = {
        "Order amount": amount,
        "Order time": "2023-12-10T22:00:00Z",
        "Order id": ORDER,
        "Further data": '"items": [{"sku": "honey", "price": 2.50}]',
        "Message id": message_id,
        "Company id": COMPANY,
        "Message time": "2023-12-10T22:02:38Z",
    }
    form = page.get_by_role("form", name="Message")
    for label, text in values.items():
        form.get_by_label(label).fill(text)


def _post(page: Page, message_id: str = TAKEN, amount: str = "21") -> None:
    _fill_in_message(page, message_id, amount)
    page.get_by_role("button", name="Post", exact=True).click()


def _post_and_wait(page: Page) -> None:
    _post(page, AWAITED)


def _post_and_wait_too_long(page: Page) -> None:
    _wait_too_long(page, AWAITED)


def _post_and_never_read(page: Page) -> None:
    _wait_too_long(page, UNREADABLE)


def _wait_too_long(page: Page, message_id: str) -> None:
    _post(page, message_id)
    expect(page.locator("#message-shown .status")).to_be_visible()
    page.evaluate(_STOP_CLOCK, page.evaluate("Date.now()") + _TOO_LONG_MS)


def _post_two_and_list(page: Page) -> None:
    for message_id, amount, status in ((TAKEN, "21", "Refused"), (AWAITED, "0.30", "Accepted")):
        _post(page, message_id, amount)
        expect(page.locator("#message-shown .status")).to_have_text(status)
        page.evaluate("location.hash = '#/messages/new'")
        expect(page.get_by_role("form", name="Message")).to_be_visible()
    page.evaluate("location.hash = '#/messages'")


def _repeat_badly(page: Page) -> None:
    expect(page.locator("#repeated")).to_be_visible()
    _fill_in_message(page)
    page.get_by_label("Further data").fill('"items": [')
    page.get_by_role("button", name="Post", exact=True).click()


def _look_up(page: Page) -> None:
    page.get_by_role("combobox").fill("b")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("ArrowDown")


def _look_up_id(page: Page) -> None:
    page.get_by_role("combobox").fill(TAKEN)


def _unfold_families(page: Page) -> None:
    page.locator("#families summary").click()


def _from_elsewhere(page: Page) -> None:
    page.locator(".printed").evaluate(f"line => (line.textContent = '{_ELSEWHERE}/' + location.hash)")


def _correct(page: Page) -> None:
    page.get_by_role("button", name="Correct or remove").click()
    expect(page.get_by_role("dialog").get_by_label("City")).not_to_have_value("")


def _correct_badly(page: Page) -> None:
    _correct(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").locator(".fault")).to_be_visible()
    page.get_by_role("button", name="Remove", exact=True).click()


def _own_names(page: Page) -> None:
    page.get_by_role("button", name="own names").click()


def _say_it_as_it_is(page: Page) -> None:
    page.locator("#letter summary").click()


def _delete_too_late(page: Page) -> None:
    page.get_by_role("button", name="Save as JSON").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Really delete it?").click()


def _redrive(page: Page) -> None:
    page.get_by_role("button", name="Redrive").click()


def _send_anew(page: Page) -> None:
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("The message, as JSON").fill('{"metadata": {}}')
    page.get_by_role("button", name="Send anew").click()
    page.get_by_role("button", name="Really send it?").click()


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


def _find_no_description(page: Page) -> None:
    page.route("**/openapi.json", lambda route: route.fulfill(status=503), times=1)
    page.reload()


def _sign_in_too_late(page: Page) -> None:
    page.reload()
    expect(page.locator(".opblock").first).to_be_visible()
    _let_cognito_answer(page, _signed_in("newcomer", lasts_s=0))
    _sign_in(page)
    expect(page.get_by_role("dialog")).to_be_visible()
    _without_its_address(page)


def _sign_in(page: Page) -> None:
    page.get_by_label("User name").fill(_PEOPLE["newcomer"]["email"])
    page.get_by_label("Password", exact=True).fill("Given-to-them-1!")
    page.get_by_role("button", name="Sign in").click()


def _let_cognito_answer(page: Page, signing_in: dict[str, Any] | None) -> None:
    """Have the browser answer for Cognito: with this when somebody signs in, with nothing when they sign out.

    No token is renewed. If there is no answer to signing in, Cognito itself gives it.
    """
    endpoint = page.locator("html").get_attribute("data-cognito-endpoint") or ""

    def say(route: Route) -> None:
        action = route.request.headers["x-amz-target"].rpartition(".")[2]
        if action == "GetTokensFromRefreshToken":
            route.fulfill(status=400, json={"__type": "NotAuthorizedException", "message": "Refresh Token has expired"})
        elif action == "InitiateAuth" and signing_in is None:
            route.fallback()
        else:
            route.fulfill(json=signing_in if action == "InitiateAuth" else {})

    page.route(re.compile(re.escape(endpoint.rstrip("/")) + "/?$"), say)


def _signed_in(user: str, *, lasts_s: int) -> dict[str, Any]:
    """Return Cognito's answer for one of the people above, with a token that only the browser reads."""
    claims = {**_PEOPLE[user], "iat": 0, "exp": lasts_s}
    token = f".{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}."
    return {"AuthenticationResult": {"IdToken": token, "RefreshToken": "any"}}


def _without_its_address(page: Page) -> None:
    """Take away what is another each time: the port that this run got."""
    page.locator("#servers option").evaluate(f"option => (option.textContent = '{_ELSEWHERE}')")


_ELSEWHERE = "https://dragonpost.example"


def _open_an_operation(page: Page) -> None:
    page.locator(".opblock", has=page.locator('[data-path="/families"]')).locator(".opblock-summary-control").click()
    expect(page.get_by_role("button", name="Execute")).to_be_visible()
    _without_its_address(page)
    page.locator(".opblock.is-open").evaluate("operation => operation.scrollIntoView()")


_NONE_OF_THEM = found([])
_UNAVAILABLE = problem(
    503, "The service is unavailable", "The registry cannot be read right now. Try again in a moment."
)
SCENES = {
    "welcome": Scene("#/dragons/Ashfall", "#sign-in", user="nobody"),
    "sign-in-refused": Scene("#/dragons", ".refusal:not(:empty)", _sign_in, user="nobody", rare=True),
    "new-password": Scene("#/dragons/Ashfall", "#new_password", _sign_in_for_the_first_time, user="nobody"),
    "dragons": Scene("#/dragons", ".card"),
    "dragons-later": Scene(
        "#/dragons?cursor=x&page=2",
        "#families details[open]",
        _unfold_families,
        instead={"dragons": some_dragons(), "families": many_families()},
        rare=True,
    ),
    "dragons-table": Scene("#/dragons?view=table&family=red", "tbody tr"),
    "dragons-none": Scene("#/dragons?namePrefix=Zz&family=red", ".empty"),
    "dragons-empty": Scene("#/dragons", ".empty", instead={"dragons": _NONE_OF_THEM, "families": _NONE_OF_THEM}),
    "dragons-unavailable": Scene("#/dragons", ".problem", instead={"dragons": _UNAVAILABLE}, complaint="503"),
    "dragon": Scene("#/dragons/Ashfall", ".sheet"),
    "dragon-none": Scene("#/dragons/Nobody", ".empty"),
    "dragon-printed": Scene("#/dragons/Ashfall", ".printed", _from_elsewhere, rare=True, on_paper=True),
    "lookup": Scene("#/dragons/Amberwick", "[aria-selected=true]", _look_up),
    "lookup-id": Scene("#/dragons/Amberwick", "[role=option]", _look_up_id, rare=True),
    "find-none": Scene("#/find?q=00000000-0000-4000-8000-000000000000", ".empty"),
    "find-nobody": Scene("#/find?q=Zyx", ".empty"),
    "report-first": Scene("#/reports/new", "#watched .note", rare=True),
    "report": Scene("#/reports/new", "#watched .stages", _report),
    "report-faults": Scene("#/reports/new", "#report .fault", _report_nothing_valid),
    "reports": Scene("#/reports", "tbody tr"),
    "reports-none": Scene("#/reports", ".empty", instead={"submissions": _NONE_OF_THEM}),
    "submission-pending": Scene("#/reports/Nettlewing", "#steps li"),
    "submission": Scene("#/reports/Kilnsong", "#steps li"),
    "submission-failed": Scene("#/reports/Quillmere", "#steps li", rare=True),
    "submission-own-names": Scene("#/reports/Ashfall", ".own-names", _own_names),
    "submission-none": Scene("#/reports/nothing", ".empty"),
    "messages-whose": Scene("#/messages", ".empty"),
    "messages": Scene(f"#/messages?company_id={COMPANY}", "tbody tr"),
    "messages-none": Scene(f"#/messages?company_id={COMPANY}&from=2023-12-11T00:00:00.000Z", ".empty"),
    "messages-never": Scene(f"#/messages?company_id={COMPANY}", ".empty", instead={"messages": _NONE_OF_THEM}),
    "message": Scene(f"#/messages/{STORED}?company_id={COMPANY}", ".members"),
    "message-none": Scene("#/messages/0a1b2c3d-0000-4000-8000-00000000000f", ".empty"),
    "message-of-several": Scene(
        f"#/messages/{OF_SEVERAL}", "h3:has-text('Several companies')", complaint="400", rare=True
    ),
    "post": Scene("#/messages/new", "#message-form", _fill_in_message),
    "post-faults": Scene(
        f"#/messages/new?repeat={STORED}&company_id={COMPANY}", "#message-form .fault", _repeat_badly, rare=True
    ),
    "message-refused": Scene("#/messages/new", ".differs", _post),
    "operations": Scene("#/letters", "tbody tr"),
    "operations-none": Scene(
        "#/letters", ".empty", instead={"operator/dead-letters": found({"count": 0, "dead_letters": []})}
    ),
    "operations-ill": Scene(
        "#/letters",
        "#ready .failed",
        instead={"ready": not_ready(), "operator/dead-letters": found({"count": 24, "dead_letters": []})},
        complaint="503",
        rare=True,
    ),
    "letter": Scene(f"#/letters/{LETTER}", ".differs"),
    "letter-alone": Scene(f"#/letters/{LETTER_ALONE}", "#letter details[open]", _say_it_as_it_is, rare=True),
    "letter-unreadable": Scene(f"#/letters/{LETTER_UNREADABLE}", ".actions .problem", _delete_too_late, rare=True),
    "letter-faults": Scene(f"#/letters/{LETTER}", "[aria-invalid]", _send_anew),
    "letter-redriven": Scene(f"#/letters/{LETTER}", ".empty", _redrive),
    "letter-none": Scene("#/letters/63aaed90-7553-4751-adc1-000000000000", ".empty"),
    "timeline-whose": Scene("#/timeline", ".empty"),
    "timeline": Scene(f"#/timeline?id={TAKEN}", "#moments li"),
    "timeline-failed": Scene("#/timeline?id=Quillmere", "#moments li", rare=True),
    "timeline-report": Scene("#/timeline?id=Ashfall", "#moments li", rare=True),
    "timeline-own-names": Scene(f"#/timeline?id={TAKEN}", ".own-names", _own_names),
    "timeline-none": Scene("#/timeline?id=00000000-0000-4000-8000-000000000000", ".empty"),
    "message-accepted": Scene("#/messages/new", "#message-shown .pending", _post_and_wait),
    "message-late": Scene("#/messages/new", ".empty", _post_and_wait_too_long),
    "message-unread": Scene("#/messages/new", ".empty", _post_and_never_read),
    "correct": Scene("#/dragons/Ashfall", "dialog[open]", _correct, whole=False),
    "correct-faults": Scene("#/dragons/Ashfall", "[data-sure]", _correct_badly, whole=False, rare=True),
    "again": Scene("#/reports/new", "dialog[open]", _be_interrupted, whole=False),  # the last of the operator's
    "messages-no-company": Scene("#/messages", ".empty", user="newcomer"),
    "messages-own": Scene("#/messages/new", "tbody .rejected", _post_two_and_list, user="member", rare=True),
    "docs": Scene("", ".opblock", _without_its_address, user="nobody", path="/docs"),
    "docs-new-password": Scene(
        "", "#new_password", _sign_in_for_the_first_time, user="nobody", path="/docs", whole=False
    ),
    "docs-unavailable": Scene(
        "",
        "#swagger main",
        _find_no_description,
        user="nobody",
        path="/docs",
        complaint="503",
        rare=True,
    ),
    "docs-again": Scene("", "dialog[open]", _sign_in_too_late, user="nobody", path="/docs", whole=False),
    "docs-signed-in": Scene("", "#who", _without_its_address, user="newcomer", path="/docs", whole=False),
    "docs-operation": Scene("", "[id].is-open", _open_an_operation, user="newcomer", path="/docs", whole=False),
}


def scenes(visited: Visit, names: set[str] | None = None) -> Iterator[tuple[str, Page]]:
    """Go through the views, or those that are named. Yield the name of each and the page."""
    unknown = (names or set()) - SCENES.keys()
    assert not unknown, f"no scene is called {unknown}"
    here = None
    instead: dict[str, Answer] = {}
    for name, scene in SCENES.items():
        if names is not None and name not in names:
            continue
        if here != (here := (scene.path, scene.user)):
            _enter(visited, *here, instead)
        instead.clear()
        instead.update(scene.instead)
        yield name, _play(visited, scene)


def _enter(visited: Visit, path: str, user: str, instead: Mapping[str, Answer]) -> None:
    """Open one of the two pages, as somebody who has just come."""
    page = visited.page
    if page.url != "about:blank":
        page.evaluate("sessionStorage.clear()")  # or whoever was here before would go on, with a clock that moves
    page.unroute_all()
    api = re.compile(
        re.escape(visited.api.base_url) + "/(dragons|families|submissions|messages?|post-message|operator|ready)\\b"
    )
    page.route(api, lambda route: answer(route, visited.api.base_url, instead))
    visited.open(path)
    page.evaluate("document.fonts.ready")
    if path == "/docs":
        expect(page.locator(".opblock").first).to_be_visible()
    else:
        page.evaluate(_STOP_CLOCK, _NOW)
    if user == "operator":
        visited.sign_in(user)
    elif user in _PEOPLE:
        _let_cognito_answer(page, _signed_in(user, lasts_s=3600))
        _sign_in(page)
    elif page.locator("html").get_attribute("data-people"):
        expect(page.locator(".people")).to_be_visible()
    if user != "nobody":
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def _play(visited: Visit, scene: Scene) -> Page:
    page = visited.page
    page.emulate_media(media="print" if scene.on_paper else "screen")
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
