"""How many requests a second the local server answers, and stock `chalice local`, on connections that stay open."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

from benchmarks.aws import CLIENT_ID
from benchmarks.package import KEPT_IN, POOL
from benchmarks.peer import PeerError
from benchmarks.rounds import Effort
from benchmarks.rows import SERVED, SERVER, STOCK
from benchmarks.spread import Samples
from devstack.processes import Child
from devstack.server.process import listen
from devstack.settings import HOST, Settings
from operations import PROJECT
from operations.deploy.commands import COMMANDS
from operations.deploy.target import app_environment

_REQUEST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"
_STARTS_WITHIN_S = 60
_ANSWERS_WITHIN_S = 10
_NO_AWS = 9  # the discard port: /health asks AWS nothing


def measure(effort: Effort, samples: Samples) -> None:
    """Measure both servers in turn. Raises `PeerError` for one that does not start or answer."""
    with _ours() as ours, _stock() as stock:
        for _ in range(effort.load_rounds):
            for connections, row in SERVED.items():
                for name, port in ((SERVER, ours), (STOCK, stock)):
                    samples.add(row.name, name, _rate(name, port, connections, effort.load_s))


@contextlib.contextmanager
def _ours() -> Iterator[int]:
    """Run the local server, as the devstack does, without an emulator."""
    settings = Settings(0, _NO_AWS, KEPT_IN)
    environment = settings.server_environment() | app_environment(POOL)
    listening = listen(0, "none")
    reading, writing = os.pipe()
    child = Child(
        "devstack.server.child",
        arguments=["--socket", str(listening.fileno()), "--status", str(writing)],
        environment=environment | {"DRAGONPOST_USER_POOL_CLIENT_ID": CLIENT_ID},
        log=KEPT_IN / "api.log",
        pass_fds=(listening.fileno(), writing),
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as status:
            ready, _, _ = select.select([status], [], [], _STARTS_WITHIN_S)
            told = status.readline().strip() if ready else "it does not start"
        if told != "ok":
            raise PeerError(f"the local server: {told}\n{child.last_lines()}")
        yield listening.getsockname()[1]
    finally:
        child.end(_ANSWERS_WITHIN_S)
        listening.close()


@contextlib.contextmanager
def _stock() -> Iterator[int]:
    """Run `chalice local` in the project."""
    port = _free_port()
    environment = Settings(0, _NO_AWS, KEPT_IN).server_environment()
    command = [*COMMANDS["chalice"], "local", "--stage", "local", "--no-autoreload", "--port", str(port)]
    with (KEPT_IN / "chalice-local.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_it_listens(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.1)
    raise PeerError(f"`chalice local` does not listen; see {KEPT_IN.relative_to(PROJECT)}/chalice-local.log")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


def _rate(name: str, port: int, connections: int, seconds: float) -> float:
    """Return the requests a second that so many clients get answered, each of which waits for its answers."""
    clients = [_Client(port, seconds) for _ in range(connections)]
    began_s = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if failed := next((client.failure for client in clients if client.failure), None):
        raise PeerError(f"{name}, asked on {connections} connections: {failed}")
    return sum(client.answered for client in clients) / (time.perf_counter() - began_s)


class _Client(threading.Thread):
    """One connection that asks, waits for the whole answer, and asks again."""

    def __init__(self, port: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self.answered = 0
        self.failure = ""
        self._port = port
        self._seconds = seconds

    def run(self) -> None:
        try:
            with socket.create_connection((HOST, self._port), _ANSWERS_WITHIN_S) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                until_s = time.monotonic() + self._seconds
                while time.monotonic() < until_s:
                    connection.sendall(_REQUEST)
                    _check(_whole_answer(connection))
                    self.answered += 1
        except (OSError, ValueError) as error:
            self.failure = f"{type(error).__name__}: {error}"


def _whole_answer(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += _more(connection)
    return head


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise ValueError("the connection was closed in the middle of an answer")
    return part


def _check(head: bytes) -> None:
    if b" 200 " not in head[:20]:
        raise ValueError(f"it answers {head[:60]!r}")
