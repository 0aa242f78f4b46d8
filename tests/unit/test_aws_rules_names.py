"""What AWS enforces and no emulator does, over every resource of the templates and every policy. One rule, one test.

A name that depends on the account or the stage is tried at its longest: a stage's name has up to 20 characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from awscli.customizations.cloudformation.yamlhelper import yaml_parse

from chalicelib.settings import Settings, Source
from operations import PROJECT, functions
from operations.deploy import target
from operations.deploy.stage import STAGE_LETTERS_MAX
from operations.stages import EMBEDDED, STAGES

TEMPLATE = yaml_parse((PROJECT / "infrastructure" / "resources.yaml").read_text(encoding="utf-8"))
OVERRIDES = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
CONFIG = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))

_AWS = botocore.session.get_session()
_REGIONS = [region for name in _AWS.get_available_partitions() for region in _AWS.get_available_regions("s3", name)]
LONGEST = {
    "Stage": "s" * 20,
    "AWS::AccountId": "123456789012",
    "AWS::Partition": max(_AWS.get_available_partitions(), key=len),
    "AWS::Region": max(_REGIONS, key=len),
}

# The form of each type's physical name, its length included, and AWS's page.
NAMES = {
    "AWS::S3::Bucket": (
        "BucketName",
        r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*(-s3alias|--ol-s3|[.]mrap|--x-s3)$)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html",
    ),
    "AWS::DynamoDB::Table": (
        "TableName",
        r"[A-Za-z0-9_.-]{3,255}",
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html",
    ),
    "AWS::SQS::Queue": (
        "QueueName",
        r"[A-Za-z0-9_-]{1,80}",
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html",
    ),
    "AWS::SNS::Topic": (
        "TopicName",
        r"[A-Za-z0-9_-]{1,256}",
        "https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html",
    ),
    "AWS::StepFunctions::StateMachine": (
        "StateMachineName",
        r"[A-Za-z0-9_-]{1,80}",  # these alone, because it logs to CloudWatch
        "https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html",
    ),
    "AWS::Serverless::Function": (
        "FunctionName",
        r"[A-Za-z0-9_-]{1,64}",
        "https://docs.aws.amazon.com/lambda/latest/dg/API_CreateFunction.html",
    ),
    "AWS::IAM::Role": (
        "RoleName",
        r"[\w+=,.@-]{1,64}",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html",
    ),
    "AWS::CloudWatch::Alarm": (
        "AlarmName",
        r"[^\x00-\x1f\x7f]{1,255}",
        "https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Alarm.html",
    ),
    "AWS::Logs::LogGroup": (
        "LogGroupName",
        r"(?!aws/)[A-Za-z0-9_./#-]{1,512}",
        "https://docs.aws.amazon.com/powershell/latest/reference/items/New-CWLLogGroup.html",
    ),
    "AWS::SSM::Parameter": (
        "Name",
        r"(?!/?(?i:aws|ssm))[A-Za-z0-9_.-]+|/(?!(?i:aws|ssm))[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,14}",
        "https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-parameter-name-constraints.html",
    ),
    "AWS::Cognito::UserPool": (
        "UserPoolName",
        r"[\w\s+=,.@-]{1,128}",
        "https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateUserPool.html",
    ),
    # The limits of these two are those of botocore's model of the API.
    "AWS::Cognito::UserPoolClient": ("ClientName", r"[\w\s+=,.@-]{1,128}", "cognito-idp:CreateUserPoolClient"),
    "AWS::Cognito::UserPoolGroup": ("GroupName", r"\S{1,128}", "cognito-idp:CreateGroup"),
}


def resources() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the logical id, the type and the properties of each resource of both templates."""
    for template in (TEMPLATE, OVERRIDES):
        for logical_id, resource in template["Resources"].items():
            properties = resource.get("Properties", {})
            # What is merged over a function or an API has no type: Chalice has made it.
            made = "AWS::Serverless::Function" if "FunctionName" in properties else "AWS::Serverless::Api"
            yield logical_id, resource.get("Type", made), properties


def at_its_longest(name: Any) -> Iterator[str]:
    """Yield a name as CloudFormation fills it in, for each case of a condition."""
    if isinstance(name, Mapping) and "Fn::If" in name:
        yield from (text for case in name["Fn::If"][1:] for text in at_its_longest(case))
        return
    text = name["Fn::Sub"] if isinstance(name, Mapping) else name
    # Deploying refuses a longer name for a new stage, and only a new stage has the region in names.
    longest = LONGEST | ({"Stage": "s" * STAGE_LETTERS_MAX} if "${AWS::Region}" in text else {})
    yield re.sub(r"\$\{([\w:]+)\}", lambda found: longest[found[1]], text)


NAMED = [
    (logical_id, kind, name)
    for logical_id, kind, properties in resources()
    if kind in NAMES and NAMES[kind][0] in properties
    for name in at_its_longest(properties[NAMES[kind][0]])
]


class TestNames:
    def test_a_stages_name_has_at_most_twenty_characters(self) -> None:
        assert Settings.stage.form.fullmatch(LONGEST["Stage"])
        assert not Settings.stage.form.fullmatch(LONGEST["Stage"] + "s")

    @pytest.mark.parametrize(("logical_id", "kind", "name"), NAMED, ids=[f"{named[0]}" for named in NAMED])
    def test_every_name_is_one_that_its_service_accepts(self, logical_id: str, kind: str, name: str) -> None:
        """Each row of NAMES has AWS's page."""
        assert re.fullmatch(NAMES[kind][1], name), f"{logical_id}: {name} ({len(name)} characters), {NAMES[kind][2]}"

    def test_every_kind_of_name_is_looked_at(self) -> None:
        """A type that gets a name and has no row above would be accepted unseen."""
        for logical_id, kind, properties in resources():
            own = {"Name", f"{kind.rpartition('::')[2]}Name"} & properties.keys()
            assert not own or NAMES[kind][0] in own, f"{logical_id}: what names does {kind} accept?"
        assert len({kind for _, kind, _ in NAMED}) > 8

    def test_a_parameters_name_fits_with_the_arn_before_it(self) -> None:
        """AWS counts the whole ARN:
        https://docs.aws.amazon.com/sdk-for-kotlin/api/latest/ssm/aws.sdk.kotlin.services.ssm.model/-put-parameter-request/name.html
        """
        [before] = at_its_longest({"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter"})
        names = [name for _, kind, name in NAMED if kind == "AWS::SSM::Parameter"]
        assert names
        assert max(len(before + name) for name in names) <= 1011

    @pytest.mark.parametrize("function", functions.names())
    def test_what_chalice_deploy_names_is_accepted(self, function: str) -> None:
        """`chalice deploy` names each role after the function; see NAMES."""
        role = f"dragonpost-{LONGEST['Stage']}-{function}"
        assert re.fullmatch(NAMES["AWS::IAM::Role"][1], role)
        assert re.fullmatch(NAMES["AWS::Serverless::Function"][1], functions.deployed_name(function, LONGEST["Stage"]))

    def test_the_bucket_of_templates_and_packages_has_a_name_in_every_region(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
        monkeypatch.setattr(target.commands, "run", lambda *_, **__: LONGEST["AWS::AccountId"])
        for region in _REGIONS:
            bucket, _ = target.default_artifacts_bucket({"AWS_DEFAULT_REGION": region})
            assert re.fullmatch(NAMES["AWS::S3::Bucket"][1], bucket)

    @pytest.mark.parametrize("prefix", ["dragons", "none", "d", "d" * 63, "my-dragons-2"])
    def test_a_prefix_of_the_sign_in_page_that_cognito_accepts_is_accepted(self, prefix: str) -> None:
        """https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateUserPoolDomain.html"""
        assert re.fullmatch(TEMPLATE["Parameters"]["SignInDomainPrefix"]["AllowedPattern"], prefix)

    @pytest.mark.parametrize(
        "prefix", ["aws-dragons", "dragons-aws", "my-amazon", "cognito", "newcognito", "d" * 64, "-d", "d-", "D", ""]
    )
    def test_a_prefix_of_the_sign_in_page_that_cognito_refuses_is_refused_at_once(self, prefix: str) -> None:
        """CloudFormation would find out in the middle of an update: "Domain cannot contain reserved word: aws".
        https://github.com/aws-solutions/content-analysis-on-aws/issues/8
        https://github.com/aws-solutions/research-service-workbench-on-aws/pull/342 has all three words.
        """
        assert not re.fullmatch(TEMPLATE["Parameters"]["SignInDomainPrefix"]["AllowedPattern"], prefix)


def environments() -> Iterator[tuple[str, str, set[str]]]:
    """Yield each stage of an account, each of its functions, and the names of the variables that it gets."""
    for stage in STAGES.keys() - {EMBEDDED}:
        everywhere = {*CONFIG["environment_variables"], *CONFIG["stages"][stage]["environment_variables"]}
        for function in functions.names():
            properties = OVERRIDES["Resources"][functions.logical_id(function)]["Properties"]
            yield stage, function, everywhere | properties.get("Environment", {"Variables": {}})["Variables"].keys()


class TestEnvironments:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""

    RESERVED = re.compile(
        r"_.*|AWS_(DEFAULT_REGION|REGION|EXECUTION_ENV|LAMBDA_.+|ACCESS_KEY|ACCESS_KEY_ID|SECRET_ACCESS_KEY"
        r"|SESSION_TOKEN)|LAMBDA_(TASK_ROOT|RUNTIME_DIR)"
    )

    def test_no_function_sets_a_variable_that_lambda_reserves(self) -> None:
        """The stage of `make run` does, because the embedded AWS gives a function no credentials of its own there."""
        for stage, function, variables in environments():
            assert not [name for name in variables if self.RESERVED.fullmatch(name)], (stage, function)
            assert not [name for name in variables if not re.fullmatch("[A-Za-z][A-Za-z0-9_]+", name)]

    def test_an_environment_has_at_most_four_kilobytes(self) -> None:
        """No value is longer than a table's name may be: 255 characters."""
        for stage, function, variables in environments():
            assert sum(len(name) + 255 for name in variables) <= 4096, (stage, function)

    def test_they_have_what_the_stack_made(self) -> None:
        made = {setting.variable for setting in Settings.table().values() if setting.source is Source.STACK}
        assert made <= {name for _, _, variables in environments() for name in variables}


def statements() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every statement of every policy, with the place where it stands."""
    for file in sorted((PROJECT / ".chalice").glob("policy-*.json")):
        for statement in json.loads(file.read_text(encoding="utf-8"))["Statement"]:
            yield file.name, statement
    for logical_id, _, properties in resources():
        yield from ((logical_id, statement) for statement in _statements_in(properties))


def _statements_in(part: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, Mapping):
        if "Effect" in part:
            yield part
        for inner in part.values():
            yield from _statements_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _statements_in(inner)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def arns() -> Iterator[tuple[str, set[str], str]]:
    """Yield every ARN that a policy spells out, with the place where it stands and the services of its actions."""
    for place, statement in statements():
        services = {action.partition(":")[0] for action in _listed(statement["Action"])}
        for resource in _listed(statement.get("Resource", statement.get("NotResource", []))):
            text = resource.get("Fn::Sub", "") if isinstance(resource, Mapping) else resource
            if text.startswith("arn:"):
                yield place, services, re.sub(r"\$\{[\w:.]+\}", "x", text)


ARNS = list(arns())


class TestPolicies:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html"""

    def test_every_arn_has_six_parts_and_names_the_service_of_the_actions(self) -> None:
        """A wildcard may stand for anything but the service."""
        assert len(ARNS) > 30
        for place, services, arn in ARNS:
            parts = arn.split(":", 5)
            assert len(parts) == 6, (place, arn)
            assert {parts[2]} == services, (place, arn)
            assert parts[5], (place, arn)

    def test_an_arn_of_s3_has_neither_region_nor_account(self) -> None:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html: names are unique without."""
        found = [(place, arn) for place, services, arn in ARNS if "s3" in services]
        assert found
        assert not [(place, arn) for place, arn in found if not re.match(r"arn:[^:]+:s3:::", arn)]

    def test_what_cloudformation_fills_in_is_not_written_out(self) -> None:
        """In China and GovCloud, ARNs begin with another partition:
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns
        """
        written = json.dumps([TEMPLATE, OVERRIDES])
        assert not re.findall(r"arn:aws[\w-]*:", written)
