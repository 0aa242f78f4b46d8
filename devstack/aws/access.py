"""How other programs reach the embedded AWS of the devstack that runs."""

from __future__ import annotations

import shlex
from dataclasses import replace

from devstack.settings import REGION, Settings
from devstack.state import StateFolder

# Any setting of AWS can lead to somewhere else, or stop a client, so the shell forgets each that it has.
_FORGET = r'''eval "$(env | sed -n 's/^\(AWS_[A-Za-z0-9_]*\)=.*/unset \1/p')"'''


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a program that uses the embedded AWS of the devstack on this state folder.

    Its port is the one that the devstack runs on. Raises DevstackError if none runs.
    """
    running = StateFolder(settings.state).running()
    port = int(running["aws_url"].rpartition(":")[2])
    return replace(settings, aws_port=port).child_environment() | {"AWS_REGION": REGION}


def shell_commands(settings: Settings) -> str:
    """Return commands for a POSIX shell that lead its AWS clients there. Raises DevstackError if no devstack runs."""
    exported = {
        name: value
        for name, value in environment(settings).items()
        if name.startswith("AWS_") or name in {"NO_PROXY", "no_proxy"}
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(exported.items())]
    return "\n".join([_FORGET, *lines]) + "\n"
