"""The console and the docs page in a real browser, as people use them, on the local server and behind the gateway."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from operations import PROJECT
from tests.e2e import browser as real_browser
from tests.e2e.browser import ACTS_WITHIN_MS, Visit, visit
from tests.e2e.messages import a_message, post, stored
from tests.e2e.running import Api
from tests.e2e.trying import Trying
from tests.e2e.waiting import until

PROGRAM = real_browser.program()
if PROGRAM is None:
    missing = "the console and docs are not looked at: no Chromium was found (install one, or set DRAGONPOST_BROWSER)"
    if os.environ.get("DRAGONPOST_REQUIRE_BROWSER") == "1":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing, allow_module_level=True)

WORKFLOW = json.loads((PROJECT / "infrastructure" / "dragons.asl.json").read_text(encoding="utf-8"))
AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
# Swagger UI's own: each operation's summary is a button that holds a link to the operation.
NOT_OURS = {"nested-interactive"}
MESSAGE_STORED_WITHIN_MS = 30_000
RED = "rgb(179, 38, 30)"  # what stands for "bad" on a light page
DONE_A_MOMENT_LATER = {"getDragon", "getSubmission", "getMessage"}  # their descriptions say so

expect.set_options(timeout=ACTS_WITHIN_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM
    with real_browser.running(PROGRAM) as running:
        yield running


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


def console(visited: Visit, user: str = "operator", view: str = "Registry") -> Page:
    """Open the console, sign in, and go to a view."""
    page = visited.open()
    visited.sign_in(user)
    page.get_by_role("link", name=view, exact=True).click()
    expect(page.get_by_role("heading", name=view, level=2)).to_be_focused()
    return page


def report(page: Page, name: str, **fields: str) -> None:
    """Fill in an example with this name and send it."""
    form = page.get_by_role("form", name="Report")
    form.get_by_role("button", name="Fill in an example").click()
    form.get_by_label("Name").fill(name)
    for label, text in fields.items():
        form.get_by_label(label).fill(text)
    form.get_by_role("button", name="Report").click()


def outcome(page: Page) -> Locator:
    return page.locator("#outcome")


def serious(page: Page) -> list[str]:
    """Return axe's findings that are serious or critical."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def documented_answers(api: Api) -> dict[str, set[int]]:
    """Return the statuses that each operation may answer, by its id and in the document's order."""
    paths = api.get("/openapi.json", None).json()["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    return {each["operationId"]: set(map(int, each["responses"])) for each in operations}


class TestBothPipelines:
    """What the console is for, on both targets. All its URLs are relative, so a stage prefix must not matter."""

    def test_a_reported_dragon_is_watched_until_it_is_added_and_then_listed(self, anywhere: Visit) -> None:
        name = a_name()
        page = console(anywhere, view="Report a dragon")
        expect(page.locator("#workflow .state")).to_have_count(len(WORKFLOW["States"]))

        report(page, name)

        expect(outcome(page)).to_contain_text("added")
        expect(outcome(page)).to_contain_text(name)
        expect(page.locator("#steps li").first).to_contain_text("Complete?")
        expect(page.locator("#steps li").last).to_contain_text("Added")
        lit = page.locator("#workflow .state[data-status=succeeded]")
        expect(lit).to_have_count(page.locator("#steps li").count())
        page.get_by_role("link", name="Registry").click()
        page.get_by_label("Exact name").fill(name)
        page.get_by_role("button", name="Filter").click()
        expect(page.locator(".card")).to_have_count(1)
        expect(page.locator(".card")).to_contain_text(name)

    def test_a_message_is_seen_accepted_and_then_stored(self, anywhere: Visit) -> None:
        page = console(anywhere, "amber", "Post a message")
        company = page.get_by_label("Company id").input_value()
        page.get_by_label("Order amount").fill("12345678901234567890.12")

        page.get_by_role("button", name="Post", exact=True).click()

        log = page.get_by_role("list", name="What the service said")
        expect(log).to_contain_text("Accepted")
        expect(log).to_contain_text("Stored", timeout=MESSAGE_STORED_WITHIN_MS)
        expect(page.locator("#stored")).to_contain_text("12345678901234567890.12")
        expect(page.locator("#stored")).to_contain_text(company)

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

    def test_nothing_comes_from_any_other_origin(self, anywhere: Visit) -> None:
        page = console(anywhere)
        expect(page.locator(".card").first).to_be_visible()
        page = anywhere.open("/docs")
        expect(page.locator(".opblock").first).to_be_visible()

        cognito = anywhere.api.devstack.client("cognito-idp").meta.endpoint_url
        ours = {urlsplit(url).netloc for url in (anywhere.api.base_url, cognito)}
        assert {urlsplit(url).netloc for url in anywhere.asked if not url.startswith("data:")} <= ours


class TestTryingItOut:
    """On /docs, Execute gets what the document promises, and nobody has to fill anything in before."""

    # Swagger UI draws slowly without a graphics card, so the second user tries what depends on the user, once.
    @pytest.mark.parametrize(
        ("api", "user", "times", "remaining"),
        [
            ("gateway", "operator", 2, {"removeDragon": ["2xx", "404"]}),
            ("local", "cobalt", 1, {"correctDragon": ["403"], "removeDragon": ["403"]}),
        ],
        indirect=["api"],
    )
    def test_every_operation_succeeds_twice_in_a_row_or_is_refused_as_documented(
        self, anywhere: Visit, user: str, times: int, remaining: dict[str, list[str]]
    ) -> None:
        trying = Trying(anywhere)
        trying.sign_in(user)
        got, promised = {}, {}

        for name, documented in documented_answers(anywhere.api).items():
            if times == 1 and 401 not in documented:
                continue
            for example, _ in enumerate(trying.bodies(name)):
                if name in DONE_A_MOMENT_LATER:
                    until(lambda name=name: trying.execute(name) != 404)  # type: ignore[misc]
                statuses = [trying.execute(name) for _ in range(times)]
                assert set(statuses) <= documented
                got[name, example] = ["2xx" if 200 <= status < 300 else str(status) for status in statuses]
                promised[name, example] = remaining.get(name, ["2xx"] * times)
            trying.close(name)  # what is open is drawn again and again

        assert got == promised
        assert {("reportDragon", 1), ("correctDragon", 1)} <= got.keys(), "not every example of a body was tried"

    def test_the_examples_share_one_dragon_and_one_message_new_each_time_and_nothing_optional_is_filled_in(
        self, local: Visit
    ) -> None:
        seen = [
            self.what_is_filled_in(Trying(local), documented_answers(local.api)),
            self.what_is_filled_in(Trying(local), ["getDragon", "getMessage"]),
        ]

        assert [len(names) for names, _ in seen] == [len(ids) for _, ids in seen] == [1, 1]
        assert seen[0][0].isdisjoint(seen[1][0])
        assert seen[0][1].isdisjoint(seen[1][1])

    @staticmethod
    def what_is_filled_in(trying: Trying, operations: Iterable[str]) -> tuple[set[str], set[str]]:
        """Return the dragons and the messages of all that is filled in for these operations."""
        names, ids = set(), set()
        for name in operations:
            parameters = trying.filled_in(name)
            optional = parameters.keys() - trying.required(name)
            assert not {parameter: parameters[parameter] for parameter in optional if parameters[parameter]}
            if "If-Match" in trying.required(name):
                assert parameters["If-Match"] == "*"
            names |= {parameters["dragon_name"]} if "dragon_name" in parameters else set()
            ids |= {parameters["message_id"]} if "message_id" in parameters else set()
            for body in trying.bodies(name):
                names |= {
                    value for member, value in (body or {}).items() if member in ("dragon_name_str", "dragonName")
                }
                ids |= {body["metadata"]["message_id"]} if body and "metadata" in body else set()
            trying.close(name)
        return names, ids

    def test_signing_in_gives_the_message_the_users_company_and_keeps_what_was_typed(self, local: Visit) -> None:
        trying = Trying(local)
        body = trying.body("postMessage")
        assert trying.execute("postMessage") == 401
        body.fill(body.input_value().replace('"order_amount": 20', '"order_amount": 21.50'))

        trying.sign_in("cobalt")
        assert trying.execute("postMessage") in (200, 202)
        expect(body).to_have_value(re.compile("21.50"))

        trying.page.get_by_role("button", name="Sign out").click()
        trying.sign_in("amber")
        assert trying.execute("postMessage") in (200, 202)
        expect(body).to_have_value(re.compile("21.50"))

    def test_the_next_user_is_not_asked_to_look_for_the_submission_of_the_last_one(self, local: Visit) -> None:
        trying = Trying(local)
        trying.sign_in("amber")
        assert trying.filled_in("getSubmission") == {"submission_id": "", "steps": ""}
        assert trying.execute("reportDragon") == 202
        assert trying.filled_in("getSubmission")["submission_id"]

        trying.page.get_by_role("button", name="Sign out").click()

        assert trying.filled_in("getSubmission") == {"submission_id": "", "steps": ""}


class TestSession:
    def test_nothing_is_shown_to_users_who_have_not_signed_in(self, local: Visit) -> None:
        page = local.open("/#report")

        expect(page.get_by_role("form", name="Sign in")).to_be_visible()
        expect(page.get_by_role("form", name="Report")).to_be_hidden()
        expect(page.get_by_role("navigation")).to_be_hidden()

    def test_a_wrong_password_is_refused_with_the_reason(self, local: Visit) -> None:
        page = local.open()
        page.get_by_label("User name").fill("operator@dragonpost.example")
        page.get_by_label("Password", exact=True).fill("Wrong-password-1")
        page.get_by_role("button", name="Sign in").click()

        expect(page.get_by_role("alert").filter(has_text="The user name or password is wrong.")).to_be_visible()

    def test_signing_out_leaves_nothing_behind(self, local: Visit) -> None:
        page = console(local)
        expect(page.locator(".card").first).to_be_visible()

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
        page.get_by_role("button", name="Filter").click()
        expect(page.locator(".card").first).to_be_visible()
        expect(docs.get_by_role("form", name="Sign in")).to_be_hidden()

        docs.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("You are signed out.")).to_be_visible()
        expect(page.locator(".card")).to_have_count(0)

    def test_a_sessions_end_loses_nothing_that_was_typed(self, local: Visit) -> None:
        page = console(local, view="Report a dragon")
        name = a_name("Kept")
        form = page.get_by_role("form", name="Report")
        form.get_by_role("button", name="Fill in an example").click()
        form.get_by_label("Name").fill(name)
        page.route(f"{local.api.base_url}/dragons", lambda route: route.fulfill(status=401, json={}), times=2)

        form.get_by_role("button", name="Report").click()

        again = page.get_by_role("dialog", name="Sign in again")
        expect(again.get_by_text("The service no longer accepts your token.")).to_be_visible()
        expect(again.get_by_label("User name")).to_have_value(local.api.devstack.email("operator"))
        assert serious(page) == []
        page.keyboard.press("Escape")
        expect(again).to_be_visible()
        expect(form.get_by_label("Name")).to_have_value(name)
        again.get_by_label("Password", exact=True).fill(local.api.devstack.password("operator"))
        again.get_by_role("button", name="Sign in").click()
        expect(again).to_be_hidden()
        expect(outcome(page)).to_contain_text(name)
        expect(outcome(page)).to_contain_text("added")

    def test_the_people_of_the_folder_are_let_in_with_one_click_and_only_by_the_local_server(
        self, local: Visit, apis: dict[str, Api]
    ) -> None:
        page = local.open()
        page.get_by_role("button", name="amber").click()
        expect(page.locator("#who")).to_contain_text(local.api.devstack.email("amber"))
        assert apis["gateway"].get("/devstack/people", None).status_code == 404

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

        page.get_by_label("New password").fill(f"Their-own-{uuid.uuid4().hex[:8]}-A!")
        page.get_by_role("button", name="Sign in").click()

        expect(page.locator(".card").first).to_be_visible()
        expect(page.locator("#who")).to_contain_text("no company")


class TestRegistry:
    def test_it_is_shown_as_cards_and_as_a_table_with_family_colours(self, local: Visit) -> None:
        page = console(local)
        expect(page.locator(".card")).to_have_count(24)
        expect(page.locator(".card.family-gold", has_text="Amberwick")).to_be_visible()

        page.get_by_text("Table", exact=True).click()

        rows = page.get_by_role("row")
        expect(rows).to_have_count(25)
        expect(rows.filter(has_text="Amberwick").locator(".family-gold")).to_have_text("gold")
        expect(page.locator(".card")).to_have_count(0)

    def test_the_filter_accepts_family_and_name(self, local: Visit) -> None:
        page = console(local)
        family = page.get_by_role("form", name="Filter").get_by_label("Family")
        family.fill("RED")
        family.press("Enter")
        expect(page.locator(".card.family-red").first).to_be_visible()
        expect(page.locator(".card:not(.family-red)")).to_have_count(0)

        page.get_by_label("Exact name").fill("cinder")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator(".card h3")).to_have_text(["Cinder"])

        page.get_by_label("Exact name").fill("Nobody")
        page.get_by_role("button", name="Filter").click()
        expect(page.get_by_text("No dragon matches the filter.")).to_be_visible()

        page.get_by_role("button", name="Clear").click()
        expect(page.locator(".card")).to_have_count(24)

    def test_pages_follow_the_link_header_and_lead_back(self, local: Visit) -> None:
        page = console(local)
        first = page.locator(".card h3").first
        expect(first).to_have_text("Amberwick")
        expect(page.get_by_role("button", name="Back to the start")).to_be_disabled()

        page.get_by_role("button", name="Next page").click()
        expect(page.get_by_role("status").filter(has_text="page 2")).to_be_visible()
        expect(first).not_to_have_text("Amberwick")

        page.get_by_role("button", name="Back to the start").click()
        expect(first).to_have_text("Amberwick")

    def test_text_that_users_typed_is_never_html(self, local: Visit) -> None:
        page = console(local, view="Report a dragon")
        name, typed = a_name("Bold"), "<img src=x onerror=alert(1)><b>bold</b>"
        report(page, name, Description=typed, Family="<i>red</i>")
        expect(outcome(page)).to_contain_text("added")

        page.get_by_role("link", name="Registry").click()
        page.get_by_label("Exact name").fill(name)
        page.get_by_role("button", name="Filter").click()

        expect(page.locator(".card")).to_have_count(1)
        expect(page.locator(".card")).to_contain_text(typed)
        expect(page.locator(".card")).to_contain_text("<i>red</i>")
        assert page.locator(".card img, .card b, .card i").count() == 0

    def test_an_operator_corrects_and_removes(self, local: Visit) -> None:
        page = console(local, view="Report a dragon")
        name = a_name("Mistaken")
        report(page, name)
        expect(outcome(page)).to_contain_text("added")
        page.get_by_role("link", name="Registry").click()
        page.get_by_label("Exact name").fill(name)
        page.get_by_role("button", name="Filter").click()
        correct = page.get_by_role("button", name=f"Correct or remove {name}")
        correct.click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("Name")).to_have_value(name)

        dialog.get_by_label("City").fill("Elsewhere")
        dialog.get_by_role("button", name="Save").click()
        expect(page.locator(".card")).to_have_count(1)
        expect(page.locator(".card")).to_contain_text("Elsewhere")

        correct.click()
        expect(dialog.get_by_label("City")).to_have_value("Elsewhere")
        dialog.get_by_role("button", name="Remove").click()
        dialog.get_by_role("button", name="Really remove it?").click()
        expect(page.get_by_text("No dragon matches the filter.")).to_be_visible()

    def test_only_operators_are_offered_corrections(self, local: Visit) -> None:
        page = console(local, "amber")
        expect(page.locator(".card").first).to_be_visible()

        expect(page.get_by_role("button", name="Correct")).to_have_count(0)


class TestReporting:
    def test_a_duplicate_is_refused_with_its_reason_and_its_path(self, local: Visit) -> None:
        page = console(local, view="Report a dragon")

        report(page, "Ashfall")

        expect(outcome(page)).to_contain_text("rejected")
        expect(outcome(page).locator(".reason")).not_to_be_empty()
        expect(page.locator("#steps li").last).to_contain_text("Rejected")
        expect(page.locator('#workflow .edge[data-status="taken"]')).to_have_count(
            page.locator("#steps li").count() - 1
        )
        expect(
            page.get_by_role("img", name=re.compile("Path taken: Complete.*ValidateDragon.*Rejected"))
        ).to_be_visible()

    def test_faults_are_shown_at_their_fields(self, local: Visit) -> None:
        page = console(local, view="Report a dragon")
        report(page, "../x", **{"Your phone number": "+0123"})

        name = page.get_by_role("form", name="Report").get_by_label("Name")
        expect(name).to_be_focused()
        expect(name).to_have_attribute("aria-invalid", "true")
        expect(name).to_have_accessible_description(re.compile("must hold only letters"))
        expect(page.get_by_label("Your phone number")).to_have_accessible_description(re.compile("its country code"))
        expect(page.get_by_role("alert").filter(has_text="Request")).to_be_visible()

        report(page, a_name(), **{"Your phone number": ""})
        expect(outcome(page)).to_contain_text("added")
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
        page.get_by_text("Table", exact=True).click()
        expect(page.get_by_role("columnheader", name="Hoard")).to_be_visible()
        expect(page.get_by_role("cell", name="honey", exact=True)).to_have_count(24)

        page.get_by_role("link", name="Report a dragon").click()
        report(page, a_name(), Hoard="a lake")

        expect(outcome(page)).to_contain_text("added")
        assert [body["hoard_str"] for body in sent] == ["a lake"]

    def test_a_report_that_may_have_started_is_sent_again_under_the_same_key(self, local: Visit) -> None:
        """Under another key, it would be refused as a duplicate of itself."""
        page = console(local, view="Report a dragon")
        keys: list[str | None] = []

        def lose_the_first_answer(route: Route) -> None:
            keys.append(route.request.header_value("Idempotency-Key"))
            answer = route.fetch()
            if len(keys) == 1:
                route.fulfill(status=504, content_type="application/problem+json", body='{"title": "Gateway Timeout"}')
            else:
                route.fulfill(response=answer)

        page.route("**/dragons", lose_the_first_answer)
        report(page, a_name())
        expect(page.get_by_role("alert").filter(has_text="Gateway Timeout")).to_be_visible()
        page.get_by_role("form", name="Report").get_by_role("button", name="Report").click()

        expect(outcome(page)).to_contain_text("added")
        assert keys[0]
        assert keys[0] == keys[1]
        local.complaints.clear()  # the browser's, about the 504

    def test_each_example_is_a_dragon_of_another_name(self, local: Visit) -> None:
        """With 144 names, most examples were refused once a few dozen had been reported."""
        page = console(local, view="Report a dragon")
        form = page.get_by_role("form", name="Report")
        names = set()

        for _ in range(60):
            form.get_by_role("button", name="Fill in an example").click()
            names.add(form.get_by_label("Name").input_value())

        assert len(names) == 60

    def test_an_example_after_a_report_without_an_answer_is_another_report(self, local: Visit) -> None:
        """Under the same key, the service would refuse it: the key was used for another dragon."""
        page = console(local, view="Report a dragon")
        keys: list[str | None] = []

        def lose_each_answer(route: Route) -> None:
            keys.append(route.request.header_value("Idempotency-Key"))
            route.fulfill(status=504, content_type="application/problem+json", body='{"title": "Gateway Timeout"}')

        page.route("**/dragons", lose_each_answer)
        form, refusal = page.get_by_role("form", name="Report"), page.get_by_role("alert").filter(has_text="Gateway")
        for _ in range(2):
            form.get_by_role("button", name="Fill in an example").click()
            expect(refusal).to_be_hidden()
            form.get_by_role("button", name="Report").click()
            expect(refusal).to_be_visible()

        assert keys[0] != keys[1]
        local.complaints.clear()  # the browser's, about the 504


class TestPosting:
    def test_faults_are_shown_at_their_fields(self, local: Visit) -> None:
        page = console(local, "amber", "Post a message")
        page.get_by_label("Order amount").fill("lots")
        page.get_by_label("Message time").fill("yesterday")

        page.get_by_role("button", name="Post", exact=True).click()

        expect(page.get_by_label("Message time")).to_be_focused()
        expect(page.get_by_label("Message time")).to_have_accessible_description(re.compile("RFC 3339 date"))
        expect(page.get_by_label("Order amount")).to_have_accessible_description(re.compile("must be a JSON number"))
        expect(page.get_by_label("Order id")).not_to_have_attribute("aria-invalid", "true")

    def test_another_company_is_refused_in_the_services_words(self, local: Visit) -> None:
        page = console(local, "amber", "Post a message")
        page.get_by_label("Company id").fill(str(uuid.uuid4()))

        page.get_by_role("button", name="Post", exact=True).click()

        expect(page.get_by_role("alert").filter(has_text="your own company only")).to_be_visible()

    def test_after_a_stored_post_the_form_has_a_fresh_id(self, local: Visit) -> None:
        page = console(local, "amber", "Post a message")
        field, used = page.get_by_label("Message id"), page.get_by_label("Message id").input_value()

        page.get_by_role("button", name="Post", exact=True).click()
        expect(page.locator("#message-log")).to_contain_text("Stored", timeout=MESSAGE_STORED_WITHIN_MS)
        expect(field).not_to_have_value(used)
        page.get_by_label("Order amount").fill("7")
        page.get_by_role("button", name="Post", exact=True).click()

        expect(page.locator("#stored")).to_contain_text('"order_amount": 7', timeout=MESSAGE_STORED_WITHIN_MS)

    def test_another_payload_under_a_stored_id_is_refused_and_the_same_one_is_known(self, local: Visit) -> None:
        page = console(local, "amber", "Post a message")
        field, used = page.get_by_label("Message id"), page.get_by_label("Message id").input_value()
        page.get_by_label("Order amount").fill("20")
        page.get_by_role("button", name="Post", exact=True).click()
        expect(page.locator("#message-log")).to_contain_text("Stored", timeout=MESSAGE_STORED_WITHIN_MS)

        field.fill(used)
        page.get_by_role("button", name="Post", exact=True).click()
        expect(page.locator("#message-log")).to_contain_text("Known")
        expect(page.locator("#message-log")).to_contain_text("Stored")

        field.fill(used)
        page.get_by_label("Order amount").fill("21")
        page.get_by_role("button", name="Post", exact=True).click()
        expect(page.get_by_role("alert").filter(has_text="Another message is stored under this id")).to_be_visible()
        expect(page.locator("#message-log li")).to_have_count(0)
        expect(field).to_have_value(used)

    def test_another_payload_that_the_look_missed_is_told_in_red(self, local: Visit) -> None:
        """The console learns of it from the digests: that of the 202, and that of the message that is stored."""
        page = console(local, "amber", "Post a message")
        used = page.get_by_label("Message id").input_value()
        location = post(local.api, a_message("1", message_id=used)).headers["Location"]
        stored(local.api, location)
        accepted = {"message_id": used, "status": "accepted", "digest": f"sha-256:{'0' * 64}"}
        page.route(
            "**/post-message",
            lambda route: route.fulfill(status=202, headers={"Location": location}, json=accepted),
        )

        page.get_by_role("button", name="Post", exact=True).click()

        told = page.locator("#message-log li", has_text="Another payload is stored")
        expect(told).to_be_visible()
        expect(told).to_have_css("color", RED)
        expect(page.locator("#message-log")).not_to_contain_text("Stored:")
        expect(page.locator("#stored")).to_contain_text('"order_amount": 1')
        expect(page.get_by_label("Message id")).to_have_value(used)

    def test_each_example_is_a_new_message_of_the_users_own_company(self, local: Visit) -> None:
        page = console(local, "amber", "Post a message")
        ids = page.locator("#message-id, #order-id")
        before = [field.input_value() for field in ids.all()]

        page.get_by_role("button", name="Fresh example").click()

        assert set(before).isdisjoint(field.input_value() for field in ids.all())
        expect(page.get_by_label("Company id")).to_have_value("e0721e56-fb09-4273-ae74-7bcbc92d43eb")


class TestAccessibility:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("width", [real_browser.WIDE, real_browser.NARROW])
    def test_axe_finds_nothing_serious_in_the_console(
        self, browser: Browser, apis: dict[str, Api], theme: str, width: int
    ) -> None:
        found: dict[str, list[str]] = {}
        with visit(browser, apis["local"], theme=theme, width=width) as visited:
            page = visited.open()
            found["welcome"] = serious(page)
            visited.sign_in("operator")
            expect(page.locator(".card").first).to_be_visible()
            found["cards"] = serious(page)
            page.get_by_text("Table", exact=True).click()
            found["table"] = serious(page)
            page.get_by_role("button", name="Correct or remove").first.click()
            expect(page.get_by_role("dialog").get_by_label("Name")).not_to_have_value("")
            found["dialog"] = serious(page)
            page.get_by_role("button", name="Cancel").click()
            page.get_by_role("link", name="Report a dragon").click()
            report(page, "Ashfall")
            expect(outcome(page)).to_contain_text("rejected")
            found["refused"] = serious(page)
            page.get_by_role("link", name="Post a message").click()
            page.get_by_label("Order amount").fill("lots")
            page.get_by_role("button", name="Post", exact=True).click()
            expect(page.locator(".fault")).to_be_visible()
            found["faults"] = serious(page)
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert {place: faults for place, faults in found.items() if faults} == {}
        assert wider <= 0, "the page scrolls sideways"

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_axe_finds_nothing_serious_in_the_docs(self, browser: Browser, apis: dict[str, Api], theme: str) -> None:
        with visit(browser, apis["local"], theme=theme) as visited:
            page = visited.open("/docs")
            page.locator(".opblock-summary-control").first.click()
            expect(page.get_by_role("button", name="Execute")).to_be_visible()
            found = [fault for fault in serious(page) if fault.split(":")[0] not in NOT_OURS]
        assert found == []

    def test_the_keyboard_is_enough_to_report_a_dragon(self, local: Visit) -> None:
        page = local.open()
        page.get_by_label("User name").focus()
        page.keyboard.type(local.api.devstack.email("operator"))
        page.keyboard.press("Tab")
        page.keyboard.type(local.api.devstack.password("operator"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Registry", level=2)).to_be_focused()
        page.get_by_role("link", name="Report a dragon").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Report a dragon", level=2)).to_be_focused()
        for text in (a_name("Keyed"), "green", "Typed, letter by letter.", "Old Town", "Bern", "Bern", "Switzerland"):
            page.keyboard.press("Tab")
            page.keyboard.type(text)
        page.keyboard.press("Enter")

        expect(outcome(page)).to_contain_text("added")


def test_the_screenshots_of_the_readme_are_small() -> None:
    for name in ("registry.png", "workflow.png"):
        assert 0 < Path(PROJECT, "docs", "images", name).stat().st_size < 150_000
