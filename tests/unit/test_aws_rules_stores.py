"""What AWS refuses or does, and no emulator does: one rule, one test, over every resource that the rule may concern."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from awscli.customizations.cloudformation.yamlhelper import yaml_parse
from botocore.loaders import create_loader

from app import app
from chalicelib.settings import Settings
from operations import PROJECT
from operations.deploy import adoption
from operations.deploy.stage import STAGE_LETTERS_MAX
from operations.generate import chalice_config, policies
from operations.stages import STAGES, Stage

TEMPLATE = yaml_parse((PROJECT / "infrastructure" / "resources.yaml").read_text(encoding="utf-8"))
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
@pytest.mark.parametrize("stage", [*STAGES, "x" * STAGE_LETTERS_MAX])
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
