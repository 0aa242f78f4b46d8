"""Show what deploying would change, in words: `.venv/bin/python -m operations.deploy.diff --stage dev`.

It has CloudFormation make a change set for each of the stage's two stacks, prints them, and deletes them, however it
ends. No code is uploaded: the change sets name it as deploying would, by its digest. The app's template is too large to
be sent without the artefact bucket: it is put there, and deleted again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from awscli.customizations.cloudformation.artifact_exporter import Template
from awscli.customizations.s3uploader import S3Uploader
from botocore.exceptions import BotoCoreError, ClientError

from operations import parameters, resources
from operations.contents import of_this_environment
from operations.deploy import adoption, commands, losses, stage, synth
from operations.deploy.adoption import Kept
from operations.deploy.commands import DeployError
from operations.deploy.stack import Stack
from operations.deploy.target import APP_NAME, Target, check_python, default_artifacts_bucket
from operations.stages import EMBEDDED, STAGES
from operations.stores import Clients
from operations.terminal import printable

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
SENT_BYTES_MAX = 51_200
MADE_WITHIN_S = 300
POLL_S = 1.0

# What CloudFormation says of a change set without a change.
_NOTHING = ("didn't contain changes", "No updates are to be performed")
# A stack of which nothing was ever made, or which a failed first create left: deploying makes it anew.
_NOT_MADE = frozenset({"REVIEW_IN_PROGRESS"})
_FAILED = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})


class _Naming(S3Uploader):  # type: ignore[misc]
    """Names the objects that `aws cloudformation package` uploads, and uploads none of them."""

    def file_exists(self, _key: str) -> bool:
        return True


@dataclass(frozen=True)
class Comparison:
    """A stage in an account, and how its change sets are made."""

    target: Target
    clients: Clients

    def all(self) -> Iterator[str]:
        """Yield what deploying would change, in words. Raises DeployError."""
        target, clients = self.target, self.clients
        known = synth.outputs(target.stage, clients)
        resources_file, app_file = synth.write(target, known)
        if kept := {} if known else adoption.standing(target.stage, clients):
            yield from _made(target.resources_stack, resources.template(), kept)
        else:
            exported = self._exported(resources_file)
            yield from self._of(target.resources_stack, exported, self._resources_parameters())
        if stage.chalice_recorded_something(target):
            yield f"{target.app_stack}: `chalice deploy` deployed the app, and nobody can tell what it would change"
        elif not known:
            yield from _made(target.app_stack, json.loads(app_file.read_text(encoding="utf-8")))
        else:
            given = stage.prepare_app(target, known, app_file, clients)
            yield from self._of(target.app_stack, self._exported(app_file), given)

    def _resources_parameters(self) -> dict[str, str]:
        new = self._status(self.target.resources_stack) in {None, *_NOT_MADE}
        return stage.resources_parameters(self.target, new=new)

    def _of(self, stack: str, template: Mapping[str, Any], parameters: Mapping[str, str]) -> Iterator[str]:
        """Yield what a stack's change set says."""
        status = self._status(stack)
        if status in _FAILED:
            yield f"{stack} is {status}: deploying deletes it first, and makes everything anew"
            yield from _made(stack, template)
            return
        try:
            described = self._described(stack, status, template, parameters)
        except _TooLarge:
            yield f"bucket {self.target.artifacts_bucket}: deploying would make it. Without it, the template tells:"
            yield from _made(stack, template)
            return
        yield from told(stack, described, self.target.stage)

    def _described(
        self, stack: str, status: str | None, template: Mapping[str, Any], parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        """Make a change set, and return it after it was deleted. An interrupt waits for that."""
        named = {"StackName": stack, "ChangeSetName": f"diff-{uuid.uuid4()}"}
        new = status in {None, *_NOT_MADE}
        asked = {
            **named,
            "ChangeSetType": "CREATE" if new else "UPDATE",
            "Capabilities": list(stage.CAPABILITIES),
            "Parameters": list(self._parameters(stack, template, parameters, new=new)),
        }
        cloudformation = self.clients("cloudformation")
        waiting = "interrupted; deleting the change set first"
        with commands.interrupts_wait(lambda: self.target.say(waiting)), self._sent(template) as body:
            try:
                cloudformation.create_change_set(**asked, **body)
                return self._until_made(named)
            finally:
                self._delete(named, stack_too=status is None)

    def _until_made(self, named: Mapping[str, str]) -> dict[str, Any]:
        """Return the whole change set once it is made. Raises DeployError if it cannot be."""
        cloudformation, deadline = self.clients("cloudformation"), time.monotonic() + MADE_WITHIN_S
        while (found := cloudformation.describe_change_set(**named))["Status"].endswith(("PENDING", "IN_PROGRESS")):
            if time.monotonic() > deadline:
                raise DeployError(
                    f"CloudFormation did not make a change set of {named['StackName']} in {MADE_WITHIN_S} s"
                )
            time.sleep(POLL_S)
        changes = list(found.get("Changes", []))
        while token := found.get("NextToken"):
            found = cloudformation.describe_change_set(**named, NextToken=token)
            changes += found["Changes"]
        if found["Status"] == "FAILED" and not any(nothing in found.get("StatusReason", "") for nothing in _NOTHING):
            raise DeployError(f"{named['StackName']} could not be deployed so: {found.get('StatusReason')}")
        return {**found, "Changes": changes}

    def _delete(self, named: Mapping[str, str], *, stack_too: bool) -> None:
        """Delete the change set, and the stack that it made, of which nothing else exists."""
        cloudformation = self.clients("cloudformation")
        try:
            cloudformation.delete_change_set(**named)
        except ClientError as error:
            if "does not exist" not in str(error):  # it was refused, and never made
                raise
        if stack_too and self._status(named["StackName"]) in _NOT_MADE:
            cloudformation.delete_stack(StackName=named["StackName"])

    @contextmanager
    def _sent(self, template: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        """Yield how CloudFormation gets the template: in the request, or from the bucket, where it is deleted again."""
        text = json.dumps(template, separators=(",", ":"))
        if len(text.encode()) <= SENT_BYTES_MAX:
            yield {"TemplateBody": text}
            return
        s3, bucket = self.clients("s3"), self.target.artifacts_bucket
        owner = {"ExpectedBucketOwner": self.target.artifacts_owner} if self.target.artifacts_owner else {}
        place = {"Bucket": bucket, "Key": f"{APP_NAME}-{self.target.stage}/diff-{uuid.uuid4()}.template"}
        try:
            s3.put_object(**place, Body=text.encode(), **owner)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucket":
                raise _TooLarge from error
            raise
        self.target.say(f"uploaded {place['Key']} to {bucket}; it is deleted again")
        try:
            yield {"TemplateURL": f"{s3.meta.endpoint_url}/{bucket}/{place['Key']}"}  # as the AWS CLI does
        finally:
            s3.delete_object(**place, **owner)

    def _parameters(
        self, stack: str, template: Mapping[str, Any], given: Mapping[str, str], *, new: bool
    ) -> Iterator[dict[str, Any]]:
        """Yield the values that are given, and keep those that the stack has, as `aws cloudformation deploy` does."""
        known: set[str] = set()
        if not new:
            [described] = self.clients("cloudformation").describe_stacks(StackName=stack)["Stacks"]
            known = {parameter["ParameterKey"] for parameter in described.get("Parameters", [])}
        for name in template.get("Parameters", {}):
            if name in given:
                yield {"ParameterKey": name, "ParameterValue": given[name]}
            elif name in known:
                yield {"ParameterKey": name, "UsePreviousValue": True}

    def _exported(self, file: Path) -> dict[str, Any]:
        """Return a template as it is deployed: what it refers to is in the artefact bucket."""
        prefix = f"{APP_NAME}-{self.target.stage}"
        uploader = _Naming(self.clients("s3"), self.target.artifacts_bucket, prefix)
        exported: dict[str, Any] = Template(file.name, str(file.parent), uploader).export()
        return exported

    def _status(self, stack: str) -> str | None:
        found = Stack.found(stack, self.clients("cloudformation"))
        return found.status if found else None


class _TooLarge(Exception):
    """A template is too large to be sent without the artefact bucket, which does not exist."""


def told(stack: str, change_set: Mapping[str, Any], stage_name: str) -> Iterator[str]:
    """Yield a change set in words: what is added, changed, replaced and removed, and which data that would lose."""
    changes = [change["ResourceChange"] for change in change_set["Changes"] if "ResourceChange" in change]
    yield f"{stack}: {_counted(changes)}"
    lost = dict(losses.lost_by(change_set))
    for change in sorted(changes, key=lambda change: (_ORDER[_effect(change)], change["LogicalResourceId"])):
        name = change["LogicalResourceId"]
        yield printable(f"  {_effect(change):11}  {name}  {change['ResourceType']}{_details(change)}")
        if name in lost:
            yield f"  {'':11}  ! its data would be lost. Deploying refuses that without --replace {name}"
    if lost:
        yield f"`make deploy STAGE={stage_name}` changes nothing of {stack}, unless you name what may be lost"


def _made(stack: str, template: Mapping[str, Any], kept: Mapping[str, Kept] = MappingProxyType({})) -> Iterator[str]:
    """Yield what a stack that does not exist would have by its template. Deploying takes in what was kept.

    CloudFormation is not asked: names that are taken would make its change set fail.
    """
    yield f"{stack}: everything in it would be new" + (", but for what stands already" if kept else "")
    for name, resource in sorted(template["Resources"].items()):
        what = "take in" if name in kept else ADD
        condition = " (depends on a parameter)" if "Condition" in resource else ""
        yield printable(f"  {what:11}  {name}  {resource['Type']}{condition}")


ADD, CHANGE, REPLACE, MAY_REPLACE, REMOVE = "add", "change", "REPLACE", "may REPLACE", "REMOVE"
_ORDER = {effect: number for number, effect in enumerate((REMOVE, REPLACE, MAY_REPLACE, CHANGE, ADD))}
_REPLACEMENTS = {"True": REPLACE, "Conditional": MAY_REPLACE}


def _effect(change: Mapping[str, Any]) -> str:
    """Return what becomes of a resource.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
    """
    if change["Action"] == "Remove":
        return REMOVE
    if change["Action"] in {"Add", "Import"}:
        return ADD
    return _REPLACEMENTS.get(change.get("Replacement", "False"), CHANGE)


def _details(change: Mapping[str, Any]) -> str:
    """Return what of a resource changes: its properties, or its tags, metadata or policies."""
    targets = [detail.get("Target", {}) for detail in change.get("Details", [])]
    names = dict.fromkeys(target.get("Name") or target.get("Attribute", "") for target in targets)
    named = ", ".join(name for name in names if name)
    return f": {named}" if named and change["Action"] == "Modify" else ""


def _counted(changes: Sequence[Mapping[str, Any]]) -> str:
    if not changes:
        return "nothing would change"
    effects = [_effect(change) for change in changes]
    counts = {effect: effects.count(effect) for effect in reversed(_ORDER)}
    return ", ".join(f"{count} to {effect.replace('may', 'perhaps')}" for effect, count in counts.items() if count)


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.deploy.diff", description=__doc__)
    parser.add_argument("--stage", choices=[name for name in STAGES if name != EMBEDDED], required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as for deploying")
    options = parser.parse_args(arguments)
    try:
        check_python(os.environ)
        chosen = parameters.chosen(options.stage, options.set)
        target = synth.target_of(options.stage, "diff", *default_artifacts_bucket(dict(os.environ)))
        target = replace(target, parameters=chosen)
        for line in Comparison(target, clients).all():
            print(line, flush=True)
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:
        print(f"error: {error}. May you make change sets of the stage's stacks?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was changed, and no change set is left", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
