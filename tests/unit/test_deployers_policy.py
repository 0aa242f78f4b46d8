"""Whoever deploys a stage may do what that takes, and nothing to anything else.

What CloudFormation calls for a resource, with the credentials of whoever deploys, is in AWS's own schema of each type,
which cfn-lint brings. tests/deploy/test_prod_over_tls.py deploys under these policies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from operations import functions
from operations.resources import template
from operations.stages import EMBEDDED, STAGES
from tests.deployer import (
    ACCOUNT,
    CHOSEN,
    OF_THE_APP,
    ONLY_NEW,
    REGION,
    THROUGH_CLOUDFORMATION,
    filled_in,
    policies,
    resources,
)
from tests.proof.policies import Call, Grant, grants

TYPES = sorted({resource["Type"] for resource in template()["Resources"].values()} | OF_THE_APP | CHOSEN)

_SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas"
_INDEX = json.loads((_SCHEMAS / "providers" / f"{REGION}.json").read_text(encoding="utf-8"))

# What AWS's schemas list for features that the templates do not use: by the feature, the beginnings of actions.
UNUSED = {
    "a virtual network, a file system, a layer, signed code, a capacity provider or another limit of a function": (
        *("ec2:", "elasticfilesystem:", "s3files:", "lambda:AssociateRuntimeAlias", "lambda:PassCapacityProvider"),
        *("lambda:GetLayerVersion", "lambda:GetCodeSigningConfig", "lambda:PutFunctionCodeSigningConfig"),
        *("lambda:DeleteFunctionCodeSigningConfig", "lambda:PutFunctionRecursionConfig"),
        *("lambda:PutFunctionScalingConfig", "lambda:PutRuntimeManagementConfig"),
    ),
    "a key of one's own for anything but the alarms' topic, which is not the deployer's to use": (
        *("kms:CreateGrant", "kms:RevokeGrant", "kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"),
        *("kms:ReEncrypt", "kms:ListAliases", "logs:AssociateKmsKey", "logs:DisassociateKmsKey"),
    ),
    "a sign-in page under a domain of one's own": ("cloudfront:",),
    "texts or mails from a user pool, delivery of a topic to Firehose": (
        *("iam:CreateServiceLinkedRole", "firehose:"),
    ),
    "a boundary of a role": ("iam:DeleteRolePermissionsBoundary", "iam:PutRolePermissionsBoundary"),
    "replicas, streams, imports, insights or a policy of a table": (
        *("dynamodb:ImportTable", "dynamodb:UpdateContributorInsights", "dynamodb:EnableKinesis", "kinesis:"),
        *("dynamodb:DisableKinesis", "dynamodb:UpdateKinesis", "dynamodb:PutResourcePolicy"),
        *("dynamodb:DeleteResourcePolicy", "dynamodb:CreateTableReplica", "dynamodb:AssociateTableReplica"),
        *("dynamodb:Scan", "dynamodb:Query", "dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:GetItem"),
        *("dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "logs:CreateLogStream", "logs:DescribeLogStreams"),
        *("logs:PutLogEvents", "s3:GetObjectMetadata"),
    ),
    "a version of an artefact": ("s3:GetObjectVersion",),
    "what a bucket has beyond encryption, versions, rules, owners and a policy": (
        *("s3tables:", "s3:PutBucketAbac", "s3:PutAnalyticsConfiguration", "s3:PutBucketCORS", "s3:PutObjectAcl"),
        *("s3:PutInventoryConfiguration", "s3:PutMetricsConfiguration", "s3:PutBucketNotification", "s3:PutBucketAcl"),
        *("s3:PutBucketReplication", "s3:PutBucketWebsite", "s3:PutAccelerateConfiguration", "s3:DeleteObject"),
        *("s3:PutReplicationConfiguration", "s3:PutBucketObjectLock", "s3:PutBucketLogging", "s3:DeleteBucketWebsite"),
        *("s3:PutObjectLockConfiguration", "s3:PutIntelligentTieringConfiguration", "s3:DeleteBucketLifecycle"),
        *("s3:CreateBucketMetadata", "s3:UpdateBucketMetadata", "s3:DeleteBucketMetadata", "s3:DeleteBucketCors"),
        *("s3:DeleteBucketAnalytics", "s3:DeleteBucketMetrics", "s3:DeleteBucketEncryption"),
        *("s3:DeleteBucketReplication", "s3:REST.PUT.OBJECT"),
    ),
    "what a log group has beyond a retention": (
        *("logs:PutDataProtectionPolicy", "logs:DeleteDataProtectionPolicy", "logs:PutIndexPolicy"),
        *("logs:DeleteIndexPolicy", "logs:PutBearerTokenAuthentication", "logs:PutLogGroupDeletionProtection"),
        *("logs:CreateLogDelivery", "logs:PutResourcePolicy", "logs:DeleteResourcePolicy"),
    ),
    "a policy of a topic's data": ("sns:PutDataProtectionPolicy",),
    "a policy of an API": ("apigateway:UpdateRestApiPolicy",),
    "a web ACL of anything but an API, or of another account": (
        *("elasticloadbalancing:", "appsync:", "apprunner:", "amplify:", "bedrock-agentcore:"),
        *("wafv2:PutPermissionPolicy", "wafv2:GetPermissionPolicy"),
    ),
    "machines of one's own": ("codedeploy:RegisterOnPremisesInstance",),
}
# Of these types' permissions, the ones for features that others of the templates use.
UNUSED_BY = {
    "AWS::ApiGateway::RestApi": ("iam:PassRole",),
    "AWS::Cognito::UserPool": ("iam:PassRole", "kms:"),
    "AWS::Cognito::UserPoolClient": ("iam:",),
    "AWS::Cognito::UserPoolDomain": ("kms:",),
    "AWS::Cognito::UserPoolGroup": ("iam:",),
    "AWS::DynamoDB::Table": ("logs:", "kms:", "s3:"),
    "AWS::Lambda::EventSourceMapping": ("kms:",),
    "AWS::Lambda::Function": ("kms:",),
    "AWS::S3::Bucket": ("iam:PassRole",),
    "AWS::SNS::Subscription": ("iam:",),
    "AWS::SNS::Topic": ("iam:",),
    "AWS::StepFunctions::StateMachine": ("kms:",),
    "AWS::WAFv2::WebACLAssociation": ("cognito-idp:",),
}
# What AWS's schemas lack and CloudFormation or a service needs all the same, each with AWS's page.
BEYOND = {
    "iam:PassRole": "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html",
}


def arn(service: str, thing: str, *, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{region}:{account}:{thing}"


def things(stage: str) -> dict[str, str]:
    """Return one resource of a stage for each service."""
    name = f"dragonpost-{stage}"
    return {
        "apigateway": arn("apigateway", "/restapis/a1", account=""),
        "cloudwatch": arn("cloudwatch", f"alarm:{name}-api-5xx"),
        "codedeploy": arn("codedeploy", f"deploymentgroup:{name}-app-Application-A1/{name}-app-Group-A1"),
        "cognito-idp": arn("cognito-idp", "userpool/us-east-1_a"),
        "dynamodb": arn("dynamodb", f"table/{name}-messages"),
        "iam": arn("iam", f"role/{name}-app-APIHandlerRole-A1", region=""),
        "kms": arn("kms", "key/a1"),
        "lambda": arn("lambda", f"function:{name}"),
        "logs": arn("logs", f"log-group:/aws/lambda/{name}"),
        "s3": f"arn:aws:s3:::{name}-dragons-{ACCOUNT}",
        "sns": arn("sns", f"{name}-dragons"),
        "sqs": arn("sqs", f"{name}-messages"),
        "ssm": arn("ssm", f"parameter/dragonpost/{stage}/dragon_store"),
        "states": arn("states", f"stateMachine:{name}-dragons"),
        "wafv2": arn("wafv2", "regional/webacl/all/a1"),
    }


# Of these services' resources, IAM knows no names that could tell stages apart.
NAMELESS = frozenset({"apigateway", "cognito-idp", "kms", "wafv2"})


def needed(kind: str) -> set[str]:
    """Return what CloudFormation needs for a type: to make, read, change and delete it, with what the templates use."""
    schema = json.loads((_SCHEMAS / "resources" / f"{_INDEX[kind]}.json").read_text(encoding="utf-8"))
    listed = {
        action
        for handler in ("create", "read", "update", "delete")
        for action in schema.get("handlers", {}).get(handler, {}).get("permissions", ())
    }
    unused = (*UNUSED_BY.get(kind, ()), *(each for of in UNUSED.values() for each in of))
    return {action for action in listed if not action.startswith(unused)}


def allowed(granted: list[Grant], action: str, resource: str) -> bool:
    return any(grant.covers(Call(action, resource)) for grant in granted)


def all_grants(stage: str, *names: str) -> list[Grant]:
    return [grant for name, policy in policies(stage).items() if name in names for grant in grants(policy)]


def artefact(stage: str) -> str:
    return f"arn:aws:s3:::dragonpost-artifacts-{ACCOUNT}-{REGION}/dragonpost-{stage}/app"


class TestWhatCloudFormationCalls:
    @pytest.mark.parametrize("kind", TYPES)
    def test_every_call_for_a_resource_is_allowed(self, kind: str) -> None:
        granted = all_grants("prod", *THROUGH_CLOUDFORMATION, "Deploying")
        places = [*things("prod").values(), artefact("prod"), arn("lambda", "event-source-mapping:a1")]

        missing = {
            action
            for action in needed(kind)
            if not any(
                allowed(granted, action, place) for place in places if place.split(":")[2] == action.split(":")[0]
            )
        }

        assert not missing

    def test_every_grant_is_for_a_call_that_some_resource_needs(self) -> None:
        calls = {action for kind in TYPES for action in needed(kind)} | BEYOND.keys()
        granted = all_grants("prod", *THROUGH_CLOUDFORMATION)

        left_over = {
            grant.action for grant in granted if not any(grant.covers(Call(call, grant.resource)) for call in calls)
        }

        assert granted
        assert not left_over

    def test_every_feature_that_is_left_out_is_one_of_a_schema(self) -> None:
        """Otherwise the list would hide what a later schema needs."""
        schemas = [(_SCHEMAS / "resources" / f"{_INDEX[kind]}.json").read_text(encoding="utf-8") for kind in TYPES]

        for action in (each for of in UNUSED.values() for each in of):
            assert any(f'"{action}' in schema for schema in schemas), action

    @pytest.mark.parametrize("name", THROUGH_CLOUDFORMATION)
    def test_whoever_deploys_cannot_make_these_calls_directly(self, name: str) -> None:
        """https://aws.amazon.com/blogs/security/how-to-define-least-privileged-permissions-for-actions-called-by-aws-services/"""
        for statement in policies("prod")[name]["Statement"]:
            via = statement["Condition"]["ForAnyValue:StringEquals"]
            assert via == {"aws:CalledVia": "cloudformation.amazonaws.com"}, statement["Sid"]


class TestNothingElse:
    @pytest.mark.parametrize(("stage", "other"), [("dev", "prod"), ("prod", "dev"), ("dev", "dev2")])
    def test_a_stages_deployer_cannot_touch_another_stage(self, stage: str, other: str) -> None:
        granted = [grant for grant in all_grants(stage, *policies(stage)) if grant.resource != "*"]
        named = {service: thing for service, thing in things(other).items() if service not in NAMELESS}
        stack = arn("cloudformation", f"stack/dragonpost-{other}-resources/1")

        for thing in (*named.values(), stack, artefact(other)):
            crossed = [grant for grant in granted if grant.covers(Call(grant.action, thing))]
            assert not crossed, thing

    def test_what_cannot_be_named_is_a_short_list(self) -> None:
        """The page says so: docs/pipelines.md, Who may deploy."""
        everything = {grant.action for grant in all_grants("prod", *policies("prod")) if grant.resource == "*"}

        assert everything == {
            *("cloudformation:ListStacks", "cognito-idp:ListUserPools", "lambda:GetAccountSettings"),
            *("lambda:ListFunctions", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies"),
            *("sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"),
            *("cognito-idp:CreateUserPool", "cognito-idp:DescribeUserPoolDomain", "kms:CreateKey"),
            *(f"lambda:{what}EventSourceMapping" for what in ("Create", "Delete", "Update")),
        }

    def test_a_role_gets_no_policy_of_others_but_codedeploys(self) -> None:
        [statement] = [
            each
            for policy in policies("prod").values()
            for each in policy["Statement"]
            if "iam:AttachRolePolicy" in each["Action"]
        ]

        assert statement["Resource"] == arn("iam", "role/dragonpost-prod-*", region="")
        assert statement["Condition"]["ArnLike"] == {
            "iam:PolicyARN": "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambda*"
        }

    def test_only_the_stages_roles_go_to_services_and_only_to_those_that_need_them(self) -> None:
        [statement] = [
            each
            for policy in policies("prod").values()
            for each in policy["Statement"]
            if "iam:PassRole" in each["Action"]
        ]

        assert statement["Resource"] == arn("iam", "role/dragonpost-prod-*", region="")
        assert statement["Condition"]["StringEquals"] == {
            "iam:PassedToService": ["codedeploy.amazonaws.com", "lambda.amazonaws.com", "states.amazonaws.com"]
        }

    def test_a_stage_in_two_regions_can_have_its_deployers_in_one_account(self) -> None:
        """IAM keeps names for each account, and not for each region."""
        named = [
            filled_in(name, "prod")
            for resource in resources().values()
            for key, name in resource["Properties"].items()
            if key in {"ManagedPolicyName", "RoleName"}
        ]

        assert len(named) == 5
        assert all(name.startswith(f"deployer-dragonpost-prod-{REGION}") for name in named)

    @pytest.mark.parametrize("stage", STAGES)
    def test_nobody_who_deploys_can_change_who_may_deploy(self, stage: str) -> None:
        granted = all_grants(stage, *policies(stage))
        name = f"deployer-dragonpost-{stage}-{REGION}"
        own = [f"role/{name}", f"policy/{name}-stores", "user/ada"]

        for thing in (*(arn("iam", each, region="") for each in own), arn("cloudformation", "stack/deployer/1")):
            assert not [grant for grant in granted if grant.resource != "*" and grant.covers(Call(grant.action, thing))]

    def test_data_of_prod_can_neither_be_read_nor_deleted(self) -> None:
        granted = all_grants("prod", *policies("prod"))
        objects = f"arn:aws:s3:::dragonpost-prod-messages-{ACCOUNT}/key"
        calls = [
            *(("s3:" + what, objects) for what in ("GetObject", "PutObject", "DeleteObject", "DeleteObjectVersion")),
            *(("dynamodb:" + what, things("prod")["dynamodb"]) for what in ("GetItem", "Query", "Scan", "DeleteItem")),
            *(("sqs:" + what, things("prod")["sqs"]) for what in ("ReceiveMessage", "DeleteMessage", "PurgeQueue")),
            *(("cognito-idp:" + what, things("prod")["cognito-idp"]) for what in ("ListUsers", "AdminCreateUser")),
            ("ssm:GetParameter", things("prod")["ssm"]),
        ]

        assert not [call for call in calls if allowed(granted, *call)]

    def test_the_first_dragon_document_can_be_put_and_none_replaced(self) -> None:
        [statement] = [
            each for each in policies("prod")["Deploying"]["Statement"] if each["Sid"] == "FirstDragonDocument"
        ]

        assert statement["Condition"] == ONLY_NEW


class TestAsIamTakesIt:
    @pytest.mark.parametrize("stage", [name for name in STAGES if name != EMBEDDED] + ["a" * 14])
    def test_no_policy_is_too_long(self, stage: str) -> None:
        """IAM counts no white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
        for name, policy in policies(stage).items():
            text = json.dumps(policy, separators=(",", ":")).replace(REGION, "ap-southeast-12")
            assert len(text) <= 6144, name

    def test_every_function_is_one_that_may_be_made(self) -> None:
        granted = all_grants("prod", "Functions")

        for function in functions.names():
            named = arn("lambda", f"function:{functions.deployed_name(function, 'prod')}")
            assert allowed(granted, "lambda:CreateFunction", named)

    def test_only_the_repositorys_environment_of_the_stage_becomes_the_role(self) -> None:
        trust = filled_in(resources()["Role"]["Properties"]["AssumeRolePolicyDocument"], "prod")
        issuer = "token.actions.githubusercontent.com"

        [statement] = trust["Statement"]

        assert statement["Principal"] == {"Federated": arn("iam", f"oidc-provider/{issuer}", region="")}
        assert statement["Condition"] == {
            "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": "repo:owner/name:environment:prod"}
        }


def described() -> Iterator[dict[str, Any]]:
    yield from (statement for policy in policies("prod").values() for statement in policy["Statement"])


def test_every_statement_has_a_name() -> None:
    names = [statement["Sid"] for statement in described()]

    assert len(names) == len(set(names))
