"""Both clients of `make client` are what their languages' checkers accept, and the TypeScript one does what it says.

The Python one runs both pipelines in tests/e2e/test_generated_client.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from operations import client as clients
from tests.e2e.running import TARGETS, Api
from tests.people import COMPANIES
from tests.proof.report import only_at_full_scale
from tests.samples import dragon_members

pytestmark = only_at_full_scale("installs what makes the TypeScript client")

SCRIPT = Path(__file__).with_name("typescript_client.mjs")
RUNS_WITHIN_S = 120


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TypeScript package, freshly made; compiling it checks its types."""
    folder = tmp_path_factory.mktemp("client") / "typescript"
    assert clients.typescript(folder).is_file()
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_the_typescript_client_runs_both_pipelines(package: Path, proving_apis: dict[str, Api], target: str) -> None:
    api = proving_apis[target]
    name = f"Typed {uuid.uuid4().hex[:12]}"
    report = dragon_members(name, family_str="silver")
    given = {"url": api.base_url, "token": api.token("operator"), "company": COMPANIES["amber"], "report": report}

    ran = subprocess.run(
        ["node", str(SCRIPT), str(package)],
        env={**os.environ, **trusting(api)},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN_S,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "settled": "added",
        "shown": report,
        "removed": 204,
        "posted": True,
        "refused": "urn:dragonpost:problem:invalid-request",
        "listed": 200,
    }


def trusting(api: Api) -> dict[str, str]:
    """Return the environment in which Node.js trusts the certificate of an API here, if it has one of its own."""
    ca_bundle = api.devstack.running.get("ca_bundle")
    return {"NODE_EXTRA_CA_CERTS": ca_bundle} if ca_bundle else {}


def test_the_python_client_is_typed(tmp_path: Path) -> None:
    folder = tmp_path / "python"
    clients.python(folder)

    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--package", "dragonpost_client"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN_S,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout
