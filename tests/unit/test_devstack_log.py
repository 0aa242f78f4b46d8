"""What the local server writes to api.log."""

from __future__ import annotations

import io
import sys

import pytest

from devstack import handler


class Noted(io.StringIO):
    """Notes each write that is one."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes += [text] if text else []
        return super().write(text)


def test_a_line_and_its_end_are_one_write_so_that_lines_of_several_threads_do_not_run_into_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = Noted()
    monkeypatch.setattr(sys, "stdout", output)

    handler._log("token refused: expired")

    assert output.writes == ["token refused: expired\n"]
