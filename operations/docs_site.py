"""`make docs`: serve the pages of docs/ as a site, on this machine alone.

It runs in the environment that Zensical has to itself (requirements-docs.txt), and so uses the standard library alone.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from operations import PROJECT

HOST = "127.0.0.1"


class PortTaken(Exception):
    """The port cannot be listened on. The message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the site until somebody ends it; return 1 if the port is not free."""
    parser = argparse.ArgumentParser(prog="make docs", description="Serve the pages of docs/ as a site.")
    parser.add_argument("--port", type=_port, required=True, help="where to listen, on 127.0.0.1")
    port = parser.parse_args(arguments).port
    try:
        check_free(port)
    except PortTaken as taken:
        print(f"make docs: {taken}", file=sys.stderr)
        return 1
    return serve(port)


def serve(port: int) -> NoReturn:
    """Become Zensical's server, which builds the site again after each change."""
    os.chdir(PROJECT)
    os.execv(sys.executable, [sys.executable, "-m", "zensical", "serve", "--dev-addr", f"{HOST}:{port}"])  # noqa: S606


def check_free(port: int) -> None:
    """Raise PortTaken if nobody may listen on the port: Zensical would say it in many lines, or not at all."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise PortTaken(f"{HOST}:{port}: {error.strerror}. Choose another port: make docs PORT=…") from error


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; take a number from 1 to 65535, such as PORT=8001")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
