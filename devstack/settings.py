"""Where the devstack listens and keeps its state, and the environment that its processes get."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from operations import PROJECT
from operations.environment import for_servers, for_this_machine
from operations.stages import EMBEDDED

HOST = "127.0.0.1"
REGION = "us-east-1"


class DevstackError(Exception):
    """The devstack cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """The two ports, the state folder, and the stage.

    The emulator serves stage `local` over plain HTTP. It serves any other one over TLS, which that stage's policies
    demand.
    """

    port: int
    aws_port: int
    state: Path
    stage: str = EMBEDDED

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
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.aws_port}"

    @property
    def tls(self) -> bool:
        """Whether the emulator serves TLS."""
        return self.stage != EMBEDDED

    @property
    def ca_bundle(self) -> Path | None:
        """The certificate that clients of the emulator have to trust, or None if it serves plain HTTP."""
        return self.state / "tls" / "ca.pem" if self.tls else None

    def child_environment(self) -> dict[str, str]:
        """Return the environment of what runs on this machine, pointing at the emulator, without our own settings."""
        environment = for_this_machine(os.environ)
        kept = {name: value for name, value in environment.items() if not name.startswith("DRAGONPOST_")}
        return kept | aws_environment(self.aws_url, self.ca_bundle)

    def server_environment(self) -> dict[str, str]:
        """Return the environment of a server: nothing of yours but what a system gives every process."""
        return for_servers(os.environ) | aws_environment(self.aws_url, self.ca_bundle)


def aws_environment(aws_url: str, ca_bundle: Path | None = None) -> dict[str, str]:
    """Return what leads AWS clients to the emulator at this URL, as its root user.

    `ca_bundle` is for a URL of TLS. AWS's clients alone read the variable; pip keeps the authorities that it trusts.
    """
    return {
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        **({"AWS_CA_BUNDLE": str(ca_bundle)} if ca_bundle else {}),
    }


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise DevstackError(f"{name}={text!r} is not a port; use a number from 1 to 65535")
    return int(text)
