"""What AWS enforces and no emulator does, over every resource of the templates and every policy: one rule, one test.

A name that depends on the account or the stage is tried at its longest: a stage's name has up to 20 characters.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader

from app import app
from chalicelib import telemetry
from chalicelib.settings import Settings, Source
from operations import PROJECT, functions, resources
from operations.deploy import adoption, target
from operations.generate import chalice_config, live_alias, policies
from operations.stages import EMBEDDED, NAME_LETTERS_MAX, STAGES, Stage

# --- What AWS refuses -------------------------------------------------------------------------------------------------

TEMPLATE = resources.template()
OVERRIDES = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
PARTITIONS = create_loader().load_data("endpoints")["partitions"]
RESOURCES: dict[str, Any] = TEMPLATE["Resources"] | OVERRIDES["Resources"]


def of_type(resource_type: str) -> list[str]:
    """Return the names of the resources of a type."""
    return [name for name, item in RESOURCES.items() if item.get("Type") == resource_type]


def values_of(value: Any) -> list[Any]:
    """Return every value that a template's value can take on, whatever its conditions say."""
    if isinstance(value, dict) and "Fn::If" in value:
        return [leaf for branch in value["Fn::If"][1:] for leaf in values_of(branch)]
    return [value]


def listed(value: Any) -> list[Any]:
    """Return what IAM and CloudFormation accept alone or in a list, as a list."""
    return value if isinstance(value, list) else [value]


def with_attribute(attribute: str) -> list[tuple[str, str]]:
    """Return the resources that have an attribute, each with one of its possible values."""
    return [
        (name, value) for name, item in RESOURCES.items() if attribute in item for value in values_of(item[attribute])
    ]


@pytest.mark.parametrize("name", of_type("AWS::SQS::QueuePolicy"))
def test_a_queue_policy_is_for_one_queue_and_each_statement_names_one_resource(name: str) -> None:
    """SQS refuses others with "Invalid value for the parameter Policy".

    "Each policy must cover only a single queue":
    http://docs.amazonwebservices.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/AccessPolicyLanguage_SpecialInfo.html;
    one resource for each statement: https://github.com/remind101/stacker_blueprints/pull/71
    """
    properties = RESOURCES[name]["Properties"]
    assert len(properties["Queues"]) == 1
    named = [listed(statement["Resource"]) for statement in properties["PolicyDocument"]["Statement"]]
    assert [len(resources) for resources in named] == [1] * len(named)
    [queue] = {resources[0]["Fn::GetAtt"][0] for resources in named}
    assert properties["Queues"] == [{"Ref": queue}]


@pytest.mark.parametrize("queue", of_type("AWS::SQS::Queue"))
def test_a_queue_has_one_policy(queue: str) -> None:
    """A queue has one policy: of several resources that set it, the last one wins (hashicorp/terraform#12003)."""
    policies = [name for name in of_type("AWS::SQS::QueuePolicy") if {"Ref": queue} in queues_of(name)]
    assert len(policies) == 1


def queues_of(policy: str) -> list[Any]:
    queues: list[Any] = RESOURCES[policy]["Properties"]["Queues"]
    return queues


def test_the_policy_that_lost_a_queue_comes_before_the_one_that_gained_it() -> None:
    """Updating a policy whose list of queues got shorter removes the policy of the queue that it lost.

    Up to 0.1.0, one resource was for both queues. If it was updated last, it would remove what the new one has set.
    """
    assert RESOURCES["MessageDeadLetterQueuePolicy"]["DependsOn"] == "MessageQueuePolicy"


@pytest.mark.parametrize(("name", "policy"), with_attribute("DeletionPolicy"))
def test_a_failed_first_deployment_leaves_nothing_that_stops_the_next(name: str, policy: str) -> None:
    """`Retain` keeps what a failed create made, too, and the next try meets "already exists".

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
    """
    assert policy in ("Delete", "RetainExceptOnCreate")


# What a deleted stack keeps, and no import brings back: adoption.py deletes a bucket's policy first, and SQS takes the
# policy of a new stack for the one that stands.
MADE_ANEW = {"AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"}


@pytest.mark.parametrize("name", [name for name, policy in with_attribute("DeletionPolicy") if policy != "Delete"])
def test_what_a_deleted_stack_keeps_the_next_one_takes_in(name: str) -> None:
    """A new stack cannot make what stands: "already exists".

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources.html
    """
    assert RESOURCES[name]["Type"] in adoption.IMPORTED | MADE_ANEW


@pytest.mark.parametrize(("name", "policy"), with_attribute("UpdateReplacePolicy"))
def test_what_replaces_a_resource_may_keep_the_old_one_only_by_retain(name: str, policy: str) -> None:
    """`RetainExceptOnCreate` is a value of DeletionPolicy alone (cfn-lint's rule E3036)."""
    assert policy in ("Delete", "Retain")
    kept = "RetainExceptOnCreate" in values_of(RESOURCES[name].get("DeletionPolicy"))
    assert kept == ("Retain" in values_of(RESOURCES[name]["UpdateReplacePolicy"]))


@pytest.mark.parametrize("source", app.event_sources, ids=lambda source: source.name)
def test_a_queues_consumer_leaves_the_accounts_other_runs_to_the_api(source: Any) -> None:
    """Without a bound, a backlog takes up to 1,000 runs, and whatever is throttled counts as received.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    """
    assert source.maximum_concurrency == int(Settings.consumer_concurrency.default or 0)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stages_consumer_has_a_bound_that_lambda_takes(stage: str) -> None:
    """From 2 to 1000: https://docs.aws.amazon.com/lambda/latest/dg/API_ScalingConfig.html"""
    configured = json.loads(chalice_config.files()[chalice_config.CONFIG])["stages"][stage]["environment_variables"]
    assert configured[Settings.consumer_concurrency.variable] == str(STAGES[stage].consumer_concurrency)
    assert 2 <= STAGES[stage].consumer_concurrency <= 1000
    assert Settings.consumer_concurrency.form.fullmatch(str(STAGES[stage].consumer_concurrency))


@pytest.mark.parametrize("bound", ["1", "0", "1001", "02", "ten"])
def test_a_bound_that_lambda_refuses_is_refused_before_it_is_deployed(bound: str) -> None:
    assert not Settings.consumer_concurrency.form.fullmatch(bound)


# The longest that botocore knows: us-isof-south-1.
LONGEST_REGION = max((region for p in PARTITIONS for region in p["regions"]), key=len)


@pytest.mark.parametrize("bucket", of_type("AWS::S3::Bucket"))
@pytest.mark.parametrize("stage", [*STAGES, "x" * NAME_LETTERS_MAX])
def test_a_new_stages_buckets_can_be_made_in_every_region(bucket: str, stage: str) -> None:
    """Names are shared by all accounts and regions, and have at most 63 characters.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    condition, new, standing = RESOURCES[bucket]["Properties"]["BucketName"]["Fn::If"]
    values = {"Stage": stage, "AWS::AccountId": "123456789012", "AWS::Region": LONGEST_REGION}
    name = re.sub(r"\$\{([\w:]+)\}", lambda found: values[found[1]], new["Fn::Sub"])
    assert name.endswith(f"-123456789012-{LONGEST_REGION}")
    assert len(name) <= 63
    assert standing["Fn::Sub"] == new["Fn::Sub"].removesuffix("-${AWS::Region}")
    assert TEMPLATE["Conditions"][condition] == {"Fn::Equals": [{"Ref": "BucketNamesHaveRegion"}, "true"]}


def test_a_stage_that_stands_keeps_its_buckets_if_nobody_says_anything() -> None:
    """A new name is a new bucket: a pipeline of somebody's own does not know the parameter yet."""
    assert TEMPLATE["Parameters"]["BucketNamesHaveRegion"]["Default"] == "false"


ARN_OF_ONE_PARTITION = re.compile(r"arn:aws[\w-]*:")
SOURCES = [
    *sorted((PROJECT / "infrastructure").rglob("*.json")),
    PROJECT / "infrastructure" / "resources.yaml",
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_arn_names_one_partition_of_aws(source: Path) -> None:
    """ARNs elsewhere begin with arn:aws-us-gov or arn:aws-cn:

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    """
    assert not ARN_OF_ONE_PARTITION.findall(source.read_text(encoding="utf-8"))


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
def test_a_stages_policies_name_its_partition(partition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STAGES, "elsewhere", Stage(allow_origin="*", partition=partition))  # type: ignore[misc]
    made = {path: text for path, text in policies.files().items() if path.stem.endswith("-elsewhere")}
    arns = [arn for text in made.values() for arn in re.findall(r'"arn:[^"]+', text)]
    assert arns
    assert {arn.split(":")[1] for arn in arns} == {partition}


def test_the_apis_of_two_stages_in_one_account_can_be_told_apart() -> None:
    """API Gateway shows an API's title, and Chalice gives all stages the name of the app."""
    definition = OVERRIDES["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    assert "${Stage}" in definition["info"]["title"]["Fn::Sub"]


@pytest.mark.parametrize("table", of_type("AWS::DynamoDB::Table"))
def test_no_table_is_encrypted_with_a_key_that_bills_each_use(table: str) -> None:
    """Without a word about it, a table is encrypted with a key that AWS owns, which costs nothing.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-dynamodb-table-ssespecification.html
    """
    assert not RESOURCES[table]["Properties"].get("SSESpecification", {}).get("SSEEnabled", False)


# --- Names, ARNs and environments -----------------------------------------------------------------------------------

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
    longest = LONGEST | ({"Stage": "s" * NAME_LETTERS_MAX} if "${AWS::Region}" in text else {})
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


# --- Alarms, metrics and permissions ---------------------------------------------------------------------------------

TEMPLATES: Mapping[str, Any] = {"resources": TEMPLATE, "app": OVERRIDES}


def resources_of_type(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the logical ids and properties of every resource of a type."""
    for template in TEMPLATES.values():
        for logical_id, resource in template["Resources"].items():
            if resource.get("Type") == kind:
                yield logical_id, resource["Properties"]


def every_statement() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the statements that are evaluated together: of a role's policies, or of a function's."""
    for name, role in resources_of_type("AWS::IAM::Role"):
        yield name, list(statements_in(role["Policies"]))
    for path, content in policies.files().items():
        yield path.stem, json.loads(content)["Statement"]


def statements_in(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every statement below a node, those of conditional policies included."""
    if isinstance(node, Mapping):
        yield from [dict(node)] if "Effect" in node else []
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from statements_in(part)


STATEMENTS = dict(every_statement())


def members(member: str, node: Any) -> Iterator[Any]:
    """Yield every value of this member below a node."""
    if isinstance(node, Mapping):
        yield from [node[member]] if member in node else []
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from members(member, part)


def sends_texts(statement: Mapping[str, Any]) -> bool:
    """Tell whether a statement allows publishing to what is no topic: to a phone number."""
    publishes = statement["Effect"] == "Allow" and {"sns:Publish", "sns:*", "*"} & set(listed(statement["Action"]))
    return bool(publishes) and ("NotResource" in statement or "*" in listed(statement["Resource"]))


@pytest.mark.parametrize("role", STATEMENTS)
def test_whoever_texts_over_sns_may_send_over_end_user_messaging(role: str) -> None:
    """SNS sends texts through AWS End User Messaging, with the caller's permissions.

    https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonSNSFullAccess.html
    """
    allowed = [statement for statement in STATEMENTS[role] if statement["Effect"] == "Allow"]
    if any(map(sends_texts, allowed)):
        assert "sms-voice:SendTextMessage" in {action for each in allowed for action in listed(each["Action"])}


def test_a_stage_has_somebody_who_texts() -> None:
    """Otherwise the rule above would hold for want of texts."""
    assert [role for role, statements in STATEMENTS.items() if any(map(sends_texts, statements))] == [
        "DragonWorkflowRole"
    ]


# --- Alarms ---------------------------------------------------------------------------------------------------------

ALARMS = dict(resources_of_type("AWS::CloudWatch::Alarm"))

# What AWS emits, by namespace: the metrics, which dimensions they come with together, and AWS's page.
EMITTED_BY_AWS: Mapping[str, tuple[set[str], set[frozenset[str]], str]] = {
    "AWS/SQS": (
        {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
        {frozenset({"QueueName"})},
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html",
    ),
    "AWS/Lambda": (
        {"Errors", "Throttles"},
        {frozenset({"FunctionName"}), frozenset({"FunctionName", "Resource"})},
        "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html",
    ),
    "AWS/States": (
        {"ExecutionsFailed", "ExecutionsTimedOut"},
        {frozenset({"StateMachineArn"})},
        "https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html",
    ),
    "AWS/ApiGateway": (
        {"4XXError", "5XXError", "Count", "IntegrationLatency", "Latency"},
        {frozenset({"ApiName"}), frozenset({"ApiName", "Stage"})},
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html",
    ),
}


def counted_by_the_code() -> Iterator[str]:
    """Yield the metrics that `telemetry.count` is called with, read off the code; their one dimension is `service`."""
    for path in sorted((PROJECT / "chalicelib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "count":
                yield from (each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant))


def counted_by_the_workflow() -> Iterator[str]:
    workflow = json.loads((PROJECT / "infrastructure" / "dragons.asl.json").read_text(encoding="utf-8"))
    for state in workflow["States"].values():
        yield from (datum["MetricName"] for datum in state.get("Parameters", {}).get("MetricData", ()))


def longest_that_fits(service: str, shape_name: str) -> int:
    """Return the largest length that the AWS SDK's model of a service gives a kind of value."""
    shape = botocore.session.get_session().get_service_model(service).shape_for(shape_name)
    return int(shape.metadata["max"])


def longest(value: Any) -> str:
    """Return a name as it is on a stage with the longest name that there can be."""
    text = value["Fn::Sub"] if isinstance(value, Mapping) else value
    return text.replace("${Stage}", "s" * 20)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarms_metric_is_emitted_with_these_dimensions(name: str) -> None:
    """An alarm on what nobody emits is never anything but OK or INSUFFICIENT_DATA. AWS's pages are in the table."""
    alarm = ALARMS[name]
    metric, dimensions = alarm["MetricName"], frozenset(item["Name"] for item in alarm["Dimensions"])
    if alarm["Namespace"] == telemetry.NAMESPACE:
        assert metric in {*counted_by_the_code(), *counted_by_the_workflow()}
        assert dimensions == {"service"}
    else:
        metrics, dimension_sets, _page = EMITTED_BY_AWS[alarm["Namespace"]]
        assert metric in metrics
        assert dimensions in dimension_sets


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarms_dimensions_name_what_is_there(name: str) -> None:
    """CloudWatch takes any value of a dimension, and waits for its metric for ever."""
    there = {
        "QueueName": [{"Fn::GetAtt": [queue, "QueueName"]} for queue in dict(resources_of_type("AWS::SQS::Queue"))],
        "StateMachineArn": [
            {"Ref": machine} for machine in dict(resources_of_type("AWS::StepFunctions::StateMachine"))
        ],
        "FunctionName": [{"Fn::Sub": functions.deployed_name(function, "${Stage}")} for function in functions.names()],
        "Resource": [
            {"Fn::Sub": f"{functions.deployed_name(function, '${Stage}')}:{live_alias.ALIAS}"}
            for function in live_alias.released()
        ],
        "service": [{"Fn::Sub": "dragonpost-${Stage}"}],  # POWERTOOLS_SERVICE_NAME, which test_infrastructure.py checks
        "ApiName": [TEMPLATES["app"]["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["info"]["title"]],
        "Stage": [{"Ref": "Stage"}],
    }
    for item in ALARMS[name]["Dimensions"]:
        assert item["Value"] in there[item["Name"]]


@pytest.mark.parametrize("name", ALARMS)
def test_cloudwatch_takes_the_alarm(name: str) -> None:
    """Names and lengths as in the AWS SDK's own model; periods as the page says.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    alarm = ALARMS[name]
    assert len(longest(alarm["AlarmName"])) <= longest_that_fits("cloudwatch", "AlarmName")
    assert len(longest(alarm["AlarmDescription"])) <= longest_that_fits("cloudwatch", "AlarmDescription")
    assert len(alarm.get("AlarmActions", [])) <= longest_that_fits("cloudwatch", "ResourceList")
    assert ("Statistic" in alarm) != ("ExtendedStatistic" in alarm)
    assert alarm["Period"] % 60 == 0, "shorter periods are for metrics that are sent with a resolution of a second"
    assert alarm["Period"] * alarm["EvaluationPeriods"] <= (86_400 if alarm["Period"] < 3_600 else 604_800)
    assert alarm.get("DatapointsToAlarm", 1) <= alarm["EvaluationPeriods"]


def test_no_two_alarms_have_one_name() -> None:
    """The second would overwrite the first."""
    names = [longest(alarm["AlarmName"]) for alarm in ALARMS.values()]
    assert len(set(names)) == len(names)


def test_nobody_counts_in_a_namespace_of_aws() -> None:
    """PutMetricData refuses namespaces that begin with `AWS/`.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
    """
    assert not telemetry.NAMESPACE.startswith("AWS/")


# --- Topics and keys --------------------------------------------------------------------------------------------------

TOPICS = dict(resources_of_type("AWS::SNS::Topic"))
KEYS = dict(resources_of_type("AWS::KMS::Key"))


@pytest.mark.parametrize("name", TOPICS)
def test_sns_takes_the_topics_name(name: str) -> None:
    """Letters, digits, hyphens and underscores, 256 at most.

    https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
    """
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,256}", longest(TOPICS[name]["TopicName"]))


@pytest.mark.parametrize("name", KEYS)
def test_the_account_can_go_on_administering_a_key(name: str) -> None:
    """KMS refuses a policy that would lock its caller out, and without the account's root, IAM policies mean nothing.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    root = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    statements = list(statements_in(KEYS[name]["KeyPolicy"]))
    assert [each for each in statements if each["Principal"] == root and each["Action"] == "kms:*"]
    assert {each["Resource"] for each in statements} == {"*"}, "in a key's policy, `*` is the key"


def topics_that_alarms_tell() -> set[str]:
    """Return the logical ids of the topics that the alarms of all templates send to."""
    names = {longest(topic["TopicName"]): logical_id for logical_id, topic in TOPICS.items()}
    actions = [action for alarm in ALARMS.values() for action in alarm.get("AlarmActions", [])]
    return {action["Ref"] if "Ref" in action else names[longest(action).split(":")[-1]] for action in actions}


def allowed_to(service: str, document: Any) -> set[str]:
    allowing = [each for each in statements_in(document) if each["Effect"] == "Allow"]
    return {
        action for each in allowing if each["Principal"] == {"Service": service} for action in listed(each["Action"])
    }


def test_cloudwatch_may_publish_to_the_topics_that_alarms_tell() -> None:
    """A policy of one's own replaces the one that lets it.

    https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger
    """
    policies_of = [policy for _, policy in resources_of_type("AWS::SNS::TopicPolicy")]
    for topic in topics_that_alarms_tell():
        of_topic = [policy["PolicyDocument"] for policy in policies_of if {"Ref": topic} in policy["Topics"]]
        assert "sns:Publish" in allowed_to("cloudwatch.amazonaws.com", of_topic)


def test_cloudwatch_may_use_the_keys_of_the_topics_that_alarms_tell() -> None:
    """It cannot use `alias/aws/sns`, whose policy nobody can change: such an alarm goes off and tells nobody.

    https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
    """
    for topic in topics_that_alarms_tell():
        key = TOPICS[topic]["KmsMasterKeyId"]
        assert isinstance(key, Mapping), f"{topic} has a key of AWS"
        assert allowed_to("cloudwatch.amazonaws.com", KEYS[key["Ref"]]["KeyPolicy"]) >= {
            "kms:Decrypt",
            "kms:GenerateDataKey*",
        }


# --- Logs -------------------------------------------------------------------------------------------------------------

LOG_GROUPS = dict(resources_of_type("AWS::Logs::LogGroup"))
APIS = {
    logical_id: resource["Properties"]
    for logical_id, resource in TEMPLATES["app"]["Resources"].items()
    if logical_id == "RestAPI"  # its type is in what Chalice makes
}


@pytest.mark.parametrize("name", LOG_GROUPS)
def test_cloudwatch_logs_takes_the_groups_name(name: str) -> None:
    """Letters, digits and some signs, 512 at most; `aws/` at the beginning is AWS's own (`/aws/` is not).

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
    """
    group = longest(LOG_GROUPS[name]["LogGroupName"])
    assert re.fullmatch(r"[-._/#A-Za-z0-9]{1,512}", group)
    assert not group.startswith("aws/")


@pytest.mark.parametrize("name", APIS)
def test_api_gateway_takes_the_format_of_its_access_log(name: str) -> None:
    """One line, with the request's id.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
    """
    formats = list(members("Format", APIS[name]["AccessLogSetting"]))
    assert formats
    for written in formats:
        assert "$context.requestId" in written
        assert "\n" not in written
