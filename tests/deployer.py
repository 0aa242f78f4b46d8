"""Who may deploy a stage: the policies of infrastructure/deployer.yaml, filled in."""

from __future__ import annotations

import re
from typing import Any

from awscli.customizations.cloudformation.yamlhelper import yaml_parse

from operations import PROJECT
from operations.stages import STAGES

ACCOUNT, REGION = "000000000000", "us-east-1"
TEMPLATE = PROJECT / "infrastructure" / "deployer.yaml"
_OF_AWS = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": REGION}
# What lets an object be put only where there is none.
ONLY_NEW = {"Null": {"s3:if-none-match": "false"}}
# Those that allow a call only if CloudFormation makes it.
THROUGH_CLOUDFORMATION = ("Stores", "Functions", "Releases")

# What is called only when a template is refused before anything is made, or a rollback fails.
AFTER_A_FAILURE = frozenset({"cloudformation:DescribeEvents", "cloudformation:ContinueUpdateRollback"})

# The types that SAM makes of the app's template; tests/deploy/test_prod_over_tls.py compares them with what it made.
OF_THE_APP = frozenset(
    {
        *("AWS::ApiGateway::Deployment", "AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage", "AWS::IAM::Role"),
        *("AWS::Lambda::EventSourceMapping", "AWS::Lambda::Function", "AWS::Lambda::Permission"),
        *("AWS::CloudWatch::Alarm", "AWS::Lambda::Alias", "AWS::Lambda::Version", "AWS::Logs::LogGroup"),
    }
)
# Those that there are only if a stage's parameters say so, or that the embedded AWS goes without.
CHOSEN = frozenset(
    {
        *("AWS::ApiGateway::BasePathMapping", "AWS::ApiGateway::DomainName", "AWS::WAFv2::WebACLAssociation"),
        *("AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup"),
    }
)


def policies(stage: str) -> dict[str, dict[str, Any]]:
    """Return each policy of a stage's deployer, by its name in the template."""
    return {
        name: filled_in(resource["Properties"]["PolicyDocument"], stage)
        for name, resource in resources().items()
        if resource["Type"] == "AWS::IAM::ManagedPolicy"
    }


def resources() -> dict[str, Any]:
    """Return what the template makes."""
    return dict(yaml_parse(TEMPLATE.read_text(encoding="utf-8"))["Resources"])


def filled_in(node: Any, stage: str) -> Any:
    """Return a part of the template as it is for a stage, of a repository whose provider is there already."""
    if isinstance(node, list):
        return [made for item in node if (made := filled_in(item, stage)) is not None]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"}:
        return None
    if node.keys() == {"Fn::If"}:
        condition, yes, no = node["Fn::If"]
        return filled_in(
            yes
            if {"KeepsData": stage not in STAGES or STAGES[stage].keeps_data, "MakesProvider": False}[condition]
            else no,
            stage,
        )
    if node.keys() == {"Fn::Sub"}:
        known = {"Stage": stage, "Repository": "owner/name", **_OF_AWS}
        return re.sub(r"\$\{([\w:]+)\}", lambda match: known[match[1]], node["Fn::Sub"])
    return {key: filled_in(value, stage) for key, value in node.items()}
