"""Adding what MiniStack leaves out when it imports an API's Swagger.

Its import takes paths, integrations and authorizers, and drops the gateway responses and the responses of the
CORS mocks (`_import_rest_api` in ministack/services/apigateway_v1.py, 1.5.33). AWS needs none of this.
The values come from the deployed template, so that they have one source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_GATEWAY_RESPONSES = "x-amazon-apigateway-gateway-responses"
_INTEGRATION = "x-amazon-apigateway-integration"


def complete_import(cloudformation: Any, apigateway: Any, stack: str, stage: str) -> str:
    """Apply the template's gateway responses and CORS mocks to the deployed API; returns the API's id.

    `cloudformation` and `apigateway` are boto3 clients of the emulator. `stage` is the API's stage.
    """
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    if isinstance(template, str):
        template = json.loads(template)
    parameters = _parameter_values(template, described)
    api = next(item for item in template["Resources"].values() if item["Type"] == "AWS::ApiGateway::RestApi")
    swagger = _resolved(api["Properties"]["Body"], parameters)
    api_id = next(output["OutputValue"] for output in described["Outputs"] if output["OutputKey"] == "RestAPIId")
    _put_gateway_responses(apigateway, api_id, swagger)
    _put_mock_responses(apigateway, api_id, swagger)
    apigateway.create_deployment(restApiId=api_id, stageName=stage)
    return str(api_id)


def _put_gateway_responses(apigateway: Any, api_id: str, swagger: Mapping[str, Any]) -> None:
    for response_type, response in swagger.get(_GATEWAY_RESPONSES, {}).items():
        status = {"statusCode": str(response["statusCode"])} if "statusCode" in response else {}
        apigateway.put_gateway_response(
            restApiId=api_id,
            responseType=response_type,
            responseParameters=response.get("responseParameters", {}),
            responseTemplates=response.get("responseTemplates", {}),
            **status,
        )


def _put_mock_responses(apigateway: Any, api_id: str, swagger: Mapping[str, Any]) -> None:
    pages = apigateway.get_paginator("get_resources").paginate(restApiId=api_id)
    resource_ids = {item["path"]: item["id"] for page in pages for item in page["items"]}
    for path, method, integration in _mocks(swagger):
        place = {"restApiId": api_id, "resourceId": resource_ids[path], "httpMethod": method}
        for pattern, response in integration["responses"].items():
            headers = response.get("responseParameters", {})
            answer = {**place, "statusCode": str(response["statusCode"])}
            apigateway.put_method_response(**answer, responseParameters=dict.fromkeys(headers, False))
            apigateway.put_integration_response(
                **answer, responseParameters=headers, selectionPattern="" if pattern == "default" else pattern
            )


def _mocks(swagger: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in swagger["paths"].items():
        for method, operation in operations.items():
            integration = operation.get(_INTEGRATION, {}) if isinstance(operation, dict) else {}
            if integration.get("type") == "mock":
                yield path, method.upper(), integration


def _parameter_values(template: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, str]:
    defaults = {name: item["Default"] for name, item in template.get("Parameters", {}).items() if "Default" in item}
    given = {item["ParameterKey"]: item["ParameterValue"] for item in described.get("Parameters", [])}
    return {**defaults, **given}


def _resolved(node: Any, parameters: Mapping[str, str]) -> Any:
    """Replace `Ref` and `Fn::Sub` of the stack's parameters; other intrinsics stay as they are."""
    if isinstance(node, list):
        return [_resolved(item, parameters) for item in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"}:
        return parameters.get(node["Ref"], node)
    if node.keys() == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):
        return re.sub(r"\$\{(\w+)\}", lambda match: parameters.get(match[1], match[0]), node["Fn::Sub"])
    return {key: _resolved(value, parameters) for key, value in node.items()}
