"""Where the devstack listens and keeps its state, and the environment that its processes get."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from operations import PROJECT

HOST = "127.0.0.1"
REGION = "us-east-1"
STAGE = "local"

# These would make the children talk to a real account, or run other code, or behave as in Lambda.
_FOREIGN_PREFIXES = ("AWS_", "BOTO", "DRAGONPOST_", "LAMBDA_", "CHALICE_", "POWERTOOLS_")
_FOREIGN_NAMES = frozenset({"PYTHONPATH", "PYTHONHOME"})


class DevstackError(Exception):
    """The devstack cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """The two ports and the state folder."""

    port: int
    aws_port: int
    state: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read DRAGONPOST_PORT (8000), DRAGONPOST_AWS_PORT (4566) and DRAGONPOST_STATE (.local, in the project).

        Raises DevstackError if one is not a port, or if both ports are the same.
        """
        port = _port(environment, "DRAGONPOST_PORT", 8000)
        aws_port = _port(environment, "DRAGONPOST_AWS_PORT", 4566)
        if port == aws_port:
            raise DevstackError(f"DRAGONPOST_PORT and DRAGONPOST_AWS_PORT are both {port}; they have to differ")
        # An empty DRAGONPOST_STATE must not mean the project itself: `make reset` would remove files that are not ours.
        return cls(port, aws_port, (PROJECT / (environment.get("DRAGONPOST_STATE") or ".local")).resolve())

    @property
    def local_url(self) -> str:
        """The URL of the API on the local server."""
        return f"http://{HOST}:{self.port}"

    @property
    def aws_url(self) -> str:
        """The URL of the emulator, which is the endpoint of every AWS service."""
        return f"http://{HOST}:{self.aws_port}"

    def child_environment(self) -> dict[str, str]:
        """Return this process's environment without the user's AWS settings, pointing at the emulator."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_FOREIGN_PREFIXES) and name not in _FOREIGN_NAMES
        }
        unproxied = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
        no_proxy = ",".join(filter(None, [unproxied, HOST, "localhost"]))
        return environment | {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ACCESS_KEY_ID": "test",  # the emulator's root user
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise DevstackError(f"{name}={text!r} is not a port; use a number from 1 to 65535")
    return int(text)
