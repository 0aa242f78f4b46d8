"""The parent's side of cold starts: fresh processes, each of which answers once (benchmarks/cold.py)."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import tls_stub
from benchmarks.aws import Aws
from benchmarks.cases import Case, fault_of_calls, for_app
from benchmarks.package import KEPT_IN, Packaged, certificates
from benchmarks.peer import FOLDER, PeerError

_ANSWERS_WITHIN_S = 120
_OURS_FOLLOWS = "\n# The authority of a benchmark's stub\n"


@dataclass(frozen=True)
class ColdStart:
    """What one cost, from the import to the answer: CPU, and that of the import alone, time, and that of the call alone
    (all in s), and memory (KiB).
    """

    init_cpu_s: float
    cpu_s: float
    wall_s: float
    call_s: float
    peak_kb: float


class ColdStarts:
    """Starts apps anew, with AWS behind TLS on a port of this machine."""

    def __init__(self, aws: Aws, port: int) -> None:
        self._aws = aws
        self._port = port

    def start(self, made: Packaged, case_name: str, case: Case) -> ColdStart:
        """Start an app for one case. Raises `PeerError`, which names the peer, if its answer or its calls are wrong."""
        self._aws.restore()
        order = {
            "package": str(made.unzipped),
            "handler": made.peer.handlers[case.function],
            "port": self._port,
            "event": for_app(case.make(), binary=made.peer.binary),
        }
        ran = subprocess.run(
            [made.python, "-I", "-B", FOLDER / "cold.py"],
            env=made.environment(case.function),
            cwd=made.unzipped,
            input=json.dumps(order),
            capture_output=True,
            encoding="utf-8",
            timeout=_ANSWERS_WITHIN_S,
            check=False,
        )
        if ran.returncode != 0:
            raise PeerError(f"{made.peer.name} does not start for the case `{case_name}`:\n{ran.stderr.strip()}")
        told: dict[str, Any] = json.loads(ran.stdout)
        fault = case.fault(told["answer"]) or fault_of_calls(case, self._aws.calls)
        if fault:
            raise PeerError(f"{made.peer.name}, started anew, fails the case `{case_name}`: {fault}")
        return ColdStart(told["init_cpu_s"], told["cpu_s"], told["wall_s"], told["call_s"], told["peak_kb"])


@contextlib.contextmanager
def starting(packages: Sequence[Packaged], aws: Aws) -> Iterator[ColdStarts]:
    """Serve AWS in the block, and have the unzipped packages trust it beside all others.

    So each loads the authorities that it would load in Lambda, and one more.
    """
    authority = KEPT_IN / "tls" / "ca.pem"
    with tls_stub.serving(aws, authority) as port:
        for trusted in (path for made in packages for path in certificates(made)):
            theirs, _, _ = trusted.read_text(encoding="utf-8").partition(_OURS_FOLLOWS)
            trusted.write_text(theirs + _OURS_FOLLOWS + authority.read_text(encoding="utf-8"), encoding="utf-8")
        yield ColdStarts(aws, port)
