"""The devstack as its users start it, `.venv/bin/python -m devstack run`, and HTTP against its two targets."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import boto3
import requests

from operations.environment import LOOPBACK
from operations.stages import EMBEDDED, STAGES
from tests.people import verified_stage

TARGETS = ("gateway",) if verified_stage() else ("local", "gateway")
STARTS_WITHIN_S = 120
ENDS_WITHIN_S = 30
ANSWERS_WITHIN_S = 30


# What people have in their environments. It changes nothing of what a devstack does.
OF_SOMEBODY_ELSE = {
    "AWS_PROFILE": "nope",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_RETRY_MODE": "bogus",
    "AWS_CA_BUNDLE": "/nonexistent",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_MAX_ATTEMPTS": "abc",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "PIP_USER": "1",
    "PYTHONUTF8": "0",
    "WEB_CONCURRENCY": "auto",
    "SFN_MOCK_CONFIG": "/nonexistent",
    "SFN_WAIT_SCALE": "0",
}


class Devstack:
    """One `.venv/bin/python -m devstack run`, with its output, its processes and its settings."""

    of_this_run: ClassVar[list[Devstack]] = []  # every one of this test run
    stage = EMBEDDED

    def __init__(self, project: Path, state: Path, ports: tuple[int, int]) -> None:
        self.project = project
        self.state = state
        self.ports = ports
        self.mark = uuid.uuid4().hex
        self.started = time.monotonic()
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()
        self._said: list[str] = []
        self._silent = False
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devstack", "run"],
            cwd=project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.of_this_run.append(self)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the devstack's commands. Every process inherits the mark: servers, too, keep LC_…."""
        return {
            **os.environ,
            **OF_SOMEBODY_ELSE,
            "DRAGONPOST_PORT": str(self.ports[0]),
            "DRAGONPOST_AWS_PORT": str(self.ports[1]),
            "DRAGONPOST_STATE": str(self.state),
            "PYTHONUNBUFFERED": "1",
            "LC_TEST_MARK": self.mark,
        }

    def until_ready(self) -> Devstack:
        """Wait for the ready line; fails with everything that was printed if the process ends before."""
        self.until_said(r"^ready  http", STARTS_WITHIN_S)
        return self

    def until_said(self, pattern: str, timeout_s: float = STARTS_WITHIN_S) -> str:
        """Wait for a line that matches, and return it."""

        def found() -> str | None:
            return next((line for line in self._said if re.search(pattern, line)), None)

        with self._news:
            self._news.wait_for(lambda: found() or self._silent, timeout_s)
        line = found()
        assert line, f"the devstack did not say {pattern!r}:\n{self.output}"
        return line

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "".join(self._said)

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        """Signal the parent and return its exit status."""
        self.process.send_signal(signal_number)
        return self.until_ended()

    def kill(self) -> None:
        """Kill whatever still runs of it, so that nothing of a failed test goes on."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(ENDS_WITHIN_S)

    def until_ended(self) -> int:
        """Wait for the parent's end and return its exit status."""
        status = self.process.wait(ENDS_WITHIN_S)
        self._reader.join(ENDS_WITHIN_S)
        return status

    def processes(self) -> dict[int, str]:
        """Return the command lines of all processes that this devstack started and that are still running, by pid."""
        mark = f"LC_TEST_MARK={self.mark}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended, or is somebody else's
                continue
        return found

    def assert_nothing_left(self, within_s: float = ENDS_WITHIN_S) -> None:
        """Fail if a process or a listening port of this devstack is left."""
        deadline = time.monotonic() + within_s
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left
        assert not [port for port in self.ports if listens(port)]

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            for line in output:
                with self._news:
                    self._said.append(line)
                    self._news.notify_all()
        with self._news:
            self._silent = True
            self._news.notify_all()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `.venv/bin/python -m devstack` with these arguments beside it."""
        return subprocess.run(
            [sys.executable, "-m", "devstack", *arguments],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=ENDS_WITHIN_S,
            check=False,
        )

    @property
    def running(self) -> dict[str, Any]:
        """What run.json says now; a reload may have changed it."""
        return dict(json.loads((self.state / "run.json").read_text(encoding="utf-8")))

    def token(self, user: str = "operator") -> str:
        """Log in as operator, amber or cobalt, and return the ID token."""
        printed = self.command("token", user)
        assert printed.returncode == 0, printed.stderr
        return printed.stdout.strip()

    def email(self, user: str) -> str:
        """Return the address of operator, amber or cobalt."""
        return f"{user}@dragonpost.example"

    def password(self, user: str) -> str:
        """Return the password of operator, amber or cobalt, which this devstack has made."""
        passwords = json.loads((self.state / "users.json").read_text(encoding="utf-8"))
        return str(passwords[self.email(user)])

    def client(self, service: str) -> Any:
        """Return a boto3 client with the emulator's root credentials; making one takes 0.1 s, so it is kept."""
        with self._making:
            if service not in self._clients:
                session = boto3.Session("test", "test", region_name="us-east-1")
                made: Any = session.client(service, endpoint_url=self.running["aws_url"])  # type: ignore[call-overload]
                self._clients[service] = made
            return self._clients[service]


class Served(Protocol):
    """What serves the API and lets people log in: a devstack, or a stage that is deployed otherwise."""

    @property
    def stage(self) -> str:
        """The stage's name."""
        ...

    @property
    def running(self) -> dict[str, Any]:
        """What run.json says of a devstack; `ca_bundle` is for a URL of TLS."""
        ...

    def email(self, user: str) -> str:
        """Return the address of operator, amber or cobalt."""
        ...

    def password(self, user: str) -> str:
        """Return the password of operator, amber or cobalt."""
        ...

    def token(self, user: str) -> str:
        """Log in as operator, amber or cobalt, and return the ID token."""
        ...

    def client(self, service: str) -> Any:
        """Return a boto3 client of its AWS, with root's credentials."""
        ...


@dataclass
class Api:
    """HTTP against one target: the local server, or the deployed API behind its gateway."""

    devstack: Served
    target: str
    http: requests.Session = field(default_factory=requests.Session)
    _tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http.trust_env = False  # no .netrc
        self.http.verify = self.devstack.running.get("ca_bundle", True)
        host = str(urlsplit(self.base_url).hostname)
        if host not in LOOPBACK and not proxy_bypass(host):
            self.http.proxies.update(getproxies())  # a deployed stage is reached as the account is

    @property
    def base_url(self) -> str:
        """Where the routes begin."""
        return str(self.devstack.running[f"{self.target}_url"])

    @property
    def stage_prefix(self) -> str:
        """What precedes the routes in `Location` and `Link`."""
        return "/" + self.base_url.rpartition("/")[2] if self.target == "gateway" else ""

    def token(self, user: str) -> str:
        """Return a user's ID token, logging in once for each."""
        if user not in self._tokens:
            self._tokens[user] = self.devstack.token(user)
        return self._tokens[user]

    def url(self, reference: str) -> str:
        """Return the URL of a route, or the URL that a `Location` or `Link` of this target refers to.

        The emulator serves a stage below a path of its own, for which AWS's gateway has no counterpart.
        """
        if self.stage_prefix and reference.startswith(self.stage_prefix + "/"):
            reference = reference.removeprefix(self.stage_prefix)
        return self.base_url + reference if reference.startswith("/") else urljoin(self.base_url + "/", reference)

    @property
    def allow_origin(self) -> str:
        """The origin that answers allow."""
        return STAGES[self.devstack.stage].allow_origin

    def socket(self) -> socket.socket:
        """Return a connection to the target, over TLS if its URL says so, for what `requests` would not send."""
        place = urlsplit(self.base_url)
        address = str(place.hostname), place.port or (443 if place.scheme == "https" else 80)
        connection = socket.create_connection(address, timeout=ANSWERS_WITHIN_S)
        if place.scheme != "https":
            return connection
        trusted = ssl.create_default_context(cafile=self.devstack.running.get("ca_bundle"))
        return trusted.wrap_socket(connection, server_hostname=place.hostname)

    def request(self, method: str, reference: str, user: str | None = "operator", **options: Any) -> requests.Response:
        """Send a request as a user, or without a token if `user` is None."""
        headers = dict(options.pop("headers", None) or {})
        if user is not None:
            headers.setdefault("Authorization", f"Bearer {self.token(user)}")
        return self.http.request(method, self.url(reference), headers=headers, timeout=ANSWERS_WITHIN_S, **options)

    def get(self, reference: str, user: str | None = "operator", **options: Any) -> requests.Response:
        """Send a GET."""
        return self.request("GET", reference, user, **options)

    def post(self, reference: str, user: str | None = "operator", **options: Any) -> requests.Response:
        """Send a POST."""
        return self.request("POST", reference, user, **options)


def free_ports() -> tuple[int, int]:
    """Return two ports that nothing listens on.

    If possible, they are below those that the system hands out, which any connection may take meanwhile.
    """
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range")
    below = int(handed_out.read_text().split()[0]) if handed_out.exists() else 0
    with socket.socket() as first, socket.socket() as second:
        return _bound(first, below), _bound(second, below)


def _bound(listening: socket.socket, below: int) -> int:
    while True:
        with contextlib.suppress(OSError):  # in use
            listening.bind(("127.0.0.1", random.randrange(10_000, below) if below > 20_000 else 0))
            return int(listening.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether something accepts connections on the port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
