"""The deployed functions, seen from outside: where they reach AWS, and the processes that run them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from operations import functions as declared
from operations.functions import deployed_name
from operations.stages import EMBEDDED
from tests.e2e.running import Devstack
from tests.e2e.waiting import until

API = deployed_name(declared.API, EMBEDDED)
OPERATORS = deployed_name(declared.OPERATORS, EMBEDDED)
STORE_MESSAGES = deployed_name("store_messages", EMBEDDED)
VALIDATE_DRAGON = deployed_name("validate_dragon", EMBEDDED)
ADD_DRAGON = deployed_name("add_dragon", EMBEDDED)


@contextlib.contextmanager
def reaching_aws_at(devstack: Devstack, endpoint_url: str, *names: str) -> Iterator[None]:
    """Inside the block, make these functions reach AWS at another endpoint. They restart now, and again at the end."""
    aws = devstack.client("lambda")
    before = {name: aws.get_function_configuration(FunctionName=name)["Environment"]["Variables"] for name in names}
    try:
        for name, variables in before.items():
            _configure(devstack, name, {**variables, "AWS_ENDPOINT_URL": endpoint_url})
        yield
    finally:
        for name, variables in before.items():
            _configure(devstack, name, variables)


def _configure(devstack: Devstack, name: str, variables: dict[str, str]) -> None:
    aws = devstack.client("lambda")
    aws.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    until(lambda: aws.get_function_configuration(FunctionName=name)["LastUpdateStatus"] == "Successful")


def workers(devstack: Devstack, name: str) -> list[int]:
    """Return the processes that run a function now. The emulator unpacks a function into a folder with its name."""
    return [pid for pid, command in devstack.processes().items() if _function_of(command) == name]


def _function_of(command: str) -> str:
    """Return the function's name from a worker's command line, or "". The last part of the folder's name is random."""
    folder = next((Path(word).parent.name for word in command.split() if word.endswith("/_worker.py")), "")
    return folder.removeprefix("ministack-lambda-").rpartition("-")[0]


def kill(pid: int) -> bool:
    """Kill a process as the kernel does when memory runs out; return True if it was still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    until(lambda: _ended(pid))
    return True


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def threads_of(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def connections_of(pid: int) -> int:
    """Return how many sockets a process has open."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(entry.readlink()).startswith("socket:")
    return count
