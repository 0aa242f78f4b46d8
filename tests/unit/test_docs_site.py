"""`make docs` says in one line that its port is taken, and never serves beyond this machine."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from operations import PROJECT, docs_site


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Sequence[str]]:
    """What the process has become."""
    found: list[Sequence[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: found.append(command))
    monkeypatch.chdir(tmp_path)
    return found


def test_a_port_that_is_taken_is_one_clear_line(
    became: list[Sequence[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind((docs_site.HOST, 0))
        other.listen()
        port = other.getsockname()[1]

        assert docs_site.main(["--port", str(port)]) == 1

    assert capsys.readouterr().err == (
        f"make docs: 127.0.0.1:{port}: Address already in use. Choose another port: make docs PORT=…\n"
    )
    assert became == []


def test_a_free_port_is_served_on_this_machine_alone_and_from_any_folder(became: list[Sequence[str]]) -> None:
    with socket.socket() as other:
        other.bind((docs_site.HOST, 0))
        port = other.getsockname()[1]

    docs_site.main(["--port", str(port)])

    assert became == [[sys.executable, "-m", "zensical", "serve", "--dev-addr", f"127.0.0.1:{port}"]]
    assert Path.cwd() == PROJECT


@pytest.mark.parametrize("port", ["", "x", "0", "65536", "-1", "²"])
def test_what_is_no_port_is_refused(port: str, became: list[Sequence[str]], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        docs_site.main([f"--port={port}"])

    assert f"{port!r} is no port" in capsys.readouterr().err
    assert became == []
