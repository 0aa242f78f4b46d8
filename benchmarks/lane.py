"""The parent's side of a worker: one app, warm, in a process of its own."""

from __future__ import annotations

import json
import subprocess
from types import TracebackType
from typing import Any, Self

from benchmarks.cases import API, CASES, fault_of_calls
from benchmarks.package import Packaged
from benchmarks.peer import FOLDER, PeerError


class Lane:
    """One app in one worker. To be used in a `with` block, which ends the worker."""

    def __init__(
        self, made: Packaged, stub: str, *, function: str = API, silent: bool = False, latency_s: float = 0.0
    ) -> None:
        """Take the package, the stub (a function of benchmarks/stubs.py), whose environment the worker gets, whether
        the app's log is off, and how long each call to AWS takes."""
        self.peer = made.peer
        options = {
            "package": str(made.unzipped),
            "handler": made.peer.handlers[function],
            "binary": made.peer.binary,
            "stub": stub,
            "latency_s": latency_s,
        }
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

    def check(self, case: str) -> None:
        """Run a case once. Raises `PeerError`, which names the peer, if its answer or its calls to AWS are wrong."""
        told = self._ask({"case": case})
        fault = CASES[case].fault(told["answer"]) or fault_of_calls(CASES[case], told["calls"])
        if fault:
            raise PeerError(f"{self.peer.name} fails the case `{case}`: {fault}")

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
