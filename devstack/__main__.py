"""The command line: `.venv/bin/python -m devstack run|token|aws-env|reset`."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterator, Sequence

from devstack import tokens
from devstack.aws import access
from devstack.run import run
from devstack.settings import DevstackError, Settings
from devstack.state import StateFolder
from operations import environment

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parse(arguments)
    try:
        settings = Settings.from_environment()
        if options.command == "run":
            return run(settings)
        if options.command == "token":
            print(tokens.id_token(settings, options.user))
        elif options.command == "aws-env":
            print(access.shell_commands(settings), end="")
        else:
            StateFolder(settings.state).reset()
            print(f"deleted the data in {settings.state}")
    except DevstackError as error:
        for message in _told(error):
            print(f"error: {message}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        print(f"error: the state folder {settings.state} cannot be written any more ({error})", file=sys.stderr)
        return 1
    return 0


def _told(error: DevstackError) -> Iterator[str]:
    """Yield every error, the first cause first: ending what was started may fail, too."""
    if isinstance(error.__context__, DevstackError) and not error.__suppress_context__:
        yield from _told(error.__context__)
    yield str(error)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m devstack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start the embedded AWS, deploy, serve; Ctrl-C ends it")
    token = commands.add_parser("token", help="print a valid ID token (needs `run` in another terminal)")
    token.add_argument("user", nargs="?", default="operator", help="operator (default), amber, cobalt, or an address")
    commands.add_parser("aws-env", help="print shell commands that lead AWS clients to the embedded AWS that runs")
    commands.add_parser("reset", help="forget everything in the state folder")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    environment.adopt(environment.for_this_machine(os.environ))
    sys.exit(main())
