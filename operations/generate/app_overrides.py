"""What is merged into the template that `chalice package` makes: infrastructure/app-overrides.json.

It gives the functions the names that `chalice deploy` gives them, the names of what the resources stack made, and log
groups that expire their entries. It gives the API what Chalice has no setting for: its own answers, its limits, and the
one client whose tokens it accepts. And both get their alarms.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app import app, users
from chalicelib.settings import Setting, Settings
from operations import PROJECT, functions
from operations.generate.alarms import alarms
from operations.generate.gateway_responses import gateway_responses
from operations.generate.variables import Made, made_by_the_stack, variables

OVERRIDES = PROJECT / "infrastructure" / "app-overrides.json"

LOGS_KEPT_DAYS = 90


def _pattern_of(setting: Setting) -> str:
    """Return a setting's form as CloudFormation takes it for a parameter."""
    return f"^({setting.form.pattern})$"


_PARAMETERS = {
    "Stage": {
        "Type": "String",
        "AllowedPattern": _pattern_of(Settings.stage),
        "Description": "The Chalice stage this template was packaged for.",
    },
    "AllowOrigin": {
        "Type": "String",
        "AllowedPattern": _pattern_of(Settings.allow_origin),
        "Description": (
            "The stage's allow_origin in operations/stages.py, for the answers that the gateway makes by itself."
        ),
    },
    "ThrottlingRateLimit": {
        "Type": "Number",
        "Default": 1000,
        "Description": "How many requests per second the whole stage accepts; it answers others with 429.",
    },
    "ThrottlingBurstLimit": {
        "Type": "Number",
        "Default": 500,
        "Description": "How many requests may come in a burst (the size of API Gateway's token bucket).",
    },
    "ApiAccessLogs": {
        "Type": "String",
        "Default": "off",
        "AllowedValues": ["off", "on"],
        "Description": (
            "Whether API Gateway logs every request, without who sent it. The account needs a role for that."
        ),
    },
    "WorkflowConcurrency": {
        "Type": "Number",
        "Default": 0,
        "MinValue": 0,
        "Description": (
            "How many runs of each of the workflow's functions there may be at once, or 0 for no bound. They are "
            "reserved from the account's, of which Lambda keeps 100 for other functions."
        ),
    },
}


_WORKFLOW_BOUNDED = "WorkflowBounded"
_ACCESS_LOGGED = "ApiAccessLogged"
_CONDITIONS = {
    _WORKFLOW_BOUNDED: {"Fn::Not": [{"Fn::Equals": [{"Ref": "WorkflowConcurrency"}, 0]}]},
    _ACCESS_LOGGED: {"Fn::Equals": [{"Ref": "ApiAccessLogs"}, "on"]},
}

# What API Gateway logs of a request. The route stands for the path, because paths have names and ids in them; there is
# no query, no address and no claim of a token. `error` is the gateway response, if the gateway answered by itself.
_LOGGED_OF_A_REQUEST = {
    "time": "$context.requestTime",
    "request_id": "$context.requestId",
    "extended_request_id": "$context.extendedRequestId",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "error": "$context.error.responseType",
    "function_status": "$context.integration.status",
    "response_bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "function_latency_ms": "$context.integration.latency",
    "trace_id": "$context.xrayTraceId",
}


def files() -> dict[Path, str]:
    """Return the overrides as the committed file has them. Raises CannotGenerate."""
    made = made_by_the_stack()
    overrides = {
        "Parameters": {**_PARAMETERS, **_outputs(made)},
        "Conditions": _CONDITIONS,
        "Resources": {
            "RestAPI": _rest_api(),
            "ApiAccessLogGroup": {"Condition": _ACCESS_LOGGED, **_log_group("/aws/apigateway/dragonpost-${Stage}")},
            **_functions(made),
            **_log_groups(),
            **alarms(),
        },
    }
    return {OVERRIDES.relative_to(PROJECT): json.dumps(overrides, ensure_ascii=False, indent=2) + "\n"}


def _outputs(made: list[Made]) -> dict[str, Any]:
    return {
        each.output: {
            "Type": "String",
            "AllowedPattern": _pattern_of(each.setting),
            "Description": f"This output of the resources stack: the functions' setting {each.setting.name}.",
        }
        for each in made
    }


def _functions(made: list[Made]) -> dict[str, Any]:
    return {
        functions.logical_id(function): {
            "DependsOn": [_log_of(function)],
            "Properties": {
                "FunctionName": {"Fn::Sub": functions.deployed_name(function, "${Stage}")},
                **_environment(variables(function, made)),
                **(_bound() if function in functions.bounded() else {}),
            },
        }
        for function in functions.names()
    }


def _environment(known: dict[str, Any]) -> dict[str, Any]:
    return {"Environment": {"Variables": known}} if known else {}


def _bound() -> dict[str, Any]:
    reserved = {"Fn::If": [_WORKFLOW_BOUNDED, {"Ref": "WorkflowConcurrency"}, {"Ref": "AWS::NoValue"}]}
    return {"ReservedConcurrentExecutions": reserved}


def _log_groups() -> dict[str, Any]:
    return {
        _log_of(function): _log_group(f"/aws/lambda/{functions.deployed_name(function, '${Stage}')}")
        for function in functions.names()
    }


def _log_of(function: str) -> str:
    return f"{functions.logical_id(function)}Log"


def _log_group(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {"LogGroupName": {"Fn::Sub": name}, "RetentionInDays": LOGS_KEPT_DAYS},
    }


def _access_log() -> dict[str, Any]:
    """Return where API Gateway logs requests, and how. It takes the group's ARN without the `:*` that `Arn` has."""
    group = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${ApiAccessLogGroup}"
    return {"DestinationArn": {"Fn::Sub": group}, "Format": json.dumps(_LOGGED_OF_A_REQUEST)}


def _rest_api() -> dict[str, Any]:
    every_method = {
        "ResourcePath": "/*",
        "HttpMethod": "*",
        "MetricsEnabled": True,
        "DataTraceEnabled": False,
        "ThrottlingRateLimit": {"Ref": "ThrottlingRateLimit"},
        "ThrottlingBurstLimit": {"Ref": "ThrottlingBurstLimit"},
    }
    one_client = {"identityValidationExpression": {"Fn::Sub": "^${UserPoolClientId}$"}}
    return {
        "Properties": {
            "OpenApiVersion": "2.0",
            "TracingEnabled": True,
            "BinaryMediaTypes": app.api.binary_types,
            "MethodSettings": [every_method],
            "AccessLogSetting": {"Fn::If": [_ACCESS_LOGGED, _access_log(), {"Ref": "AWS::NoValue"}]},
            "GatewayResponses": gateway_responses({"Fn::Sub": "'${AllowOrigin}'"}),
            "DefinitionBody": {
                # Chalice calls the APIs of all stages by the name of the app.
                "info": {"title": {"Fn::Sub": functions.deployed_name(functions.API, "${Stage}")}},
                "securityDefinitions": {users.name: {"x-amazon-apigateway-authorizer": one_client}},
            },
        }
    }
