"""The parent's side of a worker: one app, warm, in a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from benchmarks import grown_cases
from benchmarks.cases import API, CASES, Case, fault_of_calls
from benchmarks.grown_aws import Registry
from benchmarks.package import Packaged
from benchmarks.peer import FOLDER, PeerError


@dataclass(frozen=True)
class Behind:
    """The AWS behind an app: where it answers (a function of benchmarks/stubs.py), how long it takes for each call, and
    its registry if that is not the usual one.
    """

    stub: str
    latency_s: float = 0.0
    registry: Registry | None = None


class Lane:
    """One app in one worker. To be used in a `with` block, which ends the worker."""

    def __init__(self, made: Packaged, aws: Behind, *, function: str = API, silent: bool = False) -> None:
        """Take the package, the AWS behind it, the function, whose environment the worker gets, and whether the app's
        log is off."""
        self.peer = made.peer
        options = {
            "package": str(made.unzipped),
            "handler": made.peer.handlers[function],
            "binary": made.peer.binary,
            **asdict(aws),
        }
        self._cases: Mapping[str, Case] = CASES if aws.registry is None else grown_cases.cases(*aws.registry)
        self._process = subprocess.Popen(
            [made.python, "-I", "-B", FOLDER / "worker.py", json.dumps(options)],
            env={**made.environment(function), **dict(made.peer.silencing if silent else ())},
            cwd=made.unzipped,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def check(self, case: str) -> dict[str, Any]:
        """Run a case once; return its answer, its calls, and how many items DynamoDB read.

        Raises `PeerError`, which names the peer, if its answer or its calls to AWS are wrong.
        """
        told = self._ask({"case": case})
        fault = self._cases[case].fault(told["answer"]) or fault_of_calls(self._cases[case], told["calls"])
        if fault:
            raise PeerError(f"{self.peer.name} fails the case `{case}`: {fault}")
        return told

    def time(self, case: str, count: int) -> tuple[float, float]:
        """Run a case so many times; return the seconds of CPU and of time that one took."""
        told = self._ask({"case": case, "count": count})
        return told["cpu_s"], told["wall_s"]

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin  # noqa: S101 - they are pipes
        assert self._process.stdout  # noqa: S101
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            _, said = self._process.communicate()
            raise PeerError(f"{self.peer.name} cannot be run ({question['case']}):\n{said.strip()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
