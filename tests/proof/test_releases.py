"""Suite 14: a stage that `make stage` has made is released to under load, and goes back to the version before.

It is on an embedded AWS over TLS, which has no CodeDeploy: the alias moves at once (docs/deploying.md, Releases).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from operations.functions import API, deployed_name
from operations.generate import live_alias
from tests.deploy.embedded_aws import embedded_aws
from tests.deploy.prod import Prod
from tests.e2e.running import Api
from tests.e2e.waiting import until
from tests.proof.holdings import Holdings
from tests.proof.report import Report, only_at_full_scale
from tests.proof.tour import Tour
from tests.proof.visitors import Visitors, visiting

SUITE = "14 releases"
STAGE = "unheardof"
RELEASED = [deployed_name(function, STAGE) for function in live_alias.released()]
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

# A release is seen in what each of the API's two functions answers. Each file has the other text in the other version.
EDITED = {
    "app.py": ('Health(status="ok",', 'Health(status="ok, released",'),
    "chalicelib/web/operators.py": ('Readiness(status="ready",', 'Readiness(status="ready, released",'),
}
BEFORE, AFTER = {"ok", "ready"}, {"ok, released", "ready, released"}

pytestmark = only_at_full_scale("deploys a stage several times")


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


def live(stage: Prod) -> dict[str, str]:
    """Return the version that is called of each function that has the alias."""
    aws = stage.client("lambda")
    return {name: aws.get_alias(FunctionName=name, Name=live_alias.ALIAS)["FunctionVersion"] for name in RELEASED}


def answered(stage: Prod, held: Holdings) -> set[str]:
    """Return what the API's function and that for operators answer."""
    api = Api(stage, "gateway", _tokens=held.tokens)
    return {str(api.get(path).json()["status"]) for path in ("/health", "/ready")}


class Everybody(Visitors):
    """Those who visit a stage, and an operator, whose routes another function answers."""

    def kinds(self) -> dict[str, Callable[[Api], None]]:
        """Return what each visitor does in a round, by its name."""
        return {**super().kinds(), "operator": self._look_after}

    def _look_after(self, api: Api) -> None:
        answer = self.ask(api, "GET /operator/dead-letters", "GET", "/operator/dead-letters?limit=1")
        if answer is not None:
            self._expect(answer, 200)


def visited(visitors: Visitors, rounds: int) -> None:
    """Wait until every visitor has done so many more rounds, or one of them has ended."""
    wanted = Counter({kind: visitors.rounds[kind] + rounds for kind in visitors.kinds()})
    until(lambda: visitors.ended or visitors.rounds >= wanted, SETTLED_WITHIN_S)


def deploy_while_visited(stage: Prod, held: Holdings, report: Report, what: str) -> None:
    """Deploy what the tree is now while clients go on using the stage: none is answered a 5xx, and nothing is lost."""
    visitors = Everybody(stage, held.tokens, held.messages, set(held.dragons))
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


def edit(stage: Prod, *, back: bool = False) -> None:
    """Make the tree that is deployed the next version, or the one before."""
    for file, versions_of_it in EDITED.items():
        before, after = reversed(versions_of_it) if back else versions_of_it
        stage.edit(file, lambda text, texts=(before, after): text.replace(*texts))


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
        assert answered(stage, holdings) == BEFORE
        edit(stage)

        deploy_while_visited(stage, holdings, report, "a release")

        assert answered(stage, holdings) == AFTER
        assert live(stage) == dict.fromkeys(RELEASED, "2")

    def test_deploying_the_version_before_goes_back_and_nobody_is_refused(
        self, stage: Prod, holdings: Holdings, report: Report
    ) -> None:
        edit(stage, back=True)

        deploy_while_visited(stage, holdings, report, "going back")

        assert answered(stage, holdings) == BEFORE
        assert live(stage) == dict.fromkeys(RELEASED, "3")
        assert {name: versions(stage, name) for name in RELEASED} == {name: ["1", "2", "3"] for name in RELEASED}

    def test_deploying_the_same_again_publishes_nothing(self, stage: Prod) -> None:
        deployed = stage.deploy()

        assert deployed.returncode == 0, deployed.stderr
        assert f"dragonpost-{STAGE}-app: nothing changes" in deployed.stderr
        assert live(stage) == dict.fromkeys(RELEASED, "3")


class TestParameters:
    def test_they_are_set(self, chosen: Prod) -> None:
        [limits] = chosen.client("apigateway").get_stages(
            restApiId=chosen.running["gateway_url"].split("/")[-2]
        )["item"]  # fmt: skip
        groups = chosen.client("logs").describe_log_groups()["logGroups"]

        bound = chosen.client("lambda").get_function_concurrency(FunctionName=deployed_name(API, STAGE))

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
        kept = chosen.client("lambda").get_provisioned_concurrency_config(
            FunctionName=deployed_name(API, STAGE), Qualifier=live_alias.ALIAS
        )

        assert kept["RequestedProvisionedConcurrentExecutions"] == 2

    def test_the_next_deployment_keeps_them(self, chosen: Prod) -> None:
        deployed = chosen.deploy()
        [stack] = chosen.client("cloudformation").describe_stacks(StackName=f"dragonpost-{STAGE}-app")["Stacks"]
        values = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}

        assert deployed.returncode == 0, deployed.stderr
        assert {name: values[name] for name in CHOSEN} == CHOSEN
