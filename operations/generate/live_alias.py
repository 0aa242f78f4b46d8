"""The alias `live` of the functions that serve: the API's, the operators' and the consumer's.

Deploying publishes a version of each, and the alias names the version that is called. With the template's parameter
`Canary`, CodeDeploy moves the alias: a part of the calls goes to the new version first, and if an alarm goes off
meanwhile, all of them go back to the one before. Without it, the alias moves at once.

Chalice knows no aliases, so whatever calls these functions is led to theirs here: the routes' integrations, with
permissions of their own, and (which SAM does by itself) the consumer's event source mapping. Chalice has one function
answer all routes, so those for operators are led to another one here as well. The workflow's functions have no alias:
Step Functions tries their calls again, whatever version it meets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import app
from operations import functions

ALIAS = "live"
CANARY = "Canary"
OFF = "off"

# https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/automating-updates-to-serverless-apps.html
_WAYS = (
    *("Canary10Percent5Minutes", "Canary10Percent10Minutes", "Canary10Percent15Minutes", "Canary10Percent30Minutes"),
    *("Linear10PercentEvery1Minute", "Linear10PercentEvery2Minutes", "Linear10PercentEvery3Minutes"),
    "Linear10PercentEvery10Minutes",
)

PARAMETER: Mapping[str, Any] = {
    "Type": "String",
    "Default": OFF,
    "AllowedValues": [OFF, *_WAYS],
    "Description": (
        "How CodeDeploy moves the calls of the API, of operators and the consumer to a new version, going back if an "
        "alarm goes off; off moves all of them at once."
    ),
}

# SAM takes for `Enabled` what a parameter or a mapping says, but no condition:
# https://github.com/aws/serverless-application-model/issues/1342
MAPPING: Mapping[str, Any] = {way: {"Enabled": "false" if way == OFF else "true"} for way in PARAMETER["AllowedValues"]}


def released() -> list[str]:
    """Return the functions that have the alias: those of the routes, and those that event sources call."""
    return [*functions.ROUTED, *(source.name for source in app.event_sources)]


def alias(function: str) -> str:
    """Return the logical id that SAM gives a function's alias. A reference to it is the alias's ARN."""
    return f"{functions.logical_id(function)}Alias{ALIAS}"


def alarm(function: str) -> str:
    """Return the logical id of the alarm on which CodeDeploy goes back."""
    return f"{functions.logical_id(function)}ReleaseAlarm"


def properties(function: str) -> dict[str, Any]:
    """Return what makes SAM publish a function's versions and move its alias."""
    return {
        "AutoPublishAlias": ALIAS,
        "DeploymentPreference": {
            "Enabled": {"Fn::FindInMap": [CANARY, {"Ref": CANARY}, "Enabled"]},
            "Type": {"Ref": CANARY},
            "Alarms": [{"Ref": alarm(function)}],
        },
    }


def permissions() -> dict[str, Any]:
    """Return the permissions for API Gateway to call the aliases, by their logical ids.

    They name no API, because the API waits for them (`DependsOn`): otherwise the API's new deployment would be refused
    by a function for as long as its permission is missing.
    """
    any_api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:*/${Stage}/*"
    return {
        f"{functions.logical_id(function)}LivePermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Ref": alias(function)},
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {"Fn::Sub": any_api},
            },
        }
        for function in functions.ROUTED
    }


def paths() -> dict[str, Any]:
    """Return the integrations of all routes, each with its function's alias in its address."""
    return {
        path: {method.lower(): _integration(functions.of_route(path)) for method in methods}
        for path, methods in app.routes.items()
    }


def _integration(function: str) -> dict[str, Any]:
    address = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
    return {"x-amazon-apigateway-integration": {"uri": {"Fn::Sub": f"{address}${{{alias(function)}}}/invocations"}}}
