"""The commit that `GET /health` tells is the one that was packaged, or none is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chalicelib.settings import Settings
from operations.deploy.commit import UNKNOWN, commit_of

WHO = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", "-C", str(folder), *WHO, *arguments], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "app.py").write_text("1\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    git(tmp_path, "tag", "v1")
    return tmp_path


def test_it_is_the_whole_commit_whatever_tags_there_are(project: Path) -> None:
    assert commit_of(project) == git(project, "rev-parse", "HEAD")


def test_files_that_were_changed_since_are_not_passed_off_as_the_commit(project: Path) -> None:
    (project / "app.py").write_text("2\n", encoding="utf-8")

    assert commit_of(project) == git(project, "rev-parse", "HEAD") + "-dirty"


def test_variables_about_another_repository_count_for_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")

    assert commit_of(project) != UNKNOWN


@pytest.mark.parametrize("path", ["", None], ids=["no Git", "no repository"])
def test_without_git_or_a_repository_it_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    if path is not None:
        monkeypatch.setenv("PATH", path)

    assert commit_of(tmp_path) == UNKNOWN


def test_whatever_it_is_the_setting_takes_it(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for folder in (project, tmp_path_factory.mktemp("none")):
        assert Settings.commit.form.fullmatch(commit_of(folder))
