"""The console and the docs page in a real browser, as people use them, on the local server and behind the gateway."""

from __future__ import annotations

import contextlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from chalicelib.messages.listing import ACCEPTED_AT_ID, keys
from operations import PROJECT
from tests.e2e import browser as real_browser
from tests.e2e.axe import faults, findings, moving, without_likenesses
from tests.e2e.browser import ACTS_WITHIN_MS, Visit, visit
from tests.e2e.messages import a_message, bury, exactly, post, stored
from tests.e2e.pictures import changed, not_comparable, pictures
from tests.e2e.running import Api
from tests.e2e.trying import Trying
from tests.e2e.waiting import until
from tests.people import COMPANIES
from tests.samples import dragon_members

PROGRAM = real_browser.program()
if PROGRAM is None:
    missing = "the console and docs are not looked at: no Chromium was found (install one, or set DRAGONPOST_BROWSER)"
    if os.environ.get("DRAGONPOST_REQUIRE_BROWSER") == "1":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing, allow_module_level=True)

WORKFLOW = json.loads((PROJECT / "infrastructure" / "dragons.asl.json").read_text(encoding="utf-8"))
MESSAGE_STORED_WITHIN_MS = 30_000
PROBLEM = "application/problem+json"
RED = "rgb(179, 38, 30)"  # what stands for "bad" on a light page

expect.set_options(timeout=ACTS_WITHIN_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM
    with real_browser.running(PROGRAM) as running:
        yield running


@pytest.fixture(scope="module")
def desks(browser: Browser, apis: dict[str, Api]) -> Iterator[Callable[[str, str], Visit]]:
    """Windows that tests share, by target and user, in which somebody has signed in: signing in takes a while."""
    with contextlib.ExitStack() as open_windows:
        opened: dict[tuple[str, str], Visit] = {}

        def desk(target: str, user: str) -> Visit:
            if (target, user) not in opened:
                opened[target, user] = open_windows.enter_context(real_browser.desk(browser, apis[target], user))
            return opened[target, user]

        yield desk


@pytest.fixture
def operator(desks: Callable[[str, str], Visit]) -> Iterator[Visit]:
    """The operator at the console of the local server, as the last test has left it."""
    yield from at_rest(desks("local", "operator"))


@pytest.fixture
def amber(desks: Callable[[str, str], Visit]) -> Iterator[Visit]:
    """Somebody of a company at the console of the local server, as the last test has left it."""
    yield from at_rest(desks("local", "amber"))


@pytest.fixture
def everywhere(desks: Callable[[str, str], Visit], api: Api) -> Iterator[Visit]:
    """The operator at the console of both targets in turn."""
    yield from at_rest(desks(api.target, "operator"))


def at_rest(visited: Visit) -> Iterator[Visit]:
    """Lend a window that others use, too. Fails at the end if anything in it complained."""
    visited.complaints.clear()
    yield visited
    visited.page.unroute_all()
    assert visited.complaints == []


@pytest.fixture
def local(browser: Browser, apis: dict[str, Api]) -> Iterator[Visit]:
    """A window for the local server's pages. Fails at the end if anything in it complained."""
    with visit(browser, apis["local"]) as visited:
        yield visited
        assert visited.complaints == []


@pytest.fixture
def anywhere(browser: Browser, api: Api) -> Iterator[Visit]:
    """A window for the pages of both targets in turn."""
    with visit(browser, api) as visited:
        yield visited
        assert visited.complaints == []


def a_name(kind: str = "Seen") -> str:
    return f"{kind} {uuid.uuid4().hex[:10]}"


def console(visited: Visit, user: str = "operator") -> Page:
    """Open the console and sign in: it shows the dragons."""
    page = visited.open()
    visited.sign_in(user)
    expect(page.get_by_role("heading", name="Dragons", level=2)).to_be_focused()
    return page


def report_form(page: Page) -> Locator:
    return page.get_by_role("form", name="Report")


def report(page: Page, name: str, **fields: str) -> None:
    """Fill in an example with this name and send it."""
    form = report_form(page)
    form.get_by_role("button", name="Fill in an example").click()
    form.get_by_label("Name").fill(name)
    for label, text in fields.items():
        form.get_by_label(label).fill(text)
    form.get_by_role("button", name="Report").click()


def watched(page: Page, name: str) -> Locator:
    """Return what the console shows of a report that is being watched."""
    return page.locator("#watched > li", has=page.get_by_role("link", name=name, exact=True))


def cards(page: Page) -> Locator:
    return page.locator(".card h3")


def sign_in_again(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Sign in again")


def refuse_renewal(route: Route) -> None:
    """Do as Cognito does twelve hours after somebody has signed in."""
    if route.request.headers["x-amz-target"].endswith("GetTokensFromRefreshToken"):
        route.fulfill(status=400, json={"__type": "NotAuthorizedException", "message": "Refresh Token has expired"})
    else:
        route.fallback()


def message_shown(page: Page) -> Locator:
    return page.locator("#message-shown")


def post_example(visited: Visit, **fields: str) -> str:
    """Post an example with these fields, and return its id."""
    form = visited.at("#/messages/new").get_by_role("form", name="Message")
    form.get_by_role("button", name="Fresh example").click()
    for label, text in fields.items():
        form.get_by_label(label.replace("_", " ")).fill(text)
    message_id = form.get_by_label("Message id").input_value()
    form.get_by_role("button", name="Post", exact=True).click()
    return message_id


def letter_shown(page: Page) -> Locator:
    return page.locator("#letter-shown")


def send_anew(page: Page) -> None:
    page.get_by_role("button", name="Send anew").click()
    page.get_by_role("button", name="Really send it?").click()


class TestBothPipelines:
    """What the console is for, on both targets. All its URLs are relative, so a stage prefix must not matter."""

    def test_a_reported_dragon_is_watched_until_it_is_added_and_found_as_one_types(self, everywhere: Visit) -> None:
        name = a_name()
        page = everywhere.at("#/reports/new")
        report(page, name)
        entry = watched(page, name)
        expect(entry.locator(".status")).to_have_text("Added")
        expect(report_form(page).get_by_label("Name")).to_have_value("")

        page.keyboard.press("Escape")
        page.get_by_role("heading", level=2).filter(visible=True).focus()
        page.keyboard.press("/")
        page.keyboard.type(name.lower()[:-1])
        page.get_by_role("option", name=name).wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")

        expect(page).to_have_url(re.compile(re.escape(f"#/dragons/{quote(name)}") + "$"))
        expect(page.locator(".sheet")).to_contain_text(name)

    def test_a_message_is_seen_accepted_stored_digit_for_digit_and_listed(self, everywhere: Visit) -> None:
        company = COMPANIES["amber"]
        message_id = post_example(everywhere, Order_amount="12345678901234567890.12", Company_id=company)
        page = everywhere.page
        status = message_shown(page).locator(".status")
        expect(status).to_have_text("Stored", timeout=MESSAGE_STORED_WITHIN_MS)
        expect(message_shown(page)).to_contain_text("12345678901234567890.12")

        everywhere.at(f"#/messages?company_id={company}")

        listed = page.locator("#messages-list tbody tr", has_text=message_id)
        expect(listed.locator(".amount")).to_have_text("12345678901234567890.12")

    def test_the_docs_send_the_token_of_the_user_who_signed_in(self, anywhere: Visit) -> None:
        (dragon,) = anywhere.api.get("/dragons?limit=1").json()
        page = anywhere.open("/docs")
        expect(page.locator(".opblock").first).to_be_visible()
        anywhere.sign_in("operator")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()

        operation = page.locator(".opblock", has=page.locator('[data-path="/dragons"]')).first
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Execute").click()

        expect(operation.locator(".live-responses-table .response .response-col_status")).to_contain_text("200")
        expect(operation.locator(".live-responses-table")).to_contain_text(dragon["dragon_name_str"])
        assert anywhere.api.base_url + "/dragons" in {url.split("?")[0] for url in anywhere.asked}
        self.assert_only_from_here(anywhere)

    def test_nothing_comes_from_any_other_origin(self, everywhere: Visit) -> None:
        expect(everywhere.at("#/dragons").locator(".card").first).to_be_visible()

        self.assert_only_from_here(everywhere)

    @staticmethod
    def assert_only_from_here(visited: Visit) -> None:
        cognito = visited.api.devstack.client("cognito-idp").meta.endpoint_url
        ours = {urlsplit(url).netloc for url in (visited.api.base_url, cognito)}
        assert {urlsplit(url).netloc for url in visited.asked if not url.startswith("data:")} <= ours


class TestTryingItOut:
    """On /docs, Execute gets what the document promises, and nobody has to fill anything in before. `make prove` goes
    through every operation: each takes seconds, because Swagger UI draws slowly without a graphics card.
    """

    def test_signing_in_keeps_what_was_typed_and_posts_for_the_users_company_and_the_next_user_sees_nothing_of_it(
        self, local: Visit
    ) -> None:
        trying = Trying(local)
        body = trying.body("postMessage")
        assert trying.execute("postMessage") == 401
        body.fill(body.input_value().replace('"order_amount": 20', '"order_amount": 21.50'))

        trying.sign_in("cobalt")
        assert trying.execute("postMessage") in (200, 202)
        assert trying.execute("listMessages") == 200
        expect(body).to_have_value(re.compile("21.50"))
        assert trying.filled_in("getSubmission") == {"submission_id": "", "steps": ""}
        assert trying.execute("reportDragon") == 202
        assert trying.filled_in("getSubmission")["submission_id"]

        trying.page.get_by_role("button", name="Sign out").click()
        assert trying.filled_in("getSubmission") == {"submission_id": "", "steps": ""}
        trying.sign_in("amber")
        expect(trying.body("postMessage")).to_have_value(re.compile(COMPANIES["amber"]))
        expect(body).not_to_have_value(re.compile("21.50"))
        expect(trying.page.locator(".live-responses-table")).to_have_count(0)


class TestSession:
    def test_nothing_is_shown_to_users_who_have_not_signed_in(self, local: Visit) -> None:
        page = local.open("/#/reports/new")

        expect(page.get_by_role("form", name="Sign in")).to_be_visible()
        expect(page.get_by_role("form", name="Report")).to_be_hidden()
        expect(page.get_by_role("navigation")).to_be_hidden()
        expect(page.get_by_text("Sign in to go on to: Report a dragon.")).to_be_visible()

    def test_a_link_leads_through_signing_in_to_what_it_names(self, local: Visit) -> None:
        page = local.open("/#/dragons/Ashfall")
        local.sign_in("amber")

        expect(page.locator(".sheet")).to_contain_text("Turns up a day before every eruption")
        expect(page).to_have_title(re.compile("^Ashfall "))

    def test_a_wrong_password_is_refused_with_the_reason(self, local: Visit) -> None:
        page = local.open()
        page.get_by_label("User name").fill("operator@dragonpost.example")
        page.get_by_label("Password", exact=True).fill("Wrong-password-1")
        page.get_by_role("button", name="Sign in").click()

        expect(page.get_by_role("alert").filter(has_text="The user name or password is wrong.")).to_be_visible()

    def test_signing_out_leaves_nothing_behind(self, local: Visit) -> None:
        page = console(local)
        expect(page.locator(".card").first).to_be_visible()
        local.at("#/reports/new")
        report_form(page).get_by_label("Name").fill("Halfwritten")
        page.reload()
        expect(report_form(page).get_by_label("Name")).to_have_value("Halfwritten")

        page.get_by_role("button", name="Sign out").click()

        expect(page.get_by_role("form", name="Sign in")).to_be_visible()
        expect(page.get_by_text("You are signed out.")).to_be_visible()
        expect(page.locator(".card")).to_have_count(0)
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        page.reload()
        expect(page.get_by_role("form", name="Sign in")).to_be_visible()

    def test_a_session_outlives_a_reload_and_an_hour_and_is_one_for_both_pages_and_all_tabs(self, local: Visit) -> None:
        page = console(local)
        page.reload()
        expect(page.locator(".card").first).to_be_visible()
        held = page.evaluate("JSON.stringify(sessionStorage)")
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]

        docs = page.context.new_page()
        docs.clock.install()
        docs.goto(local.api.base_url + "/docs")
        expect(docs.get_by_role("button", name="Sign out")).to_be_visible()
        docs.clock.fast_forward("01:00:00")
        page.wait_for_function("held => JSON.stringify(sessionStorage) !== held", arg=held)  # docs has renewed it
        page.get_by_label("Name begins with").fill("ashfa")
        expect(cards(page)).to_have_text(["Ashfall"])
        expect(docs.get_by_role("form", name="Sign in")).to_be_hidden()

        docs.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("You are signed out.")).to_be_visible()
        expect(page.locator(".card")).to_have_count(0)

    def test_a_sessions_end_loses_nothing_that_was_typed(self, local: Visit) -> None:
        """The report is refused, waits until its user has signed in again, and is sent."""
        page, name = console(local), a_name("Kept")
        local.at("#/reports/new")
        page.route(f"{local.api.base_url}/dragons", lambda route: route.fulfill(status=401, json={}), times=2)
        report(page, name, Description="Not to be typed twice.")

        again = sign_in_again(page)
        expect(again.get_by_text("The service no longer accepts your token.")).to_be_visible()
        expect(again.get_by_label("User name")).to_have_value(local.api.devstack.email("operator"))
        assert findings(page) == []
        page.keyboard.press("Escape")
        expect(again).to_be_visible()
        expect(page.locator("#report-description_str")).to_have_value("Not to be typed twice.")
        local.sign_in("operator")

        expect(again).to_be_hidden()
        expect(watched(page, name).locator(".status")).to_have_text("Added")

    def test_the_people_of_the_folder_are_let_in_with_one_click_and_only_by_the_local_server(
        self, local: Visit, apis: dict[str, Api]
    ) -> None:
        page = local.open()
        page.get_by_role("button", name="amber").click()
        expect(page.locator("#who")).to_contain_text(local.api.devstack.email("amber"))
        assert apis["gateway"].get("/devstack/people", None).status_code == 404

    def test_an_expired_session_says_so_and_keeps_what_was_typed_for_the_same_user_only(self, local: Visit) -> None:
        page = console(local)
        page.clock.install()
        page.route(local.api.devstack.client("cognito-idp").meta.endpoint_url + "/", refuse_renewal)
        page.reload()
        local.at("#/reports/new")
        report_form(page).get_by_label("Name").fill("Halfwritten")
        for user in ("operator", "amber"):
            page.clock.fast_forward("01:00:00")
            expect(sign_in_again(page).get_by_text("Your session has expired. Sign in again.")).to_be_visible()
            local.sign_in(user)
            expect(sign_in_again(page)).to_be_hidden()
            expect(page.locator("#who")).to_contain_text(local.api.devstack.email(user))
            if user == "operator":
                expect(report_form(page).get_by_label("Name")).to_have_value("Halfwritten")

        expect(page).to_have_url(re.compile("#/dragons$"))
        local.at("#/reports/new")
        expect(report_form(page).get_by_label("Name")).to_have_value("")

    def test_a_new_user_chooses_a_password_first(self, local: Visit) -> None:
        devstack = local.api.devstack
        email = f"new-{uuid.uuid4().hex[:8]}@dragonpost.example"
        devstack.client("cognito-idp").admin_create_user(
            UserPoolId=devstack.running["user_pool_id"],
            Username=email,
            TemporaryPassword="Given-to-them-1!",
            MessageAction="SUPPRESS",
        )
        page = local.open()
        page.get_by_label("User name").fill(email)
        page.get_by_label("Password", exact=True).fill("Given-to-them-1!")
        page.get_by_role("button", name="Sign in").click()

        too_late = {"__type": "NotAuthorizedException", "message": "Invalid session for the user."}
        endpoint = devstack.client("cognito-idp").meta.endpoint_url + "/"
        expect(page.get_by_label("New password")).to_be_focused()
        expect(page.get_by_label("Password", exact=True)).to_be_hidden()
        page.route(endpoint, lambda route: route.fulfill(status=400, json=too_late), times=1)
        page.get_by_label("New password").fill("Thought-of-too-late-1!")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert").filter(has_text="That took too long.")).to_be_visible()
        expect(page.get_by_label("Password", exact=True)).to_be_focused()
        page.get_by_role("button", name="Sign in").click()

        page.get_by_label("New password").fill(f"Their-own-{uuid.uuid4().hex[:8]}-A!")
        page.get_by_role("button", name="Sign in").click()

        expect(page.locator(".card").first).to_be_visible()
        expect(page.locator("#who")).to_contain_text("no company")


class TestFinding:
    def test_dragons_are_found_as_one_types_and_the_address_says_how(self, operator: Visit) -> None:
        page = operator.at("#/dragons")
        field = page.get_by_label("Name begins with")
        field.fill("")
        field.press_sequentially("am")

        expect(page).to_have_url(re.compile(r"#/dragons\?namePrefix=am$"))
        expect(cards(page)).to_have_text(["Amberwick"])
        expect(field).to_be_focused()
        field.press("ArrowDown")
        expect(page.get_by_role("link", name="Amberwick")).to_be_focused()
        field.press("Escape")
        expect(page).to_have_url(re.compile("#/dragons$"))
        expect(cards(page)).to_have_count(24)

    def test_families_have_counts_and_narrow_the_list_and_back_undoes_it(self, operator: Visit) -> None:
        page = operator.at("#/dragons?view=table")
        families = page.get_by_role("navigation", name="Families")
        expect(page.get_by_role("row")).to_have_count(25)
        red = families.get_by_role("link", name=re.compile(r"^red \d+$"))
        red.click()
        expect(page).to_have_url(re.compile(r"\?view=table&family=red$"))
        expect(page.get_by_role("cell", name="red", exact=True).first).to_be_visible()
        rows = page.locator("#dragons-list tbody tr")
        expect(rows.filter(has_not=page.locator(".family-red"))).to_have_count(0)
        expect(rows).to_have_count(int(str(red.inner_text()).split()[-1]))

        page.go_back()

        expect(page.get_by_role("row")).to_have_count(25)
        page.get_by_role("link", name="Cards").click()
        expect(cards(page)).to_have_count(24)
        expect(page.locator(".card.family-gold", has_text="Amberwick")).to_be_visible()

    def test_the_largest_families_are_those_of_all_or_it_says_of_how_many(self, operator: Visit) -> None:
        there_are = 450

        def list_them(route: Route) -> None:
            limit = int(dict(parse_qsl(urlsplit(route.request.url).query))["limit"])
            page = [{"family_str": f"kin {n:04}", "count": 1 + 7 * (n == 400)} for n in range(min(there_are, limit))]
            more = {"Link": '</families?cursor=x>; rel="next"'} if limit < there_are else {}
            route.fulfill(json=page, headers=more)

        operator.page.route("**/families?*", list_them)
        families = operator.at("#/dragons").get_by_role("navigation", name="Families")
        expect(families.get_by_role("link").nth(1)).to_have_text("kin 04008")
        expect(families).to_contain_text("440 more")
        expect(families).not_to_contain_text("there are more")

        there_are = 1_200
        operator.at("#/dragons")
        expect(families).to_contain_text("Of the first 1,000 families by name; there are more.")

    def test_pages_have_addresses_so_that_back_leads_back(self, operator: Visit) -> None:
        page = operator.at("#/dragons")
        expect(cards(page).first).to_have_text("Amberwick")

        page.get_by_role("link", name="Next page").click()
        expect(page.get_by_role("status").filter(has_text="page 2")).to_be_visible()
        expect(cards(page).first).not_to_have_text("Amberwick")
        page.get_by_role("link", name="First page").click()
        expect(cards(page).first).to_have_text("Amberwick")
        page.go_back()

        expect(cards(page).first).not_to_have_text("Amberwick")

    def test_an_empty_list_offers_the_next_step(self, operator: Visit) -> None:
        page = operator.at("#/dragons?namePrefix=Zzyzx")
        page.get_by_role("link", name="Report Zzyzx").click()
        expect(report_form(page).get_by_label("Name")).to_have_value("Zzyzx")
        report_form(page).get_by_role("button", name="Clear").click()

        operator.at("#/dragons/Nobody%20at%20all")
        expect(page.get_by_role("heading", name="No dragon is called Nobody at all.")).to_be_visible()

    def test_a_list_that_cannot_be_had_shows_nothing_of_another_and_leads_to_its_first_page(
        self, operator: Visit
    ) -> None:
        stored(operator.api, post(operator.api, a_message("7")).headers["Location"])
        page = operator.at(f"#/messages?company_id={COMPANIES['amber']}")
        rows = page.locator("#messages-list tbody tr")
        expect(rows.first).to_be_visible()
        operator.at("#/messages?company_id=nobody")
        expect(page.get_by_role("alert").filter(has_text="company_id")).to_be_visible()
        expect(rows).to_have_count(0)

        operator.at("#/dragons?cursor=of-another-version&page=2")
        page.get_by_role("link", name="First page").click()
        expect(cards(page).first).to_have_text("Amberwick")

    def test_a_list_that_cannot_be_had_just_now_offers_to_look_again(self, operator: Visit) -> None:
        page, ill = operator.page, {"title": "Unavailable", "status": 503, "detail": "Not right now."}
        answer = {"status": 503, "content_type": PROBLEM, "json": ill}
        page.route(re.compile(r"/dragons\?"), lambda route: route.fulfill(**answer), times=1)
        operator.at("#/dragons?family=red")
        expect(page.get_by_role("alert").filter(has_text="Not right now.")).to_be_visible()
        operator.complaints.clear()  # the browser's, about the 503

        page.get_by_role("button", name="Look again").click()

        expect(cards(page).first).to_have_text("Cinder")

    def test_the_address_holds_the_company_and_its_own_link_shows_a_page_anew(self, operator: Visit) -> None:
        company = COMPANIES["amber"]
        page = operator.at(f"#/messages?company_id={company}")
        operator.at("#/dragons")
        page.get_by_role("link", name="Messages", exact=True).click()
        expect(page).to_have_url(re.compile(f"#/messages\\?company_id={company}$"))

        page.get_by_role("link", name="Any", exact=True).scroll_into_view_if_needed()
        with page.expect_request(re.compile("/messages\\?")):
            page.get_by_role("link", name="Any", exact=True).click()

    def test_the_field_at_the_top_takes_any_id(self, operator: Visit) -> None:
        company, message_id = COMPANIES["amber"], str(uuid.uuid4())
        message = a_message("7", message_id=message_id)
        stored(operator.api, post(operator.api, message).headers["Location"])
        name = a_name()
        submission = operator.api.post("/dragons", json=dragon_members(name)).json()
        of_message = f"#/messages/{message_id}?company_id={company}"
        where = {
            message_id: of_message,
            f"{operator.api.base_url}/message/{message_id}": of_message,
            company: f"#/messages?company_id={company}",
            json.loads(message)["data"]["order_id"]: of_message,  # of the company that was named just before
            submission["submission_id"]: f"#/reports/{submission['submission_id']}",
            submission["execution_arn"]: f"#/reports/{submission['submission_id']}",
            "ASHFALL": "#/dragons/Ashfall",
        }
        page = operator.page
        for text, address in where.items():
            page.get_by_role("combobox").fill(text)
            page.get_by_role("combobox").press("Enter")
            expect(page).to_have_url(re.compile(re.escape(address) + "$"))

        unknown = str(uuid.uuid4())
        page.get_by_role("combobox").fill(f"arn:aws:states:us-east-1:123456789012:execution:dragons:{unknown}")
        page.get_by_role("combobox").press("Enter")
        expect(page.get_by_role("heading", name=f"Nothing that you may see has the id {unknown}.")).to_be_visible()

    def test_ones_own_company_and_the_key_of_a_stored_message_are_looked_up(self, amber: Visit) -> None:
        page, message_id = amber.at("#/dragons"), str(uuid.uuid4())
        stored(amber.api, post(amber.api, a_message("7", message_id=message_id)).headers["Location"])
        for text, found in {
            COMPANIES["amber"].upper(): "#/messages$",
            f"{COMPANIES['amber']}/{message_id}.json": f"#/messages/{message_id}$",
        }.items():
            page.get_by_role("combobox").fill(text)
            page.get_by_role("combobox").press("Enter")
            expect(page).to_have_url(re.compile(found))

    def test_a_company_that_does_not_exist_does_not_stand_in_the_way_of_what_does(self, operator: Visit) -> None:
        message_id = str(uuid.uuid4())
        stored(operator.api, post(operator.api, a_message("7", message_id=message_id)).headers["Location"])
        page = operator.at("#/messages?company_id=acme")
        expect(page.get_by_role("alert").filter(has_text="company_id")).to_be_visible()

        page.get_by_role("combobox").fill(message_id)
        page.get_by_role("combobox").press("Enter")

        expect(page).to_have_url(re.compile(f"#/messages/{message_id}\\?company_id="))

    def test_text_that_users_typed_is_never_html(self, operator: Visit) -> None:
        name, typed = a_name("Bold"), "<img src=x onerror=alert(1)><b>bold</b>"
        page = operator.at("#/reports/new")
        report(page, name, Description=typed, Family="<i>red</i>")
        expect(watched(page, name).locator(".status")).to_have_text("Added")

        operator.at(f"#/dragons?namePrefix={quote(name)}")
        expect(page.locator(".card", has_text=name)).to_contain_text(typed)
        page.get_by_role("link", name=name).click()

        expect(page.locator(".sheet")).to_contain_text(typed)
        expect(page.locator(".sheet")).to_contain_text("<i>red</i>")
        assert page.locator("main :is(img, b, i)").filter(has_text="bold").count() == 0

    def test_an_operator_corrects_and_removes(self, operator: Visit) -> None:
        name = a_name("Mistaken")
        assert (
            operator.api.post("/dragons", json=dragon_members(name), headers={"Prefer": "wait=10"}).status_code == 201
        )
        page = operator.at(f"#/dragons/{quote(name)}")
        page.get_by_role("button", name=f"Correct or remove {name}").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("Name")).to_have_value(name)

        dialog.get_by_label("City").fill("Elsewhere")
        dialog.get_by_role("button", name="Save").click()
        expect(page.locator(".sheet")).to_contain_text("Elsewhere")

        page.get_by_role("button", name=f"Correct or remove {name}").click()
        expect(dialog.get_by_label("City")).to_have_value("Elsewhere")
        dialog.get_by_role("button", name="Remove").click()
        dialog.get_by_role("button", name="Really remove it?").click()
        expect(page).to_have_url(re.compile("#/dragons$"))

    def test_what_was_typed_into_a_correction_outlives_escape_and_a_reload_until_it_is_cancelled(
        self, operator: Visit
    ) -> None:
        page = operator.page
        city = page.get_by_role("dialog").get_by_label("City")
        is_there = ""
        for name, typed in {"Ashfall": "Elsewhere", "Amberwick": "Nowhere"}.items():
            operator.at(f"#/dragons/{name}")
            page.get_by_role("button", name=f"Correct or remove {name}").click()
            expect(city).not_to_have_value("")
            is_there = is_there or city.input_value()
            city.fill(typed)
            page.keyboard.press("Escape")
        operator.at("#/dragons/Ashfall")
        page.reload()

        page.get_by_role("button", name="Correct or remove").click()
        expect(city).to_have_value("Elsewhere")
        expect(page.get_by_role("dialog")).to_contain_text("This is what you typed before. Cancel forgets it.")
        page.get_by_role("button", name="Cancel").click()

        page.get_by_role("button", name="Correct or remove").click()
        expect(city).to_have_value(is_there)
        page.get_by_role("button", name="Cancel").click()

    def test_a_correction_that_is_saved_late_leaves_another_dragons_alone(self, operator: Visit) -> None:
        page = operator.at("#/dragons/Ashfall")
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        city = page.get_by_role("dialog").get_by_label("City")
        page.route("**/dragons/Ashfall", hold, times=2)  # to read it, and to save it
        with page.expect_request("**/dragons/Ashfall"):
            page.get_by_role("button", name="Correct or remove Ashfall").click()
        held.pop().fallback()
        expect(city).not_to_have_value("")
        with page.expect_request("**/dragons/Ashfall"):
            page.get_by_role("button", name="Save").click()
        page.keyboard.press("Escape")
        operator.at("#/dragons/Amberwick")
        page.get_by_role("button", name="Correct or remove Amberwick").click()
        expect(city).not_to_have_value("")
        city.fill("Nowhere")

        with page.expect_response("**/dragons/Ashfall"):
            held.pop().fulfill(json={})

        page.get_by_role("dialog").get_by_role("button", name="Cancel").focus()  # by now, the page knows
        expect(city).to_have_value("Nowhere")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()

    def test_only_operators_are_offered_corrections(self, amber: Visit) -> None:
        page = amber.at("#/dragons/Ashfall")
        expect(page.locator(".sheet")).to_be_visible()

        expect(page.get_by_role("button", name="Correct")).to_have_count(0)


class TestReporting:
    def test_several_reports_are_watched_at_once_and_a_refused_one_leads_to_the_dragon_that_has_the_name(
        self, amber: Visit
    ) -> None:
        page, name = amber.at("#/reports/new"), a_name()
        report(page, name)
        expect(watched(page, name)).to_be_visible()
        report(page, "Ashfall", Description="Not the one you know.")

        expect(watched(page, "Ashfall").locator(".status")).to_have_text("Refused")
        expect(watched(page, name).locator(".status")).to_have_text("Added")
        expect(report_form(page).get_by_label("Description")).to_have_value("Not the one you know.")
        watched(page, "Ashfall").get_by_role("link", name="See the dragon that has the name").click()
        expect(page.locator(".sheet")).to_contain_text("Turns up a day before every eruption")

    def test_what_was_typed_is_put_aside_when_something_else_takes_its_place_and_can_be_taken_back(
        self, amber: Visit
    ) -> None:
        page = amber.at("#/reports/new")
        name = report_form(page).get_by_label("Name")
        name.fill("Half typed")
        amber.at("#/dragons?namePrefix=Xylo")
        page.get_by_role("link", name="Report Xylo").click()
        expect(name).to_have_value("Xylo")
        page.reload()
        expect(name).to_have_value("Xylo")
        name.fill("Another")
        for typed in ("Half typed", "Another"):
            page.get_by_role("button", name="Take it back").click()
            expect(name).to_have_value(typed)

        amber.at("#/messages/new")
        amount = page.get_by_label("Order amount")
        amount.fill("5.55")
        page.get_by_role("button", name="Fresh example").click()
        expect(amount).not_to_have_value("5.55")
        page.get_by_role("button", name="Take it back").click()
        expect(amount).to_have_value("5.55")

    def test_a_reload_keeps_what_was_typed_and_goes_on_watching(self, amber: Visit) -> None:
        page, name = amber.at("#/reports/new"), a_name()
        pending = {"dragon_name_str": name, "status": "pending", "started_at": "2023-12-10T21:00:00.000Z", "steps": []}
        page.route("**/submissions/*", lambda route: route.fulfill(json={**pending, "submission_id": "it"}), times=1)
        report(page, name)
        expect(watched(page, name).locator(".status")).to_have_text("Under way")
        report(page, "Ashfall", Description="Not the one you know.", **{"Your phone number": "+15555550100"})
        report_form(page).get_by_label("Text me").check()
        expect(watched(page, "Ashfall").first.locator(".status")).to_have_text("Refused")

        page.reload()

        expect(report_form(page).get_by_label("Name")).to_have_value("Ashfall")
        expect(report_form(page).get_by_label("Description")).to_have_value("Not the one you know.")
        expect(report_form(page).get_by_label("Your phone number")).to_have_value("+15555550100")
        expect(report_form(page).get_by_label("Text me")).to_be_checked()
        expect(watched(page, "Ashfall").first).to_contain_text("See the dragon that has the name")
        expect(watched(page, name).locator(".status")).to_have_text("Added")

    def test_a_refused_report_can_be_changed_from_its_page_only_where_it_is_still_known(self, amber: Visit) -> None:
        page = amber.at("#/reports/new")
        report(page, "Amberwick", Description="Not to be typed twice.")
        watched(page, "Amberwick").get_by_role("link", name="Amberwick", exact=True).click()
        expect(page.locator("#submission-shown .status")).to_have_text("Refused")
        elsewhere = page.context.new_page()
        elsewhere.goto(page.url)
        expect(elsewhere.locator("#submission-shown")).to_contain_text("Only the tab that it was sent from")
        expect(elsewhere.get_by_role("link", name="Change it and report again")).to_have_count(0)
        elsewhere.close()

        amber.at("#/reports/new")
        report_form(page).get_by_role("button", name="Clear").click()
        page.go_back()
        page.reload()
        page.get_by_role("link", name="Change it and report again").click()

        expect(page).to_have_url(re.compile("#/reports/new$"))
        expect(report_form(page).get_by_label("Description")).to_have_value("Not to be typed twice.")
        report_form(page).get_by_label("Name").fill("Changed")
        page.reload()
        expect(report_form(page).get_by_label("Name")).to_have_value("Changed")
        report_form(page).get_by_role("button", name="Clear").click()

    def test_a_reports_page_shows_its_path_in_words_and_the_workflows_own_names(self, amber: Visit) -> None:
        page = amber.at("#/reports/new")
        report(page, "Ashfall")
        watched(page, "Ashfall").first.get_by_role("link", name="Ashfall", exact=True).click()

        expect(page.locator("#submission-shown .reason")).to_contain_text("in the registry")
        steps = page.locator("#steps li")
        expect(steps.last).to_contain_text("Refused")
        expect(steps.first).to_have_text(re.compile(r"^Is it complete\?"), use_inner_text=True)
        expect(page.locator("#workflow .state")).to_have_count(len(WORKFLOW["States"]))
        expect(page.locator('#workflow .edge[data-status="taken"]')).to_have_count(steps.count() - 1)
        path = re.compile("Path taken: Complete.*ValidateDragon.*Rejected")
        expect(page.get_by_role("img", name=path)).to_be_visible()

        page.get_by_role("button", name="own names").click()
        expect(steps.first).to_have_text(re.compile(r"^Complete\?"), use_inner_text=True)

        amber.at("#/reports")
        expect(page.locator("#reports-list tbody tr").first).to_contain_text("Ashfall")
        expect(page.locator("#reports-list tbody tr").first).to_contain_text("Refused")

    def test_times_are_in_the_readers_zone(self, browser: Browser, apis: dict[str, Api]) -> None:
        with visit(browser, apis["local"], zone="Asia/Tokyo") as visited:
            visited.open("/#/reports")
            visited.sign_in("amber")
            page = visited.page
            shown = page.locator("#reports-list time").first
            said = shown.get_attribute("title")
            assert said
            hour = (datetime.fromisoformat(said).astimezone(ZoneInfo("Asia/Tokyo"))).strftime("%I:%M:%S %p")
            expect(shown).to_contain_text(hour)
            expect(page.get_by_text("Times are in your zone, Asia/Tokyo.")).to_be_visible()

    def test_faults_are_shown_at_their_fields(self, operator: Visit) -> None:
        page = operator.at("#/reports/new")
        report(page, "../x", **{"Your phone number": "+0123"})

        name = report_form(page).get_by_label("Name")
        expect(name).to_be_focused()
        expect(name).to_have_attribute("aria-invalid", "true")
        expect(name).to_have_accessible_description(re.compile("must hold only letters"))
        expect(page.get_by_label("Your phone number")).to_have_accessible_description(re.compile("its country code"))
        expect(page.get_by_role("alert").filter(has_text="Request")).to_be_visible()

        report_form(page).get_by_role("button", name="Clear").click()
        expect(name).not_to_have_attribute("aria-invalid", "true")

    def test_a_field_that_the_service_adds_is_asked_for_sent_and_shown(self, local: Visit) -> None:
        """The console gets a dragon's fields from the page, which gets them from their declaration."""
        further = {"name": "hoard_str", "label": "Hoard", "lengthMax": 9, "ofAddress": False, "examples": ["honey"] * 2}
        sent: list[Any] = []

        def have_it(route: Route) -> None:
            if route.request.method == "POST":
                sent.append(route.request.post_data_json)
                route.continue_(post_data=json.dumps({k: v for k, v in sent[-1].items() if k != "hoard_str"}))
            else:
                answer = route.fetch()
                route.fulfill(response=answer, json=[dragon | {"hoard_str": "honey"} for dragon in answer.json()])

        local.page.add_init_script(f"""document.addEventListener("readystatechange", () => {{
            const page = document.documentElement.dataset;
            page.dragonFields = JSON.stringify([...JSON.parse(page.dragonFields), {json.dumps(further)}]);
        }}, {{ once: true }});""")  # while the page's scripts wait for the end of its text
        local.page.route(re.compile(r"/dragons(\?.*)?$"), have_it)
        page = console(local)
        expect(page.locator(".card dl").first).to_have_text("Hoardhoney")
        local.at("#/dragons?view=table")
        expect(page.get_by_role("columnheader", name="Hoard")).to_be_visible()
        expect(page.get_by_role("cell", name="honey", exact=True)).to_have_count(24)

        name = a_name()
        local.at("#/reports/new")
        report(page, name, Hoard="a lake")

        expect(watched(page, name)).to_be_visible()
        assert [body["hoard_str"] for body in sent] == ["a lake"]

    def test_a_report_that_may_have_started_is_sent_again_under_the_same_key(self, operator: Visit) -> None:
        """Under another key, it would be refused as a duplicate of itself. Another example gets another key, and a
        reload does not.
        """
        page, name = operator.at("#/reports/new"), a_name()
        keys: list[str | None] = []

        def lose_the_first_two_answers(route: Route) -> None:
            keys.append(route.request.header_value("Idempotency-Key"))
            answer = route.fetch() if len(keys) > 1 else None
            if len(keys) <= 2:
                route.fulfill(status=504, content_type="application/problem+json", body='{"title": "Gateway Timeout"}')
            else:
                route.fulfill(response=answer)

        page.route("**/dragons", lose_the_first_two_answers)
        refusal = page.get_by_role("alert").filter(has_text="Gateway Timeout")
        report(page, a_name())
        expect(refusal).to_be_visible()
        report(page, name)
        expect(refusal).to_be_visible()
        page.reload()
        report_form(page).get_by_role("button", name="Report").click()

        expect(watched(page, name).locator(".status")).to_have_text("Added")
        assert keys[0]
        assert keys[1]
        assert keys[0] != keys[1] == keys[2]
        operator.complaints.clear()  # the browser's, about the 504

    def test_each_example_is_a_dragon_of_another_name(self, operator: Visit) -> None:
        """With 144 names, most examples were refused once a few dozen had been reported."""
        page = operator.at("#/reports/new")
        names = page.evaluate("""() => Array.from({ length: 60 }, () => {
            document.getElementById("report-example").click();
            return document.getElementById("report-dragon_name_str").value;
        })""")

        assert len(set(names)) == 60


def accepted_yesterday(api: Api, message: dict[str, Any]) -> str:
    """Post a message, and list it as if it had been accepted yesterday at noon (UTC). Return its order's id."""
    company, message_id = message["metadata"]["company_id"].lower(), message["metadata"]["message_id"]
    stored(api, post(api, json.dumps(message)).headers["Location"])
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    noon_ms = int((today - timedelta(hours=12)).timestamp() * 1000)
    api.devstack.client("dynamodb").update_item(
        TableName="dragonpost-local-messages",
        Key={"message_id": {"S": message_id}, "company_id": {"S": company}},
        UpdateExpression=f"SET {ACCEPTED_AT_ID} = :accepted",
        ExpressionAttributeValues={":accepted": {"S": keys(company, message_id, noon_ms)[ACCEPTED_AT_ID]}},
    )
    return str(message["data"]["order_id"])


class TestMessages:
    def test_faults_are_shown_at_their_fields(self, amber: Visit) -> None:
        post_example(amber, Order_amount="lots", Message_time="yesterday")
        page = amber.page

        expect(page.get_by_label("Order amount")).to_be_focused()
        expect(page.get_by_label("Order amount")).to_have_accessible_description(re.compile("must be a JSON number"))
        expect(page.get_by_label("Message time")).to_have_accessible_description(re.compile("RFC 3339 date"))
        expect(page.get_by_label("Order id")).not_to_have_attribute("aria-invalid", "true")

        post_example(amber, Further_data="items: honey")
        expect(page.get_by_label("Further data")).to_have_accessible_description(re.compile("members of a JSON object"))

    def test_another_company_is_refused_in_the_services_words(self, amber: Visit) -> None:
        post_example(amber, Company_id=str(uuid.uuid4()))

        expect(amber.page.get_by_role("alert").filter(has_text="your own company only")).to_be_visible()

    def test_another_payload_under_a_stored_id_is_shown_beside_it_in_red_and_sent_under_a_new_one(
        self, amber: Visit
    ) -> None:
        used = post_example(amber, Order_amount="20.0", Further_data='"items": [{"sku": "honey", "price": 2.50}]')
        page = amber.page
        status = message_shown(page).locator(".status")
        expect(status).to_have_text("Stored", timeout=MESSAGE_STORED_WITHIN_MS)
        page.go_back()
        expect(page.get_by_label("Message id")).not_to_have_value(used)

        page.get_by_label("Message id").fill(used)
        page.get_by_label("Order amount").fill("21")
        page.get_by_role("button", name="Post", exact=True).click()

        expect(status).to_have_text("Refused")
        differing = message_shown(page).locator(".differs")
        expect(differing).to_have_count(1)
        expect(differing.locator("td")).to_have_text(["21", "20.0"])
        expect(differing.locator("td").first).to_have_css("color", RED)
        page.get_by_role("link", name="Send yours under a new id").click()
        expect(page.get_by_label("Order amount")).to_have_value("21")
        expect(page.get_by_label("Further data")).to_have_value(re.compile(r'"price": 2\.50'))
        expect(page.get_by_label("Message id")).not_to_have_value(used)
        amber.at("#/messages")
        expect(page.locator("#messages-list tr", has_text="Refused").first).to_contain_text("21")

    def test_a_reload_keeps_the_message_that_was_typed(self, amber: Visit) -> None:
        used = str(uuid.uuid4())
        stored(amber.api, post(amber.api, a_message("20.0", message_id=used)).headers["Location"])
        page = amber.at(f"#/messages/new?repeat={used}")
        expect(page.get_by_label("Order amount")).to_have_value("20.0")
        page.get_by_label("Order amount").fill("20.50")
        fresh = page.get_by_label("Message id").input_value()

        page.reload()

        expect(page.get_by_label("Order amount")).to_have_value("20.50")
        expect(page.get_by_label("Message id")).to_have_value(fresh)
        expect(page.get_by_text(f"This repeats message {used} under a new id.")).to_be_visible()

    def test_a_refused_message_is_never_said_to_be_in_the_queue(self, amber: Visit) -> None:
        used = str(uuid.uuid4())
        stored(amber.api, post(amber.api, a_message("1", message_id=used)).headers["Location"])
        not_yet = {"title": "Not Found", "status": 404, "detail": "No message is stored under this id."}
        amber.page.route(f"**/message/{used}", lambda route: route.fulfill(status=404, json=not_yet))

        post_example(amber, Message_id=used, Order_amount="3")

        expect(message_shown(amber.page).locator(".status")).to_have_text("Refused")
        expect(message_shown(amber.page)).to_contain_text("Yours was not accepted.")
        expect(message_shown(amber.page)).not_to_contain_text("queue")
        amber.page.unroute_all()
        expect(message_shown(amber.page).locator(".differs td", has_text=re.compile("^3$"))).to_be_visible()
        amber.page.reload()
        expect(message_shown(amber.page).locator(".differs td", has_text=re.compile("^3$"))).to_be_visible()
        amber.page.route(f"**/message/{used}", lambda route: route.fulfill(status=404, json=not_yet))
        amber.at("#/messages/new")
        amber.page.go_back()
        expect(message_shown(amber.page)).to_contain_text("Yours was not accepted.")
        expect(message_shown(amber.page)).not_to_contain_text("queue")

    def test_an_operators_link_opens_for_the_messages_company_which_can_repeat_it(self, amber: Visit) -> None:
        used = str(uuid.uuid4())
        stored(amber.api, post(amber.api, a_message("20.0", message_id=used)).headers["Location"])
        page = amber.at(f"#/messages/{used}?company_id={COMPANIES['amber']}")
        expect(message_shown(page).locator(".status")).to_have_text("Stored")

        page.get_by_role("link", name="Repeat under a new id").click()

        expect(page.get_by_label("Order amount")).to_have_value("20.0")

    def test_the_list_knows_that_a_message_was_stored_after_its_page_was_left(self, amber: Visit) -> None:
        page = amber.at("#/messages")
        page.route("**/message/*", lambda route: route.fulfill(status=404, json={}))
        page.route("**/messages?*", lambda route: route.fulfill(json=[]))  # newer ones fill the first page
        message_id = post_example(amber)
        expect(message_shown(page)).to_contain_text("The queue has it")
        listed = page.locator("#messages-list tbody tr", has_text=message_id)
        amber.at("#/messages")
        expect(listed.locator(".status")).to_have_text("Accepted")
        until(lambda: amber.api.get(f"/message/{message_id}").ok)
        page.unroute("**/message/*")

        amber.at("#/messages")

        expect(listed).to_have_count(0)

    def test_the_same_message_is_known_whatever_its_numbers_look_like(self, amber: Visit) -> None:
        used = str(uuid.uuid4())
        stored(amber.api, post(amber.api, a_message("20.0", message_id=used)).headers["Location"])
        page = amber.at(f"#/messages/new?repeat={used}")
        expect(page.get_by_label("Order amount")).to_have_value("20.0")

        page.get_by_label("Message id").fill(used.upper())
        page.get_by_label("Order amount").fill("2e1")
        page.get_by_role("button", name="Post", exact=True).click()

        expect(message_shown(page).locator(".status")).to_have_text("Stored")
        expect(message_shown(page).locator(".differs")).to_have_count(0)

    def test_another_payload_that_the_look_missed_is_told_in_red(self, amber: Visit) -> None:
        """The console learns of it from the digests: that of the 202, and that of the message that is stored."""
        used = str(uuid.uuid4())
        stored(amber.api, post(amber.api, a_message("1", message_id=used)).headers["Location"])
        accepted = {"message_id": used, "status": "accepted", "digest": f"sha-256:{'0' * 64}"}
        amber.page.route("**/post-message", lambda route: route.fulfill(status=202, json=accepted))

        post_example(amber, Message_id=used, Order_amount="3")

        expect(message_shown(amber.page).locator(".status")).to_have_text("Refused")
        expect(message_shown(amber.page)).to_contain_text("accepted, but not stored")
        expect(message_shown(amber.page).locator(".differs td", has_text=re.compile("^3$"))).to_have_css("color", RED)

    def test_yesterdays_order_is_two_clicks_away_and_a_dragon_whose_name_begins_with_am_four_keys(
        self, amber: Visit
    ) -> None:
        message = a_message("7")
        order_id = accepted_yesterday(amber.api, json.loads(message))
        page = amber.at("#/dragons")
        expect(cards(page).first).to_be_visible()

        page.get_by_role("link", name="Messages", exact=True).click()
        page.get_by_role("group", name="Times").get_by_role("link", name="Yesterday").click()
        expect(page.locator("#messages-list tr", has_text="Yesterday").filter(has_text=order_id)).to_be_visible()

        for key in ("/", "A", "m"):
            page.keyboard.press(key)
        expect(page.get_by_role("option").first).to_contain_text("Amberwick")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator(".sheet")).to_contain_text("Amberwick")

    def test_messages_are_found_by_when_they_were_accepted(self, amber: Visit) -> None:
        stored(amber.api, post(amber.api, a_message("7")).headers["Location"])
        page = amber.at("#/messages?to=2020-01-01T00:00:00Z")
        times = page.get_by_role("group", name="Times")
        expect(page.get_by_role("heading", name="No message was accepted in that time.")).to_be_visible()
        expect(page.get_by_label("Accepted before")).to_have_value(re.compile("T00:00"))
        expect(page.locator("#messages-summary")).to_have_text("0 messages")  # for screen readers; the heading says so
        expect(page.locator("#messages-summary")).to_have_css("clip-path", "inset(50%)")

        times.get_by_role("link", name="Today").click()

        expect(page.locator("#messages-list time").first).to_contain_text("Today")

    def test_operators_are_asked_for_a_company(self, local: Visit) -> None:
        page = console(local)
        local.at("#/messages")
        expect(page.get_by_role("heading", name="Which company")).to_be_visible()

        page.get_by_role("button", name="Enter a company").focus()
        page.keyboard.press("Enter")
        page.keyboard.type(COMPANIES["amber"])
        page.keyboard.press("Enter")

        expect(page).to_have_url(re.compile(f"company_id={COMPANIES['amber']}$"))
        expect(page.locator("#messages-list").get_by_text(re.compile("Amount|No messages yet"))).to_be_visible()


class TestOperations:
    """Each look at dead letters takes a second, so few do much."""

    def test_a_letter_is_shown_beside_what_is_stored_edited_and_sent_anew(self, operator: Visit) -> None:
        used, fresh = str(uuid.uuid4()), str(uuid.uuid4())
        stored(operator.api, post(operator.api, a_message("1", message_id=used)).headers["Location"])
        letter = bury(operator.api.devstack, a_message("2.50", message_id=used)).rpartition("/")[2]
        page = operator.at("#/letters")
        page.get_by_role("combobox").fill(letter)
        page.get_by_role("combobox").press("Enter")
        expect(page).to_have_url(re.compile(f"#/letters/{letter}$"))
        expect(letter_shown(page).locator(".differs td").filter(has_text="2.50")).to_have_css("color", RED)

        page.get_by_role("button", name="Edit").click()
        text = page.get_by_label("The message, as JSON")
        right = text.input_value().replace(used, fresh)
        text.fill(wrong := right.replace("2.50", '"much"'))
        page.reload()
        expect(text).to_have_value(wrong)
        send_anew(page)
        expect(text).to_be_focused()
        expect(text).to_have_accessible_description(re.compile("/data/order_amount must be a JSON number"))
        text.fill(right)
        send_anew(page)

        expect(page).to_have_url(re.compile(f"#/messages/{fresh}\\?company_id={COMPANIES['amber']}$"))
        expect(message_shown(page).locator(".status")).to_have_text("Stored", timeout=MESSAGE_STORED_WITHIN_MS)
        expect(message_shown(page)).to_contain_text("2.50")
        operator.at(f"#/letters/{letter}")
        expect(page.get_by_role("heading", name="This letter is not there.")).to_be_visible()

    def test_a_letter_is_found_in_the_list_and_deleted_only_as_it_was_saved(self, operator: Visit) -> None:
        message_id = str(uuid.uuid4())
        path = bury(operator.api.devstack, body := a_message("12345678901234567890.12", message_id=message_id))
        page = operator.at("#/dragons")
        page.get_by_role("link", name="Operations").click()
        expect(page.locator("#ready .status")).to_have_text("Ready")
        page.locator("#letters-list tr", has_text=message_id).get_by_role("link").click()
        expect(letter_shown(page)).to_contain_text("12345678901234567890.12")
        remove = page.get_by_role("button", name="Delete", exact=True)
        expect(remove).to_be_disabled()

        stored(operator.api, post(operator.api, body).headers["Location"])
        self.save_and_delete(page)
        expect(page.get_by_role("alert").filter(has_text="The letter has changed since you saw it")).to_be_visible()
        letter_shown(page).get_by_role("button", name="Look again").click()
        expect(letter_shown(page)).to_contain_text("nobody needs this letter")
        expect(remove).to_be_disabled()
        saved = self.save_and_delete(page)

        expect(page.get_by_role("heading", name="The letter is deleted.")).to_be_visible()
        assert exactly(saved)["body"] == body
        assert exactly(saved)["stored"]["data"] == exactly(body)["data"]
        assert operator.api.get(path).status_code == 404

    @staticmethod
    def save_and_delete(page: Page) -> str:
        """Return what was saved."""
        with page.expect_download() as saving:
            page.get_by_role("button", name="Save as JSON").click()
        assert re.fullmatch(r"letter-[0-9a-f-]{36}\.json", saving.value.suggested_filename)
        page.get_by_role("button", name="Delete", exact=True).click()
        page.get_by_role("button", name="Really delete it?").click()
        return Path(saving.value.path()).read_text(encoding="utf-8")

    def test_a_letter_is_redriven_and_its_messages_timeline_says_that_it_is_stored(self, operator: Visit) -> None:
        message_id = str(uuid.uuid4())
        letter = bury(operator.api.devstack, a_message(message_id=message_id)).rpartition("/")[2]
        page = operator.at(f"#/letters/{letter}")
        gone = {"title": "The dead letter is not there any more", "status": 409, "detail": "Nothing was done."}
        page.route("**/redrive", lambda route: route.fulfill(status=409, content_type=PROBLEM, json=gone), times=1)
        page.get_by_role("button", name="Redrive").click()
        expect(page.get_by_role("alert").filter(has_text="Nothing was done.")).to_be_visible()

        page.get_by_role("button", name="Edit").click()
        page.get_by_label("The message, as JSON").fill("{}")
        assert letter in page.evaluate("JSON.stringify(sessionStorage)")
        page.get_by_role("button", name="Redrive").click()
        expect(page.get_by_role("heading", name="It is on its way again.")).to_be_visible()
        assert letter not in page.evaluate("JSON.stringify(sessionStorage)"), "what was typed for it is of no use now"
        stored(operator.api, f"/message/{message_id}")
        operator.at("#/timeline")
        page.get_by_label("Any id, or").fill(message_id)
        page.get_by_role("button", name="Show", exact=True).click()

        steps = page.get_by_role("list", name="What happened").get_by_role("listitem")
        expect(steps.first).to_have_text(re.compile("^Stored"), use_inner_text=True)
        standing = page.locator("#timeline-shown .panel")
        expect(standing).to_have_text("The message is stored", use_inner_text=True)
        page.get_by_role("button", name="own names").click()
        expect(steps.first).to_have_text(re.compile("^bucket .*: archived, and indexed"), use_inner_text=True)
        expect(standing).to_have_text(re.compile(f"^message {message_id} of company .*: stored$"), use_inner_text=True)
        page.get_by_role("button", name="own names").click()

    def test_what_is_ill_is_named(self, operator: Visit) -> None:
        ill = {"name": "archive", "status": "ill", "duration_ms": 9.1, "reason": "refused: AccessDenied"}
        problem = {"title": "Ill", "status": 503, "detail": "Ill: archive.", "dependencies": [ill]}
        operator.page.route("**/ready", lambda route: route.fulfill(status=503, content_type=PROBLEM, json=problem))

        page = operator.at("#/letters")

        expect(page.locator("#ready")).to_have_text("Not ready Ill: archive (refused: AccessDenied)")
        operator.complaints.clear()  # the browser's, about the 503

    def test_an_operator_learns_how_to_get_at_letters_that_the_queue_did_not_give_out(self, operator: Visit) -> None:
        letter = {
            "letter_id": str(uuid.uuid4()),
            "sent_at": "2023-12-10T22:02:38.113Z",
            "reason": "unreadable: not JSON",
            **dict.fromkeys(("message_id", "company_id", "request_id")),
        }
        some = {"count": 24, "dead_letters": [letter]}
        operator.page.route("**/operator/dead-letters", lambda route: route.fulfill(json=some))

        page = operator.at("#/letters")

        expect(page.locator("#letters-summary")).to_have_text(re.compile("^1 letter, of about 24. .*make dead-letters"))

    def test_only_operators_are_offered_operations(self, amber: Visit) -> None:
        page = amber.at("#/letters")

        expect(page.get_by_role("alert").filter(has_text="Only operators may do this")).to_be_visible()
        expect(page.get_by_role("navigation", name="Views").get_by_role("link", name="Operations")).to_be_hidden()


class TestLooks:
    def test_axe_finds_nothing_in_any_view_and_no_view_scrolls_sideways(
        self, browser: Browser, apis: dict[str, Api]
    ) -> None:
        """Each view is looked at in the light on a wide screen, and in the dark on a phone. `make prove` looks at both
        on both, also at the empty lists that look alike, on both targets.
        """
        looks = [("light", real_browser.WIDE), ("dark", real_browser.NARROW)]
        with visit(browser, apis["local"]) as visited:
            assert faults(visited, looks, without_likenesses()) == {}
            assert visited.complaints == []

    def test_nothing_moves_for_people_who_ask_for_that(self, operator: Visit) -> None:
        """For all others, something does, so the test would see it."""
        page = operator.at("#/reports/new")
        page.emulate_media(reduced_motion="no-preference")
        assert moving(page) != []

        page.emulate_media(reduced_motion="reduce")

        assert moving(page) == []

    def test_views_look_as_they_were_accepted(self, browser: Browser, apis: dict[str, Api]) -> None:
        """Three of them; `make prove` compares all. If one should look otherwise, look at it, and accept it:
        `.venv/bin/python -m tests.e2e.screenshots --accept`.
        """
        if reason := not_comparable(browser):
            pytest.skip(reason)

        assert changed(browser, pictures(browser, apis["local"], {"dragons", "submission", "message-refused"})) == {}

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_axe_finds_nothing_in_the_docs_and_nothing_moves(
        self, browser: Browser, apis: dict[str, Api], theme: str
    ) -> None:
        with visit(browser, apis["local"], theme=theme) as visited:
            page = visited.open("/docs")
            page.locator(".opblock-summary-control").first.click()
            expect(page.get_by_role("button", name="Execute")).to_be_visible()
            assert findings(page) + moving(page) == []
            page.emulate_media(reduced_motion="no-preference")
            assert moving(page) != []

    def test_the_keyboard_is_enough_to_report_a_dragon(self, local: Visit) -> None:
        page = local.open("/#/reports/new")
        page.get_by_label("User name").focus()
        page.keyboard.type(local.api.devstack.email("operator"))
        page.keyboard.press("Tab")
        page.keyboard.type(local.api.devstack.password("operator"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Report a dragon", level=2)).to_be_focused()
        name = a_name("Keyed")
        page.keyboard.press("Tab")  # the link to the reports
        for text in (name, "green", "Typed, letter by letter.", "Old Town", "Bern", "Bern", "Switzerland"):
            page.keyboard.press("Tab")
            page.keyboard.type(text)
        page.keyboard.press("Enter")

        expect(watched(page, name).locator(".status")).to_have_text("Added")

    def test_a_dragons_page_is_printed_without_the_frame(self, operator: Visit) -> None:
        page = operator.at("#/dragons/Ashfall")
        expect(page.locator(".sheet")).to_be_visible()

        page.emulate_media(media="print")

        expect(page.get_by_role("banner")).to_be_hidden()
        expect(page.get_by_role("button", name="Print")).to_be_hidden()
        expect(page.locator(".printed")).to_contain_text("#/dragons/Ashfall")
        page.emulate_media(media="screen")


def test_the_screenshots_of_the_readme_are_small() -> None:
    for name in ("registry.png", "workflow.png"):
        assert 0 < Path(PROJECT, "docs", "images", name).stat().st_size < 150_000
