"""A stage of an account on an embedded AWS of its own, over TLS, deployed as an operator deploys it: prod, or dev."""

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
from operations import PROJECT
from operations.deploy.target import app_stack, resources_stack, this_machine
from operations.stages import STAGES
from tests.deploy.deployer import Deployer
from tests.deploy.project import copy_of_project
from tests.e2e.running import free_ports

STAGE = "prod"
RESOURCES_STACK = resources_stack(STAGE)
APP_STACK = app_stack(STAGE)
RUNS_WITHIN_S = 600


class Prod:
    """The stage, what it is deployed from (a copy of the project), and the emulator that it is deployed to."""

    def __init__(self, folder: Path, stage: str = STAGE) -> None:
        """Take an empty folder, and the stage's name. One that the project lacks is made like prod."""
        self.stage = stage
        self.project = copy_of_project(folder / "project")
        if stage not in STAGES:
            make_stage(self.project, stage, like=STAGE)
        make_for_this_machine(self.project, stage)
        self.settings = Settings(*free_ports(), folder / "state", stage)
        self.state = StateFolder(self.settings.state)
        self.running: dict[str, Any] = {}
        self.deployer: Deployer | None = None
        self._clients: dict[str, Any] = {}

    def have_a_deployer(self) -> None:
        """From now on, deploy and destroy as somebody who may do that alone, and not as the account's root."""
        self.deployer = Deployer(self.stage, self.client, str(self.settings.ca_bundle))

    def deploy(self, *options: str, project: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run what `make deploy STAGE=…` runs. After a success, do what the emulator leaves undone.

        `project` is another tree of this project than the copy: an earlier one, without versions.
        """
        texts = ("--sms-allowed-prefixes", "+1,+44") if project else ("--set", "SmsAllowedPrefixes=+1,+44")
        at_once = () if project else ("--set", "Canary=off")  # there is no CodeDeploy here
        ran = self.run("operations.deploy", *texts, *at_once, *options, project=project)
        if ran.returncode == 0:
            self._tell(deployment.complete(self.settings, app_stack(self.stage)))
        return ran

    def run(
        self, module: str, *arguments: str, typed: str = "", project: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the stage, as the account's root, or as the deployer what is the deployer's to run."""
        deploys = self.deployer and module in {"operations.deploy", "operations.destroy"}
        return subprocess.run(
            [sys.executable, "-m", module, "--stage", self.stage, *arguments],
            cwd=project or (self.project if module.startswith("operations.") else PROJECT),
            env={**self.settings.child_environment(), **(self.deployer.environment if deploys else {})},
            input=typed,
            capture_output=True,
            text=True,
            timeout=RUNS_WITHIN_S,
            check=False,
        )

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

    def email(self, user: str) -> str:
        """Return the address of operator, amber or cobalt."""
        return f"{user}@dragonpost.example"

    def password(self, user: str) -> str:
        """Return the password of operator, amber or cobalt."""
        return str(read_json(self.state.users)[self.email(user)])

    def token(self, user: str) -> str:
        """Log in as operator, amber or cobalt, and return the ID token."""
        who = self.running["user_pool_client_id"], self.email(user), self.password(user)
        return sign_in.id_token(self.settings.aws_url, *who, self.settings.ca_bundle)

    def _tell(self, api_id: str) -> None:
        """Note what run.json says of a devstack, and let the people in if nobody has done that yet."""
        [stack] = self.client("cloudformation").describe_stacks(StackName=resources_stack(self.stage))["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.running = {
            "gateway_url": f"{self.settings.aws_url}/_aws/execute-api/{api_id}/{self.stage}",
            "ca_bundle": str(self.settings.ca_bundle),
            "user_pool_id": outputs["UserPoolId"],
            "user_pool_client_id": outputs["UserPoolClientId"],
            "outputs": outputs,
        }
        if not self.state.users.exists():
            seed.create_people(self.client("cognito-idp"), self.state, outputs["UserPoolId"])


def make_stage(project: Path, name: str, like: str) -> str:
    """Do in a tree of the project what `make stage NAME=… FROM=…` does, and return what that says."""
    made = subprocess.run(
        [sys.executable, "-m", "operations.new_stage", "--name", name, "--from", like],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN_S,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


def make_for_this_machine(project: Path, stage: str = STAGE) -> None:
    """Have a tree's functions made for this machine's processor, on which the emulator runs them."""
    config_file = project / ".chalice" / "config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config["stages"][stage]["lambda_architecture"] = this_machine()
    config_file.write_text(json.dumps(config), encoding="utf-8")
