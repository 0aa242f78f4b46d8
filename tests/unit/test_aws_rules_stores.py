"""What AWS refuses or does, and no emulator does: one rule, one test, over every resource that the rule may concern."""

import json
from typing import Any

import pytest
from awscli.customizations.cloudformation.yamlhelper import yaml_parse

from operations import PROJECT

TEMPLATE = yaml_parse((PROJECT / "infrastructure" / "resources.yaml").read_text(encoding="utf-8"))
OVERRIDES = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
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


@pytest.mark.parametrize(("name", "policy"), with_attribute("UpdateReplacePolicy"))
def test_what_replaces_a_resource_may_keep_the_old_one_only_by_retain(name: str, policy: str) -> None:
    """`RetainExceptOnCreate` is a value of DeletionPolicy alone (cfn-lint's rule E3036)."""
    assert policy in ("Delete", "Retain")
    kept = "RetainExceptOnCreate" in values_of(RESOURCES[name].get("DeletionPolicy"))
    assert kept == ("Retain" in values_of(RESOURCES[name]["UpdateReplacePolicy"]))
