"""Deploying a stage into the embedded AWS: the package that ships, by the commands that ship it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3

from devstack.aws import sources, swagger_import
from devstack.settings import REGION, DevstackError, Settings
from devstack.state import StateFolder, read_json, write_json
from operations import PROJECT, functions
from operations.deploy import package, stage
from operations.deploy.commands import DeployError
from operations.deploy.target import APP_NAME, Target, this_machine
from operations.stages import STAGES

ACCOUNT = "000000000000"
SMS_ALLOWED_PREFIXES = "+1,+44"
ARTEFACTS_KEPT = 10  # of the newest deployments: one of the app has two, one of the resources as well
NEEDED_OUTPUTS = ("UserPoolArn", "UserPoolId", "UserPoolClientId")


@dataclass(frozen=True)
class Deployment:
    """What is deployed in the embedded AWS, and what it was made from."""

    resources_fingerprint: str
    app_fingerprint: str
    outputs: dict[str, str]
    api_id: str

    def gateway_url(self, settings: Settings) -> str:
        """Return the URL of the deployed API's stage."""
        return f"{settings.aws_url}/_aws/execute-api/{self.api_id}/{settings.stage}"


def client(settings: Settings, service: Any) -> Any:
    """Return a boto3 client of the emulator with its root credentials, whatever the user's environment says."""
    session = boto3.Session("test", "test", region_name=REGION)
    return session.client(
        service, endpoint_url=settings.aws_url, verify=str(ca) if (ca := settings.ca_bundle) else None
    )


def bring_up_to_date(settings: Settings, state: StateFolder) -> Deployment:
    """Deploy what has changed since the last time, and return what is deployed then. Raises DevstackError."""
    before = _read(state)
    resources = sources.resources_fingerprint()
    app = sources.app_fingerprint(resources, settings.aws_url)
    if before and (before.resources_fingerprint, before.app_fingerprint) == (resources, app):
        return before
    try:
        return _deploy(settings, state, before, resources, app)
    except DeployError as error:
        raise DevstackError(str(error)) from error


def _deploy(settings: Settings, state: StateFolder, before: Deployment | None, resources: str, app: str) -> Deployment:
    target = Target(
        stage=settings.stage,
        build=state.build,
        artifacts_bucket=f"{APP_NAME}-artifacts-{ACCOUNT}-{REGION}",
        environment=settings.child_environment(),
        parameters={
            "SmsAllowedPrefixes": SMS_ALLOWED_PREFIXES,
            "WorkflowConcurrency": str(STAGES[settings.stage].workflow_concurrency),
        },
        project=PROJECT,
        architecture=this_machine(),
        require_tls=settings.tls,  # or the policies would refuse what the emulator of `make run` speaks
    )
    merge_template = _merge_template(settings, state)
    state.deployed.unlink(missing_ok=True)  # what is deployed is unknown until this has succeeded
    if before and before.resources_fingerprint == resources:
        outputs = before.outputs
    else:
        stage.ensure_artifacts_bucket(target)
        outputs = stage.deploy_resources(target)
    if missing := [name for name in NEEDED_OUTPUTS if name not in outputs]:
        raise DevstackError(f"infrastructure/resources.yaml has no output {', '.join(missing)}, which is needed here")
    template = package.package_app(target, outputs, merge_template)
    stage.deploy_app(target, outputs, template)
    api_id = complete(settings, target.app_stack)
    _delete_old_artefacts(client(settings, "s3"), target.artifacts_bucket)
    deployment = Deployment(resources, app, outputs, api_id)
    write_json(state.deployed, asdict(deployment))
    return deployment


def complete(settings: Settings, app_stack: str) -> str:
    """Do what the emulator's CloudFormation leaves undone in a deployed app, and return the API's id.

    It drops a part of the API, and ignores `ReservedConcurrentExecutions`.
    """
    clients = client(settings, "cloudformation"), client(settings, "apigateway")
    api_id = swagger_import.complete_import(*clients, app_stack, settings.stage)
    parameters = _parameters(clients[0], app_stack)
    aws = client(settings, "lambda")
    for bounded, parameter in ((functions.bounded(), "WorkflowConcurrency"), ([functions.API], "ApiConcurrency")):
        if bound := int(parameters[parameter]):  # 0 is none
            for function in bounded:
                name = functions.deployed_name(function, settings.stage)
                aws.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=bound)
    return api_id


def _parameters(cloudformation: Any, stack: str) -> dict[str, str]:
    """Return what a stack is deployed with. Parameters that an earlier version's template lacks are as if not set."""
    [described] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    found = {each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]}
    return {"WorkflowConcurrency": "0", "ApiConcurrency": "0", **found}


def _delete_old_artefacts(aws: Any, bucket: str) -> None:
    """Keep the state folder small: every change of the code uploads a package of some MB."""
    artefacts = aws.list_objects_v2(Bucket=bucket)["Contents"]
    for artefact in sorted(artefacts, key=lambda found: found["LastModified"])[:-ARTEFACTS_KEPT]:
        aws.delete_object(Bucket=bucket, Key=artefact["Key"])


def _merge_template(settings: Settings, state: StateFolder) -> Path:
    """Write the overrides, with this emulator's URL for every function: config.json has that of the default port."""
    overrides = _without_versions(_overrides())
    for resource in overrides["Resources"].values():
        properties: dict[str, Any] = resource.get("Properties", {})
        if "FunctionName" in properties:
            variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
            variables["AWS_ENDPOINT_URL"] = settings.aws_url
    merged = state.build / "app-overrides.json"
    merged.write_text(json.dumps(overrides, indent=2), encoding="utf-8")
    return merged


def _without_versions(overrides: Any) -> Any:
    """Leave out the alias `live`: every change would publish versions, and the state would keep them all.

    Routes then call the functions themselves.
    """
    overrides = json.loads(re.sub(r"\$\{(\w+)Aliaslive\}", r"${\1.Arn}", json.dumps(overrides)))
    resources = overrides["Resources"]
    for permission in [name for name in resources if name.endswith("LivePermission")]:
        del resources[permission]
    for resource in resources.values():
        properties = resource.get("Properties", {})
        for name in ("AutoPublishAlias", "DeploymentPreference", "ProvisionedConcurrencyConfig", "SnapStart"):
            properties.pop(name, None)
        if "DefinitionBody" in properties:
            resource.pop("DependsOn", None)
    return overrides


def _overrides() -> Any:
    file = PROJECT / "infrastructure" / "app-overrides.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # an editor may be saving it
        raise DevstackError(f"{file.relative_to(PROJECT)} cannot be read: {error}") from error


def _read(state: StateFolder) -> Deployment | None:
    try:
        return Deployment(**read_json(state.deployed))
    except TypeError:  # there is none yet, or one of another version
        return None
