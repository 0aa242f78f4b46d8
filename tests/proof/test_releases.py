"""Suite 14: a stage that `make stage` has made is released to under load, and goes back to the version before.

It is on an embedded AWS over TLS, which has no CodeDeploy: the alias moves at once (docs/operations.md, Releases).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations.functions import API, deployed_name
from tests.deploy.embedded_aws import embedded_aws
from tests.deploy.prod import Prod
from tests.e2e.running import Api
from tests.e2e.waiting import until
from tests.proof.holdings import Holdings
from tests.proof.report import Report
from tests.proof.tour import Tour
from tests.proof.visitors import Visitors, visiting

SUITE = "14 releases"
STAGE = "unheardof"
RELEASED = [deployed_name(function, STAGE) for function in (API, "store_messages")]
ROUNDS_AROUND_IT = 3
SETTLED_WITHIN_S = 60
DOMAIN = "api.dragons.example"
CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/1a2b3c4d-0000-1111-2222-333344445555"
CHOSEN = {
    "LogRetentionDays": "30",
    "ApiConcurrency": "50",
    "ThrottlingBurstLimit": "400",
    "ThrottlingRateLimit": "800",
    "ApiProvisionedConcurrency": "2",
    "ApiDomainName": DOMAIN,
    "ApiDomainCertificateArn": CERTIFICATE,
    "ApiDomainBasePath": "post",
}

# The release is seen in what GET /health answers.
FILE, BEFORE, AFTER = "app.py", 'Health(status="ok",', 'Health(status="ok, released",'

pytestmark = pytest.mark.skipif(
    os.environ.get("PROOF_SCALE", "fast") != "full", reason="deploys a stage several times: make prove"
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prod]:
    """The new stage, deployed for the first time."""
    made = Prod(tmp_path_factory.mktemp(STAGE), STAGE)
    with embedded_aws(made.settings):
        deployed = made.deploy()
        assert deployed.returncode == 0, deployed.stderr
        yield made


@pytest.fixture(scope="module")
def holdings(stage: Prod) -> Holdings:
    """What it holds, before anything is released."""
    held = Holdings(Api(stage, "gateway"))
    held.fill()
    return held


@pytest.fixture(scope="module")
def chosen(stage: Prod) -> Prod:
    """The stage with everything chosen that the embedded AWS can show."""
    deployed = stage.deploy(*(f"--set={name}={value}" for name, value in CHOSEN.items()))
    assert deployed.returncode == 0, deployed.stderr
    return stage


def versions(stage: Prod, function: str) -> list[str]:
    listed = stage.client("lambda").list_versions_by_function(FunctionName=function)["Versions"]
    return [version["Version"] for version in listed if version["Version"] != "$LATEST"]


def live(stage: Prod) -> list[str]:
    """Return the version that is called of each function that has the alias."""
    aws = stage.client("lambda")
    return [aws.get_alias(FunctionName=function, Name="live")["FunctionVersion"] for function in RELEASED]


def health(stage: Prod) -> str:
    return str(Api(stage, "gateway").get("/health", None).json()["status"])


def visited(visitors: Visitors, rounds: int) -> None:
    """Wait until every visitor has done so many more rounds, or one of them has ended."""
    wanted = Counter({kind: visitors.rounds[kind] + rounds for kind in visitors.kinds()})
    until(lambda: visitors.ended or visitors.rounds >= wanted, SETTLED_WITHIN_S)


def deploy_while_visited(stage: Prod, held: Holdings, report: Report, what: str) -> None:
    """Deploy what the tree is now while clients go on using the stage: none is answered a 5xx, and nothing is lost."""
    visitors = Visitors(stage, held.tokens, held.messages, set(held.dragons))
    with visiting(visitors):
        visited(visitors, ROUNDS_AROUND_IT)
        deployed = stage.deploy()
        visited(visitors, ROUNDS_AROUND_IT)
    asked = visitors.answers.total()
    report.add(SUITE, f"requests during {what}: no 5xx", tried=asked, survived=asked - len(visitors.broken),
               lost=len(visitors.broken), note=visitors.note())  # fmt: skip
    assert deployed.returncode == 0, deployed.stderr
    assert visitors.broken == []
    assert visitors.wrong == []
    arrived = [place for place in visitors.posted if until(lambda at=place: held.message(at))]
    assert len(arrived) == len(visitors.posted)
    assert {kind: gone for kind, gone in lost(held).items() if gone} == {}


def lost(held: Holdings) -> dict[str, list[str]]:
    """Return what the stage does not have any more, or not as it was, by its kind."""
    gone = {kind: each for kind, (_, each) in held.lost().items() if kind != "submissions"}
    return gone | {"submissions": [at for at, was in held.submissions.items() if held.submission(at) != was]}


def edit(project: Path, before: str, after: str) -> None:
    text = (project / FILE).read_text(encoding="utf-8")
    assert before in text
    (project / FILE).write_text(text.replace(before, after), encoding="utf-8")


class TestNewStage:
    @pytest.mark.usefixtures("holdings")  # which counts dead letters, and is filled before there are others
    def test_both_pipelines_work_and_smoke_agrees(self, stage: Prod) -> None:
        tour = Tour(Api(stage, "gateway")).everything()
        smoked = stage.run("operations.smoke")

        assert tour.answers["POST /dragons: added"].status_code == 201
        assert tour.answers["GET /message/{id}"].status_code == 200
        assert smoked.returncode == 0, smoked.stderr

    def test_it_keeps_its_data_like_the_stage_that_it_is_like(self, stage: Prod) -> None:
        table = stage.running["outputs"]["MessageTableName"]

        described = stage.client("dynamodb").describe_table(TableName=table)["Table"]
        assert described["DeletionProtectionEnabled"] is True


class TestReleases:
    def test_a_release_is_served_at_once_and_nobody_is_refused(
        self, stage: Prod, holdings: Holdings, report: Report
    ) -> None:
        assert health(stage) == "ok"
        edit(stage.project, BEFORE, AFTER)

        deploy_while_visited(stage, holdings, report, "a release")

        assert health(stage) == "ok, released"
        assert live(stage) == ["2", "2"]

    def test_deploying_the_version_before_goes_back_and_nobody_is_refused(
        self, stage: Prod, holdings: Holdings, report: Report
    ) -> None:
        edit(stage.project, AFTER, BEFORE)

        deploy_while_visited(stage, holdings, report, "going back")

        assert health(stage) == "ok"
        assert live(stage) == ["3", "3"]
        assert [versions(stage, function) for function in RELEASED] == [["1", "2", "3"]] * 2

    def test_deploying_the_same_again_publishes_nothing(self, stage: Prod) -> None:
        deployed = stage.deploy()

        assert deployed.returncode == 0, deployed.stderr
        assert f"dragonpost-{STAGE}-app: nothing changes" in deployed.stderr
        assert live(stage) == ["3", "3"]


class TestParameters:
    def test_they_are_set(self, chosen: Prod) -> None:
        [limits] = chosen.client("apigateway").get_stages(
            restApiId=chosen.running["gateway_url"].split("/")[-2]
        )["item"]  # fmt: skip
        groups = chosen.client("logs").describe_log_groups()["logGroups"]

        bound = chosen.client("lambda").get_function_concurrency(FunctionName=RELEASED[0])

        every_method = limits["methodSettings"]["*/*"]
        assert (every_method["throttlingRateLimit"], every_method["throttlingBurstLimit"]) == (800, 400)
        assert {group["retentionInDays"] for group in groups} == {30}
        assert bound["ReservedConcurrentExecutions"] == 50

    def test_the_domain_name_leads_to_the_api(self, chosen: Prod) -> None:
        aws = chosen.client("apigateway")
        domain = aws.get_domain_name(domainName=DOMAIN)
        [mapping] = aws.get_base_path_mappings(domainName=DOMAIN)["items"]

        assert domain["regionalCertificateArn"] == CERTIFICATE
        assert (mapping["basePath"], mapping["stage"]) == ("post", STAGE)

    def test_the_alias_is_kept_started(self, chosen: Prod) -> None:
        kept = chosen.client("lambda").get_provisioned_concurrency_config(FunctionName=RELEASED[0], Qualifier="live")

        assert kept["RequestedProvisionedConcurrentExecutions"] == 2

    def test_the_next_deployment_keeps_them(self, chosen: Prod) -> None:
        deployed = chosen.deploy()
        [stack] = chosen.client("cloudformation").describe_stacks(StackName=f"dragonpost-{STAGE}-app")["Stacks"]
        values = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}

        assert deployed.returncode == 0, deployed.stderr
        assert {name: values[name] for name in CHOSEN} == CHOSEN
