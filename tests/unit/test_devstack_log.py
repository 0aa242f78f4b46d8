"""What the local server writes down of a request."""

from __future__ import annotations

import io
import sys

import pytest

from devstack.server import gateway
from devstack.server.gateway import RequestHandler


class Noted(io.StringIO):
    """Notes each write that is one."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes += [text] if text else []
        return super().write(text)


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\r\nforged", "\x9b31m", "\u2028forged", "é"])
def test_a_log_line_is_one_line_and_moves_no_cursor(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    request = RequestHandler.__new__(RequestHandler)

    request.log_message('"%s" %s %s', f"GET /{hostile} HTTP/1.1", 404, "-")

    (line,) = capsys.readouterr().out.splitlines()
    assert line.isascii()
    assert line.isprintable()


def test_a_line_and_its_end_are_one_write_so_that_lines_of_several_threads_do_not_run_into_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = Noted()
    monkeypatch.setattr(sys, "stdout", output)

    gateway._log("token refused: expired")

    assert output.writes == ["token refused: expired\n"]
