"""Suite 11: an upgrade under data and load loses nothing, and answers no 5xx.

An earlier version's stage `prod` is deployed by its own commands to an embedded AWS over TLS, filled, and upgraded to
the present version while clients go on using it. And the present `make run` starts on what an earlier one has kept.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from operations import PROJECT, functions
from operations.functions import deployed_name
from operations.stages import STAGES
from tests.deploy.embedded_aws import embedded_aws
from tests.deploy.prod import STAGE, Prod, make_for_this_machine
from tests.e2e.dragons import a_dragon
from tests.e2e.messages import exactly
from tests.e2e.running import Api, Devstack, free_ports
from tests.e2e.waiting import until
from tests.proof import earlier
from tests.proof.holdings import AMOUNTS, CLIENTS, LETTERS, REPORTED, Holdings, id_in, registry
from tests.proof.report import Report, only_at_full_scale
from tests.proof.trail import recording
from tests.proof.visitors import Visitors, visiting

SUITE = "12 upgrade"
HELD = 12
API = deployed_name(functions.API, STAGE)
VALIDATES = deployed_name("validate_dragon", STAGE)
UPGRADED_WITHIN_S = 120
SETTLED_WITHIN_S = 60
DRAINED_WITHIN_S = 240  # a message whose delivery failed is delivered again after 180 s
ROUNDS_AROUND_IT = 3

pytestmark = only_at_full_scale("deploys two versions of the project")


@dataclass
class Upgrade:
    """A stage that is upgraded: what it held before, and what happened meanwhile."""

    prod: Prod
    before: Holdings
    visitors: Visitors
    outputs_before: dict[str, str]
    held: dict[str, str] = field(default_factory=dict)  # the name of each dragon by the path of its submission
    changed: datetime = field(init=False)  # when the new workflow was there

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the resources stack now."""
        return self.before.outputs

    def run(self) -> None:
        """Upgrade the stage while it is used. What is held is let go once the new workflow is there."""
        definition = self.definition()
        with visiting(self.visitors), ThreadPoolExecutor(1) as pool:
            self.visited(ROUNDS_AROUND_IT)
            self.hold()
            upgrading = pool.submit(self.prod.deploy)
            until(lambda: upgrading.done() or self.definition() != definition, UPGRADED_WITHIN_S)
            self.changed = datetime.now(UTC)
            self.bound(STAGES[STAGE].workflow_concurrency)
            ended = upgrading.result()
            assert ended.returncode == 0, ended.stderr
            self.visited(ROUNDS_AROUND_IT)

    def hold(self) -> None:
        """Start executions that go no further: the workflow tries a throttled function again for minutes."""
        self.bound(0)
        for _ in range(HELD):
            dragon = a_dragon()
            answer = self.before.api.post("/dragons", json=dragon)
            assert answer.status_code == 202, answer.text
            self.held[answer.headers["Location"]] = dragon["dragon_name_str"]

    def bound(self, runs: int) -> None:
        """Let the workflow's first function have so many runs at once."""
        self.prod.client("lambda").put_function_concurrency(FunctionName=VALIDATES, ReservedConcurrentExecutions=runs)

    def visited(self, rounds: int) -> None:
        """Wait until every visitor has done so many more rounds, or one of them has ended."""
        wanted = {kind: self.visitors.rounds[kind] + rounds for kind in self.visitors.kinds()}
        until(lambda: self.visitors.ended or self.visitors.rounds >= Counter(wanted), SETTLED_WITHIN_S)

    def settle(self) -> None:
        """Wait until every report is settled, and no message waits."""
        for place in filter(None, (*self.visitors.reported.values(), *self.held)):
            until(lambda place=place: self.before.submission(place)["status"] != "pending", SETTLED_WITHIN_S)
        until(lambda: not self.waiting(), DRAINED_WITHIN_S)

    def waiting(self) -> int:
        """How many messages are neither stored yet nor dead letters."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.prod.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["MessageQueueUrl"], AttributeNames=names
        )["Attributes"]
        return sum(int(found[name]) for name in names)

    def definition(self) -> str:
        """The workflow's definition now."""
        arn = self.outputs["DragonWorkflowArn"]
        return str(self.prod.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"])

    def execution(self, place: str) -> dict[str, Any]:
        """What Step Functions says of a submission, given its path."""
        arn = self.outputs["DragonWorkflowArn"].replace(":stateMachine:", ":execution:") + ":" + id_in(place)
        return dict(self.prod.client("stepfunctions").describe_execution(executionArn=arn))

    def rows(self) -> set[str]:
        """The ids of the submissions that have a row."""
        pages = (
            self.prod.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["SubmissionTableName"])
        )
        return {row["id"]["S"] for page in pages for row in page["Items"]}


@pytest.fixture(scope="module")
def earlier_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The earlier version's files."""
    return earlier.tree(tmp_path_factory.mktemp("earlier") / "project")


@pytest.fixture(scope="module")
def upgrade(earlier_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """The stage after its upgrade, without its visitors, and with all settled that they have begun."""
    make_for_this_machine(earlier_tree)
    prod = Prod(tmp_path_factory.mktemp("upgrade"))
    with embedded_aws(prod.settings):
        deployed = prod.deploy(project=earlier_tree)
        assert deployed.returncode == 0, deployed.stderr
        before = Holdings(Api(prod, "gateway"))
        before.fill()
        visitors = Visitors(prod, before.tokens, before.messages, set(before.dragons))
        stage = Upgrade(prod, before, visitors, before.outputs)
        stage.run()
        stage.settle()
        yield stage


@contextlib.contextmanager
def devstack(project: Path, state: Path) -> Iterator[Devstack]:
    """Run a version's `make run` on a state folder in the block, on ports of its own."""
    stack = Devstack(project, state, free_ports())
    try:
        yield stack.until_ready()
        assert stack.end() == 0, stack.output
    finally:
        stack.kill()


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
            arrived = dict(zip(posted, pool.map(upgrade.before.message, posted), strict=True))

        lost = [place for place, message in posted.items() if data_in(arrived[place]) != data_in(message)]
        report.add(SUITE, "messages accepted during an upgrade arrive, with their exact numbers",
                   tried=len(posted), survived=len(posted) - len(lost), lost=len(lost))  # fmt: skip
        assert lost == []

    def test_each_report_settles_and_its_dragon_is_listed_once(self, upgrade: Upgrade, report: Report) -> None:
        reported = upgrade.visitors.reported | {name: place for place, name in upgrade.held.items()}
        listed = Counter(dragon["dragon_name_str"] for dragon in registry(upgrade.before.api))
        statuses = {name: upgrade.before.submission(place)["status"] for name, place in reported.items() if place}

        lost = [name for name in reported if listed[name] != 1 or statuses.get(name, "added") != "added"]
        report.add(SUITE, "reports during an upgrade are settled, and each dragon is listed once",
                   tried=len(reported), survived=len(reported) - len(lost), lost=len(lost))  # fmt: skip
        assert lost == []
        assert listed.keys() == reported.keys() | upgrade.before.dragons.keys()

    def test_executions_that_began_before_it_end_after_it(self, upgrade: Upgrade) -> None:
        """Otherwise it was not tried: they have to meet the new functions, and the new API has to answer for them."""
        executions = [upgrade.execution(place) for place in upgrade.held]

        assert all(each["startDate"] < upgrade.changed < each["stopDate"] for each in executions)
        assert {each["status"] for each in executions} == {"SUCCEEDED"}

    def test_the_stage_is_another_one_now(self, upgrade: Upgrade) -> None:
        """Otherwise nothing was upgraded: only the latest reports have rows in the new table of submissions."""
        rows = upgrade.rows()

        assert rows & {id_in(place) for place in upgrade.visitors.reported.values() if place}
        assert not rows & {id_in(place) for place in upgrade.before.submissions}


class TestWhatWasThereBefore:
    def test_all_of_it_is_as_it_was(self, upgrade: Upgrade, report: Report) -> None:
        lost = upgrade.before.lost()

        for kind, (tried, gone) in lost.items():
            report.add(SUITE, f"{kind} from before an upgrade", tried=tried, survived=tried - len(gone),
                       lost=len(gone))  # fmt: skip
        assert {kind: gone for kind, (_, gone) in lost.items() if gone} == {}
        assert {kind: tried for kind, (tried, _) in lost.items()} == {
            "dragons": len(upgrade.before.dragons),
            "messages": len(AMOUNTS),
            "dead letters": LETTERS,
            "submissions": REPORTED,
        }

    def test_messages_are_listed_once_they_are_filled_in(self, upgrade: Upgrade, report: Report) -> None:
        """The index came with the upgrade, and their rows have no keys for it."""
        wanted = {id_in(place) for place in upgrade.before.messages}

        def listed() -> set[str]:
            answer = upgrade.before.api.get("/messages", "amber", params={"limit": 1000})
            assert answer.status_code == 200, answer.text
            return {message["message_id"] for message in answer.json()}

        assert not wanted & listed()
        filled = upgrade.prod.run("operations.backfill", "--yes")
        assert filled.returncode == 0, filled.stderr
        until(lambda: wanted <= listed(), SETTLED_WITHIN_S)
        report.add(SUITE, "messages from before an upgrade are listed", tried=len(wanted),
                   survived=len(wanted & listed()), lost=len(wanted - listed()))  # fmt: skip

    def test_a_submission_takes_one_question_to_step_functions(self, upgrade: Upgrade) -> None:
        """It has no row: the table came with the upgrade."""
        with recording(upgrade.prod) as trail:
            for place in upgrade.before.submissions:
                upgrade.before.submission(place)
            described = trail.each(API, "states:DescribeExecution")

        asked = Counter(call.resource.rpartition(":")[2] for call in described)
        assert asked == Counter({id_in(place): 1 for place in upgrade.before.submissions})

    def test_an_idempotency_key_leads_to_the_report_that_it_came_with(self, upgrade: Upgrade) -> None:
        for key, (place, dragon) in upgrade.before.keys.items():
            again = upgrade.before.api.post("/dragons", json=dragon, headers={"Idempotency-Key": key})

            assert (again.status_code, again.headers["Location"]) == (202, place)

    @pytest.mark.parametrize("user", ["operator", "amber", "cobalt"])
    def test_who_was_signed_in_still_is(self, upgrade: Upgrade, user: str) -> None:
        headers = {"Authorization": f"Bearer {upgrade.before.tokens[user]}"}

        assert upgrade.before.api.get("/dragons", None, headers=headers).status_code == 200

    def test_whoever_had_a_password_can_sign_in(self, upgrade: Upgrade) -> None:
        headers = {"Authorization": f"Bearer {upgrade.prod.token('amber')}"}

        assert upgrade.before.api.get(next(iter(upgrade.before.messages)), None, headers=headers).status_code == 200

    def test_no_store_has_another_name(self, upgrade: Upgrade) -> None:
        assert {name: upgrade.outputs.get(name) for name in upgrade.outputs_before} == upgrade.outputs_before

    @pytest.mark.parametrize("output", ["MessageQueueUrl", "MessageDeadLetterQueueUrl"])
    def test_each_queue_has_a_policy_of_its_own(self, upgrade: Upgrade, output: str) -> None:
        """One was for both before. The update that takes a queue from it removes whatever policy that queue has."""
        attributes = upgrade.prod.client("sqs").get_queue_attributes(
            QueueUrl=upgrade.outputs[output], AttributeNames=["Policy", "QueueArn"]
        )["Attributes"]

        assert "Policy" in attributes, "anybody may use the queue over plain HTTP"
        [statement] = json.loads(attributes["Policy"])["Statement"]
        assert (statement["Effect"], statement["Resource"]) == ("Deny", attributes["QueueArn"])


def test_make_run_goes_on_with_what_an_earlier_version_has_kept(
    earlier_tree: Path, tmp_path: Path, report: Report
) -> None:
    state = tmp_path / "state"
    with devstack(earlier_tree, state) as stack:
        kept = Holdings(Api(stack, "local"))
        kept.fill()
    with devstack(PROJECT, state) as stack:
        kept.api = Api(stack, "local", _tokens=kept.tokens)
        lost = kept.lost()

    tried, gone = sum(count for count, _ in lost.values()), [each for _, those in lost.values() for each in those]
    report.add(SUITE, "what an earlier `make run` has kept", tried=tried, survived=tried - len(gone), lost=len(gone))
    assert gone == []


def data_in(message: str | None) -> Any:
    """Return what a message's text says of the order, with its exact numbers."""
    return None if message is None else exactly(message)["data"]
