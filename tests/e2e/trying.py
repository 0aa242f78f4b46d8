"""Somebody on /docs who opens one operation after the other and presses Execute."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser import Visit
from tests.e2e.running import Api
from tests.e2e.waiting import until

DONE_A_MOMENT_LATER = {"getDragon", "getSubmission", "getMessage"}  # their descriptions say so
# What is refused as it is filled in, as docs/console.md says: a dragon can be removed once.
OPERATORS_REFUSALS = {"removeDragon": ["2xx", "404"]}
REFUSALS_OF_A_COMPANY = {
    **{changed: ["403", "403"] for changed in ("correctDragon", "removeDragon")},
    **{read: ["403"] for read in ("getReadiness", "listDeadLetters", "getTimeline")},
}


def try_all(visited: Visit, user: str, refusals: Mapping[str, list[str]]) -> tuple[set[str], set[str]]:
    """Sign in on /docs and execute every operation as it is filled in, each with every example of its body.

    What changes something is executed twice. `refusals` is what is not answered with a success. Returns the names of
    dragons and the ids of messages that were filled in.
    """
    trying = Trying(visited)
    trying.sign_in(user)
    names: set[str] = set()
    ids: set[str] = set()
    got, promised = {}, {}
    reads = {path["get"]["operationId"] for path in document(visited.api)["paths"].values() if "get" in path}
    for name, documented in documented_answers(visited.api).items():
        if "letter_id" in trying.required(name):
            continue  # SQS chooses the ids of letters, so no example can name one
        filled_in(trying, name, names, ids)
        for example, body in enumerate(trying.bodies(name)):
            names |= {value for member, value in (body or {}).items() if member in ("dragon_name_str", "dragonName")}
            ids |= {body["metadata"]["message_id"]} if body and "metadata" in body else set()
            if name in DONE_A_MOMENT_LATER:
                until(lambda name=name: trying.execute(name) != 404)  # type: ignore[misc]
            statuses = [trying.execute(name) for _ in range(1 if name in reads else 2)]
            assert set(statuses) <= documented
            got[name, example] = ["2xx" if 200 <= status < 300 else str(status) for status in statuses]
            promised[name, example] = refusals.get(name, ["2xx"] * len(statuses))
        trying.close(name)  # what is open is drawn again and again
    assert got == promised
    assert {("reportDragon", 1), ("correctDragon", 1)} <= got.keys(), "not every example of a body was tried"
    return names, ids


def filled_in(trying: Trying, name: str, names: set[str], ids: set[str]) -> None:
    """Add the dragon and the message of an operation's parameters. What is optional must be empty.

    But the company of a list of messages, which an operator has to name.
    """
    parameters = trying.filled_in(name)
    required = trying.required(name)
    assert {each for each in parameters.keys() - required if parameters[each]} <= {"company_id"}
    if "If-Match" in required:
        assert parameters["If-Match"] == "*"
    names |= {parameters["dragon_name"]} if "dragon_name" in parameters else set()
    ids |= {parameters["message_id"]} if "message_id" in parameters else set()


def document(api: Api) -> dict[str, Any]:
    """Return the API's document."""
    return dict(api.get("/openapi.json", None).json())


def documented_answers(api: Api) -> dict[str, set[int]]:
    """Return the statuses that each operation may answer, by its id and in the document's order."""
    operations = [operation for path in document(api)["paths"].values() for operation in path.values()]
    return {each["operationId"]: set(map(int, each["responses"])) for each in operations}


def parameters_of(api: Api) -> dict[str, list[dict[str, Any]]]:
    """Return the parameters of each operation, by its id."""
    whole = document(api)

    def resolved(parameter: dict[str, Any]) -> dict[str, Any]:
        reference = parameter.get("$ref", "")
        return dict(whole["components"]["parameters"][reference.rpartition("/")[2]]) if reference else parameter

    return {
        operation["operationId"]: [resolved(each) for each in operation.get("parameters", ())]
        for path in whole["paths"].values()
        for operation in path.values()
    }


class Trying:
    """The page as somebody uses it who has signed in, or who will."""

    def __init__(self, visited: Visit) -> None:
        self.visited = visited
        self._parameters = parameters_of(visited.api)
        self.page: Page = visited.open("/docs")
        expect(self.page.locator(".opblock").first).to_be_visible()

    def sign_in(self, user: str) -> None:
        """Sign in, and wait for it."""
        self.visited.sign_in(user)
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def operation(self, name: str) -> Locator:
        """Return an operation, which is opened first if it is not open."""
        block = self.page.locator(f".opblock[id$='-{name}']")
        if not block.locator(".opblock-body").count():
            block.locator(".opblock-summary-control").click()
        expect(block.get_by_role("button", name="Execute")).to_be_visible()
        expect(block.locator("tr[data-param-name]")).to_have_count(len(self._parameters[name]))
        return block

    def close(self, name: str) -> None:
        """Close an operation that is open."""
        block = self.operation(name)
        block.locator(".opblock-summary-control").click()
        expect(block.locator(".opblock-body")).to_have_count(0)

    def filled_in(self, name: str) -> dict[str, str]:
        """Return what is filled in for each of an operation's parameters, when the examples of the document are."""
        rows = self.operation(name).locator("tr[data-param-name]")
        filled_in = {}
        for parameter in self._parameters[name]:
            field = rows.and_(self.page.locator(f"[data-param-name='{parameter['name']}']")).locator("input, select")
            if "example" in parameter and parameter["name"] != "submission_id":  # filled in after a report
                expect(field).not_to_have_value("")
            filled_in[parameter["name"]] = field.input_value()
        return filled_in

    def required(self, name: str) -> set[str]:
        """Return the names of the parameters that the operation needs."""
        return {parameter["name"] for parameter in self._parameters[name] if parameter.get("required")}

    def body(self, name: str) -> Locator:
        """Return the body that an operation will send."""
        return self.operation(name).locator("textarea.body-param__text")

    def bodies(self, name: str) -> Iterator[dict[str, Any] | None]:
        """Choose each of the examples of an operation's body in turn. Yield None once if it has no body."""
        if not self.body(name).count():
            yield None
            return
        choice = self.operation(name).get_by_label("Example").first
        for example in choice.locator("option").all_inner_texts() if choice.count() else [None]:
            if example:
                choice.select_option(example)
            yield dict(json.loads(self.body(name).input_value()))

    def execute(self, name: str) -> int:
        """Press Execute. Return the status of the answer, which the page shows, too."""
        block = self.operation(name)
        with self.page.expect_response(lambda answer: answer.request.resource_type == "fetch") as answered:
            block.get_by_role("button", name="Execute").click()
        status = answered.value.status
        expect(block.locator(".live-responses-table .response .response-col_status")).to_contain_text(str(status))
        return status
