"""Bytecode for the Python that deploys, which is the functions' own. Chalice ships none that Python would accept.

Chalice sets the time of every file in the package, so Python takes bytecode that goes by its source's time for
outdated, and a function cannot write any. What is made here goes by its source's content instead (PEP 552). That of
third parties is trusted, as their sources lie beside it in vendor/. Any other is compared with its source when it is
loaded: whatever was edited after it was compiled is what runs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import chalice
import msgspec

from operations.deploy.commands import DeployError

TAG = str(sys.implementation.cache_tag)  # such as cpython-313
CACHE = "__pycache__"
OURS = ("app.py", "chalicelib")

_OURS_IN_TREE = ".pycache"  # in the project
_TASK = "/var/task"  # where Lambda unpacks a package: tracebacks name it
_OPTIONS = ("-I", "-S", "-m", "compileall", "-q", "-f")


def compile_third_parties(vendor: Path) -> None:
    """Compile what lies in vendor/, and what Chalice puts beside it (its own runtime, msgspec). Raises DeployError."""
    _compile(vendor, "unchecked-hash")
    runtime = {f"chalice/{name}": Path(chalice.__file__).with_name(name) for name in ("__init__.py", "app.py")}
    wheels = {f"msgspec/{path.name}": path for path in Path(msgspec.__file__).parent.glob("*.py")}
    _compile_into(vendor, runtime | wheels)


def compile_ours(project: Path, vendor: Path) -> None:
    """Have vendor/ hold the bytecode of app.py and chalicelib as they are. Raises DeployError.

    A copy is compiled, so that nothing in the working tree changes.
    """
    sources = {str(path.relative_to(project)): path for path in _ours(project)}
    wanted = {cached(vendor, name): importlib.util.source_hash(path.read_bytes()) for name, path in sources.items()}
    held = {path: path.read_bytes()[8:16] for path in ours_compiled(vendor)}  # the source's hash: PEP 552
    if held != wanted:
        for path in held:
            path.unlink()
        _compile_into(vendor, sources)


def ours_compiled(vendor: Path) -> list[Path]:
    """Return the bytecode of our own code that vendor/ holds."""
    return [*vendor.glob(f"{CACHE}/app.*.pyc"), *vendor.glob(f"chalicelib/**/{CACHE}/*.pyc")]


def cached(folder: Path, name: str) -> Path:
    """Return where a folder has the bytecode of a source in it (`chalicelib/aws.py`)."""
    return (folder / name).parent / CACHE / f"{Path(name).stem}.{TAG}.pyc"


def keep_out_of_the_package(project: Path) -> None:
    """Have Python keep elsewhere what it compiles of chalicelib in the working tree.

    Chalice packs whatever lies in chalicelib, but follows no links there. It imports app.py before it packs, so
    otherwise every package would have bytecode twice, and none would be as the one before.
    """
    for folder in sorted({path.parent for path in _ours(project)} - {project}):
        elsewhere = project / _OURS_IN_TREE / folder.relative_to(project)
        elsewhere.mkdir(parents=True, exist_ok=True)
        link = folder / CACHE
        if not link.is_symlink():
            if link.exists():
                with tempfile.TemporaryDirectory(dir=elsewhere) as old:  # at once: others may be writing there
                    link.rename(Path(old, CACHE))
            link.symlink_to(os.path.relpath(elsewhere, folder), target_is_directory=True)


def _ours(project: Path) -> list[Path]:
    return [*project.glob("app.py"), *sorted((project / "chalicelib").rglob("*.py"))]


def _compile_into(vendor: Path, sources: Mapping[str, Path]) -> None:
    """Compile sources, by their names in the package, and put the bytecode where Python looks for it beside them."""
    if not sources:
        return
    with tempfile.TemporaryDirectory(dir=vendor.parent, prefix=".vendor-") as folder:
        copy = Path(folder)
        for name, path in sources.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy / name)
        _compile(copy, "checked-hash")
        _move((cached(copy, name) for name in sources), copy, vendor)


def _move(files: Iterable[Path], origin: Path, destination: Path) -> None:
    for path in files:
        place = destination / path.relative_to(origin)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)


def _compile(folder: Path, how: str) -> None:
    """Compile a folder in a process of its own, which makes the same bytecode of the same sources every time."""
    places = ("-s", str(folder), "-p", _TASK)
    compiled = subprocess.run(
        [sys.executable, *_OPTIONS, *places, "--invalidation-mode", how, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if compiled.returncode != 0:
        raise DeployError(f"the package cannot be compiled:\n{compiled.stdout.strip()}")
