"""Plain `chalice local --stage local`, beside a running devstack."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import requests

from operations import PROJECT
from operations.deploy.commands import COMMANDS
from tests.e2e.running import Api, Devstack, free_ports, listens
from tests.e2e.waiting import until


@pytest.fixture(scope="module")
def chalice_local(devstack: Devstack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run it in a copy of the project whose stage `local` names this devstack's port instead of 4566."""
    project = tmp_path_factory.mktemp("chalice-local")
    shutil.copy(PROJECT / "app.py", project)
    for folder in ("chalicelib", ".chalice"):
        shutil.copytree(PROJECT / folder, project / folder, ignore=shutil.ignore_patterns("deploy*", "__pycache__"))
    config = project / ".chalice" / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace(":4566", f":{devstack.ports[1]}"), encoding="utf-8")
    port, _ = free_ports()
    command = [*COMMANDS["chalice"], "local", "--stage", "local", "--no-autoreload"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DRAGONPOST_"))}
    with (
        (project / "output").open("wb") as output,
        subprocess.Popen(
            [*command, "--port", str(port)], cwd=project, env=environment, stdout=output, stderr=output
        ) as server,
    ):
        try:
            until(lambda: listens(port) or server.poll() is not None)
            assert server.poll() is None, (project / "output").read_text(encoding="utf-8")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def test_it_serves_the_same_registry_to_a_token_of_the_devstack(chalice_local: str, apis: dict[str, Api]) -> None:
    token = {"Authorization": f"Bearer {apis['local'].token('amber')}"}

    answer = requests.get(f"{chalice_local}/dragons/Amberwick", headers=token, timeout=30)

    assert answer.status_code == 200
    assert answer.json() == apis["local"].get("/dragons/Amberwick", "amber").json()


def test_the_app_itself_refuses_a_request_without_a_token(chalice_local: str) -> None:
    answer = requests.get(f"{chalice_local}/dragons", timeout=30)

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
