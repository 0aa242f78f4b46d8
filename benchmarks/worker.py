"""A process that holds one app, warm, and runs what the parent asks for: `worker.py OPTIONS`, a JSON object.

The options name the app's folder (`package`), its `handler`, whether it takes bodies in base64 (`binary`), the `stub`
(a function of benchmarks/stubs.py), how many seconds a call to AWS takes (`latency_s`), and the `registry`
(its home, and how many dragons it has) if it is not the usual one. Each line of stdin asks for
one thing; each line of the answer is JSON. What the app writes goes to /dev/null.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PROJECT = str(Path(__file__).resolve().parent.parent)
EVENTS_AT_ONCE = 100

sys.path.insert(0, PROJECT)
from benchmarks import grown_cases, stubs  # noqa: E402 - the project is on the path for these: its app.py is not the app
from benchmarks.aws import Aws  # noqa: E402
from benchmarks.cases import CASES, Case, for_app  # noqa: E402
from benchmarks.cold import Context  # noqa: E402
from benchmarks.grown_aws import GrownAws  # noqa: E402

sys.path.remove(PROJECT)

Handler = Callable[[Any, Any], Any]


class App:
    """The measured app: its handler, and the AWS behind it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        sys.path.insert(0, options["package"])
        self.aws, self._cases = _behind(options)
        getattr(stubs, options["stub"])(self.aws)
        self._binary = options["binary"]
        self._run = handler(options["handler"])

    def answer(self, name: str) -> dict[str, Any]:
        """Run a case once: its answer, and the calls that it made to AWS."""
        case = self._set_up(name)
        answer = self._run(self._event(case), Context())
        return {"answer": answer, "calls": self.aws.calls, "items": self.aws.items}

    def time(self, name: str, count: int) -> dict[str, Any]:
        """Run a case so many times, and return how many seconds of CPU and of time one took."""
        case = self._set_up(name)
        run = self._run
        run(self._event(case), Context())
        cpu_s = wall_s = 0.0
        left = count
        while left > 0:
            events = [self._event(case) for _ in range(min(left, EVENTS_AT_ONCE))]
            context = Context()
            began_s, cpu_began_s = time.perf_counter(), time.process_time()
            for event in events:
                run(event, context)
            cpu_s += time.process_time() - cpu_began_s
            wall_s += time.perf_counter() - began_s
            left -= len(events)
        return {"cpu_s": cpu_s / count, "wall_s": wall_s / count}

    def _set_up(self, name: str) -> Case:
        case = self._cases[name]
        self.aws.entries, self.aws.moving = case.entries, case.moving
        self.aws.restore()
        return case

    def _event(self, case: Case) -> dict[str, Any]:
        return for_app(case.make(), binary=self._binary)


def _behind(options: Mapping[str, Any]) -> tuple[Aws, Mapping[str, Case]]:
    """Return the AWS that the options ask for, and the cases: those of everybody, or those of a registry's size."""
    if options["registry"] is None:
        return Aws(latency_s=options["latency_s"]), CASES
    home, dragons = options["registry"]
    return GrownAws(entries=dragons, home=home), grown_cases.cases(home, dragons)


def handler(name: str) -> Handler:
    """Return the function that Lambda would call: `module.function`."""
    module, _, function = name.rpartition(".")
    found: Handler = getattr(importlib.import_module(module), function)
    return found


def main() -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    app = App(json.loads(sys.argv[1]))
    for line in sys.stdin:
        asked = json.loads(line)
        answer = app.time(asked["case"], asked["count"]) if "count" in asked else app.answer(asked["case"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
