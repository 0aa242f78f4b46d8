"""What the figures were measured on, and with: nothing that names a host or a path."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.package import Packaged


def description() -> list[str]:
    """Return the machine's processor, cores, memory and kernel, and how busy it was, a line each."""
    load, _, _ = os.getloadavg()
    libc, libc_version = platform.libc_ver()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"{_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB of memory",
        f"{platform.system()} {platform.release().partition('-')[0]}, {platform.machine()}, {libc} {libc_version}",
        f"{platform.python_implementation()} {platform.python_version()}",
        f"load average when it began: {load:.2f}",
    ]


def versions(packages: Sequence[Packaged]) -> list[tuple[str, str]]:
    """Return what is in each package, by its peer's title, and what is in the Python that runs the peers'."""
    runtime = ", ".join(_distributions(next(packages[0].python.parent.parent.glob("lib/*/site-packages"))))
    return [
        ("what Lambda has, for the peers", runtime),
        *((made.peer.title, ", ".join(_distributions(made.unzipped)) or "nothing") for made in packages),
    ]


def _distributions(folder: Path) -> list[str]:
    return sorted(f"{found.name} {found.version}" for found in distributions(path=[str(folder)]))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "an unnamed processor"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "an unnamed processor"
    )
