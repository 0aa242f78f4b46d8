"""The artefact: what `chalice package` makes of the project, and whether it is complete."""

from __future__ import annotations

import contextlib
import fcntl
import json
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from operations import materials, vendor
from operations.deploy import commands
from operations.deploy.commands import DeployError
from operations.deploy.target import Target, app_environment

# Chalice prints this and still exits 0 (chalice/constants.py, MISSING_DEPENDENCIES_TEMPLATE).
INCOMPLETE = "Could not install dependencies"

PACKAGES_KEPT = 4

# ELF's number of the machine (e_machine) for each architecture of Lambda's.
MACHINES = {"x86_64": 62, "arm64": 183}


def package_app(target: Target, outputs: Mapping[str, str], merge_template: Path | None = None) -> Path:
    """Run `chalice package` and return the template (JSON), which lies beside the package and its bill of materials.

    `merge_template` is merged over the generated template (default: infrastructure/app-overrides.json).
    Raises DeployError if a step fails, if Chalice could not get every dependency, or if the package has machine code
    that its functions cannot run.
    """
    target.say("packaging the app")
    folder = target.build / "app"
    folder.mkdir(parents=True, exist_ok=True)
    merge = merge_template or target.project / "infrastructure" / "app-overrides.json"
    command = ["chalice", "package", "--stage", target.stage, "--template-format", "json"]
    environment = {
        **target.environment,
        **app_environment(outputs),
        commands.ARCHITECTURE: target.architecture or "",
    }
    with ready_to_package(target):
        said = commands.run(*command, "--merge-template", str(merge), str(folder), env=environment, cwd=target.project)
    template, packed = folder / "sam.json", folder / "deployment.zip"
    check_complete(said, packed, target.project)
    check_machine(packed, template)
    materials.write(packed)
    return template


@contextlib.contextmanager
def ready_to_package(target: Target) -> Iterator[None]:
    """Fill vendor/, and hold the project's lock in the block. Raises DeployError.

    Chalice rewrites its cached package in .chalice/deployments in place, so two builds must not overlap. It keeps
    every package that it ever made there, of some MB each: afterwards, only the newest stay.
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


def check_machine(package: Path, template: Path) -> None:
    """Raise DeployError if a library of a package is for another machine than the template's functions run on.

    Otherwise every call would fail, with an import error.
    """
    resources = json.loads(template.read_text(encoding="utf-8"))["Resources"].values()
    wanted = {name for resource in resources for name in resource.get("Properties", {}).get("Architectures", ())}
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            if ".so" not in Path(name).suffixes:
                continue
            with archive.open(name) as library:
                machine = elf_machine(library.read(20))
            if any(machine != MACHINES[architecture] for architecture in wanted):
                raise DeployError(
                    f"the functions run on {', '.join(sorted(wanted))}, but {name} in their package does not (its ELF "
                    f"machine is {machine}); pin a version that has wheels for it, and remove .chalice/deployments."
                )


def elf_machine(header: bytes) -> int | None:
    """Return the machine that a file's first 20 bytes name (`e_machine` in elf(5)), or None if it is no ELF file."""
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return None
    return int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")


def requirements(project: Path) -> Iterator[Requirement]:
    """Yield the requirements that the package must contain."""
    for name in ("requirements.txt", "requirements-vendor.txt"):
        for line in (project / name).read_text(encoding="utf-8").splitlines():
            specification = line.partition(" --")[0].partition("#")[0].rstrip("\\ ").strip()  # without hashes
            if specification and not specification.startswith("-"):
                yield Requirement(specification)


def _is_packed(wanted: Requirement, packed: Mapping[NormalizedName, str]) -> bool:
    version = packed.get(canonicalize_name(wanted.name))
    return version is not None and wanted.specifier.contains(version, prereleases=True)
