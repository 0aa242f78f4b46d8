"""Making all that a deployment changes reach what clients call: the API's stage, and the functions' versions.

SAM compares before CloudFormation puts the parameters' values in. A stage serves a deployment of its API, and SAM makes
a new one if the API's body in the template has changed (https://github.com/aws/serverless-application-model/issues/914).
The alias `live` names a version, and SAM publishes a new one if the code has changed
(https://github.com/aws/serverless-application-model/issues/3820). So a parameter that changes alone would change the
API and the function, and not what clients get. Therefore the body gets a description with a digest of the values, and
each function that has the alias a digest of all that a version is made of, as its `AutoPublishCodeSha256`. SAM also
puts that into the function's description: Lambda publishes no version of a function that has not changed.

Neither of SAM's own remedies would do. `AlwaysDeploy` makes a deployment every time, changed or not.
`AutoPublishAliasAllProperties` overlooks parameters, and fails when a property changes that is no part of a version
(https://github.com/aws/serverless-application-model/issues/3281).

A release that is taken back leaves its version: the template keeps versions. If the same commit is released again, its
function would be as that version is, Lambda would publish none, and CloudFormation would refuse the one that exists
(https://github.com/service-cloud-voice/ServiceCloudVoiceLambdas/issues/30). So a digest that a version has already, and
the function has not, is not used again. And CloudFormation keeps the values of parameters that are not given, so those
that the stack has count as well.

`.venv/bin/python -m operations.deploy.release out/sam.json NAME=VALUE …` does it to a packaged template.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operations import functions
from operations.contents import of_this_environment
from operations.deploy.commands import DeployError
from operations.deploy.stack import Stack
from operations.deploy.target import app_stack
from operations.stores import Clients

_DIGEST = "AutoPublishCodeSha256"

# What a function has beside its versions.
_NO_PART_OF_A_VERSION = frozenset(
    {
        *(_DIGEST, "AutoPublishAlias", "DeploymentPreference", "Events", "ProvisionedConcurrencyConfig"),
        *("ReservedConcurrentExecutions", "Tags"),
    }
)


@dataclass(frozen=True)
class Earlier:
    """What earlier deployments left: the stack's parameters, and what describes the functions that have the alias.

    `functions` has a function's own description first, and then those of its versions, by its name in the template.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, Sequence[str]] = field(default_factory=dict)


def earlier(stage: str, clients: Clients) -> Earlier:
    """Ask what earlier deployments of a stage left: nothing if there were none. Raises DeployError."""
    try:
        stack = Stack.found(app_stack(stage), clients("cloudformation"))
        if not stack:
            return Earlier()
        described = {
            functions.logical_id(name): list(_described(clients("lambda"), functions.deployed_name(name, stage)))
            for name in functions.names()
        }
        return Earlier(stack.parameters(), described)
    except (ClientError, BotoCoreError) as error:
        raise DeployError(f"what earlier deployments of {stage} left cannot be told: {error}") from error


def _described(aws_lambda: Any, function: str) -> Iterator[str]:
    """Yield the descriptions of a function and of its versions. Lambda lists `$LATEST` first."""
    try:
        for page in aws_lambda.get_paginator("list_versions_by_function").paginate(FunctionName=function):
            yield from (version.get("Description", "") for version in page["Versions"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.deploy.release", description=__doc__)
    parser.add_argument("template", type=Path, help="what `chalice package` made (JSON); it is changed in place")
    parser.add_argument("parameters", nargs="+", type=_parameter, metavar="NAME=VALUE", help="as for the deployment")
    options = parser.parse_args(arguments)
    parameters = dict(options.parameters)
    try:
        if "Stage" not in parameters:
            raise DeployError("Stage=… is missing, which says whose earlier versions count")
        prepare(options.template, parameters, earlier(parameters["Stage"], clients))
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(template: Path, parameters: Mapping[str, str], before: Earlier | None = None) -> None:
    """Write into a packaged template what makes SAM release all that has changed.

    `parameters` are those that the deployment is given, and `before` is what earlier ones left. Raises DeployError if
    the file is not a packaged template, or if its package is not beside it.
    """
    before = before or Earlier()
    try:
        document = json.loads(template.read_text(encoding="utf-8"))
        values = _values(document.get("Parameters", {}), {**before.parameters, **parameters})
        [api] = _of_type(document, "AWS::Serverless::Api").values()
        api["DefinitionBody"]["info"]["description"] = f"Deployed with parameters {_digest(values)[:16]}"
        for name, function in _of_type(document, "AWS::Serverless::Function").items():
            if "AutoPublishAlias" in function:
                package = (template.parent / function["CodeUri"]).read_bytes()
                version = _version(function, package, document.get("Conditions", {}), values)
                function[_DIGEST] = _to_publish(version, before.functions.get(name, ()))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DeployError(f"{template} is not what `chalice package` makes as JSON: {error}") from error
    template.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _values(declared: Mapping[str, Mapping[str, Any]], known: Mapping[str, str]) -> dict[str, str]:
    """Return the value that each parameter will have: one that is known, or else its default."""
    defaults = {name: str(parameter["Default"]) for name, parameter in declared.items() if "Default" in parameter}
    return defaults | {name: value for name, value in known.items() if name in declared}


def _to_publish(version: Mapping[str, Any], described: Sequence[str]) -> str:
    """Return the digest of a version: another one if there is such a version already, and the function is not so."""
    own, taken = "".join(described[:1]), " ".join(described[1:])
    digests = (_digest({**version, "attempt": attempt} if attempt else version) for attempt in count())
    return next(digest for digest in digests if digest in own or digest not in taken)


def _of_type(document: Any, kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in document["Resources"].items() if each["Type"] == kind}


def _version(
    function: Mapping[str, Any], package: bytes, conditions: Mapping[str, Any], parameters: Mapping[str, str]
) -> dict[str, Any]:
    """Return what makes a version: its code, the properties that versions have, and the parameters in them."""
    versioned = {name: value for name, value in function.items() if name not in _NO_PART_OF_A_VERSION}
    named = _words(versioned)
    named |= _words([condition for name, condition in conditions.items() if name in named])
    used = {name: value for name, value in parameters.items() if name in named}
    return {"code": hashlib.sha256(package).hexdigest(), "function": versioned, "parameters": used}


def _words(part: Any) -> set[str]:
    """Return what a part of the template may be naming: `Ref`, `Fn::Sub` and `Fn::If` all have names in their text."""
    return set(re.findall(r"\w+", json.dumps(part)))


def _digest(of: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
