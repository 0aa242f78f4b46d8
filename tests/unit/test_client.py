"""`make client`: how the command ends. tests/e2e/test_generated_client.py uses what it makes, and tests/proof/ too."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operations import client

WHEEL = "dragonpost_client-1-py3-none-any.whl"
PACKED = "dragonpost-client-1.tgz"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the packages go."""
    (tmp_path / "LICENSE").touch()
    monkeypatch.setattr(client, "PROJECT", tmp_path)
    monkeypatch.setattr(client, "PLACE", tmp_path / ".local" / "client")
    return tmp_path / ".local" / "client"


def ran(monkeypatch: pytest.MonkeyPatch, run: Callable[[list[str], Path], str]) -> list[list[str]]:
    """Have commands do this instead of running. Return the list that gets them."""
    commands: list[list[str]] = []

    def stand_in(command: list[str], *, cwd: Path, **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, run(command, cwd))

    monkeypatch.setattr(subprocess, "run", stand_in)
    return commands


def generate(command: list[str], cwd: Path) -> str:
    """Do as the generators, pip and npm do."""
    if "generate" in command:
        (cwd / "dragonpost_client").mkdir()
    if "wheel" in command:
        (cwd / "dist").mkdir()
        (cwd / "dist" / WHEEL).touch()
    if "ci" in command:
        (cwd / "node_modules").mkdir()
    return f"{PACKED}\n" if "pack" in command else ""


@pytest.mark.parametrize(
    ("language", "before", "told"),
    [
        ("python", "dist/of_before.whl", f"pip install .local/client/python/dist/{WHEEL}\n"),
        ("typescript", "src/of_before.ts", f"npm install .local/client/typescript/dist/{PACKED}\n"),
    ],
)
def test_it_prints_how_to_install_what_it_has_made_in_place_of_what_was_there(
    language: str,
    before: str,
    told: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    of_before = place / language / before
    of_before.parent.mkdir(parents=True)
    of_before.touch()
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    ran(monkeypatch, generate)

    assert client.main(["--language", language]) == 0

    assert capsys.readouterr() == (told, "")
    assert not of_before.exists()


@pytest.mark.parametrize("language", ["cobol", ""])
def test_an_unknown_language_is_named_with_those_that_there_are(
    language: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make client` alone gives the empty one."""
    commands = ran(monkeypatch, generate)

    with pytest.raises(SystemExit) as ended:
        client.main(["--language", language])

    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"make client: error: LANGUAGE={language}: choose python or typescript"
    assert commands == []


@pytest.mark.parametrize(
    ("language", "absent", "told"),
    [
        ("python", "openapi_python_client", "openapi-python-client is not installed in .venv: run `make install`"),
        ("typescript", "npm", "the TypeScript client needs Node.js with npm: install it, and have it on your PATH"),
        ("typescript", "node", "the TypeScript client needs Node.js with npm: install it, and have it on your PATH"),
    ],
)
def test_a_generator_that_is_missing_is_named_before_anything_is_touched(
    language: str,
    absent: str,
    told: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else object())
    monkeypatch.setattr(shutil, "which", lambda name: None if name == absent else f"/bin/{name}")
    commands = ran(monkeypatch, generate)

    assert client.main(["--language", language]) == 1

    assert capsys.readouterr() == ("", f"error: {told}\n")
    assert commands == []
    assert not place.exists()


@pytest.mark.parametrize("language", ["python", "typescript"])
def test_a_file_in_place_of_the_folder_is_named_and_stays(
    language: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.mkdir(parents=True)
    (place / language).write_text("yours", encoding="utf-8")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    ran(monkeypatch, generate)

    assert client.main(["--language", language]) == 1

    out, err = capsys.readouterr()
    assert (out, err) == ("", f"error: {place / language} is in the way: it is not a folder. Move it away\n")
    assert (place / language).read_text(encoding="utf-8") == "yours"


def test_what_a_generator_says_as_it_fails_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: list[str], _cwd: Path) -> str:
        raise subprocess.CalledProcessError(3, command, "the document has no paths\n")

    ran(monkeypatch, fail)

    assert client.main(["--language", "python"]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: openapi_python_client ended with status 3")
    assert "the document has no paths" in err


def test_a_generator_that_hangs_is_ended_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hang(command: list[str], _cwd: Path) -> str:
        raise subprocess.TimeoutExpired(command, client.TAKES_AT_MOST_S, b"still at it")

    ran(monkeypatch, hang)

    assert client.main(["--language", "python"]) == 1
    assert capsys.readouterr().err.startswith("error: openapi_python_client took longer than 300 s")
