"""What is measured of a peer: its deployment package, unzipped, and a Python with what Lambda's has.

Everything is made below `.local/bench/<name>`. A peer's is made again only if its files or this Python change; ours is
made at every run, by the code that deploys it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import ADDER, API, CONSUMER
from benchmarks.peer import CHALICE, FOLDER, OF_LAMBDA, OF_PEERS, OURS, Peer, PeerError, filled_in
from operations import PROJECT
from operations.deploy import commands
from operations.deploy.package import package_app
from operations.deploy.target import Target, this_machine
from operations.environment import for_tools
from operations.functions import logical_id

KEPT_IN = PROJECT / ".local" / "bench"
STAGE = "prod"
POOL = {"UserPoolArn": "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_DragonPst"}
FUNCTIONS = {API: "api_handler", CONSUMER: "store_messages", ADDER: "add_dragon"}
_NOT_PACKED = frozenset({"__pycache__", "bin"})


@dataclass(frozen=True)
class Packaged:
    """A peer's package: the zip, the folder it was unzipped to, and the Python that runs it.

    `environments` are those that the functions get, by function.
    """

    peer: Peer
    zipped: Path
    unzipped: Path
    python: Path
    environments: Mapping[str, Mapping[str, str]]

    def environment(self, function: str) -> dict[str, str]:
        """Return a function's environment, with the package in the place of Lambda's /var/task."""
        of_lambda = {"LAMBDA_TASK_ROOT": "/var/task", "_HANDLER": self.peer.handlers[function]}
        given = {**self.environments[function], **of_lambda}
        return {name: value.replace("/var/task", str(self.unzipped)) for name, value in given.items()}

    @property
    def bytes(self) -> int:
        """The size of the zip."""
        return self.zipped.stat().st_size


def packaged(peer: Peer) -> Packaged:
    """Make what is measured of a peer. Raises `PeerError`."""
    folder = KEPT_IN / peer.name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        python = _runtime(folder)
        made = _ours(peer, folder, python) if peer is OURS else _peers(peer, folder, python)
    except commands.DeployError as error:
        raise PeerError(f"{peer.name}: {error}") from error
    shutil.rmtree(made.unzipped, ignore_errors=True)
    with zipfile.ZipFile(made.zipped) as archive:
        archive.extractall(made.unzipped)
    return made


def certificates(made: Packaged) -> Iterator[Path]:
    """Yield the files of trusted authorities that the package and its Python have."""
    for folder in (made.unzipped, made.python.parent.parent):
        for path in sorted((*folder.rglob("*.pem"), *folder.rglob("*.crt"))):
            if "BEGIN CERTIFICATE" in path.read_text(encoding="utf-8"):
                yield path


def _ours(peer: Peer, folder: Path, python: Path) -> Packaged:
    build = folder / "build"
    environment = {**for_tools(os.environ), "AWS_DEFAULT_REGION": "eu-central-1"}
    template = package_app(Target(STAGE, build, "", environment, architecture=this_machine()), POOL)
    resources = json.loads(template.read_text(encoding="utf-8"))["Resources"]
    environments = {
        function: {
            **OF_LAMBDA,
            **filled_in(resources[logical_id(name)]["Properties"]["Environment"]["Variables"], peer.name),
        }
        for function, name in FUNCTIONS.items()
    }
    return Packaged(peer, template.parent / "deployment.zip", folder / "unzipped", python, environments)


def _peers(peer: Peer, folder: Path, python: Path) -> Packaged:
    zipped, stamp, digest = folder / "package.zip", folder / "package.sha256", _digest(*sorted(_files(peer.source)))
    if not (zipped.exists() and _says(stamp, digest)):
        _pack_with_chalice(peer, folder, zipped) if peer is CHALICE else _pack(peer, folder, zipped)
        stamp.write_text(digest, encoding="utf-8")
    environments = {function: {**OF_LAMBDA, **OF_PEERS} for function in peer.handlers}
    return Packaged(peer, zipped, folder / "unzipped", python, environments)


def _pack(peer: Peer, folder: Path, zipped: Path) -> None:
    """Zip the app with what it requires, as pip installs it: without bytecode."""
    packages = folder / "package"
    shutil.rmtree(packages, ignore_errors=True)
    packages.mkdir()
    _pip("install", "--no-deps", "--no-compile", "--target", str(packages), "-r", str(peer.source / "requirements.txt"))
    shutil.copy(peer.source / "app.py", packages)
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(_files(packages)):
            archive.write(file, file.relative_to(packages))


def _pack_with_chalice(peer: Peer, folder: Path, zipped: Path) -> None:
    """Have Chalice package its app."""
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(peer.source, project)
    environment = {**for_tools(os.environ), "AWS_DEFAULT_REGION": "eu-central-1", "AWS_REGION": "eu-central-1"}
    environment[commands.ARCHITECTURE] = this_machine()
    commands.run("chalice", "package", str(folder / "build"), env=environment, cwd=project)
    shutil.copy(folder / "build" / "deployment.zip", zipped)


def _runtime(folder: Path) -> Path:
    """Make the environment that stands for Lambda's Python, with bytecode, and return its interpreter."""
    wanted, home = FOLDER / "peers" / "runtime.txt", folder / "python"
    python, stamp, digest = home / "bin" / "python", folder / "python.sha256", _digest(wanted)
    if not (python.exists() and _says(stamp, digest)):
        venv.create(home, clear=True, with_pip=False)
        _pip("--python", str(python), "install", "--no-deps", "--no-compile", "-r", str(wanted))
        # Ordinary bytecode goes stale, unnoticed, when the folder is copied: every peer would then look slow.
        compiling = ("compileall", "-q", "--invalidation-mode", "unchecked-hash", str(home / "lib"))
        subprocess.run([python, "-I", "-m", *compiling], check=True, stdout=subprocess.DEVNULL)
        stamp.write_text(digest, encoding="utf-8")
    return python


def _pip(*arguments: str) -> None:
    commands.run("pip", "--quiet", "--disable-pip-version-check", *arguments, env=for_tools(os.environ))


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and _NOT_PACKED.isdisjoint(path.relative_to(folder).parts):
            yield path


def _digest(*files: Path) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _says(stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text(encoding="utf-8") == digest
