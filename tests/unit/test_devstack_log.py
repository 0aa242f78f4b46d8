"""What the local server itself writes down."""

from __future__ import annotations

import io
import sys

import pytest

from devstack.server import log


class Noted(io.StringIO):
    """Notes each write that is not empty."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes += [text] if text else []
        return super().write(text)


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\r\nforged", "\x9b31m", "\u2028forged", "é"])
def test_a_log_line_is_one_line_and_moves_no_cursor(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.write(f'"GET /{hostile}" 404')

    (line,) = capsys.readouterr().out.splitlines()
    assert line.isascii()
    assert line.isprintable()


def test_a_line_and_its_end_are_one_write_so_that_lines_of_several_threads_do_not_run_into_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = Noted()
    monkeypatch.setattr(sys, "stdout", output)

    log.write("token refused: expired")

    assert output.writes == ["token refused: expired\n"]
