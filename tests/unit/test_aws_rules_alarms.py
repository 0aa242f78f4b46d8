"""What AWS enforces and no emulator does: each rule is one test, with AWS's page, over all templates and policies."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from awscli.customizations.cloudformation.yamlhelper import yaml_parse

from chalicelib import telemetry
from operations import PROJECT, functions
from operations.generate import policies

TEMPLATES: Mapping[str, Any] = {
    "resources": yaml_parse((PROJECT / "infrastructure" / "resources.yaml").read_text(encoding="utf-8")),
    "app": json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8")),
}


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


def values_of(member: str, node: Any) -> Iterator[Any]:
    """Yield every value of this member below a node."""
    if isinstance(node, Mapping):
        yield from [node[member]] if member in node else []
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from values_of(member, part)


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


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
    formats = list(values_of("Format", APIS[name]["AccessLogSetting"]))
    assert formats
    for written in formats:
        assert "$context.requestId" in written
        assert "\n" not in written
