"""Every store of the template is known to every command that is about stored data."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from operations import destroy, forget, resources, restore, stores
from operations.stores import STORES, StageOutdated, Standing

TEMPLATE = resources.template()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]

# What holds nothing of its own, or only what it was given by the template. Log groups expire by themselves.
HOLD_NO_DATA = {
    *("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::SNS::Topic"),
    *("AWS::SNS::Subscription", "AWS::KMS::Key", "AWS::KMS::Alias", "AWS::Logs::LogGroup", "AWS::Logs::MetricFilter"),
    *("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::SSM::Parameter", "AWS::CloudWatch::Alarm"),
    *("AWS::Cognito::UserPoolClient", "AWS::Cognito::UserPoolDomain", "AWS::Cognito::UserPoolGroup"),
    *("AWS::ApiGateway::Account",),
}


def test_every_store_of_the_template_is_listed_and_no_other() -> None:
    """A resource of a new type counts as a store until somebody says above that it holds nothing."""
    in_template = {name: each["Type"] for name, each in RESOURCES.items() if each["Type"] not in HOLD_NO_DATA}

    assert in_template == {name: store.type for name, store in STORES.items()}


@pytest.mark.parametrize("name", STORES)
def test_destroying_a_stage_knows_how_each_store_goes(name: str) -> None:
    assert (STORES[name].type in destroy.DELETED_WHOLE) != (STORES[name].type in destroy.EMPTIED_FIRST)


@pytest.mark.parametrize("name", STORES)
def test_each_store_is_forgotten_or_says_what_stays_there(name: str) -> None:
    """An empty text says that a store holds nothing of theirs; whoever adds a store has to say it."""
    leaves = STORES[name].leaves
    assert name in forget.COMPANY or stores.COMPANY in leaves
    assert name in forget.PERSON or stores.PERSON in leaves


@pytest.mark.parametrize("name", STORES)
def test_each_store_can_be_restored_or_says_why_not(name: str) -> None:
    assert (name in {store for store, _ in restore.WHAT.values()}) != (stores.RESTORE in STORES[name].leaves)


def test_what_is_said_to_expire_expires_then() -> None:
    groups = [each["Properties"] for each in RESOURCES.values() if each["Type"] == "AWS::Logs::LogGroup"]
    assert {group["RetentionInDays"]["Ref"] for group in groups} == {"LogRetentionDays"}
    assert f"LogRetentionDays says ({TEMPLATE['Parameters']['LogRetentionDays']['Default']} unless" in stores.LOGS_KEPT
    assert RESOURCES["UserPoolClient"]["Properties"]["IdTokenValidity"] == 1
    assert RESOURCES["UserPoolClient"]["Properties"]["TokenValidityUnits"]["IdToken"] == "hours"


def test_what_destroying_keeps_is_what_the_template_keeps() -> None:
    assert TEMPLATE["Conditions"]["KeepsData"] == {"Fn::Equals": [{"Ref": "KeepData"}, "true"]}
    for name in STORES:
        if STORES[name].type != stores.WORKFLOW:
            condition, kept, otherwise = RESOURCES[name]["DeletionPolicy"]["Fn::If"]
            assert (condition, kept.startswith("Retain"), otherwise) == ("KeepsData", True, "Delete")


def test_a_stage_of_an_earlier_version_is_told_to_be_deployed_first() -> None:
    stacks = SimpleNamespace(
        get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [{"StackResourceSummaries": []}])
    )

    with pytest.raises(StageOutdated, match=r"prod has no SubmissionTable: .* `make deploy STAGE=prod` first"):
        Standing.found("prod", lambda _: stacks).resources["SubmissionTable"]
