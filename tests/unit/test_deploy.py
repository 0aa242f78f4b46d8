"""What `operations.deploy` refuses before it does harm."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from operations import deploy
from operations.deploy import DeployError, Target
from tests.e2e.waiting import until


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target("dev", tmp_path / "build", "a-bucket", dict(os.environ), project=tmp_path)


def package(tmp_path: Path, *distributions: str) -> Path:
    path = tmp_path / "deployment.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for distribution in distributions:
            archive.writestr(f"{distribution}.dist-info/METADATA", "")
    return path


class TestCompleteness:
    def test_a_package_with_every_requirement_is_complete(self, tmp_path: Path) -> None:
        (tmp_path / "requirements.txt").write_text("# why\naws-lambda-powertools==3.0\nJMESPath>=1\n-c other.txt\n")
        made = package(tmp_path, "aws_lambda_powertools-3.0", "jmespath-1.1")

        deploy._require_complete_package("", made, tmp_path / "requirements.txt")

    def test_a_missing_requirement_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "requirements.txt").write_text("msgspec==0.22.0\njmespath==1.1.0\n")

        with pytest.raises(DeployError, match="lacks msgspec"):
            deploy._require_complete_package("", package(tmp_path, "jmespath-1.1.0"), tmp_path / "requirements.txt")

    def test_chalices_own_complaint_counts_although_it_exits_0(self, tmp_path: Path) -> None:
        (tmp_path / "requirements.txt").write_text("")

        with pytest.raises(DeployError, match="incomplete"):
            deploy._require_complete_package(
                "Could not install dependencies:\nmsgspec==0.22.0\n", package(tmp_path), tmp_path / "requirements.txt"
            )


def test_a_stage_that_chalice_deployed_is_not_deployed_with_cloudformation(target: Target) -> None:
    state = target.project / ".chalice" / "deployed" / "dev.json"
    state.parent.mkdir(parents=True)
    state.write_text("{}")

    with pytest.raises(DeployError, match="chalice delete --stage dev"):
        deploy.check_not_deployed_otherwise(target, "cloudformation")


def test_a_command_that_is_not_installed_is_named_with_what_to_do(target: Target) -> None:
    with pytest.raises(DeployError, match="no-such-command is not installed here"):
        deploy.run("no-such-command", env=target.environment)


def test_a_command_does_not_outlive_whoever_ran_it(tmp_path: Path) -> None:
    """Not even after a SIGKILL: a second deployment would meet the first one's."""
    endless = tmp_path / "endless"
    endless.write_text('#!/bin/sh\nsleep 1000 &\necho "$$ $!" > pids.part\nmv pids.part pids\nwait\n', encoding="utf-8")
    endless.chmod(0o755)
    program = (
        "import os, pathlib, sysconfig\n"
        f"sysconfig.get_path = lambda _: {str(tmp_path)!r}\n"
        "from operations import deploy\n"
        f"deploy.run('endless', env=os.environ, cwd=pathlib.Path({str(tmp_path)!r}))"
    )
    runner = subprocess.Popen([sys.executable, "-c", program], cwd=deploy.PROJECT)
    until((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text(encoding="utf-8").split()]

    runner.kill()
    runner.wait()

    until(lambda: not any(is_running(pid) for pid in pids))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_that_fails_is_named_with_what_it_said(target: Target) -> None:
    with pytest.raises(DeployError, match=r"(?s)`aws s3 mb nonsense` failed:\n.+"):
        deploy.run("aws", "s3", "mb", "nonsense", env=target.environment)
