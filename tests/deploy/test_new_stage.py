"""A stage that `make stage` adds to a copy of the project is all there, and can be packaged and deployed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from operations.deploy.package import package_app
from operations.deploy.target import Target, this_machine
from operations.functions import deployed_name, logical_id, names
from tests.deploy.prod import make_stage
from tests.deploy.project import copy_of_project, without_aws_settings

NEW, LIKE = "unheardof", "prod"
POOL_ARN = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_DragonPst"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project before anything is added."""
    return copy_of_project(tmp_path_factory.mktemp("new-stage") / "project")


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in the copy. No AWS is on the loopback address that its commands are led to."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=without_aws_settings() | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def files(project: Path) -> dict[str, bytes]:
    """Return what the copy has that people write or commit, by its path."""
    folders = (project / name for name in (".chalice", "infrastructure", "operations", "docs", "chalicelib"))
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(project)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def written(project: Path) -> dict[str, bytes]:
    """What the command has written: each file that is another one now."""
    before = files(project)
    said = make_stage(project, NEW, LIKE)
    assert f"run `make deploy STAGE={NEW}`" in said
    return {path: content for path, content in files(project).items() if before.get(path) != content}


def test_it_is_in_the_stages_file_and_in_what_chalice_reads_and_nowhere_else(written: dict[str, bytes]) -> None:
    assert written.keys() == {
        "infrastructure/stages.toml",
        ".chalice/config.json",
        *(f".chalice/policy-{function}-{NEW}.json" for function in names()),
    }


def test_it_differs_from_the_stage_that_it_is_like_in_nothing_but_its_name(written: dict[str, bytes]) -> None:
    stages = json.loads(written[".chalice/config.json"])["stages"]

    renamed = json.dumps(stages[LIKE]).replace(f"-{LIKE}", f"-{NEW}").replace(f'"{LIKE}"', f'"{NEW}"')
    assert stages[NEW] == json.loads(renamed)
    for function in names():
        theirs = (Path(".chalice") / f"policy-{function}-{LIKE}.json").read_bytes()
        assert written[f".chalice/policy-{function}-{NEW}.json"] == theirs.replace(LIKE.encode(), NEW.encode())


@pytest.mark.usefixtures("written")
def test_everything_that_is_generated_is_up_to_date(project: Path) -> None:
    checked = run(project, "-m", "operations.generate", "--check")

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.usefixtures("written")
def test_every_command_knows_it(project: Path) -> None:
    """The deployment ends at a value that is wrong, before it asks AWS anything."""
    refused = run(project, "-m", "operations.deploy", "--stage", NEW, "--set", "Canary=sometimes")

    assert refused.returncode == 1
    assert "Canary is one of off, Canary10Percent5Minutes" in refused.stderr


@pytest.mark.usefixtures("written")
def test_it_can_be_packaged_and_cfn_lint_finds_nothing(project: Path, tmp_path: Path) -> None:
    target = Target(NEW, tmp_path, "unused", without_aws_settings(), project=project, architecture=this_machine())

    packaged = package_app(target, {"UserPoolArn": POOL_ARN})

    resources = json.loads(packaged.read_text(encoding="utf-8"))["Resources"]
    linted = run(project, "-c", "import sys; from cfnlint.runner import main; sys.exit(main())", str(packaged))
    assert (linted.returncode, linted.stdout) == (0, "")
    for function in names():
        made = resources[logical_id(function)]["Properties"]
        assert made["FunctionName"]["Fn::Sub"].replace("${Stage}", NEW) == deployed_name(function, NEW)
        assert made["Environment"]["Variables"]["DRAGONPOST_STAGE"] == NEW
    assert f"-{LIKE}" not in json.dumps(resources)
