"""Fill vendor/, which Chalice copies into the package as it is: `.venv/bin/python -m operations.vendor`.

pip installs what requirements-vendor.txt pins, without dependencies, and what no function needs is removed. A folder
whose stamp says that this is done already stays as it is. The stamp is a digest of the requirements, of this package's
own code, and of every file that is left.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from chalicelib.web.pages import SWAGGER_UI, SWAGGER_UI_PACKAGE
from operations.deploy import commands
from operations.vendor import calls, sdk

STAMP = "vendor.sha256"

# What pip and uv make for themselves. The licences and the METADATA, which name and version are read from, stay.
_OF_INSTALLERS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "entry_points.txt")


def fill(project: Path, environment: Mapping[str, str]) -> None:
    """Make the project's vendor/ hold what its requirements-vendor.txt pins, trimmed to what functions need.

    Raises DeployError, also if the project's code calls AWS in a way that is not declared (`operations.vendor.calls`).
    """
    calls.check(project)
    requirements, vendor = project / "requirements-vendor.txt", project / "vendor"
    stamp = vendor / STAMP
    if stamp.exists() and stamp.read_text(encoding="utf-8") == _digest(requirements, vendor):
        return
    with tempfile.TemporaryDirectory(dir=project, prefix=".vendor-") as folder:
        fresh, old = Path(folder, "fresh"), Path(folder, "old")
        fresh.mkdir()
        options = ("--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps", "--only-binary", ":all:")
        commands.run("pip", "install", *options, "--target", str(fresh), "-r", str(requirements), env=environment)
        _trim(fresh)
        (fresh / STAMP).write_text(_digest(requirements, fresh), encoding="utf-8")
        # The folder is swapped as a whole, so a package is never made from a half-filled one.
        if vendor.exists():
            vendor.rename(old)
        fresh.rename(vendor)


def _trim(folder: Path) -> None:
    """Remove what no function needs from the packages that are installed in a folder."""
    if (folder / "botocore").exists():
        sdk.trim(folder / "botocore", calls.CALLS)
    swagger_ui = folder / SWAGGER_UI_PACKAGE
    for path in swagger_ui.rglob("*"):
        if path.is_file() and str(path.relative_to(swagger_ui)) not in {*SWAGGER_UI.values(), "__init__.py"}:
            path.unlink()
    shutil.rmtree(folder / "bin", ignore_errors=True)  # scripts
    for path in folder.glob("*.dist-info/*"):
        if path.name in _OF_INSTALLERS:
            path.unlink()


def _digest(requirements: Path, folder: Path) -> str:
    digest = hashlib.sha256(requirements.read_bytes())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != STAMP:
            digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
