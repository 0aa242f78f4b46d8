"""The parent's side of the API server: the listening socket, and one child after the other that serves on it."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path

from devstack.aws.deployment import Deployment
from devstack.processes import Child
from devstack.settings import HOST, DevstackError, Settings
from devstack.state import StateFolder
from operations import PROJECT
from operations.deploy.commit import commit_of
from operations.deploy.target import app_environment

STARTS_WITHIN_S = 30
ENDS_WITHIN_S = 12
WAITING_CONNECTIONS_MAX = 1024


def listen(port: int, name: str) -> socket.socket:
    """Return a socket that listens on the port. Raises DevstackError, naming the setting, if it cannot."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. Head and body of an answer are two writes, which Nagle's algorithm would hold for 44 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(WAITING_CONNECTIONS_MAX)
    except OSError as error:
        listening.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise DevstackError(f"port {port} {why}. End what listens there, or set {name} to another port.") from error
    return listening


def check_free(port: int, name: str) -> None:
    """Raise DevstackError, naming the setting, if something listens on the port."""
    listen(port, name).close()


class ApiServer:
    """The one API server that runs at a time."""

    def __init__(self, settings: Settings, log: Path, listening: socket.socket, on_end: Callable[[], None]) -> None:
        """Take `on_end`, which is called from another thread whenever a server has ended."""
        self._on_end = on_end
        self._settings = settings
        self._log = log
        self._listening = listening
        self.child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id, if one runs."""
        return self.child.pid if self.child else None

    @property
    def ended_by_itself(self) -> str:
        """How the server ended, if it was not told to; otherwise empty."""
        return self.child.how_it_ended if self.child else ""

    def replace(self, deployment: Deployment) -> str:
        """End the server, if there is one, and start one with the code as it is now.

        Returns an empty string, or why the app could not be loaded: the server then answers 503.
        Raises DevstackError if no server starts.
        """
        self.end()
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as status:
            try:
                self.child = Child(
                    "devstack.server.child",
                    arguments=[
                        *("--socket", str(self._listening.fileno()), "--status", str(writing)),
                        *("--people", str(StateFolder(self._settings.state).users)),
                    ],
                    environment=self._environment(deployment),
                    log=self._log,
                    pass_fds=(self._listening.fileno(), writing),
                )
            finally:
                os.close(writing)
            ready, _, _ = select.select([status], [], [], STARTS_WITHIN_S)
            told = status.readline().decode() if ready else ""
        if not told:
            child, log = self.child, self._log
            self.end()
            why = "ended while it loaded the app" if ready else f"did not load the app within {STARTS_WITHIN_S} s"
            raise DevstackError(f"the API server {why}; the end of {log}:\n{child.last_lines()}")
        self.child.on_end(self._on_end)
        return "" if told.strip() == "ok" else told.strip()

    def end(self) -> None:
        """End the server, once it has answered what it is answering now."""
        if self.child is not None:
            self.child.end(ENDS_WITHIN_S)
            self.child = None

    def _environment(self, deployment: Deployment) -> dict[str, str]:
        return (
            self._settings.server_environment()
            | app_environment(deployment.outputs)
            | {
                "DRAGONPOST_USER_POOL_CLIENT_ID": deployment.outputs["UserPoolClientId"],
                "DRAGONPOST_COMMIT": commit_of(PROJECT),
                "PYTHONUNBUFFERED": "1",
            }
        )
