"""Generated files are up to date, and an outdated one fails with the command that renews it."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations.generate import CannotGenerate, openapi
from operations.generate import __main__ as command

pytestmark = pytest.mark.slow

GENERATED = command.generated


@pytest.fixture(scope="module")
def files() -> dict[Path, str]:
    """What is generated, which takes seconds."""
    return command.generated()


@pytest.fixture
def empty_project(files: dict[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder below which the command writes, with the project's folders and none of its files."""
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(command, "PROJECT", tmp_path)
    monkeypatch.setattr(command, "generated", lambda: files)
    return tmp_path


def test_every_committed_file_is_the_generated_one(
    files: dict[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "generated", lambda: files)

    assert command.main(["--check"]) == 0, capsys.readouterr().err


def test_check_names_each_outdated_file_and_the_command_and_writes_nothing(
    empty_project: Path, files: dict[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command.main([])
    outdated, missing = sorted(files)[:2]
    (empty_project / outdated).write_text("{}", encoding="utf-8")
    (empty_project / missing).unlink()
    capsys.readouterr()

    assert command.main(["--check"]) == 1

    told = capsys.readouterr().err.splitlines()
    assert sorted(told) == [f"{path} is out of date: run `make generate` and commit it" for path in (outdated, missing)]
    assert (empty_project / outdated).read_text(encoding="utf-8") == "{}"
    assert not (empty_project / missing).exists()


def test_it_writes_what_is_outdated_and_leaves_the_rest_alone(
    empty_project: Path, files: dict[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([]) == 0
    outdated = min(files)
    (empty_project / outdated).write_text("{}", encoding="utf-8")
    capsys.readouterr()

    assert command.main([]) == 0

    assert capsys.readouterr().out == f"{outdated} written\n"
    assert command.main(["--check"]) == 0


def test_the_policy_of_a_stage_that_is_gone_is_told_and_removed(
    empty_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main([])
    leftover = Path(".chalice", "policy-api_handler-unheardof.json")
    (empty_project / leftover).write_text("{}", encoding="utf-8")

    assert command.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith(f"{leftover} is out of date")
    assert command.main([]) == 0
    assert not (empty_project / leftover).exists()


def test_what_cannot_be_generated_is_one_line_and_writes_nothing(
    empty_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> dict[Path, str]:
        raise CannotGenerate("GET /unicorns has no description")

    monkeypatch.setattr(openapi, "files", fails)
    monkeypatch.setattr(command, "generated", GENERATED)

    assert command.main([]) == 1

    assert capsys.readouterr().err == "make generate: GET /unicorns has no description\n"
    assert not [path for path in empty_project.rglob("*") if path.is_file()]
