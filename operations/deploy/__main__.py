"""Deploy one stage of Dragonpost: `.venv/bin/python -m operations.deploy --stage dev`.

It runs the `aws` and `chalice` commands of docs/pipelines.md in the order that they need each other: the resources
stack, what it has to hold, its outputs, the packaged app. Progress goes to stderr, the result to stdout.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from operations import PROJECT, contents, parameters
from operations.deploy import adoption, artifacts, package, stage
from operations.deploy.commands import DeployError
from operations.deploy.target import Target, app_environment, check_python, default_artifacts_bucket
from operations.stages import EMBEDDED, STAGES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parse(arguments)
    try:
        _deploy(options)
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to finish", file=sys.stderr)
        return 130
    return 0


def _deploy(options: argparse.Namespace) -> None:
    check_python(os.environ)
    target = _target(options)
    stage.check_not_deployed_otherwise(target, options.with_)
    stage.ensure_artifacts_bucket(target)
    adoption.resume(target, contents.of_this_environment)
    outputs = stage.deploy_resources(target)
    stage.check_partition(target, outputs)
    for put in contents.complete(target.stage, contents.of_this_environment):
        target.say(f"put {put}")
    if options.resources_only:
        for name, value in app_environment(outputs).items():
            print(f"export {name}={shlex.quote(value)}")
    elif options.with_ == "chalice":
        print(stage.chalice_deploy(target, outputs), end="")
        artifacts.tidy(target, contents.of_this_environment)
    else:
        template = package.package_app(target, outputs)
        print(stage.deploy_app(target, outputs, template, contents.of_this_environment))
        artifacts.tidy(target, contents.of_this_environment)


def _target(options: argparse.Namespace) -> Target:
    environment = dict(os.environ)
    chosen = parameters.chosen(options.stage, options.set)
    if options.with_ == "chalice":
        parameters.check_chalice_can(options.set)
    bucket, owner = options.artifacts_bucket, None
    if not bucket:
        bucket, owner = default_artifacts_bucket(environment)
    return Target(
        stage=options.stage,
        build=PROJECT / ".local" / "build" / options.stage,
        artifacts_bucket=bucket,
        artifacts_owner=owner,
        environment=environment,
        parameters=chosen,
        replaced=frozenset(options.replace),
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.deploy", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--artifacts-bucket", help="bucket for templates and packages (created if there is none)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the templates (docs/configuring.md has them); those that are not named keep their values",
    )
    parser.add_argument(
        "--replace",
        action="append",
        default=[],
        metavar="NAME",
        help="a bucket, table, queue or pool (as the template names it) that may be replaced or removed with its data",
    )
    parser.add_argument(
        "--with",
        dest="with_",
        choices=("cloudformation", "chalice"),
        default="cloudformation",
        help="deploy the app through CloudFormation or through `chalice deploy`; never both for one stage",
    )
    parser.add_argument(
        "--resources-only", action="store_true", help="stop after the resources and print what `chalice` needs to know"
    )
    options = parser.parse_args(arguments)
    if options.stage == EMBEDDED:
        others = ", ".join(name for name in STAGES if name != EMBEDDED)
        parser.error(
            f"`make run` deploys the stage {EMBEDDED}, into the embedded AWS; the stages of an account are {others}"
        )
    return options


if __name__ == "__main__":
    sys.exit(main())
