"""The stage that ships, over its life: prod loses data and gets it back, is deleted, and is deployed over what stayed.

It is on an embedded AWS over TLS, and an operator's commands do all of it. The tests follow one another in order;
tests/deploy/test_prod_over_tls.py has the first deployment that fails, and the update. The embedded AWS has no earlier
state of a table, so the copy that a restore needs is made before the loss; and its CloudFormation leaves the buckets
without the rules by which objects expire, which are therefore not compared (docs/embedded-aws.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from operations.stores import STORES, WORKFLOW
from tests.deploy.embedded_aws import embedded_aws
from tests.deploy.prod import APP_STACK, RESOURCES_STACK, Prod
from tests.deployer import AFTER_A_FAILURE, policies
from tests.e2e.dragons import a_dragon, settled
from tests.e2e.messages import a_message, post, stored
from tests.e2e.running import Api
from tests.e2e.waiting import until
from tests.proof.policies import grants
from tests.proof.report import Report, only_at_full_scale
from tests.proof.tour import Tour

SUITE = "11 prod's life"
pytestmark = only_at_full_scale("deploys prod three times")
AMOUNTS = ("20", "1e-7", "-0", "12345678901234567890.1234567890")
DRAGONS = 4
ALARM_EMAIL = "ada@dragonpost.example"
KEPT = {name for name, store in STORES.items() if store.type != WORKFLOW}
STACKS = (RESOURCES_STACK, APP_STACK)
# Of the rights of whoever deploys: missing parameters are put in tests/deploy/test_prod_over_tls.py, and only packages
# older than 90 days are deleted (tests/integration/test_artifacts.py).
NOT_HERE = AFTER_A_FAILURE | {"cloudformation:ListStackResources", "s3:DeleteObject", "ssm:PutParameter"}
LATE_LOG = "/aws/lambda/dragonpost-prod-late"

# The API's answers (status, body, ETag) by what is asked for, and the archive's objects by their keys. No route reads
# the archive.
Held = Mapping[str, Any]


class Life:
    """The stage, and what its users have put into it."""

    def __init__(self, prod: Prod) -> None:
        self.prod = prod
        self.api = Api(prod, "gateway")
        self.places: dict[str, str] = {"/dragons": "operator"}  # what can be read, and who reads it
        self.waiting = ""  # where a message is going to be that was accepted, and not stored before the deletion
        self.letters: set[str] = set()
        self.guards: dict[str, Any] = {}

    def fill(self) -> None:
        """Have every route used, and leave dragons, submissions, messages and dead letters behind."""
        tour = Tour(self.api).everything()
        assert tour.answers["GET /message/{id}"].status_code == 200
        settled(self.api, tour.answers["POST /dragons: pending"].headers["Location"])
        for _ in range(DRAGONS):
            dragon = a_dragon()
            reported = self.api.post("/dragons", json=dragon).headers["Location"]
            assert settled(self.api, reported)["status"] == "added"
            self.places |= {reported: "operator", f"/dragons/{dragon['dragon_name_str']}": "amber"}
        for amount in AMOUNTS:
            for user in ("amber", "cobalt"):
                place = post(self.api, a_message(amount, user), user).headers["Location"]
                assert f'"order_amount":{amount}' in stored(self.api, place, user)
                self.places[place] = user

    def held(self) -> Held:
        """Return all that the API shows of it, and what is archived."""
        answers = {place: self.api.get(place, user) for place, user in self.places.items()}
        shown = {place: (got.status_code, got.text, got.headers.get("ETag")) for place, got in answers.items()}
        s3, bucket = self.prod.client("s3"), self.output("MessageBucketName")
        return {**shown, **{key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in self.archived()}}

    def archived(self) -> list[str]:
        """Return the keys of the archived messages."""
        pages = (
            self.prod.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.output("MessageBucketName"))
        )
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def output(self, name: str) -> str:
        """Return an output of the resources stack."""
        return str(self.prod.running["outputs"][name])

    def dead_letters(self) -> set[str]:
        """Return the ids in the list that an operator sees, of letters and messages."""
        listed = self.prod.run("operations.dead_letters", "list")
        assert listed.returncode == 0, listed.stderr
        return set(re.findall(r"[0-9a-f-]{36}", listed.stdout))

    def mapping(self) -> Any:
        """Return the mapping that hands the queue's messages to the consumer."""
        [mapping] = self.prod.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        return mapping


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Stage prod, deployed and in use."""
    prod = Prod(tmp_path_factory.mktemp("prod"))
    with embedded_aws(prod.settings):
        prod.have_a_deployer()
        first = prod.deploy("--set", f"AlarmEmail={ALARM_EMAIL}")
        assert first.returncode == 0, first.stderr
        made = Life(prod)
        made.fill()
        yield made


@pytest.fixture(scope="module")
def before(life: Life) -> Held:
    """What is there before anything is lost."""
    held = life.held()
    assert {held[place][0] for place in life.places} == {200}
    assert len(held) - len(life.places) > len(AMOUNTS)
    return held


@pytest.fixture(scope="module")
def to(before: Held) -> str:
    """A time at which all of it was there, and that has passed. S3 tells times in whole seconds."""
    assert before
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    until(lambda: datetime.now(UTC) >= moment + timedelta(seconds=1))
    return moment.isoformat()


def lose_rows(life: Life, to: str, output: str = "MessageTableName") -> None:
    """Delete every row of a table, after the copy was made that a restore to this time looks for."""
    dynamodb, table = life.prod.client("dynamodb"), life.output(output)
    at = datetime.fromisoformat(to)
    copy = f"{table}-restored-{at:%Y%m%dT%H%M%SZ}"
    dynamodb.restore_table_to_point_in_time(SourceTableName=table, TargetTableName=copy, RestoreDateTime=at)
    keys = [each["AttributeName"] for each in dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]]
    for page in dynamodb.get_paginator("scan").paginate(TableName=table):
        for row in page["Items"]:
            dynamodb.delete_item(TableName=table, Key={key: row[key] for key in keys})


def lose_objects(life: Life, _to: str) -> None:
    """Delete every archived message."""
    for key in life.archived():
        life.prod.client("s3").delete_object(Bucket=life.output("MessageBucketName"), Key=key)


def lose_dragons(life: Life, _to: str) -> None:
    """Put an empty document in the place of the dragons'."""
    life.prod.client("s3").put_object(Bucket=life.output("DragonBucketName"), Key="dragons.json", Body=b"[]")


LOSSES: Mapping[str, Callable[[Life, str], None]] = {
    "table": lose_rows,
    "archive": lose_objects,
    "dragons": lose_dragons,
    "dragon-table": lambda life, to: lose_rows(life, to, "DragonTableName"),
}


def check_restored(life: Life, report: Report, what: str, before: Held, to: str, when: str) -> None:
    """Lose what a store holds, and restore it: all of it is as before."""
    LOSSES[what](life, to)
    lost = differing(before, life.held())

    ran = life.prod.run("operations.restore", "--what", what, "--to", to, "--yes")

    assert lost
    assert ran.returncode == 0, ran.stderr
    still = differing(before, life.held())
    report.add(SUITE, f"{what} restored {when}", tried=len(lost), survived=len(lost) - len(still), lost=len(still))
    assert still == []


def differing(before: Held, after: Held) -> list[str]:
    """Return what is gone, or another one now."""
    return [place for place, found in before.items() if after.get(place) != found]


def waiting_messages(life: Life) -> int:
    """Return how many accepted messages are on the queue, or with the consumer."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    queue = {"QueueUrl": life.output("MessageQueueUrl"), "AttributeNames": names}
    return sum(map(int, life.prod.client("sqs").get_queue_attributes(**queue)["Attributes"].values()))


def guards(life: Life) -> dict[str, Any]:
    """Return what protects the data: policies, versions, redelivery, protection from deletion."""
    found: dict[str, Any] = {}
    s3, sqs, dynamodb = (life.prod.client(name) for name in ("s3", "sqs", "dynamodb"))
    for output in ("DragonBucketName", "MessageBucketName"):
        bucket = {"Bucket": life.output(output)}
        found[output] = (
            json.loads(s3.get_bucket_policy(**bucket)["Policy"]),
            s3.get_bucket_versioning(**bucket)["Status"],
            s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"],
        )
    for output in ("MessageQueueUrl", "MessageDeadLetterQueueUrl"):
        has = sqs.get_queue_attributes(QueueUrl=life.output(output), AttributeNames=["All"])["Attributes"]
        found[output] = {key: has[key] for key in has if not key.startswith("Approximate") and "Timestamp" not in key}
    for output in ("MessageTableName", "SubmissionTableName", "DragonTableName"):
        table = {"TableName": life.output(output)}
        recovery = dynamodb.describe_continuous_backups(**table)["ContinuousBackupsDescription"]
        found[output] = (
            dynamodb.describe_table(**table)["Table"]["DeletionProtectionEnabled"],
            recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        )
    pool = life.prod.client("cognito-idp").describe_user_pool(UserPoolId=life.output("UserPoolId"))["UserPool"]
    return {**found, "UserPoolId": pool["DeletionProtection"]}


def stores_that_stay(said: str) -> set[str]:
    """Return the stores that are said to stay, by their names in the template."""
    return set(re.findall(r"stays: (\w+) \S+ \(", said))


def newest_events(prod: Prod) -> list[str]:
    """Return the newest event of each stack."""
    aws = prod.client("cloudformation")
    return [aws.describe_stack_events(StackName=stack)["StackEvents"][0]["EventId"] for stack in STACKS]


class TestInUse:
    @pytest.mark.parametrize("what", ["table", "archive", "dragons"])
    def test_what_was_lost_comes_back(self, life: Life, report: Report, what: str, before: Held, to: str) -> None:
        check_restored(life, report, what, before, to, "in use")

    def test_the_registry_is_moved_and_nobody_notices(self, life: Life, report: Report, before: Held) -> None:
        """It stays in DynamoDB from here on."""
        moved = life.prod.run("operations.migrate", "--from", "s3", "--to", "dynamodb", "--yes")

        assert moved.returncode == 0, moved.stderr
        lost = differing(before, life.held())
        report.add(SUITE, "the registry moved", tried=len(before), survived=len(before) - len(lost), lost=len(lost))
        assert lost == []


class TestDeletion:
    def test_the_stage_goes_and_its_stores_stay(self, life: Life) -> None:
        life.prod.client("lambda").update_event_source_mapping(UUID=life.mapping()["UUID"], Enabled=False)
        until(lambda: life.mapping()["State"] == "Disabled")
        accepted = post(life.api, a_message())
        assert accepted.status_code == 202
        life.waiting = accepted.headers["Location"]
        life.letters, life.guards = life.dead_letters(), guards(life)

        gone = life.prod.run("operations.destroy", typed="prod\n")

        assert gone.returncode == 0, gone.stderr
        assert stores_that_stay(gone.stderr) == KEPT
        left = {each["StackName"] for each in life.prod.client("cloudformation").describe_stacks()["Stacks"]}
        assert left.isdisjoint(STACKS)
        assert life.prod.client("lambda").list_functions()["Functions"] == []
        assert life.api.get("/health", None).status_code == 404
        assert waiting_messages(life) == 1

    def test_a_run_that_finds_nothing_to_delete_says_what_stays(self, life: Life) -> None:
        again = life.prod.run("operations.destroy", typed="prod\n")

        assert again.returncode == 0, again.stderr
        assert f"{RESOURCES_STACK} is gone" in again.stderr
        assert stores_that_stay(again.stderr) == KEPT


class TestDeployedAgain:
    def test_what_stayed_is_taken_in_and_read_back_exactly(self, life: Life, report: Report, before: Held) -> None:
        """The users sign in with the passwords that they had: nobody invites them anew."""
        deployed = life.prod.deploy()
        assert deployed.returncode == 0, deployed.stderr

        assert set(re.findall(r"prod: (\w+) \S+ stands already", deployed.stderr)) == KEPT | {"OperatorGroup"}
        assert f"AlarmEmail={ALARM_EMAIL}" in deployed.stderr
        life.api = Api(life.prod, "gateway")  # it signs in anew
        lost = differing(before, life.held())
        report.add(SUITE, "read back", tried=len(before), survived=len(before) - len(lost), lost=len(lost))
        assert lost == []
        assert life.dead_letters() == life.letters != set()

    def test_the_message_that_waited_is_stored(self, life: Life) -> None:
        assert life.waiting.rpartition("/")[2] in stored(life.api, life.waiting)
        until(lambda: waiting_messages(life) == 0)

    def test_the_data_is_as_well_protected_as_before(self, life: Life) -> None:
        assert guards(life) == life.guards

    @pytest.mark.parametrize("what", ["table", "archive", "dragon-table"])
    def test_what_was_lost_comes_back_as_it_was_before_the_deletion(
        self, life: Life, report: Report, what: str, before: Held, to: str
    ) -> None:
        check_restored(life, report, what, before, to, "after a deletion")

    def test_both_pipelines_work(self, life: Life) -> None:
        tour = Tour(life.api).everything()

        assert tour.answers["POST /dragons: added"].status_code == 201
        assert tour.answers["GET /message/{id}"].status_code == 200

    def test_the_next_deployment_changes_nothing(self, life: Life) -> None:
        url, events = life.api.base_url, newest_events(life.prod)

        deployed = life.prod.deploy()

        assert deployed.returncode == 0, deployed.stderr
        for stack in STACKS:
            assert f"{stack}: nothing changes" in deployed.stderr
        assert newest_events(life.prod) == events
        assert life.api.base_url == url

    def test_another_deletion_keeps_the_same(self, life: Life) -> None:
        life.prod.client("logs").create_log_group(logGroupName=LATE_LOG)  # of a function that ran last
        gone = life.prod.run("operations.destroy", typed="prod\n")

        assert gone.returncode == 0, gone.stderr
        assert stores_that_stay(gone.stderr) == KEPT
        assert f"{LATE_LOG} outlived its stack" in gone.stderr

    def test_whoever_deploys_and_destroys_needs_every_right(self, life: Life, report: Report) -> None:
        """All of it was done under the policies of infrastructure/deployer.yaml, which the emulator enforces."""
        assert life.prod.deployer
        granted = {grant.action for grant in grants(policies("prod")["Deploying"])}

        unused = granted - life.prod.deployer.called() - NOT_HERE

        used = len(granted) - len(unused)
        report.add(SUITE, "rights of whoever deploys, used", tried=len(granted), survived=used, lost=len(unused))
        assert not unused
