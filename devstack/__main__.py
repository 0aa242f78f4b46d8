"""The command line: `python -m devstack run|token|reset`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from devstack import tokens
from devstack.run import run
from devstack.settings import DevstackError, Settings
from devstack.state import StateFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parse(arguments)
    try:
        settings = Settings.from_environment()
        if options.command == "run":
            return run(settings)
        if options.command == "token":
            print(tokens.id_token(settings, options.user))
        else:
            StateFolder(settings.state).reset()
            print(f"forgot {settings.state}")
    except DevstackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start the embedded AWS, deploy, serve; Ctrl-C ends it")
    token = commands.add_parser("token", help="print a valid ID token (needs `run` in another terminal)")
    token.add_argument("user", nargs="?", default="operator", help="operator (default), amber, cobalt, or an address")
    commands.add_parser("reset", help="forget everything in the state folder")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
