"""The Postman collection, run with newman as its users would run it, against both targets."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from operations import PROJECT
from tests.e2e import operating
from tests.e2e.messages import a_message, bury
from tests.e2e.running import TARGETS, Api, Devstack
from tests.people import COMPANIES

POSTMAN = PROJECT / "postman"
COLLECTION = POSTMAN / "dragonpost.postman_collection.json"
DEPLOYED = POSTMAN / "deployed.postman_environment.json"
NEWMAN = PROJECT / "node_modules" / ".bin" / "newman"
RUNS_WITHIN_S = 300

# The registry may fit on one page.
MAY_BE_SKIPPED = {"Turn the pages to the end"}


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def requests_of(collection: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for folder in collection["item"]:
        yield from folder["item"]


def environment_of(api: Api) -> dict[str, str]:
    """What a person would fill in for the API behind the gateway."""
    running, served = api.devstack.running, api.devstack
    return {
        "base_url": api.base_url,
        "stage_prefix": api.stage_prefix,
        "cognito_url": f"{served.client('cognito-idp').meta.endpoint_url.rstrip('/')}/",
        "client_id": running["user_pool_client_id"],
        "company_id": COMPANIES["amber"],
        "username": served.email("amber"),
        "password": served.password("amber"),
        "other_username": served.email("cobalt"),
        "other_password": served.password("cobalt"),
        "operator_username": served.email("operator"),
        "operator_password": served.password("operator"),
    }


def run_newman(api: Api, report: Path, *options: str, **changed: str) -> subprocess.CompletedProcess[str]:
    assert NEWMAN.exists(), "newman is not installed: run `npm ci`"
    if api.target == "local":
        environment, values = Path(operating.run(cast(Devstack, api.devstack), "postman_environment").strip()), changed
    else:
        environment, values = DEPLOYED, environment_of(api) | changed
    bundle = api.devstack.running.get("ca_bundle")
    trusting = {"NODE_EXTRA_CA_CERTS": bundle} if bundle else {}
    return subprocess.run(
        [
            *(str(NEWMAN), "run", str(COLLECTION), "--environment", str(environment)),
            *("--color", "off", "--reporters", "cli,json", "--reporter-json-export", str(report)),
            *("--reporter-cli-no-banner", "--reporter-cli-no-success-assertions"),
            *(argument for name, value in values.items() for argument in ("--env-var", f"{name}={value}")),
            *options,
        ],
        env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **trusting},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUNS_WITHIN_S,
        check=False,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_every_request_of_the_collection_passes(target: str, apis: dict[str, Api], tmp_path: Path) -> None:
    api = apis[target]
    letter = bury(api.devstack, a_message("1"))  # for the requests that need one
    ran = run_newman(api, tmp_path / "report.json")
    api.request("DELETE", letter, headers={"If-Match": api.get(letter).headers["ETag"]}).raise_for_status()

    assert ran.returncode == 0, f"newman, {target}:\n{ran.stdout}"
    executed = {execution["item"]["name"] for execution in read(tmp_path / "report.json")["run"]["executions"]}
    assert {item["name"] for item in requests_of(read(COLLECTION))} - executed <= MAY_BE_SKIPPED


def test_newman_would_notice_a_failure(apis: dict[str, Api], tmp_path: Path) -> None:
    api = next(iter(apis.values()))

    ran = run_newman(api, tmp_path / "report.json", "--folder", "Health", base_url=f"{api.base_url}/elsewhere")

    assert ran.returncode != 0
    assert "the service is up" in ran.stdout


class TestTheFiles:
    def test_every_request_has_a_test_of_its_own(self) -> None:
        without = [
            item["name"]
            for item in requests_of(read(COLLECTION))
            if not any(event["listen"] == "test" and "pm.test(" in _script(event) for event in item["event"])
        ]

        assert without == []

    def test_request_names_are_unique_because_polling_uses_them(self) -> None:
        names = [item["name"] for item in requests_of(read(COLLECTION))]

        assert len(names) == len(set(names))

    def test_no_token_or_password_is_kept_in_them(self) -> None:
        variables = read(COLLECTION)["variable"]
        secrets = [
            value["value"]
            for path in POSTMAN.glob("*.postman_environment.json")
            for value in read(path)["values"]
            if value["type"] == "secret"
        ]

        assert {variable["value"] for variable in variables} <= {"", "0"}
        assert set(secrets) == {""}
        assert not any(
            re.search(r"eyJ[A-Za-z0-9_-]{10}", path.read_text(encoding="utf-8")) for path in POSTMAN.iterdir()
        )

    def test_both_environments_have_the_same_variables(self) -> None:
        local, deployed = (
            [value["key"] for value in read(POSTMAN / f"{name}.postman_environment.json")["values"]]
            for name in ("local", "deployed")
        )

        assert local == deployed


def _script(event: dict[str, Any]) -> str:
    return "\n".join(event["script"]["exec"])
