"""An AWS account that moto's server pretends to be, and what exists in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3
from moto.apigateway.models import APIGatewayBackend
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"

Swagger = dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """Everything that a deployment of the app makes, as the account shows it. Two of these can be compared."""

    roles: dict[str, dict[str, Any]]
    trust: dict[str, Any]
    functions: dict[str, dict[str, Any]]
    mappings: dict[str, dict[str, Any]]
    permissions: dict[str, list[dict[str, Any]]]
    apis: dict[str, dict[str, set[str]]]
    stages: dict[str, list[str]]


class Account:
    """The account behind one moto server, and the Swagger documents that its API Gateway was given."""

    def __init__(self, endpoint: str, imported: list[Swagger]) -> None:
        self.endpoint = endpoint
        self.imported = imported

    def client(self, service: str) -> Any:
        """Return a boto3 client of the account."""
        session = boto3.Session("testing", "testing", region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint)  # type: ignore[call-overload]

    def standing(self) -> Standing:
        """Return what exists in the account now."""
        iam, functions, apis = self.client("iam"), self.client("lambda"), self.client("apigateway")
        roles = iam.list_roles()["Roles"]
        listed = functions.list_functions()["Functions"]
        found = apis.get_rest_apis()["items"]
        return Standing(
            roles={role["RoleName"]: _policies(iam, role["RoleName"]) for role in roles},
            trust={role["RoleName"]: role["AssumeRolePolicyDocument"] for role in roles},
            functions={function["FunctionName"]: function for function in listed},
            mappings={
                mapping["UUID"]: mapping for mapping in functions.list_event_source_mappings()["EventSourceMappings"]
            },
            permissions={name: _permissions(functions, name) for name in (item["FunctionName"] for item in listed)},
            apis={api["id"]: _methods(apis, api["id"]) for api in found},
            stages={
                api["id"]: [stage["stageName"] for stage in apis.get_stages(restApiId=api["id"])["item"]]
                for api in found
            },
        )


@contextmanager
def account() -> Iterator[Account]:
    """Start moto's server on a free port, with fixes for the defects that stop `chalice deploy` (moto 5.2.5)."""
    imported: list[Swagger] = []
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with _import_of_chalices_swagger(imported):
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield Account(f"http://{host}:{port}", imported)
        finally:
            server.stop()


@contextmanager
def _import_of_chalices_swagger(imported: list[Swagger]) -> Iterator[None]:
    """Let moto import Chalice's Swagger, and keep each document as it was sent.

    AWS accepts it as it is. moto requires a description. It refuses Swagger 2.0 by its version, although it reads the
    parts that matter here. It also requires a URI and a method for the integrations that answer CORS preflights, which
    have none.
    """
    stock_put = APIGatewayBackend.put_rest_api

    def import_rest_api(backend: APIGatewayBackend, api_doc: Swagger, fail_on_warnings: bool) -> Any:
        api = backend.create_rest_api(name=api_doc["info"]["title"], description="")
        return backend.put_rest_api(api.id, api_doc, fail_on_warnings)

    def put_rest_api(
        backend: APIGatewayBackend, function_id: str, api_doc: Swagger, fail_on_warnings: bool, mode: str = "merge"
    ) -> Any:
        imported.append(copy.deepcopy(api_doc))
        adapted = {name: member for name, member in api_doc.items() if name != "swagger"}
        for operations in adapted["paths"].values():
            if "options" in operations:
                integration = operations["options"]["x-amazon-apigateway-integration"]
                integration |= {"uri": "", "httpMethod": "OPTIONS"}
        return stock_put(backend, function_id, adapted, fail_on_warnings, mode)

    with (
        patch.object(APIGatewayBackend, "import_rest_api", import_rest_api),
        patch.object(APIGatewayBackend, "put_rest_api", put_rest_api),
    ):
        yield


def _policies(iam: Any, role: str) -> dict[str, Any]:
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert attached == []
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}


def _permissions(functions: Any, name: str) -> list[dict[str, Any]]:
    try:
        policy = functions.get_policy(FunctionName=name)["Policy"]
    except functions.exceptions.ResourceNotFoundException:
        return []
    return list(json.loads(policy)["Statement"])


def _methods(apis: Any, api_id: str) -> dict[str, set[str]]:
    resources = apis.get_resources(restApiId=api_id, limit=500)["items"]
    return {item["path"]: set(item["resourceMethods"]) for item in resources if item.get("resourceMethods")}
