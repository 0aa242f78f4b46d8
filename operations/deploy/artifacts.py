"""What a deployment leaves in the artefact bucket: it removes packages and templates that nothing needs any more.

A rule of S3's cannot do that. It goes by when an object was uploaded, and `aws cloudformation package` uploads nothing
that is there already. So it would also delete what a stack still refers to, and an update that failed could not be
rolled back. The rule that is set here ends uploads that were never finished, which nobody sees and everybody pays for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operations.deploy.target import APP_NAME, Target

KEPT = timedelta(days=90)
ABANDONED_AFTER_DAYS = 7


def tidy(target: Target, clients: Callable[[str], Any]) -> None:
    """Remove a stage's artefacts that are old and to which neither of its stacks refers.

    Takes a function that returns a boto3 client by its service's name. Does nothing in a bucket that somebody chose: it
    is theirs to tidy. The stage is deployed by then, so what fails is told and no error.
    """
    if target.artifacts_owner is None:
        return
    try:
        _set_rule(target, clients("s3"))
        removed = _remove(target, clients("s3"), _templates(target, clients("cloudformation")))
    except (BotoCoreError, ClientError) as error:
        target.say(f"old packages stay in {target.artifacts_bucket}: {error}")
        return
    if removed:
        target.say(f"{removed} old packages and templates removed from {target.artifacts_bucket}")


def _set_rule(target: Target, s3: Any) -> None:
    """Give the bucket its rule, unless it has rules already."""
    bucket = {"Bucket": target.artifacts_bucket, "ExpectedBucketOwner": target.artifacts_owner}
    try:
        s3.get_bucket_lifecycle_configuration(**bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
            raise
        rule = {
            "ID": "abandoned-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABANDONED_AFTER_DAYS},
        }
        s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": [rule]})


def _templates(target: Target, cloudformation: Any) -> str:
    """Return the templates of the stage's stacks, as they were sent, with the keys that they refer to."""
    templates = []
    for stack in (target.resources_stack, target.app_stack):
        try:
            answer = cloudformation.get_template(StackName=stack, TemplateStage="Original")
        except ClientError as error:
            if "does not exist" not in str(error):  # the app may be deployed by Chalice
                raise
        else:
            templates.append(json.dumps(answer["TemplateBody"]))
    return "".join(templates)


def _remove(target: Target, s3: Any, templates: str) -> int:
    bucket = {"Bucket": target.artifacts_bucket, "ExpectedBucketOwner": target.artifacts_owner}
    stale = [key for key in _old(target, s3) if key not in templates]
    for begin in range(0, len(stale), 1000):
        objects = [{"Key": key} for key in stale[begin : begin + 1000]]
        s3.delete_objects(**bucket, Delete={"Objects": objects, "Quiet": True})
    return len(stale)


def _old(target: Target, s3: Any) -> Iterator[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=target.artifacts_bucket,
        Prefix=f"{APP_NAME}-{target.stage}/",
        ExpectedBucketOwner=target.artifacts_owner,
    )
    for page in pages:
        for item in page.get("Contents", []):
            if item["LastModified"] < datetime.now(UTC) - KEPT:
                yield item["Key"]
