"""Making a changed parameter reach the API's stage.

A stage serves a deployment of its API, and SAM makes a new one if the API's body in the template has changed. It
compares bodies before CloudFormation puts the parameters' values in, so a parameter that changes alone changes the API,
and not what its stage serves (https://github.com/aws/serverless-application-model/issues/914). Therefore the body gets
a description with a digest of the values. SAM's `AlwaysDeploy` would make a deployment every time, changed or not.

`.venv/bin/python -m operations.deploy.api_deployment out/sam.json NAME=VALUE …` does it to a packaged template.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from operations.deploy.commands import DeployError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.deploy.api_deployment", description=__doc__)
    parser.add_argument("template", type=Path, help="what `chalice package` made (JSON); it is changed in place")
    parser.add_argument("parameters", nargs="+", type=_parameter, metavar="NAME=VALUE", help="as for the deployment")
    options = parser.parse_args(arguments)
    try:
        follow_parameters(options.template, dict(options.parameters))
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def follow_parameters(template: Path, parameters: Mapping[str, str]) -> None:
    """Write into a packaged template which values its API is deployed with.

    `parameters` are those that the deployment is given; CloudFormation keeps the values of all others. Raises
    DeployError if the file is not a packaged template.
    """
    try:
        document = json.loads(template.read_text(encoding="utf-8"))
        [api] = [item for item in document["Resources"].values() if item["Type"] == "AWS::Serverless::Api"]
        api["Properties"]["DefinitionBody"]["info"]["description"] = f"Deployed with parameters {_digest(parameters)}"
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DeployError(f"{template} is not what `chalice package` makes as JSON: {error}") from error
    template.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _digest(parameters: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(parameters.items())).encode()).hexdigest()[:16]


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
