"""The alarms on what Chalice owns: the API and the functions. All others are in infrastructure/resources.yaml.

They send to that template's topic, by its name. Missing data is no alarm: where nothing is asked, nothing is emitted.
"""

from __future__ import annotations

from typing import Any

from operations import functions
from operations.generate import live_alias

_PERIOD_S = 300
_RELEASE_PERIOD_S = 60
_TOPIC = "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:dragonpost-${Stage}-alarms"
_API = {"ApiName": {"Fn::Sub": functions.deployed_name(functions.API, "${Stage}")}, "Stage": {"Ref": "Stage"}}

Metric = tuple[str, str, dict[str, Any]]  # its namespace, its name, and its dimensions


def alarms() -> dict[str, Any]:
    """Return the alarms by their logical ids."""
    throttled = {
        f"{functions.logical_id(function)}ThrottledAlarm": _throttled(function) for function in functions.names()
    }
    released = {live_alias.alarm(function): _release_fails(function) for function in live_alias.released()}
    return {"ApiErrorAlarm": _api_fails(), "ApiLatencyAlarm": _api_is_slow(), **throttled, **released}


def _api_fails() -> dict[str, Any]:
    """Return the alarm on every 5xx. No client can cause one, and what may pass by itself was tried again before."""
    return _alarm(
        "dragonpost-${Stage}-api-5xx",
        "The API answered 5xx: the service broke, what it needs is not available, or its function was throttled or "
        "crashed. Runbook: docs/operations.md#the-api-fails.",
        ("AWS/ApiGateway", "5XXError", _API),
        Statistic="Sum",
        Threshold=0,
    )


def _api_is_slow() -> dict[str, Any]:
    """Return the alarm on a quarter of an hour in which one answer in twenty took 5 s, longer than a cold start takes.

    The gateway gives up at 29 s, and then answers 5xx.
    """
    return _alarm(
        "dragonpost-${Stage}-api-slow",
        "For a quarter of an hour, one answer of the API in twenty took more than 5 s. Runbook: "
        "docs/operations.md#the-api-is-slow.",
        ("AWS/ApiGateway", "Latency", _API),
        ExtendedStatistic="p95",
        EvaluateLowSampleCountPercentile="ignore",  # one slow answer of three is no pattern
        EvaluationPeriods=3,
        Threshold=5_000,
    )


def _throttled(function: str) -> dict[str, Any]:
    """Return the alarm on a function that could not start.

    A bounded function is throttled by every burst of reports, which then wait for up to eight minutes, as they should.
    Only three periods in a row are more than one burst. If any other function is throttled, the account has too few.
    """
    name = functions.deployed_name(function, "${Stage}")
    return _alarm(
        f"{name}-throttled",
        f"The function {function} could not start as often as it was needed. Runbook: "
        "docs/operations.md#a-function-is-throttled.",
        ("AWS/Lambda", "Throttles", {"FunctionName": {"Fn::Sub": name}}),
        Statistic="Sum",
        EvaluationPeriods=3 if functions.limits(function).bounded else 1,
        Threshold=0,
    )


def _release_fails(function: str) -> dict[str, Any]:
    """Return the alarm on which CodeDeploy takes a release back, so it looks every minute and tells nobody.

    The functions of the routes never raise, so it is the API's answers that count.
    """
    name = functions.deployed_name(function, "${Stage}")
    errors = (
        "AWS/Lambda",
        "Errors",
        {"FunctionName": {"Fn::Sub": name}, "Resource": {"Fn::Sub": f"{name}:{live_alias.ALIAS}"}},
    )
    return _alarm(
        f"{name}-release",
        f"CodeDeploy takes a release of {function} back while this alarm is on. Runbook: "
        "docs/operations.md#a-release-is-taken-back.",
        ("AWS/ApiGateway", "5XXError", _API) if function in functions.ROUTED else errors,
        AlarmActions=[],
        Period=_RELEASE_PERIOD_S,
        Statistic="Sum",
        Threshold=0,
    )


def _alarm(name: str, description: str, metric: Metric, **properties: Any) -> dict[str, Any]:
    namespace, metric_name, dimensions = metric
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": {"Fn::Sub": name},
            "AlarmDescription": description,
            "AlarmActions": [{"Fn::Sub": _TOPIC}],
            "Namespace": namespace,
            "MetricName": metric_name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            "Period": _PERIOD_S,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            **properties,
        },
    }
