"""What the devstack says when it cannot go on: every cause, in order, and no traceback for a full disk."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from devstack import __main__ as command_line
from devstack.settings import DevstackError, Settings
from devstack.state import FREE_BYTES_MIN, StateFolder


def _raising(error: BaseException) -> Any:
    def run(_settings: Settings) -> int:
        raise error

    return run


def test_a_failing_shutdown_does_not_hide_why_the_run_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_settings: Settings) -> int:
        try:
            raise DevstackError("the deployment failed")
        finally:
            raise DevstackError("and nothing could be saved")

    monkeypatch.setattr(command_line, "run", run)

    assert command_line.main(["run"]) == 1
    assert capsys.readouterr().err == "error: the deployment failed\nerror: and nothing could be saved\n"


def test_a_full_disk_is_an_error_that_names_the_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRAGONPOST_STATE", "/a/place")
    monkeypatch.setattr(command_line, "run", _raising(OSError(errno.ENOSPC, "No space left on device")))

    assert command_line.main(["run"]) == 1
    assert "state folder /a/place cannot be written any more" in capsys.readouterr().err


def test_other_errors_of_the_system_propagate_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "run", _raising(OSError(errno.ENOENT, "No such file or directory")))

    with pytest.raises(OSError, match="No such file"):
        command_line.main(["run"])


def test_a_disk_with_little_space_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=FREE_BYTES_MIN - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    with pytest.raises(DevstackError, match="MiB are free on the disk") as refused:
        StateFolder(tmp_path).check_writable()
    assert "DRAGONPOST_STATE" in str(refused.value)


def test_a_full_disk_can_be_reset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    with state.held():
        state.check_writable()
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    state.reset()

    assert not state.path.exists()
