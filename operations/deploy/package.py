"""The artefact: what `chalice package` makes of the project, and whether it is complete."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from operations import vendor
from operations.deploy import commands
from operations.deploy.commands import DeployError
from operations.deploy.target import Target, app_environment

# Chalice prints this and still exits 0 (chalice/constants.py, MISSING_DEPENDENCIES_TEMPLATE).
INCOMPLETE = "Could not install dependencies"

PACKAGES_KEPT = 4


def package_app(target: Target, outputs: Mapping[str, str], merge_template: Path | None = None) -> Path:
    """Run `chalice package` and return the template (JSON), which lies beside the deployment package.

    `merge_template` is merged over the generated template (default: infrastructure/app-overrides.json).
    Raises DeployError if a step fails, or if Chalice could not get every dependency.
    """
    target.say("packaging the app")
    folder = target.build / "app"
    folder.mkdir(parents=True, exist_ok=True)
    merge = merge_template or target.project / "infrastructure" / "app-overrides.json"
    command = ["chalice", "package", "--stage", target.stage, "--template-format", "json"]
    environment = {**target.environment, **app_environment(outputs)}
    with ready_to_package(target):
        said = commands.run(*command, "--merge-template", str(merge), str(folder), env=environment, cwd=target.project)
    check_complete(said, folder / "deployment.zip", target.project)
    return folder / "sam.json"


@contextlib.contextmanager
def ready_to_package(target: Target) -> Iterator[None]:
    """Fill vendor/, and hold the project's lock in the block. Raises DeployError.

    Chalice rewrites its cached package in .chalice/deployments in place, so two builds must not overlap. It keeps
    every package that it ever made there, of 20 MB each: afterwards, only the newest stay.
    """
    folder = target.project / ".chalice" / "deployments"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        vendor.fill(target.project, target.environment)
        yield
        for package in sorted(folder.glob("*.zip"), key=lambda zipped: zipped.stat().st_mtime)[:-PACKAGES_KEPT]:
            package.unlink()


def check_complete(said: str, package: Path, project: Path) -> None:
    """Raise DeployError if a package lacks a requirement of the project, or has it in another version.

    `said` is what Chalice printed while it made the package.
    """
    if INCOMPLETE in said:
        raise DeployError(f"the package would be incomplete; pin versions that have wheels for Lambda.\n{said.strip()}")
    packed = {canonicalize_name(found.name): found.version for found in distributions(path=[str(package)])}
    if missing := [str(wanted) for wanted in requirements(project) if not _is_packed(wanted, packed)]:
        raise DeployError(f"the package lacks {', '.join(missing)}; pin versions that have wheels for Lambda.")


def requirements(project: Path) -> Iterator[Requirement]:
    """Yield the requirements that the package must contain."""
    for name in ("requirements.txt", "requirements-vendor.txt"):
        for line in (project / name).read_text(encoding="utf-8").splitlines():
            specification = line.partition(" --")[0].partition("#")[0].strip()  # without pip's options, such as --hash
            if specification and not specification.startswith("-"):
                yield Requirement(specification)


def _is_packed(wanted: Requirement, packed: Mapping[NormalizedName, str]) -> bool:
    version = packed.get(canonicalize_name(wanted.name))
    return version is not None and wanted.specifier.contains(version, prereleases=True)
