"""Which folder the devstack considers its own, and which of its contents."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from devstack import run
from devstack.settings import Settings
from devstack.state import StateFolder
from operations import PROJECT


def test_an_empty_setting_does_not_make_the_project_the_state_folder() -> None:
    assert Settings.from_environment({"DRAGONPOST_STATE": ""}).state == PROJECT / ".local"


@pytest.mark.parametrize("folder", ["/a folder/it's", "/ünd $HOME"])
def test_printed_commands_find_a_devstack_that_keeps_its_state_elsewhere(folder: str) -> None:
    command = run._make(Settings.from_environment({"DRAGONPOST_STATE": folder}))

    assert shlex.split(command) == ["make", "-s", f"DRAGONPOST_STATE={folder}"]
    assert run._make(Settings.from_environment({})) == "make -s"


def test_reset_leaves_what_somebody_else_has_built_in_the_folder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    with state.held():
        state.check_writable()
    (tmp_path / "build" / "theirs.txt").write_text("kept", encoding="utf-8")

    state.reset()

    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == [Path("build"), Path("build/theirs.txt")]


def test_reset_removes_a_build_folder_that_is_empty_then(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    with state.held():
        state.check_writable()

    state.reset()

    assert not state.path.exists()


def test_reset_removes_passwords_that_a_kill_left_half_written(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    with state.held():
        state.check_writable()
    state.users.with_suffix(".tmp").write_text("{", encoding="utf-8")

    state.reset()

    assert not state.path.exists()
