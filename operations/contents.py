"""What a stage needs before anything can use it: every parameter, and the dragon document.

`.venv/bin/python -m operations.contents --stage prod` puts what is missing, and checks that all is there. Deploying and
`make run` do the same. CloudFormation does not: an unchanged template does not bring a deleted parameter back.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.dragons.document import left_for
from chalicelib.dragons.dynamodb import HERE
from chalicelib.settings import Setting, SettingError, Settings, Source
from operations import resources, stores
from operations.deploy.commands import DeployError
from operations.deploy.target import resources_stack
from operations.stages import STAGES
from operations.stores import Clients

EMPTY_REGISTRY = b"[]"
# The settings that say where the dragon document is.
PLACE = (Settings.dragon_data_bucket_name.name, Settings.dragon_data_file_name.name)
STORE = Settings.dragon_store.name


def complete(stage: str, clients: Clients, first_document: bytes = EMPTY_REGISTRY) -> Iterator[str]:
    """Put the parameters of a stage that are missing, and its first dragon document; yield what was put.

    The resources stack must be deployed. Nothing that exists is changed, except for the parameter that says where the
    registry is, if the document says that it was left. A document that was deleted is not made again. Raises
    DeployError, which says what to do, if something is missing or malformed that a person has to mend.
    """
    try:
        values, put = _put_parameters(stage, clients)
        yield from (f"the parameter /dragonpost/{stage}/{name}" for name in put)
        _check_parameters(stage, values)
        anew = [name for name in PLACE if name in put]
        yield from _put_document(values, clients("s3"), first_document, anew)
        yield from _put_store(stage, values, clients)
    except (BotoCoreError, ClientError) as error:
        raise DeployError(f"what stage {stage} needs could not be checked: {error}") from error


def _put_parameters(stage: str, clients: Clients) -> tuple[dict[str, str], list[str]]:
    """Put the parameters that are missing. Return the values of all by their settings' names, and the names put."""
    ssm, path = clients("ssm"), f"/dragonpost/{stage}/"
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=path)
    listed = [parameter for page in pages for parameter in page["Parameters"]]
    values = {parameter["Name"].removeprefix(path): parameter["Value"].strip() for parameter in listed}
    missing = [setting.name for setting in _needed() if not values.get(setting.name)]
    meanings = _meanings(stage, clients("cloudformation")) if missing else {}
    for name in missing:
        if name in meanings:
            ssm.put_parameter(Name=path + name, Value=meanings[name], Type="String", Overwrite=name in values)
            values[name] = meanings[name]
    return values, [name for name in missing if name in meanings]


def _needed() -> list[Setting]:
    return [setting for setting in Settings.table().values() if setting.source is not Source.ENVIRONMENT]


def _meanings(stage: str, cloudformation: Any) -> dict[str, str]:
    """Return the value that infrastructure/resources.yaml gives each setting that it has a parameter for."""
    references = _references(resources_stack(stage), cloudformation)
    values = resources.parameter_values(resources.template()["Resources"])
    return {name: value if isinstance(value, str) else references[value["Ref"]] for name, value in values.items()}


def _references(stack: str, cloudformation: Any) -> Mapping[str, str]:
    """Return what `Ref` means in a stack: the ids of its resources, and its parameters' values."""
    [described] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {
        **stores.resources(stack, cloudformation),
        **{parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in described.get("Parameters", [])},
    }


def _check_parameters(stage: str, values: Mapping[str, str]) -> None:
    """Raise DeployError with a line for each parameter that the service could not use."""
    wrong = []
    for setting in _needed():
        try:
            setting.parameter(f"/dragonpost/{stage}/", values)
        except SettingError as error:
            wrong.append(str(error))
    if wrong:
        raise DeployError("\n".join(wrong))


def _put_document(values: Mapping[str, str], s3: Any, body: bytes, anew: Sequence[str]) -> list[str]:
    """Put the first document, if there has never been one. `anew`: what of its place was missing and put just now."""
    bucket, key = (values[name] for name in PLACE)
    try:
        versions = _versions(s3, bucket, key)
    except ClientError as error:
        raise DeployError(_unreadable(bucket, error)) from error
    if any(version["IsLatest"] and "Size" in version for version in versions):
        return []
    if versions:
        raise DeployError(_deleted(bucket, key, versions))
    if anew:
        raise DeployError(
            f"Parameter Store lacked {' and '.join(anew)}. The stack's own value was put back, but there has never "
            f"been a dragon document at s3://{bucket}/{key}. If the dragons are elsewhere, correct the parameter. If "
            "they are to begin there, run this again."
        )
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:  # somebody else has put it meanwhile
            return []
        raise
    return [f"the dragon document s3://{bucket}/{key}"]


def _put_store(stage: str, values: Mapping[str, str], clients: Clients) -> list[str]:
    """Name the home that the document was left for, if the parameter names another.

    It does if it was deleted, alone or with its stack. While the registry is being moved, whoever moves it sets it.
    What was left is told by its size and its ETag, the MD5 of what SSE-S3 encrypts, so nobody has to read it:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if values[STORE] == HERE:
        return []
    bucket, key = (values[name] for name in PLACE)
    left = left_for(HERE)
    what_is_there = [(each["Size"], each["ETag"]) for each in _versions(clients("s3"), bucket, key) if each["IsLatest"]]
    if what_is_there != [(len(left), f'"{hashlib.md5(left, usedforsecurity=False).hexdigest()}"')]:
        return []
    parameter = f"/dragonpost/{stage}/{STORE}"
    clients("ssm").put_parameter(Name=parameter, Value=HERE, Type="String", Overwrite=True)
    return [f"the parameter {parameter}: the registry is in {HERE}"]


def _versions(s3: Any, bucket: str, key: str) -> list[dict[str, Any]]:
    """Return the object's versions and delete markers. Only versions have a `Size`."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    listed = [item for page in pages for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))]
    return [item for item in listed if item["Key"] == key]


def _unreadable(bucket: str, error: ClientError) -> str:
    return (
        f"the bucket {bucket}, which the parameter {Settings.dragon_data_bucket_name.name} names for the dragon "
        f"document, cannot be read ({error.response['Error']['Code']}). If the parameter is wrong, correct it; if you "
        "delete it and run this again, it gets the name of the stack's own bucket."
    )


def _deleted(bucket: str, key: str, versions: Sequence[Mapping[str, Any]]) -> str:
    marker = next((item["VersionId"] for item in versions if item["IsLatest"]), "<its latest delete marker>")
    return (
        f"the dragon document s3://{bucket}/{key} was deleted, and an empty one would hide its dragons. Bring it back: "
        f".venv/bin/aws s3api delete-object --bucket {bucket} --key '{key}' --version-id {marker}\n"
        "(as it was at an earlier time: `make restore WHAT=dragons`). To begin with an empty registry instead, put an "
        "object that holds [] there (docs/data.md, Bringing back the dragon document)."
    )


def of_this_environment(service: str) -> Any:
    """Return a boto3 client as this process's environment says."""
    return boto3.client(service)  # type: ignore[call-overload]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.contents", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    try:
        for put in complete(parser.parse_args(arguments).stage, of_this_environment):
            print(f"put {put}")
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
