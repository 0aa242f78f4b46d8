"""`chalice deploy --stage dev`, run as people run it, against an account that moto pretends to be.

Deploying, deploying changed code and deleting each happen once for this module. The tests look at what existed then.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import source_hash
from pathlib import Path
from typing import Any

import pytest

from app import app
from chalicelib.settings import Settings
from operations import PROJECT, vendor
from operations.deploy.stage import check_not_deployed_otherwise
from operations.deploy.target import Target
from operations.functions import API, deployed_name, names
from operations.generate.gateway_responses import gateway_responses
from operations.stages import STAGES
from tests.deploy.moto_account import REGION, Account, Standing, Swagger, account
from tests.deploy.project import chalice, copy_of_project, without_aws_settings

POOL_ARN = f"arn:aws:cognito-idp:{REGION}:123456789012:userpool/{REGION}_DragonPst"
QUEUE = "dragonpost-dev-messages"
FUNCTIONS = {function: deployed_name(function, "dev") for function in names()}
CONFIG = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))
DEV = CONFIG["stages"]["dev"]

# Everything else needs a token.
PUBLIC = {"/", "/docs", "/static/{name}", "/health", "/openapi.json"}


@dataclass(frozen=True)
class Deployment:
    """One run of `chalice deploy`: what it printed, what existed afterwards, and the API as it was imported."""

    said: str
    standing: Standing
    swagger: Swagger


@pytest.fixture(scope="module")
def aws() -> Iterator[Account]:
    with account() as pretended:
        pretended.client("sqs").create_queue(QueueName=QUEUE)  # the resources stack's
        yield pretended


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = copy_of_project(tmp_path_factory.mktemp("chalice-deploy") / "project")
    vendor.fill(project, os.environ)
    return project


@pytest.fixture(scope="module")
def environment(aws: Account) -> dict[str, str]:
    return without_aws_settings() | {"AWS_ENDPOINT_URL": aws.endpoint}


@pytest.fixture(scope="module")
def bare(aws: Account, project: Path, environment: dict[str, str]) -> tuple[int, str, Standing]:
    """A deployment by somebody who has not deployed the resources."""
    ran = chalice(project, environment, "deploy", "--stage", "dev")
    return ran.returncode, ran.stdout, aws.standing()


@pytest.fixture(scope="module")
def deployed(aws: Account, project: Path, environment: dict[str, str], bare: object) -> Deployment:
    return deploy(aws, project, environment)


@pytest.fixture(scope="module")
def redeployed(aws: Account, project: Path, environment: dict[str, str], deployed: Deployment) -> Deployment:
    with (project / "app.py").open("a", encoding="utf-8") as source:
        source.write("\n# changed\n")
    return deploy(aws, project, environment)


@pytest.fixture(scope="module")
def deleted(aws: Account, project: Path, environment: dict[str, str], redeployed: Deployment) -> Standing:
    ran = chalice(project, environment, "delete", "--stage", "dev")
    assert ran.returncode == 0, ran.stdout
    return aws.standing()


def deploy(aws: Account, project: Path, environment: dict[str, str]) -> Deployment:
    ran = chalice(project, environment | {"DRAGONPOST_USER_POOL_ARN": POOL_ARN}, "deploy", "--stage", "dev")
    assert ran.returncode == 0, ran.stdout
    return Deployment(ran.stdout, aws.standing(), aws.imported[-1])


def packages(deployment: Deployment, project: Path) -> list[Path]:
    """Return the package that every function of a deployment runs."""
    digests = {function["CodeSha256"] for function in deployment.standing.functions.values()}
    made = (project / ".chalice" / "deployments").glob("*.zip")
    return [file for file in made if {base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()} == digests]


class TestWithoutTheUserPool:
    def test_it_fails_and_names_the_command_to_run_first(self, bare: tuple[int, str, Standing]) -> None:
        status, said, _ = bare

        assert status != 0
        assert "DRAGONPOST_USER_POOL_ARN is not set" in said
        assert "make deploy STAGE=dev" in said
        assert "Traceback" not in said

    def test_it_creates_nothing(self, bare: tuple[int, str, Standing]) -> None:
        _, _, standing = bare

        assert standing == Standing({}, {}, {}, {}, {}, {}, {})


class TestRoles:
    def test_each_function_has_a_role_of_its_own(self, deployed: Deployment) -> None:
        assert set(deployed.standing.roles) == {f"dragonpost-dev-{function}" for function in FUNCTIONS}
        assert {
            function["FunctionName"]: function["Role"].rpartition("/")[2]
            for function in deployed.standing.functions.values()
        } == {name: f"dragonpost-dev-{function}" for function, name in FUNCTIONS.items()}

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_its_one_policy_is_the_file_and_nothing_more(self, deployed: Deployment, function: str) -> None:
        file = PROJECT / ".chalice" / f"policy-{function}-dev.json"

        policies = deployed.standing.roles[f"dragonpost-dev-{function}"]

        assert list(policies.values()) == [json.loads(file.read_text(encoding="utf-8"))]

    def test_only_lambda_may_assume_the_roles(self, deployed: Deployment) -> None:
        for trust in deployed.standing.trust.values():
            assert [statement["Principal"] for statement in trust["Statement"]] == [{"Service": "lambda.amazonaws.com"}]


class TestFunctions:
    def test_they_have_the_names_that_the_workflow_calls(self, deployed: Deployment) -> None:
        assert set(deployed.standing.functions) == set(FUNCTIONS.values())

    @pytest.mark.parametrize(("function", "name"), FUNCTIONS.items())
    def test_they_are_set_up_as_the_stage_says(self, deployed: Deployment, function: str, name: str) -> None:
        wanted = DEV["lambda_functions"][function]

        made = deployed.standing.functions[name]

        assert made["Environment"]["Variables"] == CONFIG["environment_variables"] | DEV["environment_variables"]
        assert (made["Timeout"], made["MemorySize"]) == (wanted["lambda_timeout"], wanted["lambda_memory_size"])
        assert made["TracingConfig"] == {"Mode": "Active"}
        assert made["Architectures"] == ["arm64"]
        assert made["Handler"] == ("app.app" if function == API else f"app.{function}")
        assert made["Runtime"] == f"python3.{sys.version_info.minor}"

    def test_their_code_brings_its_own_sdk(self, deployed: Deployment, project: Path) -> None:
        [package] = packages(deployed, project)

        with zipfile.ZipFile(package) as archive:
            assert archive.namelist().count("botocore/__init__.py") == 1

    def test_the_queue_feeds_its_consumer_and_no_other(self, deployed: Deployment) -> None:
        [mapping] = deployed.standing.mappings.values()

        assert mapping["ScalingConfig"] == {"MaximumConcurrency": STAGES["dev"].consumer_concurrency}
        assert mapping["EventSourceArn"] == f"arn:aws:sqs:{REGION}:123456789012:{QUEUE}"
        assert mapping["FunctionArn"].endswith(":function:dragonpost-dev-store_messages")
        assert mapping["BatchSize"] == 10

    def test_the_api_alone_may_be_called_by_the_gateway(self, deployed: Deployment) -> None:
        [api_id] = deployed.standing.apis
        allowed = {name: statements for name, statements in deployed.standing.permissions.items() if statements}

        assert set(allowed) == {"dragonpost-dev"}
        [statement] = allowed["dragonpost-dev"]
        assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
        assert api_id in json.dumps(statement["Condition"])


class TestApi:
    def test_it_has_every_route_and_method_of_the_app(self, deployed: Deployment) -> None:
        [methods] = deployed.standing.apis.values()

        assert methods == {path: {*views, "OPTIONS"} for path, views in app.routes.items()}

    def test_the_stage_and_the_printed_address_are_the_chalice_stages(self, deployed: Deployment) -> None:
        [(api_id, stages)] = deployed.standing.stages.items()

        assert stages == ["dev"]
        assert f"https://{api_id}.execute-api.{REGION}.amazonaws.com/dev/" in deployed.said

    def test_the_authorizer_is_the_user_pools(self, deployed: Deployment) -> None:
        [(name, definition)] = deployed.swagger["securityDefinitions"].items()

        assert name == "dragonpost-users"
        assert (definition["in"], definition["name"]) == ("header", "Authorization")
        assert definition["x-amazon-apigateway-authtype"] == "cognito_user_pools"
        assert definition["x-amazon-apigateway-authorizer"]["type"] == "cognito_user_pools"
        assert definition["x-amazon-apigateway-authorizer"]["providerARNs"] == [POOL_ARN]

    def test_every_route_but_the_public_ones_needs_a_token(self, deployed: Deployment) -> None:
        open_to_all = {
            path
            for path, operations in deployed.swagger["paths"].items()
            for method, operation in operations.items()
            if method != "options" and operation.get("security") != [{"dragonpost-users": []}]
        }

        assert "/health" in open_to_all
        assert open_to_all <= PUBLIC

    def test_a_preflight_needs_no_token(self, deployed: Deployment) -> None:
        preflights = [operations["options"] for operations in deployed.swagger["paths"].values()]

        assert all("security" not in preflight for preflight in preflights)

    def test_bodies_arrive_as_bytes(self, deployed: Deployment) -> None:
        assert deployed.swagger["x-amazon-apigateway-binary-media-types"] == ["*/*"]

    def test_the_gateways_own_answers_are_the_services_and_say_when_to_try_again(self, deployed: Deployment) -> None:
        """As the merged template has them: API Gateway's own 429 and 503 would have no `Retry-After`."""
        origin = DEV["environment_variables"][Settings.allow_origin.variable]
        answers = deployed.swagger["x-amazon-apigateway-gateway-responses"]

        assert answers == {
            kind: {
                "statusCode": str(answer["StatusCode"]),
                "responseParameters": {
                    f"gatewayresponse.header.{name}": text
                    for name, text in answer["ResponseParameters"]["Headers"].items()
                },
                "responseTemplates": answer["ResponseTemplates"],
            }
            for kind, answer in gateway_responses(f"'{origin}'").items()
        }
        for kind in ("THROTTLED", "QUOTA_EXCEEDED", "INTEGRATION_FAILURE"):
            assert re.fullmatch(r"'\d+'", answers[kind]["responseParameters"]["gatewayresponse.header.Retry-After"])


class TestDeployingAgain:
    def test_an_edit_is_in_the_package_and_is_what_python_runs(self, redeployed: Deployment, project: Path) -> None:
        """Nobody filled vendor/ again, so the package has bytecode of app.py as it was."""
        [package] = packages(redeployed, project)

        with zipfile.ZipFile(package) as archive:
            source = archive.read("app.py")
            [name] = [name for name in archive.namelist() if name.startswith("__pycache__/app.")]
            bytecode = archive.read(name)

        assert source.endswith(b"# changed\n")
        assert int.from_bytes(bytecode[4:8], "little") == 0b11, (
            "Python has to compare it: https://peps.python.org/pep-0552/"
        )
        assert bytecode[8:16] != source_hash(source), "Python has to notice the edit"

    def test_nothing_is_packed_that_chalices_own_run_compiled(self, redeployed: Deployment, project: Path) -> None:
        [package] = packages(redeployed, project)

        with zipfile.ZipFile(package) as archive:
            names = archive.namelist()
            kinds = {archive.read(name)[4] for name in names if name.endswith(".pyc")}

        assert len(names) == len(set(names))
        assert kinds == {0b01, 0b11}, "none goes by its source's time"

    def test_the_code_is_the_new_one(self, deployed: Deployment, redeployed: Deployment) -> None:
        for name in FUNCTIONS.values():
            before, after = deployed.standing.functions[name], redeployed.standing.functions[name]
            assert before["CodeSha256"] != after["CodeSha256"]

    def test_nothing_else_has_changed(self, deployed: Deployment, redeployed: Deployment) -> None:
        assert without_code(redeployed.standing) == without_code(deployed.standing)
        assert redeployed.swagger == deployed.swagger

    def test_the_api_keeps_its_id(self, deployed: Deployment, redeployed: Deployment) -> None:
        assert len(redeployed.standing.apis) == 1
        assert redeployed.standing.apis.keys() == deployed.standing.apis.keys()


class TestDeleting:
    def test_nothing_is_left_of_the_app(self, deleted: Standing) -> None:
        assert deleted == Standing({}, {}, {}, {}, {}, {}, {})

    @pytest.mark.usefixtures("deleted")
    def test_what_the_resources_stack_owns_is_still_there(self, aws: Account) -> None:
        [url] = aws.client("sqs").list_queues()["QueueUrls"]

        assert url.endswith(f"/{QUEUE}")

    @pytest.mark.usefixtures("deleted")
    def test_the_stage_may_then_be_deployed_with_cloudformation(self, project: Path) -> None:
        """Chalice keeps a record of a stage that it deleted. That does not count as a deployed stage."""
        assert (project / ".chalice" / "deployed" / "dev.json").exists()

        check_not_deployed_otherwise(Target("dev", project, "unused", {}, project=project), "cloudformation")


def without_code(standing: Standing) -> dict[str, Any]:
    about_code = {"CodeSha256", "CodeSize", "LastModified", "RevisionId", "Version"}
    functions = {
        name: {key: text for key, text in function.items() if key not in about_code}
        for name, function in standing.functions.items()
    }
    mappings = {
        uuid: {key: text for key, text in mapping.items() if key not in {"LastModified", "ResponseMetadata"}}
        for uuid, mapping in standing.mappings.items()
    }
    return {**vars(standing), "functions": functions, "mappings": mappings}
