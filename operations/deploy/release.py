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

`.venv/bin/python -m operations.deploy.release out/sam.json NAME=VALUE …` does it to a packaged template.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from operations.deploy.commands import DeployError

_DIGEST = "AutoPublishCodeSha256"

# What a function has beside its versions.
_NO_PART_OF_A_VERSION = frozenset(
    {
        *(_DIGEST, "AutoPublishAlias", "DeploymentPreference", "Events", "ProvisionedConcurrencyConfig"),
        *("ReservedConcurrentExecutions", "Tags"),
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.deploy.release", description=__doc__)
    parser.add_argument("template", type=Path, help="what `chalice package` made (JSON); it is changed in place")
    parser.add_argument("parameters", nargs="+", type=_parameter, metavar="NAME=VALUE", help="as for the deployment")
    options = parser.parse_args(arguments)
    try:
        prepare(options.template, dict(options.parameters))
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(template: Path, parameters: Mapping[str, str]) -> None:
    """Write into a packaged template what makes SAM release all that has changed.

    `parameters` are those that the deployment is given; CloudFormation keeps the values of all others. Raises
    DeployError if the file is not a packaged template, or if its package is not beside it.
    """
    try:
        document = json.loads(template.read_text(encoding="utf-8"))
        [api] = _of_type(document, "AWS::Serverless::Api")
        api["DefinitionBody"]["info"]["description"] = f"Deployed with parameters {_digest(parameters)[:16]}"
        for function in _of_type(document, "AWS::Serverless::Function"):
            if "AutoPublishAlias" in function:
                package = (template.parent / function["CodeUri"]).read_bytes()
                function[_DIGEST] = _of_a_version(function, package, document.get("Conditions", {}), parameters)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DeployError(f"{template} is not what `chalice package` makes as JSON: {error}") from error
    template.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _of_type(document: Any, kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in document["Resources"].values() if resource["Type"] == kind]


def _of_a_version(
    function: Mapping[str, Any], package: bytes, conditions: Mapping[str, Any], parameters: Mapping[str, str]
) -> str:
    """Return the digest of a function's code, of its properties that versions have, and of the parameters in them."""
    versioned = {name: value for name, value in function.items() if name not in _NO_PART_OF_A_VERSION}
    named = _words(versioned)
    named |= _words([condition for name, condition in conditions.items() if name in named])
    used = {name: value for name, value in parameters.items() if name in named}
    return _digest({"code": hashlib.sha256(package).hexdigest(), "function": versioned, "parameters": used})


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
