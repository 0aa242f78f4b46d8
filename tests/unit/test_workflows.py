"""What GitHub runs, beyond what zizmor and actionlint look at in `make lint`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from operations import PROJECT

MANIFESTS = {"pip": ("requirements*.txt", "pyproject.toml"), "npm": ("package.json",)}
NOT_OURS = {"node_modules", "vendor"}
FILES = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_action_is_pinned_by_its_digest_and_says_its_version(file: Path) -> None:
    used = [line.strip(" -") for line in file.read_text(encoding="utf-8").splitlines() if "uses:" in line]

    assert used
    assert not [line for line in used if not PINNED.match(line) and not line.startswith("uses: ./.github/")]


def test_only_what_deploys_can_become_the_deployer_and_only_in_an_environment_that_can_ask_for_approval() -> None:
    allowed = [
        (file.name, name, job.get("environment"))
        for file in FILES
        for name, job in jobs(file).items()
        if "id-token" in (job.get("permissions") or {})
    ]

    assert allowed == [("deploy.yml", "deploy", "${{ inputs.stage }}")]
    assert not [file for file in FILES if "id-token" in yaml.safe_load(file.read_text("utf-8")).get("permissions", {})]


def test_nothing_is_deployed_that_the_gate_has_not_passed() -> None:
    deploy = jobs(PROJECT / ".github" / "workflows" / "deploy.yml")

    assert deploy["deploy"]["needs"] == "test"
    assert deploy["test"]["uses"] == "./.github/workflows/ci.yml"


def test_a_deployment_of_one_stage_does_not_cancel_the_gate_of_anothers() -> None:
    """In a called workflow, `github.workflow` is its caller's name, whatever the stage."""
    gate = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    called = jobs(PROJECT / ".github" / "workflows" / "deploy.yml")["test"]

    assert "${{ inputs.stage }}" in gate["concurrency"]["group"]
    assert called["with"] == {"stage": "${{ inputs.stage }}"}


def test_nothing_is_installed_while_there_are_credentials() -> None:
    steps = jobs(PROJECT / ".github" / "workflows" / "deploy.yml")["deploy"]["steps"]
    said = [step.get("uses") or step["run"] for step in steps]
    lent = next(place for place, step in enumerate(said) if step.startswith("aws-actions/"))

    assert said.index("make .venv/.run") < lent
    assert [step for step in said[lent:] if step.startswith("make")] == ['make deploy STAGE="$STAGE" SMOKE=no']


@pytest.mark.parametrize("ecosystem", MANIFESTS)
def test_dependabot_raises_whatever_is_declared_anywhere(ecosystem: str) -> None:
    configured = yaml.safe_load((PROJECT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    [raised] = [each["directories"] for each in configured if each["package-ecosystem"] == ecosystem]
    ours = [path for path in PROJECT.iterdir() if not path.name.startswith(".") and path.name not in NOT_OURS]
    folders = {
        "/" + file.parent.relative_to(PROJECT).as_posix().removeprefix(".")
        for name in MANIFESTS[ecosystem]
        for file in (*PROJECT.glob(name), *(each for folder in ours for each in folder.rglob(name)))
        if NOT_OURS.isdisjoint(file.relative_to(PROJECT).parts) and declares_something(file)
    }

    assert folders
    assert set(raised) == folders


def declares_something(manifest: Path) -> bool:
    lines = manifest.read_text(encoding="utf-8").splitlines()
    return any(line.strip() and not line.startswith("#") for line in lines)
