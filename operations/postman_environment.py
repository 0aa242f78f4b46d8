"""Write a Postman environment, filled in for a stage: `.venv/bin/python -m operations.postman_environment --stage dev`.

For the devstack that runs, it has everything, the passwords of its people included. For any other stage, it lacks the
people whom the collection signs in: fill them in in Postman, where they stay on your machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devstack.people import PEOPLE
from devstack.settings import Settings
from devstack.state import StateFolder, read_json, write_json
from operations import PROJECT
from operations.api import ApiNotFound, api_of
from operations.contents import of_this_environment
from operations.exit_status import exit_status
from operations.stages import EMBEDDED, STAGES
from operations.stores import Clients, Standing

TEMPLATE = PROJECT / "postman" / "deployed.postman_environment.json"
# How the collection calls the people of `devstack/people.py`.
_WHOSE = {"amber": "", "cobalt": "other_", "operator": "operator_"}


def filled_in(template: Mapping[str, Any], name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Return an environment with these values; its other variables are empty. Raises LookupError for an unknown one."""
    if unknown := values.keys() - {each["key"] for each in template["values"]}:
        raise LookupError(f"the environment has no {', '.join(sorted(unknown))}")
    variables = [{**each, "value": values.get(each["key"], "")} for each in template["values"]]
    identity = str(
        uuid.uuid5(uuid.NAMESPACE_URL, f"{values['base_url']} {name}")
    )  # Postman replaces one of the same id
    return {**template, "id": identity, "name": name, "values": variables}


def of_devstack(state: StateFolder) -> dict[str, str]:
    """Return all values for the devstack that runs. Raises DevstackError if none does."""
    running, passwords = state.running(), read_json(state.users)
    values = {
        "base_url": str(running["local_url"]),
        "cognito_url": f"{running['aws_url']}/",
        "client_id": str(running["user_pool_client_id"]),
    }
    for person in PEOPLE:
        whose = _WHOSE[person.name]
        values |= {f"{whose}username": person.email, f"{whose}password": str(passwords.get(person.email, ""))}
    company = next(person.company_id for person in PEOPLE if person.name == "amber")
    return {**values, "company_id": company}


def of_stage(stage: str, clients: Clients) -> dict[str, str]:
    """Return the values for a deployed stage, without its people. Raises ApiNotFound, StageOutdated or ClientError."""
    url = api_of(stage, clients).url
    return {
        "base_url": url,
        "stage_prefix": "/" + url.rpartition("/")[2],
        "cognito_url": f"{clients('cognito-idp').meta.endpoint_url.rstrip('/')}/",
        "client_id": Standing.found(stage, clients).resources["UserPoolClient"],
    }


def write(stage: str, state: StateFolder, clients: Clients) -> Path:
    """Write a stage's environment into the state folder, readable by you alone. Return where it is."""
    values = of_devstack(state) if stage == EMBEDDED else of_stage(stage, clients)
    path = state.postman(stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, filled_in(json.loads(TEMPLATE.read_text(encoding="utf-8")), f"Dragonpost {stage}", values))
    return path


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.postman_environment", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    stage = parser.parse_args(arguments).stage

    def work() -> None:
        print(write(stage, StateFolder(Settings.from_environment().state), clients))

    return exit_status(work, ApiNotFound, OSError, may="read its stacks")


if __name__ == "__main__":
    sys.exit(main())
