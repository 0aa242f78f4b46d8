"""All that a deployment changes gets a version that is called, and nothing else does. SAM's own translator says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from operations import PROJECT
from operations.deploy import release
from operations.deploy.commands import DeployError
from operations.deploy.release import Earlier
from operations.generate import app_parameters, live_alias
from tests.fakes.stacks import FakeCloudFormation, FakeStack

OVERRIDES = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
PARAMETERS = {"Stage": "dev", "MessageTableName": "one"}

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    """A packaged app as far as releases go: the API, and the functions with what is merged into them."""
    functions = {}
    for function in live_alias.released():
        logical_id = release_id(function)
        merged = OVERRIDES["Resources"][logical_id]["Properties"]
        functions[logical_id] = {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "CodeUri": "./deployment.zip",
                "Handler": "app.app",
                "Runtime": "python3.13",
                "Timeout": 29,
                "Tags": {"made-by": "chalice"},
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                **merged,
            },
        }
    api = {"StageName": "dev", "DefinitionBody": {"swagger": "2.0", "info": {"title": "dragonpost"}, "paths": {}}}
    template = {
        "Parameters": OVERRIDES["Parameters"],
        "Mappings": OVERRIDES["Mappings"],
        "Conditions": OVERRIDES["Conditions"],
        "Resources": {"RestAPI": {"Type": "AWS::Serverless::Api", "Properties": api}, **functions},
    }
    (tmp_path / "deployment.zip").write_bytes(b"the code")
    (tmp_path / "sam.json").write_text(json.dumps(template), encoding="utf-8")
    return tmp_path / "sam.json"


def release_id(function: str) -> str:
    return live_alias.alias(function).partition("Alias")[0]


def changed(packaged: Path, change: Change) -> None:
    """Change what is merged into the API's function."""
    template = json.loads(packaged.read_text(encoding="utf-8"))
    change(template["Resources"]["APIHandler"]["Properties"])
    packaged.write_text(json.dumps(template), encoding="utf-8")


def as_cloudformation_gets_it(packaged: Path, **parameters: str) -> dict[str, Any]:
    """Return the resources that SAM makes of a template."""
    template = json.loads(packaged.read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://artefacts/always-the-same"
    region = SimpleNamespace(region_name="eu-central-1")
    made = Translator({}, Parser(), boto_session=region).translate(template, {"AllowOrigin": "*", **parameters})
    return dict(made["Resources"])


def version(packaged: Path, before: Earlier | None = None, **parameters: str) -> str:
    """Return the logical id of the API's version: with another one, CloudFormation publishes another."""
    release.prepare(packaged, {**PARAMETERS, **parameters}, before)
    made = as_cloudformation_gets_it(packaged, **{**PARAMETERS, **parameters})
    [found] = [name for name in made if name.startswith("APIHandlerVersion")]
    return found


class TestVersions:
    @pytest.mark.parametrize(
        "change",
        [
            lambda function: function.update(Timeout=28),
            lambda function: function.update(MemorySize=512),
            lambda function: function["Environment"]["Variables"].update(NEW="1"),
            lambda function: function.update(Tracing="PassThrough"),
            lambda function: function.update(Runtime="python3.14"),
        ],
        ids=["time limit", "memory", "environment", "tracing", "runtime"],
    )
    def test_a_changed_configuration_gets_one(self, packaged: Path, change: Change) -> None:
        before = version(packaged)

        changed(packaged, change)

        assert version(packaged) != before

    def test_changed_code_gets_one(self, packaged: Path) -> None:
        before = version(packaged)

        (packaged.parent / "deployment.zip").write_bytes(b"other code")

        assert version(packaged) != before

    @pytest.mark.parametrize("parameter", [{"MessageTableName": "another"}, {"ApiSnapStart": "on"}])
    def test_a_changed_parameter_gets_one(self, packaged: Path, parameter: dict[str, str]) -> None:
        """The template is the same, and so is the function, until CloudFormation puts the value in."""
        assert version(packaged) != version(packaged, None, **parameter)

    @pytest.mark.parametrize(
        "parameter",
        [{"Canary": "off"}, {"ThrottlingRateLimit": "5"}, {"ApiConcurrency": "5"}, {"ApiProvisionedConcurrency": "5"}],
    )
    def test_a_parameter_that_the_function_does_not_have_gets_none(
        self, packaged: Path, parameter: dict[str, str]
    ) -> None:
        """A lower limit in the middle of an attack does not have to wait for a canary."""
        assert version(packaged) == version(packaged, None, **parameter)

    def test_what_is_the_same_gets_none(self, packaged: Path) -> None:
        assert version(packaged) == version(packaged)

    @pytest.mark.parametrize(
        "change",
        [
            lambda function: function.update(Tags={"made-by": "another chalice"}),
            lambda function: function.update(ReservedConcurrentExecutions=5),
            lambda function: function.pop("DeploymentPreference"),
        ],
        ids=["tags", "reserved concurrency", "canary"],
    )
    def test_what_is_no_part_of_a_version_gets_none(self, packaged: Path, change: Change) -> None:
        """Lambda would refuse to publish it, and the deployment would fail: serverless-application-model#3281."""
        before = version(packaged)

        changed(packaged, change)

        assert version(packaged) == before

    def test_a_new_version_comes_with_a_changed_function(self, packaged: Path) -> None:
        """Lambda publishes none of a function that has not changed, and then the deployment fails."""
        descriptions = []
        for table in ("one", "another"):
            release.prepare(packaged, {**PARAMETERS, "MessageTableName": table})
            descriptions.append(as_cloudformation_gets_it(packaged)["APIHandler"]["Properties"]["Description"])

        assert descriptions[0] != descriptions[1]

    def test_a_package_that_is_gone_is_named(self, packaged: Path) -> None:
        (packaged.parent / "deployment.zip").unlink()

        with pytest.raises(DeployError, match=r"sam\.json is not what .*deployment\.zip"):
            release.prepare(packaged, PARAMETERS)


def described(packaged: Path) -> str:
    """Return the API's description after a deployment, which the version has, too."""
    return str(as_cloudformation_gets_it(packaged)["APIHandler"]["Properties"]["Description"])


class TestAfterEarlierOnes:
    def test_a_release_that_was_taken_back_gets_another_version_with_another_function(self, packaged: Path) -> None:
        """Its version stays, and is the newest: Lambda would publish no other, and CloudFormation refuse that one."""
        taken_back, orphan = version(packaged), described(packaged)
        before = Earlier(functions={"APIHandler": ["as it was", "as it was", orphan]})

        assert version(packaged, before) != taken_back
        assert described(packaged) != orphan

    def test_a_release_after_one_that_was_taken_back_is_then_the_same(self, packaged: Path) -> None:
        """No version and no canary for nothing: what is live has the second digest."""
        version(packaged)
        orphan = described(packaged)
        again = version(packaged, Earlier(functions={"APIHandler": ["as it was", orphan]}))
        live = described(packaged)

        assert version(packaged, Earlier(functions={"APIHandler": [live, orphan, live]})) == again

    def test_a_release_may_be_taken_back_more_than_once(self, packaged: Path) -> None:
        orphans: list[str] = []
        for _ in range(3):
            version(packaged, Earlier(functions={"APIHandler": ["as it was", *orphans]}))
            assert described(packaged) not in orphans
            orphans.append(described(packaged))

    def test_what_is_live_gets_none(self, packaged: Path) -> None:
        first, live = version(packaged), described(packaged)

        assert version(packaged, Earlier(functions={"APIHandler": [live, "older", live]})) == first

    def test_a_parameter_that_the_stack_keeps_gets_none(self, packaged: Path) -> None:
        """SET=ApiSnapStart=on, and then a deployment that does not name it: CloudFormation keeps `on`."""
        chosen = version(packaged, ApiSnapStart="on")

        assert version(packaged, Earlier(parameters={"ApiSnapStart": "on", "GoneSince": "1"})) == chosen

    def test_the_first_value_of_a_parameter_is_its_default(self, packaged: Path) -> None:
        """A stack has them all after its first deployment, which was not given them all."""
        defaults = {name: str(each["Default"]) for name, each in OVERRIDES["Parameters"].items() if "Default" in each}

        assert version(packaged) == version(packaged, Earlier(parameters=defaults))


class TestEarlier:
    VERSIONS: ClassVar = {"dragonpost-dev": ["now", "1"], "dragonpost-dev-store_messages": ["then"]}

    def clients(self, service: str) -> Any:
        def pages(*, FunctionName: str) -> Any:  # noqa: N803
            if FunctionName not in self.VERSIONS:
                raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "ListVersionsByFunction")
            return [{"Versions": [{"Description": text}]} for text in self.VERSIONS[FunctionName]]

        stack = FakeStack({}, parameters={"ApiSnapStart": "on"})
        return {
            "cloudformation": FakeCloudFormation(None, {"dragonpost-dev-app": stack}),
            "lambda": SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=pages)),
        }[service]

    def test_the_stack_and_its_functions_tell(self) -> None:
        before = release.earlier("dev", self.clients)

        assert before.parameters == {"ApiSnapStart": "on"}
        assert before.functions["APIHandler"] == ["now", "1"]
        assert before.functions["StoreMessages"] == ["then"]
        assert before.functions["AddDragon"] == [], "a function that is not there yet"

    def test_a_stage_that_does_not_stand_has_none(self) -> None:
        assert release.earlier("prod", self.clients) == Earlier()

    def test_a_deployment_that_may_not_ask_says_so(self) -> None:
        def refused(_: str) -> Any:
            raise NoCredentialsError

        with pytest.raises(DeployError, match="earlier deployments of dev left cannot be told: Unable to locate"):
            release.earlier("dev", refused)


class TestCanary:
    @pytest.mark.parametrize("way", [way for way in live_alias.PARAMETER["AllowedValues"] if way != live_alias.OFF])
    def test_codedeploy_moves_each_alias_and_looks_at_its_alarm(self, packaged: Path, way: str) -> None:
        made = as_cloudformation_gets_it(packaged, Canary=way)

        for function in live_alias.released():
            group = made[f"{release_id(function)}DeploymentGroup"]["Properties"]
            policy = made[live_alias.alias(function)]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
            assert policy["DeploymentGroupName"] == {"Ref": f"{release_id(function)}DeploymentGroup"}
            assert group["AlarmConfiguration"]["Alarms"] == [{"Name": {"Ref": live_alias.alarm(function)}}]
            assert way in json.dumps(group["DeploymentConfigName"])
            assert {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"} <= set(
                group["AutoRollbackConfiguration"]["Events"]
            )

    def test_off_leaves_nothing_of_codedeploy(self, packaged: Path) -> None:
        made = as_cloudformation_gets_it(packaged, Canary="off")

        assert not [name for name, resource in made.items() if resource["Type"].startswith("AWS::CodeDeploy")]
        assert not [name for name, resource in made.items() if "UpdatePolicy" in resource]
        assert {live_alias.alias(function) for function in live_alias.released()} <= made.keys()

    def test_off_is_what_a_template_means_of_which_nobody_knows_the_parameters(self, packaged: Path) -> None:
        """The embedded AWS hands SAM the defaults alone, and has no CodeDeploy."""
        assert as_cloudformation_gets_it(packaged) == as_cloudformation_gets_it(packaged, Canary="off")

    @pytest.mark.parametrize("function", live_alias.released())
    def test_its_alarm_goes_off_within_the_time_of_the_quickest_release(self, function: str) -> None:
        alarm = OVERRIDES["Resources"][live_alias.alarm(function)]["Properties"]

        assert alarm["Period"] * alarm["EvaluationPeriods"] < 5 * 60
        assert alarm["TreatMissingData"] == "notBreaching", "a stage that nobody uses can be released"


class TestRemedies:
    def test_provisioned_concurrency_is_the_aliass(self, packaged: Path) -> None:
        kept_started = as_cloudformation_gets_it(packaged)["APIHandlerAliaslive"]["Properties"][
            "ProvisionedConcurrencyConfig"
        ]

        assert kept_started["Fn::If"][0] == app_parameters.API_PROVISIONED
        assert kept_started["Fn::If"][2] == {"Ref": "AWS::NoValue"}

    def test_snapstart_is_of_published_versions(self, packaged: Path) -> None:
        made = as_cloudformation_gets_it(packaged)["APIHandler"]["Properties"]["SnapStart"]

        assert made == {
            "Fn::If": [app_parameters.API_SNAPPED, {"ApplyOn": "PublishedVersions"}, {"Ref": "AWS::NoValue"}]
        }
