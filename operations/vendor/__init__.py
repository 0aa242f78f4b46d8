"""Fill vendor/, which Chalice copies into the package as it is: `.venv/bin/python -m operations.vendor`.

pip installs what requirements-vendor.txt pins, without dependencies; what no function needs is removed, and the rest
compiled. A folder whose stamp says that this is done already stays as it is. The stamp is a digest of the requirements,
of what compiles, and of every file that was made. The bytecode of our own code lies there, too, and is made anew
whenever the code has changed.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from operations.deploy import commands
from operations.vendor import bytecode, calls, sdk, stand_ins, unused

STAMP = "vendor.sha256"


def fill(project: Path, environment: Mapping[str, str]) -> None:
    """Make the project's vendor/ hold what its requirements-vendor.txt pins, trimmed and compiled, and our bytecode.

    Raises DeployError, also if the project's code calls AWS in a way that is not declared (`operations.vendor.calls`).
    """
    calls.check(project)
    bytecode.keep_out_of_the_package(project)
    requirements, vendor = project / "requirements-vendor.txt", project / "vendor"
    stamp = vendor / STAMP
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != _digest(requirements, vendor):
        _install(requirements, vendor, environment)
    bytecode.compile_ours(project, vendor)


def _install(requirements: Path, vendor: Path, environment: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory(dir=vendor.parent, prefix=".vendor-") as folder:
        fresh, old = Path(folder, "fresh"), Path(folder, "old")
        fresh.mkdir()
        options = ("--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps", "--only-binary", ":all:")
        commands.run("pip", "install", *options, "--target", str(fresh), "-r", str(requirements), env=environment)
        unused.remove(fresh)
        stand_ins.put(fresh)
        if (fresh / "botocore").exists():
            sdk.trim(fresh / "botocore", calls.CALLS)
        bytecode.compile_third_parties(fresh)
        (fresh / STAMP).write_text(_digest(requirements, fresh), encoding="utf-8")
        # The folder is swapped as a whole, so a package is never made from a half-filled one.
        if vendor.exists():
            vendor.rename(old)
        fresh.rename(vendor)


def _digest(requirements: Path, folder: Path) -> str:
    digest = hashlib.sha256(requirements.read_bytes())
    digest.update(f"{bytecode.TAG} {version('chalice')} {version('msgspec')}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    others = {folder / STAMP, *bytecode.ours_compiled(folder)}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in others:
            digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
