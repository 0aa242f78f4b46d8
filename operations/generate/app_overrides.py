"""What is merged into the template that `chalice package` makes: infrastructure/app-overrides.json.

It gives the functions the names that `chalice deploy` gives them, the names of what the resources stack made, and log
groups that expire their entries. It gives the API what Chalice has no setting for: its own answers, its limits, and the
one client whose tokens it accepts. And both get their alarms, and versions that a release moves between (`live_alias`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app import app, users
from chalicelib.settings import Settings
from operations import PROJECT, functions
from operations.generate import app_parameters, entrance, live_alias
from operations.generate.alarms import alarms
from operations.generate.app_parameters import (
    ACCESS_LOGGED,
    API_BOUNDED,
    API_PROVISIONED,
    API_SNAPPED,
    TRACED,
    WORKFLOW_BOUNDED,
)
from operations.generate.gateway_responses import gateway_responses
from operations.generate.variables import Made, made_by_the_stack, variables

OVERRIDES = PROJECT / "infrastructure" / "app-overrides.json"

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
        "Parameters": app_parameters.parameters(made),
        "Mappings": {live_alias.CANARY: live_alias.MAPPING},
        "Conditions": app_parameters.conditions(),
        "Rules": app_parameters.rules(),
        "Resources": {
            "RestAPI": _rest_api(),
            **live_alias.permissions(),
            **entrance.resources(),
            "ApiAccessLogGroup": {"Condition": ACCESS_LOGGED, **_log_group("/aws/apigateway/dragonpost-${Stage}")},
            **_functions(made),
            **_log_groups(),
            **alarms(),
        },
        "Outputs": entrance.outputs(),
    }
    return {OVERRIDES.relative_to(PROJECT): json.dumps(overrides, ensure_ascii=False, indent=2) + "\n"}


def _functions(made: list[Made]) -> dict[str, Any]:
    return {
        functions.logical_id(function): {
            "DependsOn": [_log_of(function)],
            "Properties": {
                "FunctionName": {"Fn::Sub": functions.deployed_name(function, "${Stage}")},
                **_environment(variables(function, made) | _commit(function)),
                **(_bound(WORKFLOW_BOUNDED, "WorkflowConcurrency") if function in functions.bounded() else {}),
                **(live_alias.properties(function) if function in live_alias.released() else {}),
                **(_of_the_api() if function == functions.API else {}),
            },
        }
        for function in functions.names()
    }


def _commit(function: str) -> dict[str, Any]:
    """Return the commit for the function that tells it; the others' versions do not change with it."""
    return {Settings.commit.variable: {"Ref": "Commit"}} if function == functions.API else {}


def _environment(known: dict[str, Any]) -> dict[str, Any]:
    return {"Environment": {"Variables": known}} if known else {}


def _bound(condition: str, parameter: str) -> dict[str, Any]:
    return {"ReservedConcurrentExecutions": _if(condition, {"Ref": parameter})}


def _of_the_api() -> dict[str, Any]:
    """Return what only the routes' function may be given: a bound of its own, and the remedies of cold starts."""
    kept_started = {"ProvisionedConcurrentExecutions": {"Ref": "ApiProvisionedConcurrency"}}
    return {
        **_bound(API_BOUNDED, "ApiConcurrency"),
        "ProvisionedConcurrencyConfig": _if(API_PROVISIONED, kept_started),
        "SnapStart": _if(API_SNAPPED, {"ApplyOn": "PublishedVersions"}),
    }


def _if(condition: str, value: Any) -> dict[str, Any]:
    return {"Fn::If": [condition, value, {"Ref": "AWS::NoValue"}]}


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
        "Properties": {"LogGroupName": {"Fn::Sub": name}, "RetentionInDays": {"Ref": "LogRetentionDays"}},
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
        "DependsOn": list(live_alias.permissions()),
        "Properties": {
            "OpenApiVersion": "2.0",
            "TracingEnabled": {"Fn::If": [TRACED, True, False]},
            "BinaryMediaTypes": app.api.binary_types,
            "MethodSettings": [every_method],
            "AccessLogSetting": _if(ACCESS_LOGGED, _access_log()),
            "GatewayResponses": gateway_responses({"Fn::Sub": "'${AllowOrigin}'"}),
            "DefinitionBody": {
                # Chalice calls the APIs of all stages by the name of the app.
                "info": {"title": {"Fn::Sub": functions.deployed_name(functions.API, "${Stage}")}},
                "securityDefinitions": {users.name: {"x-amazon-apigateway-authorizer": one_client}},
                "paths": live_alias.paths(),
            },
        },
    }
