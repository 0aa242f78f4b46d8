"""A fresh process that imports an app from its package and answers once, as Lambda's first call does.

Everything comes as one JSON object on stdin, so that this imports next to nothing before the measured app does. The
hosts of AWS lead to the port of a stub on this machine, over TLS: the app looks up, connects, verifies and speaks HTTP
as it would there.
"""

import importlib
import json
import os
import socket
import sys
import time


class Context:
    """What Lambda tells a function about a call."""

    function_name = "measured"
    function_version = "$LATEST"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:measured"
    aws_request_id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"

    def get_remaining_time_in_millis(self) -> int:
        """Return a time that is always enough."""
        return 29_000


def peak_kb() -> int:
    """Return the most memory that this process has had, in KiB.

    A child's `ru_maxrss` is at least what its parent had when it was forked, so Linux's own account goes first.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - pathlib is an import more
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except OSError:
        import resource  # noqa: PLC0415

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # bytes, where there is no /proc


def main() -> None:
    """Answer the one event, and print what that took."""
    order = json.load(sys.stdin)
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    stub = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", order["port"]))
    socket.getaddrinfo = lambda *_, **__: [stub]
    sys.path.insert(0, order["package"])
    module, _, function = order["handler"].rpartition(".")

    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    handler = getattr(importlib.import_module(module), function)
    ready_s, cpu_ready_s = time.perf_counter(), time.process_time()
    answer = handler(order["event"], Context())
    ended_s, cpu_ended_s = time.perf_counter(), time.process_time()

    told = {
        "init_cpu_s": cpu_ready_s - cpu_began_s,
        "cpu_s": cpu_ended_s - cpu_began_s,
        "call_s": ended_s - ready_s,
        "wall_s": ended_s - began_s,
        "peak_kb": peak_kb(),
        "answer": answer,
    }
    os.write(answers, json.dumps(told).encode())


if __name__ == "__main__":
    main()
