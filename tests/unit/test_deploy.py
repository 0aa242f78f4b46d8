"""What `operations.deploy` refuses before it does harm, what it runs, and what it does on an interrupt."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cfnlint.data import AdditionalSpecs
from cfnlint.helpers import load_resource
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from operations import PROJECT, resources
from operations.deploy import __main__ as command_line
from operations.deploy import adoption, package, release, stage
from operations.deploy.commands import ARCHITECTURE, DeployError, run
from operations.deploy.commit import commit_of
from operations.deploy.target import OLDEST_PYTHON, Target, check_python
from operations.stages import STAGES
from tests.e2e.waiting import WITHIN_S, until
from tests.fakes.stacks import FakeCloudFormation

DEPLOYING = "\n".join(
    (PROJECT / "docs" / page).read_text(encoding="utf-8") for page in ("deploying.md", "pipelines.md")
)
DOCUMENTED_COMMANDS = [
    command
    for block in re.findall(r"^```\n(.*?)^```$", DEPLOYING, re.DOTALL | re.MULTILINE)
    for command in block.replace("\\\n", "").splitlines()
]
# Chalice's own command fetches wheels without their hashes. With `-P`, no module of that folder is taken for another's.
PACKAGING = "python -P operations/deploy/chalice_command.py package"
OF_DEV = "Stage=dev KeepData=false Tracing=on"
CREATED = "Changeset created successfully. Run:\naws cloudformation describe-change-set --change-set-name arn:cs\n"
OVERRIDES = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
NO_STAGE = {"cloudformation": FakeCloudFormation(None, {})}.__getitem__
RESOURCES = resources.template()


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "infrastructure").mkdir()
    shutil.copy(PROJECT / "infrastructure" / "resources.yaml", tmp_path / "infrastructure")
    return Target("dev", tmp_path / "build", "a-bucket", dict(os.environ), project=tmp_path)


class Commands:
    """Stands in for `commands.run`: records what it is asked to run, and answers or fails as a test says."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.answers: dict[str, str] = {
            "--no-execute-changeset": CREATED,
            "describe-change-set": '{"Changes": []}',
        }
        self.failures: dict[str, str] = {}

    def __call__(self, *command: str, **_where: Any) -> str:
        line = " ".join(command)
        self.ran.append(line)
        for part, said in self.failures.items():
            if part in line:
                raise DeployError(f"`{line}` failed:\n{said}")
        return next((said for part, said in self.answers.items() if part in line), "[]")

    def only(self, part: str) -> str:
        """Return the one command with this part."""
        [line] = [line for line in self.ran if part in line and not line.endswith("--no-execute-changeset")]
        return line


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    stand_in = Commands()
    monkeypatch.setattr("operations.deploy.commands.run", stand_in)
    return stand_in


def packed(target: Target, *distributions: str) -> Path:
    """Make a package that holds these distributions, written as name-version."""
    path = target.project / "deployment.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for distribution in distributions:
            name, _, version = distribution.rpartition("-")
            archive.writestr(f"{distribution}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n")
    return path


class TestCompleteness:
    @pytest.fixture(autouse=True)
    def _requirements(self, target: Target) -> None:
        wanted = "# why\naws-lambda-powertools==3.0\n\nJMESPath>=1,<2  # reads paths\n-c other.txt\n"
        (target.project / "requirements.txt").write_text(wanted, encoding="utf-8")
        (target.project / "requirements-vendor.txt").write_text("swagger==5.0 --hash=sha256:3f\n", encoding="utf-8")

    def test_a_package_with_every_requirement_is_complete(self, target: Target) -> None:
        made = packed(target, "aws_lambda_powertools-3.0", "jmespath-1.1", "swagger-5.0", "six-1")

        package.check_complete("", made, target.project)

    @pytest.mark.parametrize("lost", ["aws_lambda_powertools-3.0", "jmespath-1.1", "swagger-5.0"])
    def test_a_missing_requirement_is_named(self, target: Target, lost: str) -> None:
        made = packed(target, *({"aws_lambda_powertools-3.0", "jmespath-1.1", "swagger-5.0"} - {lost}))

        with pytest.raises(DeployError, match=f"(?i)lacks {lost.partition('-')[0].replace('_', '.')}"):
            package.check_complete("", made, target.project)

    def test_a_version_other_than_the_pinned_one_is_named(self, target: Target) -> None:
        made = packed(target, "aws_lambda_powertools-3.0", "jmespath-1.1", "swagger-4.9")

        with pytest.raises(DeployError, match=r"lacks swagger==5\.0;"):
            package.check_complete("", made, target.project)

    def test_chalices_own_complaint_counts_although_it_exits_0(self, target: Target) -> None:
        made = packed(target, "aws_lambda_powertools-3.0", "jmespath-1.1", "swagger-5.0")

        with pytest.raises(DeployError, match="incomplete"):
            package.check_complete("Could not install dependencies:\nmsgspec==0.22.0\n", made, target.project)


class TestMachine:
    """A library for another machine than the functions' can be packed, and every call would fail."""

    @pytest.mark.parametrize(("architecture", "machine"), package.MACHINES.items())
    def test_libraries_of_the_functions_machine_pass(self, target: Target, architecture: str, machine: int) -> None:
        made = packed_library(target, elf(machine))

        package.check_machine(made, template(target, architecture))

    @pytest.mark.parametrize(
        ("library", "says"),
        [("x86_64", "62"), ("text", "None"), ("cut off", "None")],
    )
    def test_any_other_is_named(self, target: Target, library: str, says: str) -> None:
        content = {"x86_64": elf(62), "text": b"INPUT ( libc.so.6 ), and more", "cut off": elf(183)[:19]}[library]
        made = packed_library(target, content)

        with pytest.raises(
            DeployError, match=rf"run on arm64, but msgspec/_core\.cpython-313\.so .+ machine is {says}\)"
        ):
            package.check_machine(made, template(target, "arm64"))

    def test_the_byte_order_is_the_files_own(self) -> None:
        assert package.elf_machine(b"\x7fELF\x02\x02" + bytes(12) + b"\x00\x16") == 22

    def test_a_package_is_made_for_the_embedded_aws_on_this_machine(
        self, target: Target, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []

        def run(*_command: str, env: dict[str, str], **_where: Any) -> str:
            seen.append(env[ARCHITECTURE])
            raise DeployError

        monkeypatch.setattr("operations.deploy.commands.run", run)
        monkeypatch.setattr(package.vendor, "fill", lambda *_: None)
        monkeypatch.setenv(ARCHITECTURE, "leaked")

        for architecture in ("arm64", None):
            with pytest.raises(DeployError):
                package.package_app(replace(target, architecture=architecture), {"UserPoolArn": "an-arn"})

        assert seen == ["arm64", ""]


def elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01" + bytes(12) + machine.to_bytes(2, "little") + bytes(44)


def packed_library(target: Target, content: bytes) -> Path:
    path = target.project / "deployment.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("msgspec/_core.cpython-313.so", content)
        archive.writestr("app.py", "")
    return path


def template(target: Target, architecture: str) -> Path:
    path = target.project / "sam.json"
    function = {"Type": "AWS::Serverless::Function", "Properties": {"Architectures": [architecture]}}
    path.write_text(json.dumps({"Resources": {"F": function, "Role": {}}}), encoding="utf-8")
    return path


@pytest.mark.usefixtures("commands")
def test_packages_that_were_made_before_do_not_pile_up(target: Target) -> None:
    (target.project / "requirements-vendor.txt").touch()
    packages = target.project / ".chalice" / "deployments"
    packages.mkdir(parents=True)
    for age in range(6):
        (packages / f"{age}.zip").touch()
        os.utime(packages / f"{age}.zip", (1e9 - age, 1e9 - age))

    with package.ready_to_package(target):
        (packages / "new.zip").touch()

    assert {path.stem for path in packages.glob("*.zip")} == {"new", "0", "1", "2"}


def record(target: Target, text: str) -> None:
    """Write the record that Chalice keeps of a stage that it deployed."""
    state = target.project / ".chalice" / "deployed" / f"{target.stage}.json"
    state.parent.mkdir(parents=True)
    state.write_text(text, encoding="utf-8")


class TestPython:
    """Functions run on the Python that deploys them."""

    @pytest.mark.parametrize("endpoint", ["", "https://cloudformation.eu-central-1.amazonaws.com", "http://10.0.0.1"])
    def test_one_that_aws_retires_soon_deploys_nothing_to_an_account_and_says_what_to_do(
        self,
        monkeypatch: pytest.MonkeyPatch,
        commands: Commands,
        capsys: pytest.CaptureFixture[str],
        endpoint: str,
    ) -> None:
        monkeypatch.setattr(sys, "version_info", (3, 12, 99))
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

        assert command_line.main(["--stage", "dev"]) == 1

        said = capsys.readouterr().err
        assert "run `make clean`, and then `make deploy` again with BASE_PYTHON=python3.13, or a later one" in said
        assert commands.ran == []

    @pytest.mark.parametrize("version", [(3, 13, 0), (3, 14, 2)])
    def test_a_later_one_may_deploy(self, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]) -> None:
        monkeypatch.setattr(sys, "version_info", version)

        check_python({})

    @pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4566", "https://localhost:1", "http://[::1]:1"])
    def test_an_emulator_on_this_machine_gets_any(self, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
        monkeypatch.setattr(sys, "version_info", (3, 11, 0))

        check_python({"AWS_ENDPOINT_URL": endpoint})

    def test_the_oldest_one_is_supported_for_years(self) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html, which cfn-lint keeps a copy of."""
        runtimes = load_resource(AdditionalSpecs, "LmbdRuntimeLifecycle.json")

        assert runtimes["python{}.{}".format(*OLDEST_PYTHON)]["deprecated"] >= "2029"


class TestOneWayForAStage:
    @pytest.mark.parametrize("recorded", ['{"resources": [{"name": "api_handler_role"}]}', '{"resources": [', ""])
    def test_a_stage_that_chalice_deployed_is_not_deployed_with_cloudformation(
        self, target: Target, recorded: str
    ) -> None:
        record(target, recorded)

        with pytest.raises(DeployError, match=r"`\.venv/bin/chalice delete --stage dev`"):
            stage.check_not_deployed_otherwise(target, "cloudformation")

    def test_the_refusal_names_the_log_groups_that_would_stop_the_app_stack(self, target: Target) -> None:
        record(target, '{"resources": [{"name": "api_handler_role"}]}')

        with pytest.raises(DeployError, match=re.escape("/aws/lambda/dragonpost-dev*")):
            stage.check_not_deployed_otherwise(target, "cloudformation")

    def test_the_deletion_that_the_refusal_asks_for_lifts_it(self, target: Target) -> None:
        record(target, '{"resources": [], "schema_version": "2.0", "backend": "api"}')

        stage.check_not_deployed_otherwise(target, "cloudformation")

    @pytest.mark.usefixtures("commands")
    def test_a_stage_that_cloudformation_deployed_is_not_deployed_with_chalice(self, target: Target) -> None:
        with pytest.raises(DeployError, match="delete-stack --stack-name dragonpost-dev-app"):
            stage.check_not_deployed_otherwise(target, "chalice")


class TestArtifactsBucket:
    def test_the_default_one_must_belong_to_the_caller(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        commands.answers["get-caller-identity"] = "123456789012\n"

        stage.ensure_artifacts_bucket(command_line._target(command_line._parse(["--stage", "dev"])))

        asked = commands.only("head-bucket")
        assert "--bucket dragonpost-artifacts-123456789012-eu-central-1 " in asked
        assert asked.endswith("--expected-bucket-owner 123456789012")

    def test_one_that_was_named_may_belong_to_another_account(self, commands: Commands) -> None:
        stage.ensure_artifacts_bucket(
            command_line._target(command_line._parse(["--stage", "dev", "--artifacts-bucket", "shared"]))
        )

        assert commands.ran == ["aws s3api head-bucket --bucket shared"]

    def test_one_that_the_caller_may_not_use_is_not_created_whatever_its_name(
        self, target: Target, commands: Commands
    ) -> None:
        commands.failures["head-bucket"] = "An error occurred (403) when calling the HeadBucket operation: Forbidden"

        with pytest.raises(DeployError, match="use --artifacts-bucket to name one that you may use"):
            stage.ensure_artifacts_bucket(replace(target, artifacts_bucket="dragonpost-artifacts-123404567890-x"))

        assert len(commands.ran) == 1

    def test_a_missing_one_is_created(self, target: Target, commands: Commands) -> None:
        commands.failures["head-bucket"] = "An error occurred (404) when calling the HeadBucket operation: Not Found"

        stage.ensure_artifacts_bucket(target)

        assert commands.ran[1:] == ["aws s3 mb s3://a-bucket"]


class TestResources:
    def test_deploying_again_keeps_the_countries_that_may_be_texted(self, target: Target, commands: Commands) -> None:
        stage.deploy_resources(target)

        assert commands.only("cloudformation deploy").endswith(f"--parameter-overrides {OF_DEV}")

    def test_the_stores_accept_plain_http_only_if_told_to(self, target: Target, commands: Commands) -> None:
        stage.deploy_resources(replace(target, require_tls=False))

        assert commands.only("cloudformation deploy").endswith(f"{OF_DEV} RequireTls=false")

    def test_what_was_chosen_is_set_in_the_stack_that_has_it(self, commands: Commands, tmp_path: Path) -> None:
        asked = ["AlarmEmail=ops@example.org", "SmsAllowedPrefixes=+1,+44", "ThrottlingRateLimit=5"]
        options = ["--stage", "dev", "--artifacts-bucket", "a-bucket", *(f"--set={each}" for each in asked)]
        target = command_line._target(command_line._parse(options))

        stage.deploy_resources(replace(target, build=tmp_path))

        assert commands.only("cloudformation deploy").endswith(f"{OF_DEV} {asked[0]} {asked[1]}")

    def test_a_stage_that_keeps_its_data_says_so(self, target: Target, commands: Commands) -> None:
        stage.deploy_resources(replace(target, stage="prod"))

        assert "Stage=prod KeepData=true " in commands.only("cloudformation deploy")

    def test_a_new_stages_buckets_have_the_region_in_their_names(self, target: Target, commands: Commands) -> None:
        """In one account, the same stage can then be in several regions."""
        commands.failures["--query Stacks[0].StackStatus"] = "Stack with id dragonpost-dev-resources does not exist"

        with contextlib.suppress(DeployError):  # there are no outputs
            stage.deploy_resources(target)

        assert commands.only("cloudformation deploy").endswith(f"{OF_DEV} BucketNamesHaveRegion=true")

    @pytest.mark.parametrize(("status", "new"), [("REVIEW_IN_PROGRESS", True), ("UPDATE_ROLLBACK_COMPLETE", False)])
    def test_only_a_stack_of_which_nothing_was_made_yet_counts_as_new(
        self, target: Target, commands: Commands, status: str, new: bool
    ) -> None:
        commands.answers["--query Stacks[0].StackStatus"] = f"{status}\n"

        stage.deploy_resources(target)

        assert ("BucketNamesHaveRegion=true" in commands.only("cloudformation deploy")) is new

    def test_a_stack_that_nobody_may_look_at_is_not_taken_for_new(self, target: Target, commands: Commands) -> None:
        commands.failures["--query Stacks[0].StackStatus"] = "AccessDenied"

        with pytest.raises(DeployError, match="AccessDenied"):
            stage.deploy_resources(target)

        assert not [ran for ran in commands.ran if "cloudformation deploy" in ran]

    def test_a_new_stage_whose_name_is_too_long_is_refused_and_one_that_stands_is_not(
        self, target: Target, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stage, "STAGES", {"integrationtests": STAGES["dev"]})
        long = replace(target, stage="integrationtests")
        stage.deploy_resources(long)
        commands.answers["--query Stacks[0].StackStatus"] = "REVIEW_IN_PROGRESS"

        with pytest.raises(DeployError, match="integrationtests has more than 14 letters"):
            stage.deploy_resources(long)

    def test_policies_that_name_another_part_of_aws_are_refused(self, target: Target) -> None:
        stage.check_partition(target, {"UserPoolArn": "arn:aws:cognito-idp:us-east-1:1:userpool/x"})

        with pytest.raises(DeployError, match=r'partition="aws-us-gov" in infrastructure/stages\.toml'):
            stage.check_partition(target, {"UserPoolArn": "arn:aws-us-gov:cognito-idp:us-gov-west-1:1:userpool/x"})


def chosen(target: Target, **parameters: str) -> Target:
    """Return the target with these parameters chosen, and a bound of the workflow, so that no account is asked."""
    return replace(target, parameters={"WorkflowConcurrency": "4", **parameters})


def packaged_with(target: Target, *parameters: str) -> Path:
    """Write what a packaged app has for its deployment: these parameters, and the API in as far as SAM looks at it."""
    properties = OVERRIDES["Resources"]["RestAPI"]["Properties"]
    swagger = {"swagger": "2.0", "info": {"title": "dragonpost", "version": "1.0"}, "paths": {}}
    api = {**properties, "StageName": "dev", "DefinitionBody": {**properties["DefinitionBody"], **swagger}}
    template = {
        "Parameters": {name: OVERRIDES["Parameters"][name] for name in parameters},
        "Resources": {"RestAPI": {"Type": "AWS::Serverless::Api", "Properties": api}},
    }
    path = target.project / "sam.json"
    path.write_text(json.dumps(template), encoding="utf-8")
    return path


class TestApp:
    def test_the_gateway_answers_for_the_stages_own_origin(self, target: Target, commands: Commands) -> None:
        template = packaged_with(target, "AllowOrigin", "ThrottlingRateLimit")
        commands.answers["describe-stacks"] = '[{"OutputKey": "EndpointURL", "OutputValue": "https://api/"}]'
        commands.answers["get-account-settings"] = "1000\n"

        assert stage.deploy_app(replace(target, stage="prod"), {"UserPoolArn": "an-arn"}, template) == "https://api/"

        origin = STAGES["prod"].allow_origin
        assert commands.only("cloudformation deploy").endswith(f"--parameter-overrides AllowOrigin={origin}")

    @pytest.mark.parametrize(
        ("limit", "bound"),
        [(1000, 20), (140, 20), (139, 0), (10, 0)],
        ids=["usual", "enough", "too few", "new account"],
    )
    def test_the_workflow_is_bounded_if_the_account_can_reserve_that(
        self, target: Target, commands: Commands, capsys: pytest.CaptureFixture[str], limit: int, bound: int
    ) -> None:
        """Otherwise Lambda would refuse the whole stack, on an account's first day."""
        commands.answers["get-account-settings"] = f"{limit}\n"

        self.deploy(target, commands)

        assert commands.only("cloudformation deploy").endswith(f"--parameter-overrides WorkflowConcurrency={bound}")
        assert (f"may run {limit} functions at once, too few" in capsys.readouterr().err) is (bound == 0)

    def test_requests_are_logged_if_somebody_asks_for_it(self, target: Target, commands: Commands) -> None:
        commands.answers["describe-stacks"] = '[{"OutputKey": "EndpointURL", "OutputValue": "https://api/"}]'

        stage.deploy_app(chosen(target, ApiAccessLogs="on"), {}, packaged_with(target, "ApiAccessLogs"))

        assert commands.only("cloudformation deploy").endswith("--parameter-overrides ApiAccessLogs=on")

    @pytest.mark.parametrize(("asked", "canary"), [({}, "Canary10Percent5Minutes"), ({"Canary": "off"}, "off")])
    def test_the_stages_own_choice_holds_until_a_deployment_is_told_otherwise(
        self, target: Target, commands: Commands, asked: dict[str, str], canary: str
    ) -> None:
        commands.answers["describe-stacks"] = '[{"OutputKey": "EndpointURL", "OutputValue": "https://api/"}]'
        prod = replace(chosen(target, **asked), stage="prod")

        stage.deploy_app(prod, {}, packaged_with(target, "Canary"))

        assert commands.only("cloudformation deploy").endswith(f"--parameter-overrides Canary={canary}")

    def test_a_domain_name_comes_with_what_its_dns_record_has_to_say(
        self, target: Target, commands: Commands, capsys: pytest.CaptureFixture[str]
    ) -> None:
        outputs = {"EndpointURL": "https://api/", "ApiDomainTarget": "d-1.execute-api.eu-central-1.amazonaws.com"}
        listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        commands.answers["describe-stacks"] = json.dumps(listed)

        url = stage.deploy_app(chosen(target), {}, packaged_with(target, "ApiDomainName"))

        assert url == "https://api/"
        assert "has to point to d-1.execute-api.eu-central-1.amazonaws.com\n" in capsys.readouterr().err

    def test_chalice_is_not_asked_for_what_it_has_not(self) -> None:
        options = ["--stage", "dev", "--artifacts-bucket", "x", "--with", "chalice", "--set", "Canary=off"]

        with pytest.raises(DeployError, match="`chalice deploy` cannot set Canary"):
            command_line._target(command_line._parse(options))

    @pytest.mark.parametrize(("limit", "told"), [(20, False), (19, True), (10, True)])
    def test_an_account_of_which_the_consumer_would_take_more_than_half_is_told(
        self, target: Target, commands: Commands, capsys: pytest.CaptureFixture[str], limit: int, told: bool
    ) -> None:
        commands.answers["get-account-settings"] = f"{limit}\n"

        self.deploy(target, commands)

        assert ("a lower consumer_concurrency in infrastructure/stages.toml" in capsys.readouterr().err) is told

    def test_a_bound_that_was_chosen_is_set_whatever_the_account_has(self, target: Target, commands: Commands) -> None:
        self.deploy(chosen(target), commands)

        assert commands.only("cloudformation deploy").endswith("WorkflowConcurrency=4")
        assert not [ran for ran in commands.ran if "get-account-settings" in ran]

    def test_what_the_template_needs_of_the_resources_is_passed_whatever_it_gains(
        self, target: Target, commands: Commands
    ) -> None:
        """Nobody has to do anything by hand for a stage that was deployed before."""
        template = packaged_with(target, *OVERRIDES["Parameters"])
        commands.answers["describe-stacks"] = '[{"OutputKey": "EndpointURL", "OutputValue": "https://api/"}]'
        commands.answers["get-account-settings"] = "1000\n"

        stage.deploy_app(target, {name: f"its-{name}" for name in RESOURCES["Outputs"]}, template)

        given = commands.only("cloudformation deploy").partition("--parameter-overrides ")[2].split()
        needed = {name for name, parameter in OVERRIDES["Parameters"].items() if "Default" not in parameter}
        of_the_resources = needed & RESOURCES["Outputs"].keys()
        assert {part.partition("=")[0] for part in given} >= needed
        assert {f"{name}=its-{name}" for name in of_the_resources} <= set(given)
        assert len(of_the_resources) > 5

    @staticmethod
    def deploy(target: Target, commands: Commands) -> None:
        template = packaged_with(target, "WorkflowConcurrency")
        commands.answers["describe-stacks"] = '[{"OutputKey": "EndpointURL", "OutputValue": "https://api/"}]'
        stage.deploy_app(target, {}, template)


class TestTheApisStage:
    """SAM looks at the API's body before the parameters' values are in it: serverless-application-model#914."""

    @pytest.fixture
    def packaged(self, target: Target, commands: Commands) -> Path:
        commands.answers["describe-stacks"] = '[{"OutputKey": "EndpointURL", "OutputValue": "https://api/"}]'
        return packaged_with(target, *OVERRIDES["Parameters"])

    @pytest.mark.parametrize("changed", [{"UserPoolClientId": "another"}, {"stage": "prod"}], ids=["client", "origin"])
    def test_a_changed_parameter_makes_a_new_deployment(
        self, target: Target, packaged: Path, changed: dict[str, str]
    ) -> None:
        before = self.deployment_of(target, packaged, {"UserPoolClientId": "one"})
        other = replace(target, stage=changed.get("stage", target.stage))

        assert self.deployment_of(other, packaged, {"UserPoolClientId": "one"} | changed) != before

    def test_unchanged_parameters_make_none(self, target: Target, packaged: Path) -> None:
        """Otherwise every deployment would change something, and a look at what it would change be of no use."""
        first, second = (self.deployment_of(target, packaged, {"UserPoolClientId": "one"}) for _ in range(2))

        assert first == second

    def test_the_command_of_a_pipeline_of_your_own_does_the_same(self, target: Target, packaged: Path) -> None:
        made = self.deployment_of(target, packaged, {"UserPoolClientId": "one"})
        values = ["AllowOrigin=*", "UserPoolClientId=one", "Stage=dev", "WorkflowConcurrency=4", "Tracing=on"]
        values.append(f"Commit={commit_of(target.project)}")

        assert release.main([str(packaged), *values], NO_STAGE) == 0

        assert self.as_sam_makes_it(packaged) == made

    def test_a_file_that_is_no_packaged_template_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "sam.yaml").write_text("Resources: {}", encoding="utf-8")

        assert release.main([str(tmp_path / "sam.yaml"), "Stage=dev"], NO_STAGE) == 1

        assert "sam.yaml is not what `chalice package` makes as JSON" in capsys.readouterr().err

    def test_the_command_has_to_know_the_stage(self, packaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert release.main([str(packaged), "AllowOrigin=*"], NO_STAGE) == 1

        assert "Stage=… is missing" in capsys.readouterr().err

    def deployment_of(self, target: Target, packaged: Path, outputs: dict[str, str]) -> str:
        stage.deploy_app(chosen(target), outputs, packaged)
        return self.as_sam_makes_it(packaged)

    @staticmethod
    def as_sam_makes_it(packaged: Path) -> str:
        """Return the logical id of the API's deployment: with another one, CloudFormation makes another deployment."""
        template = json.loads(packaged.read_text(encoding="utf-8"))
        region = SimpleNamespace(region_name="eu-central-1")
        made = Translator({}, Parser(), boto_session=region).translate(template, {"AllowOrigin": "*"})
        [deployment] = [
            name for name, item in made["Resources"].items() if item["Type"] == "AWS::ApiGateway::Deployment"
        ]
        return deployment


class TestLosses:
    """What a deployment would do to data, seen in its change set before it is executed."""

    @pytest.fixture(autouse=True)
    def _changes(self, commands: Commands) -> None:
        commands.answers["describe-change-set"] = self.changes(
            ("AWS::DynamoDB::Table", "MessageTable", "Modify", "True"),
            ("AWS::Cognito::UserPool", "UserPool", "Modify", "Conditional"),
            ("AWS::S3::Bucket", "DragonBucket", "Remove", None),
            ("AWS::SQS::Queue", "MessageQueue", "Modify", "False"),
            ("AWS::SQS::Queue", "AnotherQueue", "Add", None),
            ("AWS::SSM::Parameter", "MessageTableNameParameter", "Modify", "True"),
        )

    def test_a_store_that_would_be_replaced_or_removed_stops_the_deployment(
        self, target: Target, commands: Commands
    ) -> None:
        with pytest.raises(DeployError) as raised:
            stage.deploy_resources(target)

        assert "would replace MessageTable, replace UserPool, remove DragonBucket, and" in str(raised.value)
        assert "--replace MessageTable --replace UserPool --replace DragonBucket" in str(raised.value)
        [only] = [ran for ran in commands.ran if "cloudformation deploy" in ran]
        assert only.endswith("--no-execute-changeset")
        assert commands.ran[-1].endswith(
            "delete-change-set --stack-name dragonpost-dev-resources --change-set-name arn:cs"
        )

    def test_a_store_that_may_be_replaced_is_not_in_the_way_but_another_is(
        self, target: Target, commands: Commands
    ) -> None:
        with pytest.raises(DeployError, match="would remove DragonBucket, and"):
            stage.deploy_resources(replace(target, replaced=frozenset({"MessageTable", "UserPool"})))

        stage.deploy_resources(replace(target, replaced=frozenset({"MessageTable", "UserPool", "DragonBucket"})))

        assert "--no-execute-changeset" not in [ran for ran in commands.ran if "cloudformation deploy" in ran][-1]

    def test_a_deployment_of_which_nobody_can_tell_what_it_does_stops(self, target: Target, commands: Commands) -> None:
        commands.answers["--no-execute-changeset"] = "something new"

        with pytest.raises(DeployError, match="something new"):
            stage.deploy_resources(target)

    def test_changes_that_keep_all_data_are_deployed(self, target: Target, commands: Commands) -> None:
        commands.answers["describe-change-set"] = self.changes()

        stage.deploy_resources(target)

        assert [ran for ran in commands.ran if "cloudformation deploy" in ran][-1].endswith(OF_DEV)

    def test_what_changes_nothing_is_said_and_not_deployed(
        self, target: Target, commands: Commands, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The AWS CLI leaves the empty change set, and gives the next one of the same second the same name."""
        commands.answers["--no-execute-changeset"] = "No changes to deploy. Stack x is up to date"

        stage.deploy_resources(target)

        assert len([ran for ran in commands.ran if "cloudformation deploy" in ran]) == 1
        assert "dragonpost-dev-resources: nothing changes" in capsys.readouterr().err

    def test_an_app_that_changes_nothing_is_said(
        self, target: Target, commands: Commands, capsys: pytest.CaptureFixture[str]
    ) -> None:
        commands.answers["cloudformation deploy"] = "No changes to deploy. Stack x is up to date"

        stage._deploy_template(target, target.app_stack, target.build / "sam.json", {})

        assert "dragonpost-dev-app: nothing changes" in capsys.readouterr().err

    def test_a_new_stack_has_no_data_to_lose(self, target: Target, commands: Commands) -> None:
        commands.answers["--query Stacks[0].StackStatus"] = "REVIEW_IN_PROGRESS"

        stage.deploy_resources(target)

        assert not [ran for ran in commands.ran if "change-set" in ran]

    def test_the_command_line_names_what_may_be_replaced(self) -> None:
        options = command_line._parse(
            ["--stage", "dev", "--artifacts-bucket", "b", "--replace", "MessageTable", "--replace", "UserPool"]
        )

        assert command_line._target(options).replaced == {"MessageTable", "UserPool"}

    @staticmethod
    def changes(*changes: tuple[str, str, str, str | None]) -> str:
        """Return what CloudFormation says of these changes: type, logical id, action and replacement."""
        names = ("ResourceType", "LogicalResourceId", "Action", "Replacement")
        described = [{k: v for k, v in zip(names, change, strict=True) if v} for change in changes]
        return json.dumps({"Changes": [{"Type": "Resource", "ResourceChange": change} for change in described]})


class TestFailures:
    """CloudFormation's command names neither the resource nor the reason."""

    @pytest.fixture(autouse=True)
    def _new(self, commands: Commands) -> None:
        commands.answers["--query Stacks[0].StackStatus"] = "REVIEW_IN_PROGRESS"

    SAID = "Failed to create/update the stack. Run the following command\nto fetch the list of events"

    def test_the_first_resources_that_failed_are_named_with_their_reasons(
        self, target: Target, commands: Commands
    ) -> None:
        commands.failures["cloudformation deploy"] = self.SAID
        commands.answers["describe-stack-events"] = self.events(
            ("AWS::CloudFormation::Stack", "stack", "ROLLBACK_COMPLETE", None),
            ("AWS::SQS::Queue", "Later", "CREATE_FAILED", "Resource creation cancelled"),
            ("AWS::S3::Bucket", "DragonBucket", "CREATE_FAILED", "dragonpost-dev-dragons already exists"),
            ("AWS::CloudFormation::Stack", "stack", "CREATE_IN_PROGRESS", "User Initiated"),
            ("AWS::S3::Bucket", "Earlier", "CREATE_FAILED", "of an earlier deployment"),
        )

        with pytest.raises(DeployError) as raised:
            stage.deploy_resources(target)

        assert str(raised.value) == (
            "dragonpost-dev-resources could not be deployed:\n"
            "  DragonBucket (AWS::S3::Bucket): dragonpost-dev-dragons already exists"
        )

    def test_what_validation_found_before_any_resource_was_made_is_named(
        self, target: Target, commands: Commands
    ) -> None:
        """A bucket's name that is taken, for example; the stack's own events do not tell which."""
        earlier = {"OperationId": "1", "Timestamp": "2026-11-25T03:00:00Z", "ValidationStatusReason": "long ago"}
        found = {"OperationId": "2", "Timestamp": "2026-11-26T03:00:00Z", "ValidationStatusReason": "already exists"}
        bucket = {"LogicalResourceId": "DragonBucket", "ResourceType": "AWS::S3::Bucket"}
        commands.failures["cloudformation deploy"] = self.SAID
        commands.answers["describe-events"] = json.dumps({"OperationEvents": [earlier | bucket, found | bucket]})
        commands.answers["describe-stack-events"] = self.events(
            ("AWS::CloudFormation::Stack", "stack", "CREATE_FAILED", "Call DescribeEvents to retrieve the full list"),
            ("AWS::CloudFormation::Stack", "stack", "CREATE_IN_PROGRESS", None),
        )

        with pytest.raises(DeployError, match=r"deployed:\n  DragonBucket \(AWS::S3::Bucket\): already exists$"):
            stage.deploy_resources(target)

    def test_what_is_refused_before_it_begins_is_told_as_it_was_said(self, target: Target, commands: Commands) -> None:
        """The newest events are those of an earlier deployment then."""
        commands.failures["cloudformation deploy"] = "Template format error"
        commands.answers["describe-stack-events"] = self.events(("AWS::S3::Bucket", "X", "CREATE_FAILED", "long ago"))

        with pytest.raises(DeployError, match="Template format error"):
            stage.deploy_resources(target)

    def test_events_that_cannot_be_read_do_not_hide_the_failure(self, target: Target, commands: Commands) -> None:
        commands.failures |= {"cloudformation deploy": self.SAID, "describe-stack-events": "AccessDenied"}

        with pytest.raises(DeployError, match="Failed to create/update the stack"):
            stage.deploy_resources(target)

    @staticmethod
    def events(*newest_first: tuple[str, str, str, str | None]) -> str:
        """Return what CloudFormation says of these events: type, logical id, status and reason."""
        names = ("ResourceType", "LogicalResourceId", "ResourceStatus", "ResourceStatusReason")
        events = [dict(zip(names, event, strict=True)) for event in newest_first]
        return json.dumps({"StackEvents": [{k: v for k, v in event.items() if v} for event in events]})


class TestContents:
    """What the stack's template cannot put: the first dragon document, and parameters that somebody deleted."""

    @pytest.fixture
    def order(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The steps of a deployment, none of which is really taken."""
        order: list[str] = []
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # so that any Python will do

        def step(name: str, result: Any) -> Any:
            return lambda *_: order.append(name) or result

        monkeypatch.setattr(stage, "check_not_deployed_otherwise", step("check", None))
        monkeypatch.setattr(stage, "ensure_artifacts_bucket", step("bucket", None))
        monkeypatch.setattr(adoption, "resume", step("resume", None))
        monkeypatch.setattr(stage, "deploy_resources", step("resources", {"UserPoolArn": "arn:aws:cognito-idp:…"}))
        monkeypatch.setattr(stage, "chalice_deploy", step("app", ""))
        monkeypatch.setattr(package, "package_app", step("package", None))
        monkeypatch.setattr(stage, "deploy_app", step("app", "https://api/"))
        monkeypatch.setattr(command_line.artifacts, "tidy", step("tidy", None))
        monkeypatch.setattr(command_line.contents, "complete", step("contents", ["the parameter x"]))
        return order

    @pytest.mark.parametrize("options", [[], ["--with", "chalice"], ["--resources-only"]], ids=" ".join)
    def test_every_deployment_puts_them_before_anything_needs_them(
        self, order: list[str], options: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command_line.main(["--stage", "dev", "--artifacts-bucket", "a-bucket", *options]) == 0

        assert order[: order.index("contents") + 1] == ["check", "bucket", "resume", "resources", "contents"]
        assert "dev: put the parameter x" in capsys.readouterr().err

    def test_a_deployment_stops_at_what_a_person_has_to_mend(
        self, order: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse(*_: Any) -> None:
            raise DeployError("the dragon document was deleted")

        monkeypatch.setattr(command_line.contents, "complete", refuse)

        assert command_line.main(["--stage", "dev", "--artifacts-bucket", "a-bucket"]) == 1
        assert order == ["check", "bucket", "resume", "resources"]
        assert capsys.readouterr().err == "error: the dragon document was deleted\n"


class TestDocumentedSteps:
    """The steps that docs/pipelines.md gives for a pipeline of your own, and those of docs/deploying.md for Chalice."""

    @pytest.mark.parametrize(("template", "file"), [(RESOURCES, "resources.out.yaml"), (OVERRIDES, "app.out.yaml")])
    def test_every_parameter_without_a_default_is_given(self, template: dict[str, Any], file: str) -> None:
        needed = {name for name, parameter in template["Parameters"].items() if "Default" not in parameter}

        assert set(re.findall(r"(\w+)=", self.only("cloudformation deploy", file))) == needed

    def test_the_apis_stage_follows_the_parameters_that_the_app_is_deployed_with(self) -> None:
        steps = [self.only(part) for part in (PACKAGING, "operations.deploy.release", "sam.json --s3")]
        assert sorted(steps, key=DOCUMENTED_COMMANDS.index) == steps

        given = steps[1].split("sam.json")[1].split(), self.only("app.out.yaml --stack").split("overrides")[1].split()
        assert given[0] == given[1]

    def test_chalice_deploy_does_not_go_without_tracing(self) -> None:
        """Chalice asks for it with every deployment of the API (`deploy_rest_api` in chalice/awsclient.py)."""
        [gone_without] = re.findall(r"You go without [^\n]+:\n\n((?:- [^\n]+\n)+)\n", DEPLOYING)

        assert "versions" in gone_without
        assert "tracing" not in gone_without.lower()

    def test_an_output_of_the_resources_is_given_as_the_parameter_of_the_same_name(self) -> None:
        given = dict(re.findall(r"(\w+)=<output (\w+)>", self.only("cloudformation deploy", "app.out.yaml")))

        assert given == {name: name for name in OVERRIDES["Parameters"].keys() & RESOURCES["Outputs"].keys()}

    def test_vendor_is_filled_before_the_app_is_packaged(self) -> None:
        """A package without it has no /docs."""
        filled, packaged = self.only("operations.vendor"), self.only(PACKAGING)

        assert DOCUMENTED_COMMANDS.index(filled) < DOCUMENTED_COMMANDS.index(packaged)

    def test_what_the_stage_has_to_hold_is_put_between_the_two_stacks(self) -> None:
        steps = [
            self.only("cloudformation deploy", "resources.out.yaml"),
            self.only("operations.contents --stage prod"),
            self.only("cloudformation deploy", "app.out.yaml"),
        ]

        assert sorted(steps, key=DOCUMENTED_COMMANDS.index) == steps

    @pytest.mark.parametrize("file", ["resources.out.yaml", "app.out.yaml"])
    def test_a_template_may_be_large_and_may_have_been_deployed_before(self, file: str) -> None:
        """Larger than 51,200 bytes, as the app's is: https://docs.aws.amazon.com/cli/latest/reference/cloudformation/deploy/"""
        command = self.only("cloudformation deploy", file)

        assert "--s3-bucket" in command
        assert "--no-fail-on-empty-changeset" in command

    def test_a_change_from_chalice_leaves_no_log_group_that_the_app_stack_makes(self) -> None:
        made = [
            item["Properties"]["LogGroupName"]["Fn::Sub"]
            for name, item in OVERRIDES["Resources"].items()
            if name.endswith("Log")
        ]
        suffixes = {name.removeprefix("/aws/lambda/dragonpost-${Stage}") for name in made}
        deletion = self.only("delete-log-group")

        assert "--log-group-name /aws/lambda/dragonpost-dev$suffix" in deletion
        assert {suffix.strip('"') for suffix in deletion.split(" in ")[1].split(";")[0].split()} == suffixes

    @staticmethod
    def only(*parts: str) -> str:
        [command] = [command for command in DOCUMENTED_COMMANDS if all(part in command for part in parts)]
        return command


def test_a_command_that_is_not_installed_is_named_with_what_to_do(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(DeployError, match=r"aws is not installed for .+; `make` installs it"):
        run("aws", env=target.environment)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["aws", "chalice", "pip"])
def test_a_command_runs_whatever_the_project_is_called_and_python_is_told(
    target: Target, command: str, tmp_path: Path
) -> None:
    """Scripts have this interpreter's path in their first line, where it can be too long, and must not have a space."""
    folder = tmp_path / f"päth with späces{'-' * 120}"
    folder.mkdir()
    for hidden in ("awscli", "chalice", "pip", "json"):
        (folder / f"{hidden}.py").write_text("raise SystemExit('imported the wrong module')", encoding="utf-8")
    python = {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1", "PYTHONHOME": str(folder), "PYTHONUTF8": "0"}

    said = run(command, "--version", env={**target.environment, **python, "LC_ALL": "de_DE.ISO-8859-1"}, cwd=folder)

    assert re.search(r"\d+\.\d+", said)


def write_command(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@contextlib.contextmanager
def running(folder: Path, program: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a process of its own, in which the commands to run are those of this folder."""
    beginning = f"""
import os, pathlib, sys
folder = pathlib.Path({str(folder)!r})
from operations.deploy import __main__ as command_line, commands, stage
from operations.deploy.target import Target
commands.COMMANDS.update((path.name, (str(path),)) for path in folder.iterdir() if os.access(path, os.X_OK))
"""
    process = subprocess.Popen([sys.executable, "-c", beginning + program], cwd=PROJECT, text=True, **options)
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_a_command_does_not_outlive_whoever_ran_it(tmp_path: Path) -> None:
    """Not even after a SIGKILL: a second deployment would collide with the first one's command."""
    write_command(tmp_path / "endless", '#!/bin/sh\nsleep 1000 &\necho "$$ $!" > pids.part\nmv pids.part pids\nwait\n')
    with running(tmp_path, "commands.run('endless', env=os.environ, cwd=folder)") as runner:
        until((tmp_path / "pids").exists)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text(encoding="utf-8").split()]

        runner.kill()
        runner.wait()

    until(lambda: not any(is_running(pid) for pid in pids))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_command_that_fails_is_named_with_its_output(target: Target) -> None:
    with pytest.raises(DeployError, match=r"(?s)`aws s3 mb nonsense` failed:\n.+"):
        run("aws", "s3", "mb", "nonsense", env=target.environment)


@pytest.mark.slow
def test_a_command_that_asks_for_an_mfa_code_fails_at_once(tmp_path: Path) -> None:
    """Nobody could answer: the command does not own the terminal, and asking there would stop it for ever."""
    asking = shlex.join([sys.executable, "-c", "import getpass; getpass.getpass('MFA code: ')"])
    write_command(tmp_path / "asks", f"#!/bin/sh\nexec {asking}\n")
    ours, terminal = pty.openpty()
    # The first terminal that the first process of a session opens becomes the session's.
    program = f"os.open({os.ttyname(terminal)!r}, os.O_RDWR)\ncommands.run('asks', env=os.environ)"
    try:
        with running(tmp_path, program, start_new_session=True, stderr=subprocess.PIPE) as runner:
            _, said = runner.communicate(timeout=WITHIN_S)
    finally:
        os.close(ours)
        os.close(terminal)

    assert "EOFError" in said


@pytest.mark.slow
class TestInterruptedChaliceDeploy:
    """Chalice records what it made only at its very end. Without the record, the next deployment makes a second API."""

    @pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_it_ends_and_records_before_the_deployment_ends(self, tmp_path: Path, ending: signal.Signals) -> None:
        with self.deploying(tmp_path, "touch recorded") as runner:
            runner.send_signal(ending)
            said = [runner.stderr.readline() for _ in range(2)]
            runner.send_signal(ending)  # impatience does no harm
            (tmp_path / "go-on").touch()
            _, rest = runner.communicate(timeout=WITHIN_S)

        assert (tmp_path / "recorded").exists()
        assert "waiting for `chalice deploy` to end" in said[1]
        assert rest == "interrupted; run the same command again to finish\n"
        assert runner.returncode == 130

    def test_its_failure_is_not_hidden_by_the_interrupt(self, tmp_path: Path) -> None:
        with self.deploying(tmp_path, "echo no such role; exit 2") as runner:
            runner.send_signal(signal.SIGINT)
            (tmp_path / "go-on").touch()
            _, said = runner.communicate(timeout=WITHIN_S)

        assert said.endswith("`chalice deploy --stage dev` failed:\nno such role\n")
        assert runner.returncode == 1

    @staticmethod
    @contextlib.contextmanager
    def deploying(folder: Path, ending: str) -> Iterator[subprocess.Popen[str]]:
        """Deploy with a `chalice` that waits for a file named `go-on`, and then runs the commands of `ending`."""
        (folder / "requirements-vendor.txt").touch()
        write_command(folder / "pip", "#!/bin/sh\n")
        waiting = "#!/bin/sh\ntouch started\nuntil [ -e go-on ]; do sleep 0.05; done\n"
        write_command(folder / "chalice", f"{waiting}{ending}\n")
        program = """
import signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)  # these tests may run in the background, or under nohup
target = Target("dev", folder, "a-bucket", os.environ, project=folder)
stage.package.package_app = lambda *_: None
command_line._deploy = lambda _: stage.chalice_deploy(target, {"UserPoolArn": "an-arn"})
sys.exit(command_line.main(["--stage", "dev"]))
"""
        with running(folder, program, stderr=subprocess.PIPE) as runner:
            until((folder / "started").exists)
            yield runner


def test_the_stage_of_make_run_is_not_deployed_to_an_account(capsys: pytest.CaptureFixture[str]) -> None:
    """Its policies are looser than any account's should be, and its endpoint is this machine."""
    with pytest.raises(SystemExit):
        command_line.main(["--stage", "local"])

    assert "`make run` deploys the stage local" in capsys.readouterr().err
