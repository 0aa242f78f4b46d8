"""What is deployed and where to: a stage, and what the commands see."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from operations import PROJECT
from operations.deploy import commands
from operations.deploy.commands import DeployError
from operations.environment import LOOPBACK

APP_NAME = "dragonpost"

# The oldest that AWS supports for years to come. It deprecates 3.11 on 2027-06-30, 3.12 on 2028-10-31, 3.13 on
# 2029-06-30: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
OLDEST_PYTHON = (3, 13)


@dataclass(frozen=True)
class Target:
    """One stage in one account and region.

    `environment` is what the commands see (credentials, region, endpoint); `build` receives templates and packages.
    With `artifacts_owner`, the bucket must belong to that account: anyone who guesses its name can create it first.
    `parameters` are those of the templates' parameters that were chosen for this deployment (operations/parameters.py).
    `replaced` are the stores, by their names in the template, that may be replaced or removed with their data.
    `architecture` is what the functions run on, `arm64` or
    `x86_64`; without it, it is the stage's. `require_tls` is whether buckets, queues and the topic refuse plain HTTP.
    """

    stage: str
    build: Path
    artifacts_bucket: str
    environment: Mapping[str, str]
    project: Path = PROJECT
    artifacts_owner: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    replaced: frozenset[str] = frozenset()
    architecture: str | None = None
    require_tls: bool = True

    @property
    def resources_stack(self) -> str:
        """The stack of everything that Chalice does not own."""
        return resources_stack(self.stage)

    @property
    def app_stack(self) -> str:
        """The stack of the packaged Chalice app."""
        return app_stack(self.stage)

    def say(self, message: str) -> None:
        """Print one line of progress on stderr."""
        print(f"  {self.stage}: {message}", file=sys.stderr, flush=True)


def check_python(environment: Mapping[str, str]) -> None:
    """Raise DeployError if this Python is too old for an account: functions run on the one that deploys them.

    An emulator on this machine, which `environment` leads to by a loopback endpoint, gets whatever Python there is.
    """
    endpoint = urlsplit(environment.get("AWS_ENDPOINT_URL", ""))
    if sys.version_info < OLDEST_PYTHON and endpoint.hostname not in (*LOOPBACK, "::1"):
        oldest = "{}.{}".format(*OLDEST_PYTHON)
        raise DeployError(
            f"functions run on the Python that deploys them, and AWS retires {platform.python_version()} too soon: run "
            f"`make clean`, and then `make deploy` again with BASE_PYTHON=python{oldest}, or a later one"
        )


def resources_stack(stage: str) -> str:
    """Return the name of a stage's stack of everything that Chalice does not own."""
    return f"{APP_NAME}-{stage}-resources"


def app_stack(stage: str) -> str:
    """Return the name of a stage's stack of the packaged Chalice app."""
    return f"{APP_NAME}-{stage}-app"


def this_machine() -> str:
    """Return this machine's architecture, as Lambda names it."""
    return "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"


def app_environment(outputs: Mapping[str, str]) -> dict[str, str]:
    """Return what app.py reads from the environment while Chalice loads it, from the resources stack's outputs."""
    return {"DRAGONPOST_USER_POOL_ARN": outputs["UserPoolArn"]}


def default_artifacts_bucket(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return `dragonpost-artifacts-<account>-<region>` for the credentials in `environment`, and the account.

    Raises DeployError without credentials or region.
    """
    region = environment.get("AWS_DEFAULT_REGION") or _configured_region(environment)
    if not region:
        raise DeployError("no region. Set AWS_DEFAULT_REGION, or run `.venv/bin/aws configure`.")
    identity = ("sts", "get-caller-identity", "--query", "Account", "--output", "text")
    account = commands.run("aws", *identity, env=environment).strip()
    return f"{APP_NAME}-artifacts-{account}-{region}", account


def _configured_region(environment: Mapping[str, str]) -> str:
    try:
        return commands.run("aws", "configure", "get", "region", env=environment).strip()
    except DeployError:
        return ""
