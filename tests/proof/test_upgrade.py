"""Suite 11: an upgrade under data and load loses nothing, and answers no 5xx.

An earlier version's stage `prod` is deployed by its own commands to an embedded AWS over TLS, filled, and upgraded to
the present version while clients go on using it.
"""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from operations import functions
from operations.functions import deployed_name
from operations.stages import STAGES
from tests.deploy.embedded_aws import embedded_aws
from tests.deploy.prod import STAGE, Prod, make_for_this_machine
from tests.e2e.dragons import a_dragon, settled
from tests.e2e.messages import a_message, exactly, post, queue_unseen, stored
from tests.e2e.running import Api
from tests.e2e.waiting import until
from tests.proof import earlier
from tests.proof.report import Report
from tests.proof.trail import recording
from tests.proof.visitors import Visitors, visiting

SUITE = "11 upgrade"
DRAGONS, CORRECTED, REMOVED = 24, 6, 2
HELD = 12
AMOUNTS = (
    "20",
    "20.00",
    "2.0e1",
    "1e-7",
    "0.1000000000000000055511151231257827",
    "0",
    "98765432109876543210.123456789",
)
LETTERS = 4
CLIENTS = 4
API = deployed_name(functions.API, STAGE)
VALIDATES = deployed_name("validate_dragon", STAGE)
UPGRADED_WITHIN_S = 120
SETTLED_WITHIN_S = 60
ROUNDS_AFTERWARDS = 3

pytestmark = pytest.mark.skipif(
    os.environ.get("PROOF_SCALE", "fast") != "full", reason="deploys two versions of stage prod: make prove"
)


@dataclass
class Upgrade:
    """A stage that is upgraded: what it held before, and what happened meanwhile."""

    prod: Prod
    api: Api
    dragons: dict[str, dict[str, Any]] = field(default_factory=dict)  # by name, as they are read
    submissions: dict[str, dict[str, Any]] = field(default_factory=dict)  # by path, as they are read once settled
    keys: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # each one's path, and its dragon
    messages: dict[str, str] = field(default_factory=dict)  # by path, as they are read
    letters: Counter[str] = field(default_factory=Counter)  # bodies and attributes
    held: dict[str, str] = field(default_factory=dict)  # the name of each dragon by the path of its submission
    tokens: dict[str, str] = field(default_factory=dict)
    outputs_before: dict[str, str] = field(default_factory=dict)
    changed: datetime = field(init=False)  # when the new workflow was there
    visitors: Visitors = field(init=False)

    @property
    def outputs(self) -> dict[str, str]:
        """The resources stack's outputs now."""
        return dict(self.prod.running["outputs"])

    def fill(self) -> None:
        """Report, correct and remove dragons, post messages, and have some of them become dead letters."""
        self.tokens = {user: self.api.token(user) for user in ("operator", "amber", "cobalt")}
        with ThreadPoolExecutor(CLIENTS) as pool:
            names = [added.result() for added in [pool.submit(self._add_dragon) for _ in range(DRAGONS)]]
            list(pool.map(self._store_message, AMOUNTS))
        for name in names[:CORRECTED]:
            self._correct(name)
        for name in names[-REMOVED:]:
            assert self.api.request("DELETE", path_of(name)).status_code == 204
        self.dragons = {dragon["dragon_name_str"]: dragon for dragon in registry(self.api)}
        for place in list(self.messages)[:LETTERS]:
            queue_unseen(self.prod, a_message("77", message_id=place.rpartition("/")[2]))
        self.letters = until(lambda: letters if (letters := self.dead_letters()).total() == LETTERS else None)

    def hold(self) -> None:
        """Start executions that go no further: the workflow tries a throttled function again for minutes."""
        self.prod.client("lambda").put_function_concurrency(FunctionName=VALIDATES, ReservedConcurrentExecutions=0)
        for _ in range(HELD):
            dragon = a_dragon()
            answer = self.api.post("/dragons", json=dragon)
            assert answer.status_code == 202, answer.text
            self.held[answer.headers["Location"]] = dragon["dragon_name_str"]

    def let_go(self) -> None:
        """Let the held executions, and those that came meanwhile, go on."""
        bound = STAGES[STAGE].workflow_concurrency
        self.prod.client("lambda").put_function_concurrency(FunctionName=VALIDATES, ReservedConcurrentExecutions=bound)

    def run(self) -> None:
        """Upgrade the stage while it is used. What is held is let go once the new workflow is there."""
        known = dict(self.messages), set(self.dragons)
        self.visitors = Visitors(self.prod, self.api._tokens, *known)
        self.outputs_before, before = self.outputs, self.machine()["definition"]
        with visiting(self.visitors), ThreadPoolExecutor(1) as pool:
            self.visited(ROUNDS_AFTERWARDS)
            self.hold()
            upgrading = pool.submit(self.prod.deploy)
            until(lambda: upgrading.done() or self.machine()["definition"] != before, UPGRADED_WITHIN_S)
            self.changed = datetime.now(UTC)
            self.let_go()
            ended = upgrading.result()
            assert ended.returncode == 0, ended.stderr
            self.visited(ROUNDS_AFTERWARDS)

    def visited(self, rounds: int) -> None:
        """Wait until every visitor has done so many more rounds."""
        seen = {kind: self.visitors.rounds[kind] + rounds for kind in self.visitors.kinds()}
        until(lambda: all(self.visitors.rounds[kind] >= wanted for kind, wanted in seen.items()), SETTLED_WITHIN_S)

    def settle(self) -> None:
        """Wait until the queue is empty, and every report is settled."""
        pending = [place for place in (*self.visitors.reported.values(), *self.held) if place]
        for place in pending:
            until(lambda place=place: self.submission(place)["status"] != "pending", SETTLED_WITHIN_S)
        until(lambda: not self.waiting(), SETTLED_WITHIN_S)

    def waiting(self) -> int:
        """How many messages are not stored yet, nor dead letters."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.prod.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["MessageQueueUrl"], AttributeNames=names
        )["Attributes"]
        return sum(int(found[name]) for name in names)

    def submission(self, place: str) -> dict[str, Any]:
        """What the API says of a submission."""
        answer = self.api.get(place)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def message(self, place: str) -> str | None:
        """The text of a message as its company reads it, or None if it is not there."""
        answer = self._own().get(place, "amber")
        return answer.text if answer.status_code == 200 else None

    def machine(self) -> dict[str, Any]:
        """The workflow as it is now."""
        arn = self.outputs["DragonWorkflowArn"]
        return dict(self.prod.client("stepfunctions").describe_state_machine(stateMachineArn=arn))

    def rows(self) -> set[str]:
        """The ids of the submissions that have a row."""
        pages = (
            self.prod.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["SubmissionTableName"])
        )
        return {row["id"]["S"] for page in pages for row in page["Items"]}

    def execution(self, place: str) -> dict[str, Any]:
        """What Step Functions says of a submission, given its path."""
        arn = self.outputs["DragonWorkflowArn"].replace(":stateMachine:", ":execution:") + ":" + id_in(place)
        return dict(self.prod.client("stepfunctions").describe_execution(executionArn=arn))

    def dead_letters(self) -> Counter[str]:
        """Return all letters, which return to the queue at once, with how often each is there."""
        sqs, found = self.prod.client("sqs"), {}
        url = self.outputs["MessageDeadLetterQueueUrl"]
        while received := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=30
        ).get("Messages"):
            found |= {letter["MessageId"]: letter for letter in received}
        for letter in found.values():
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"], VisibilityTimeout=0)
        return Counter(
            json.dumps([letter["Body"], letter.get("MessageAttributes")], sort_keys=True, default=str)
            for letter in found.values()
        )

    def _add_dragon(self) -> str:
        api, dragon, key = self._own(), a_dragon(), f"before-{uuid.uuid4()}"
        answer = api.post("/dragons", json=dragon, headers={"Idempotency-Key": key})
        place = answer.headers["Location"]
        self.submissions[place] = settled(api, place)
        assert self.submissions[place]["status"] == "added"
        self.keys[key] = place, dragon
        return str(dragon["dragon_name_str"])

    def _correct(self, name: str) -> None:
        seen = self.api.get(path_of(name))
        changed = {**seen.json(), "description_str": f"Seen twice near {name}."}
        answer = self.api.request("PUT", path_of(name), json=changed, headers={"If-Match": seen.headers["ETag"]})
        assert answer.status_code == 200, answer.text

    def _store_message(self, amount: str) -> None:
        api = self._own()
        place = post(api, a_message(amount)).headers["Location"]
        self.messages[place] = stored(api, place)

    def _own(self) -> Api:
        return Api(self.prod, "gateway", _tokens=self.api._tokens)


def path_of(name: str) -> str:
    return "/dragons/" + quote(name)


def id_in(place: str) -> str:
    return place.rpartition("/")[2]


def data_in(message: str | None) -> Any:
    """Return what a message's text says of the order, with its exact numbers."""
    return None if message is None else exactly(message)["data"]


def registry(api: Api) -> list[dict[str, Any]]:
    """Return all dragons, page after page."""
    found: list[dict[str, Any]] = []
    reference = "/dragons?limit=1000"
    while reference:
        answer = api.get(reference)
        assert answer.status_code == 200, answer.text
        found += answer.json()
        reference = answer.links.get("next", {}).get("url", "")
    return found


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """The stage after its upgrade, without its visitors, and with all settled that they have begun."""
    folder = tmp_path_factory.mktemp("upgrade")
    before = earlier.tree(folder / "earlier")
    make_for_this_machine(before)
    prod = Prod(folder)
    with embedded_aws(prod.settings):
        deployed = prod.deploy(before)
        assert deployed.returncode == 0, deployed.stderr
        stage = Upgrade(prod, Api(prod, "gateway"))
        stage.fill()
        stage.run()
        stage.settle()
        yield stage


class TestMeanwhile:
    def test_no_answer_is_a_5xx_and_no_connection_breaks(self, upgrade: Upgrade, report: Report) -> None:
        visitors = upgrade.visitors
        asked = visitors.answers.total()
        report.add(SUITE, "requests during an upgrade: no 5xx", tried=asked, survived=asked - len(visitors.broken),
                   lost=len(visitors.broken), note=visitors.note())  # fmt: skip
        assert visitors.broken == []
        assert {what for what, _ in visitors.answers} == {
            *("POST /dragons", "GET /submissions/{id}", "POST /post-message", "GET /message/{id}", "GET /dragons")
        }

    def test_what_was_there_before_is_seen_all_the_time(self, upgrade: Upgrade) -> None:
        assert upgrade.visitors.wrong == []

    def test_each_accepted_message_arrives_as_it_was_sent(self, upgrade: Upgrade, report: Report) -> None:
        posted = upgrade.visitors.posted
        with ThreadPoolExecutor(CLIENTS) as pool:
            arrived = dict(zip(posted, pool.map(upgrade.message, posted), strict=True))

        lost = [place for place, message in posted.items() if data_in(arrived[place]) != data_in(message)]
        report.add(SUITE, "messages accepted during an upgrade arrive, with their exact numbers",
                   tried=len(posted), survived=len(posted) - len(lost), lost=len(lost))  # fmt: skip
        assert lost == []

    def test_each_report_settles_and_its_dragon_is_listed_once(self, upgrade: Upgrade, report: Report) -> None:
        reported = upgrade.visitors.reported | {name: place for place, name in upgrade.held.items()}
        listed = Counter(dragon["dragon_name_str"] for dragon in registry(upgrade.api))

        unsettled = [
            name for name, place in reported.items() if place and upgrade.submission(place)["status"] != "added"
        ]
        lost = [name for name in reported if listed[name] != 1]
        report.add(SUITE, "reports during an upgrade are settled, and each dragon is listed once",
                   tried=len(reported), survived=len(reported) - len(lost), lost=len({*unsettled, *lost}))  # fmt: skip
        assert (unsettled, lost) == ([], [])
        assert listed.keys() == reported.keys() | upgrade.dragons.keys()

    def test_executions_that_began_before_it_end_after_it(self, upgrade: Upgrade) -> None:
        """Otherwise it was not tried: they have to meet the new functions, and the new API has to answer for them."""
        executions = [upgrade.execution(place) for place in upgrade.held]

        assert all(each["startDate"] < upgrade.changed < each["stopDate"] for each in executions)
        assert {each["status"] for each in executions} == {"SUCCEEDED"}

    def test_the_stage_is_another_one_now(self, upgrade: Upgrade) -> None:
        """Otherwise nothing was upgraded: only the latest reports have rows in the new table of submissions."""
        rows = upgrade.rows()

        assert rows & {id_in(place) for place in upgrade.visitors.reported.values() if place}
        assert not rows & {id_in(place) for place in upgrade.submissions}


class TestWhatWasThereBefore:
    def test_each_dragon_is_as_it_was(self, upgrade: Upgrade, report: Report) -> None:
        now = {dragon["dragon_name_str"]: dragon for dragon in registry(upgrade.api)}

        lost = [name for name, dragon in upgrade.dragons.items() if now.get(name) != dragon]
        report.add(SUITE, "dragons from before, corrected and removed ones too", tried=DRAGONS,
                   survived=DRAGONS - len(lost), lost=len(lost))  # fmt: skip
        assert lost == []
        assert len(upgrade.dragons) == DRAGONS - REMOVED

    def test_each_message_is_as_it_was(self, upgrade: Upgrade, report: Report) -> None:
        lost = [place for place, before in upgrade.messages.items() if upgrade.message(place) != before]

        tried = len(upgrade.messages)
        report.add(SUITE, "messages from before read the same, to the digit", tried=tried, survived=tried - len(lost),
                   lost=len(lost))  # fmt: skip
        assert lost == []
        assert tried == len(AMOUNTS)

    def test_each_dead_letter_is_as_it_was(self, upgrade: Upgrade, report: Report) -> None:
        lost = upgrade.letters - upgrade.dead_letters()

        report.add(SUITE, "dead letters from before", tried=LETTERS, survived=LETTERS - lost.total(),
                   lost=lost.total())  # fmt: skip
        assert lost.total() == 0
        assert upgrade.dead_letters().total() == LETTERS

    def test_each_submission_is_as_it_was_and_takes_one_question_to_step_functions(
        self, upgrade: Upgrade, report: Report
    ) -> None:
        """They have no row: the table came with the upgrade."""
        with recording(upgrade.prod) as trail:
            now = {place: upgrade.submission(place) for place in upgrade.submissions}
            asked = Counter(call.resource.rpartition(":")[2] for call in trail.each(API, "states:DescribeExecution"))
        steps = {place: upgrade.submission(f"{place}?steps=true").get("steps") for place in upgrade.submissions}

        lost = [
            place for place, before in upgrade.submissions.items() if now[place] | {"steps": steps[place]} != before
        ]
        report.add(SUITE, "submissions from before, which have no row", tried=DRAGONS, survived=DRAGONS - len(lost),
                   lost=len(lost))  # fmt: skip
        assert lost == []
        assert asked == Counter({id_in(place): 1 for place in upgrade.submissions})

    def test_an_idempotency_key_leads_to_the_report_that_it_came_with(self, upgrade: Upgrade) -> None:
        for key, (place, dragon) in list(upgrade.keys.items())[:CLIENTS]:
            again = upgrade.api.post("/dragons", json=dragon, headers={"Idempotency-Key": key})

            assert (again.status_code, again.headers["Location"]) == (202, place)

    @pytest.mark.parametrize("user", ["operator", "amber", "cobalt"])
    def test_who_was_signed_in_still_is(self, upgrade: Upgrade, user: str) -> None:
        headers = {"Authorization": f"Bearer {upgrade.tokens[user]}"}

        assert upgrade.api.get("/dragons", None, headers=headers).status_code == 200

    def test_whoever_had_a_password_can_sign_in(self, upgrade: Upgrade) -> None:
        token = upgrade.prod.token("amber")

        assert upgrade.api.get(next(iter(upgrade.messages)), None, headers={"Authorization": token}).status_code == 200

    def test_no_store_has_another_name(self, upgrade: Upgrade) -> None:
        names = {name: upgrade.outputs.get(name) for name in upgrade.outputs_before}

        assert names == upgrade.outputs_before

    @pytest.mark.parametrize("output", ["MessageQueueUrl", "MessageDeadLetterQueueUrl"])
    def test_each_queue_has_a_policy_of_its_own(self, upgrade: Upgrade, output: str) -> None:
        """One was for both before. The update that takes a queue from it removes whatever policy that queue has."""
        attributes = upgrade.prod.client("sqs").get_queue_attributes(
            QueueUrl=upgrade.outputs[output], AttributeNames=["Policy", "QueueArn"]
        )["Attributes"]

        assert "Policy" in attributes, "anybody may use the queue over plain HTTP"
        [statement] = json.loads(attributes["Policy"])["Statement"]
        assert (statement["Effect"], statement["Resource"]) == ("Deny", attributes["QueueArn"])
