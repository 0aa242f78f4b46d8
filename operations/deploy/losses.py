"""Whether deploying a stack would replace or remove something that holds data, before anything is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from operations.deploy import commands
from operations.deploy.commands import DeployError
from operations.deploy.target import Target
from operations.stores import STORES, WORKFLOW

# A workflow's executions are a record: what they did is in the stores.
HOLDING_DATA = frozenset(store.type for store in STORES.values()) - {WORKFLOW}

# awscli/customizations/cloudformation/exceptions.py
NOTHING_CHANGES = "No changes to deploy"


def check(target: Target, stack: str, deployment: tuple[str, ...]) -> bool:
    """Tell whether a deployment of a standing stack changes anything.

    `deployment` is the command that deploys the stack. It is run here as far as its change set, which is then deleted.
    Raises DeployError if it would replace or remove a store that is not to be replaced.
    """
    said = commands.run("aws", *deployment, "--no-execute-changeset", env=target.environment)
    created = re.search(r"--change-set-name (\S+)", said)
    if not created:
        if NOTHING_CHANGES in said:
            return False
        raise DeployError(f"nobody can tell what deploying {stack} would change: the AWS CLI said only\n{said.strip()}")
    change_set = ("--stack-name", stack, "--change-set-name", created[1])
    describe = ("aws", "cloudformation", "describe-change-set", *change_set, "--output", "json")
    described = json.loads(commands.run(*describe, env=target.environment))
    commands.run("aws", "cloudformation", "delete-change-set", *change_set, env=target.environment)
    lost = dict(lost_by(described))
    if refused := {name: how for name, how in lost.items() if name not in target.replaced}:
        effects = ", ".join(f"{how} {name}" for name, how in refused.items())
        named = " ".join(f"--replace {name}" for name in lost)
        raise DeployError(
            f"deploying {stack} would {effects}, and the service would lose the data there. Nothing was changed. If "
            f"that is what you want, run `.venv/bin/python -m operations.deploy --stage {target.stage} {named}`."
        )
    return True


def lost_by(change_set: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the logical id of each store that a change set replaces or removes, with what it does to it.

    https://docs.aws.amazon.com/goto/WebAPI/cloudformation-2010-05-15/ResourceChange
    """
    for change in change_set["Changes"]:
        resource = change.get("ResourceChange", {})
        if resource.get("ResourceType") not in HOLDING_DATA:
            continue
        if resource["Action"] == "Remove":
            yield resource["LogicalResourceId"], "remove"
        elif resource.get("Replacement", "False") != "False":  # True, or Conditional: nobody can tell yet
            yield resource["LogicalResourceId"], "replace"
