"""What the local server writes down of a request."""

import pytest

from devstack.handler import RequestHandler


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\r\nforged", "\x9b31m", "\u2028forged", "é"])
def test_a_log_line_is_one_line_and_moves_no_cursor(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    handler = RequestHandler.__new__(RequestHandler)

    handler.log_message('"%s" %s %s', f"GET /{hostile} HTTP/1.1", 404, "-")

    (line,) = capsys.readouterr().out.splitlines()
    assert line.isascii()
    assert line.isprintable()
