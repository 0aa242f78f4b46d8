"""The guard over the tests: nothing reaches another machine or an AWS service that has no stub."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib import aws
from operations import PROJECT
from tests import network

# TEST-NET-1 (RFC 5737) and a name that nobody can have (RFC 6761).
ADDRESS = "192.0.2.1"
NAME = "dragonpost.invalid"


@pytest.fixture
def taken_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Try in vain to disarm the guard, and take back what it refused, because here it has to refuse."""
    monkeypatch.undo()
    yield
    network.refused.clear()


def connected(address: Any) -> None:
    """Connect, as urllib3 does."""
    with socket.socket() as client:
        client.settimeout(0.2)
        client.connect(address)


def sent(address: Any) -> None:
    """Send a datagram, as a resolver does."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"", address)


def bound(address: Any) -> None:
    """Listen on an address that other machines can reach."""
    with socket.socket() as listening:
        listening.bind(address)


@pytest.mark.usefixtures("taken_back")
class TestAnotherMachine:
    @pytest.mark.parametrize("use", [connected, sent, bound])
    @pytest.mark.parametrize("host", [ADDRESS, "0.0.0.0", ""], ids=["another's", "every", "empty"])  # noqa: S104
    def test_is_out_of_reach(self, use: Any, host: str, request: pytest.FixtureRequest) -> None:
        with pytest.raises(pytest.fail.Exception) as refused:
            use((host, 9))

        assert repr(host) in str(refused.value)
        assert request.node.name in str(refused.value)

    @pytest.mark.parametrize("look_up", [socket.gethostbyname, socket.gethostbyname_ex, socket.gethostbyaddr])
    def test_has_no_address(self, look_up: Any) -> None:
        with pytest.raises(pytest.fail.Exception, match=NAME):
            look_up(NAME)

    def test_is_not_looked_up_for_a_connection(self) -> None:
        with pytest.raises(pytest.fail.Exception, match=NAME):
            socket.create_connection((NAME, 443), timeout=0.2)


def test_this_machine_is_within_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        socket.create_connection(("localhost", listening.getsockname()[1]), timeout=20).close()


def test_sockets_that_reach_no_other_machine_are_allowed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))


@pytest.mark.usefixtures("taken_back")
@pytest.mark.parametrize("service", ["s3", "dynamodb", "sqs", "ssm", "stepfunctions"])
def test_a_service_without_a_stub_is_out_of_reach(service: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=f"asked for the {service} client"):
        getattr(aws, service)()
    with pytest.raises(pytest.fail.Exception, match=f"asked for the {service} client"):
        boto3.client(service)  # type: ignore[call-overload]


SWALLOWED = f"""
import contextlib, socket, threading

def attempt():
    with contextlib.suppress(BaseException):
        socket.create_connection(("{ADDRESS}", 443), timeout=0.2)

def test_here():
    attempt()

def test_in_a_thread():
    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()

def test_not():
    pass
"""


@pytest.mark.slow
def test_a_test_fails_for_an_attempt_that_the_code_under_test_has_swallowed(tmp_path: Path) -> None:
    (tmp_path / "test_swallowed.py").write_text(SWALLOWED)

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.network", "-p", "no:cacheprovider", tmp_path],
        env=os.environ | {"PYTHONPATH": str(PROJECT)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "3 passed, 2 errors" in ran.stdout
    assert f"test_in_a_thread (call) looked up '{ADDRESS}'" in ran.stdout
