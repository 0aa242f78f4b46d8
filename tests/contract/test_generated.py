"""Generated files are up to date, and an outdated one fails with the command that renews it."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations.generate import CannotGenerate, openapi
from operations.generate import __main__ as command

pytestmark = pytest.mark.slow


def test_every_committed_file_is_the_generated_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--check"]) == 0, capsys.readouterr().err


def test_check_names_each_outdated_file_and_the_command_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_empty_project(tmp_path, monkeypatch)
    command.main([])
    outdated, missing = sorted(command.generated())[:2]
    (tmp_path / outdated).write_text("{}", encoding="utf-8")
    (tmp_path / missing).unlink()
    capsys.readouterr()

    assert command.main(["--check"]) == 1

    told = capsys.readouterr().err.splitlines()
    assert sorted(told) == [f"{path} is out of date: run `make generate` and commit it" for path in (outdated, missing)]
    assert (tmp_path / outdated).read_text(encoding="utf-8") == "{}"
    assert not (tmp_path / missing).exists()


def test_it_writes_what_is_outdated_and_leaves_the_rest_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_empty_project(tmp_path, monkeypatch)
    assert command.main([]) == 0
    outdated = min(command.generated())
    (tmp_path / outdated).write_text("{}", encoding="utf-8")
    capsys.readouterr()

    assert command.main([]) == 0

    assert capsys.readouterr().out == f"{outdated} written\n"
    assert command.main(["--check"]) == 0


def test_the_policy_of_a_stage_that_is_gone_is_told_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_empty_project(tmp_path, monkeypatch)
    command.main([])
    leftover = Path(".chalice", "policy-api_handler-unheardof.json")
    (tmp_path / leftover).write_text("{}", encoding="utf-8")

    assert command.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith(f"{leftover} is out of date")
    assert command.main([]) == 0
    assert not (tmp_path / leftover).exists()


def test_what_cannot_be_generated_is_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def files() -> dict[Path, str]:
        raise CannotGenerate("GET /unicorns has no description")

    in_empty_project(tmp_path, monkeypatch)
    monkeypatch.setattr(openapi, "files", files)

    assert command.main([]) == 1

    assert capsys.readouterr().err == "make generate: GET /unicorns has no description\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def in_empty_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the command write below this folder, which has the project's folders and none of its files."""
    for path in command.generated():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(command, "PROJECT", folder)
