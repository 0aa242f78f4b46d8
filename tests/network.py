"""No test reaches another machine from the tests' own process, whatever it patches or undoes.

An audit hook (https://docs.python.org/3/library/sys.html#sys.addaudithook) sees every socket before it does anything,
and nothing can remove it. What it raises is not an `Exception`, because code under test turns those into "not
available", and the test would pass. If something swallows it all the same, the test fails at its end. The hook does not
see programs that a test starts.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from tests.people import verified_stage

# What was refused since a test last ended.
refused: list[str] = []


def refuse(what: str) -> NoReturn:
    """Fail the running test, now and at its end. Takes what the test did, such as `looked up example.org`."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "a test module, while it was imported,")
    refused.append(f"{test} {what}")
    raise pytest.fail.Exception(refused[-1], pytrace=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Fail the test if anything was refused, unless the test has taken it back."""
    yield
    swallowed = [*refused]
    refused.clear()
    if swallowed:
        pytest.fail("\n".join(swallowed), pytrace=False)


def _is_loopback(host: object) -> bool:
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _look_up(host: object, *_: Any) -> None:
    if host is not None and not _is_loopback(host):
        refuse(f"looked up {host!r}; tests reach 127.0.0.1 only")


def _use(_: object, address: object) -> None:
    """Refuse an address of an internet socket that is not this machine's; those of other sockets are no such tuples."""
    if isinstance(address, tuple) and not _is_loopback(address[0]):
        refuse(f"used a socket with {address[0]!r}, port {address[1]}; tests reach 127.0.0.1 only")


# https://docs.python.org/3/library/audit_events.html
_CHECKS: dict[str, Callable[..., None]] = {
    "socket.bind": _use,
    "socket.connect": _use,
    "socket.getaddrinfo": _look_up,
    "socket.gethostbyaddr": _look_up,
    "socket.gethostbyname": _look_up,
    "socket.getnameinfo": lambda address: _look_up(address[0]),
    "socket.sendmsg": _use,
    "socket.sendto": _use,
}


def _check(event: str, arguments: tuple[Any, ...]) -> None:
    if check := _CHECKS.get(event):
        check(*arguments)


if not verified_stage():  # `make verify` looks at a stage of an account
    sys.addaudithook(_check)
