"""Stage prod on an embedded AWS of its own, over TLS, deployed as an operator deploys it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devstack.aws import deployment, seed, sign_in
from devstack.settings import Settings
from devstack.state import StateFolder, read_json
from operations.deploy.target import APP_NAME, resources_stack, this_machine
from tests.deploy.project import copy_of_project
from tests.e2e.running import free_ports

STAGE = "prod"
RESOURCES_STACK = resources_stack(STAGE)
APP_STACK = f"{APP_NAME}-{STAGE}-app"
DEPLOYS_WITHIN_S = 180


class Prod:
    """The stage, what it is deployed from (a copy of the project), and the emulator that it is deployed to."""

    def __init__(self, folder: Path) -> None:
        self.project = copy_of_project(folder / "project")
        make_for_this_machine(self.project)
        self.settings = Settings(*free_ports(), folder / "state", STAGE)
        self.state = StateFolder(self.settings.state)
        self.running: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}

    def deploy(self, project: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run what `make deploy STAGE=prod` runs. After a success, do what the emulator leaves undone.

        `project` is another tree of this project than the copy.
        """
        ran = subprocess.run(
            [sys.executable, "-m", "operations.deploy", "--stage", STAGE, "--sms-allowed-prefixes", "+1,+44"],
            cwd=project or self.project,
            env=self.settings.child_environment(),
            capture_output=True,
            text=True,
            timeout=DEPLOYS_WITHIN_S,
            check=False,
        )
        if ran.returncode == 0:
            self._tell(deployment.complete(self.settings, APP_STACK))
        return ran

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        """Change a file of the copy that is deployed."""
        path = self.project / file
        before = path.read_text(encoding="utf-8")
        after = change(before)
        assert after != before
        path.write_text(after, encoding="utf-8")

    def client(self, service: str) -> Any:
        """Return a boto3 client with the emulator's root credentials."""
        if service not in self._clients:
            self._clients[service] = deployment.client(self.settings, service)
        return self._clients[service]

    def token(self, user: str) -> str:
        """Log in as operator, amber or cobalt, and return the ID token."""
        email = f"{user}@dragonpost.example"
        who = self.running["user_pool_client_id"], email, read_json(self.state.users)[email]
        return sign_in.id_token(self.settings.aws_url, *who, self.settings.ca_bundle)

    def _tell(self, api_id: str) -> None:
        """Note what run.json says of a devstack, and let the people in."""
        [stack] = self.client("cloudformation").describe_stacks(StackName=RESOURCES_STACK)["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.running = {
            "gateway_url": f"{self.settings.aws_url}/_aws/execute-api/{api_id}/{STAGE}",
            "ca_bundle": str(self.settings.ca_bundle),
            "user_pool_id": outputs["UserPoolId"],
            "user_pool_client_id": outputs["UserPoolClientId"],
            "outputs": outputs,
        }
        seed.create_people(self.client("cognito-idp"), self.state, outputs["UserPoolId"])


def make_for_this_machine(project: Path) -> None:
    """Have a tree's functions made for this machine's processor, on which the emulator runs them."""
    config_file = project / ".chalice" / "config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config["stages"][STAGE]["lambda_architecture"] = this_machine()
    config_file.write_text(json.dumps(config), encoding="utf-8")
