"""Filling vendor/, with a package made here in place of a registry's."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from operations import PROJECT, vendor
from operations.deploy.commands import DeployError
from operations.vendor import bytecode
from tests.locked import INSTALLED, locked

pytestmark = pytest.mark.slow

PAGE = "carried/page.js"
MODULE = "carried/module.py"
SCRIPT = "bin/carried"


def wheel(folder: Path, version: str) -> None:
    """Make a wheel of the package `carried`, which requires a package that does not exist."""
    info = f"carried-{version}.dist-info"
    record = f"{PAGE},,\n{MODULE},,\n{SCRIPT},,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"carried-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(PAGE, version)
        archive.writestr(MODULE, f"VERSION = {version}")
        archive.writestr(SCRIPT, "print('useful for people')")
        metadata = f"Metadata-Version: 2.1\nName: carried\nVersion: {version}\nRequires-Dist: cannot-be-had\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", record)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that pins version 1, where there are two."""
    for version in ("1", "2"):
        wheel(tmp_path / "wheels", version)
    folder = tmp_path / "project"
    folder.mkdir()
    pin(folder, "1")
    return folder


def pin(project: Path, version: str) -> None:
    (project / "requirements-vendor.txt").write_text(f"# carried==0\ncarried=={version}\n", encoding="utf-8")


def fill(project: Path) -> None:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project.parent / "wheels")}
    vendor.fill(project, {**os.environ, **offline})


def test_it_is_filled_once_with_the_pinned_version_and_no_dependencies(project: Path) -> None:
    fill(project)
    filled = (project / "vendor").stat().st_ino
    fill(project)

    assert (project / "vendor" / PAGE).read_text(encoding="utf-8") == "1"
    assert {path.name for path in project.iterdir()} == {"requirements-vendor.txt", "vendor"}
    assert (project / "vendor").stat().st_ino == filled, "what is complete must be left alone"


def test_another_version_takes_its_place(project: Path) -> None:
    fill(project)
    pin(project, "2")

    fill(project)

    assert (project / "vendor" / PAGE).read_text(encoding="utf-8") == "2"
    assert not list((project / "vendor").glob("carried-1*"))


def test_nothing_is_in_it_that_only_people_or_installers_use(project: Path) -> None:
    fill(project)

    files = {str(path.relative_to(project / "vendor")) for path in (project / "vendor").rglob("*") if path.is_file()}
    assert {name for name in files if not name.endswith(".pyc")} == {
        *(PAGE, MODULE, vendor.STAMP),
        *("carried-1.dist-info/METADATA", "carried-1.dist-info/WHEEL"),
    }


def test_another_python_would_fill_it_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(project)
    places = project / "requirements-vendor.txt", project / "vendor"
    monkeypatch.setattr(bytecode, "TAG", "cpython-399")

    assert vendor._digest(*places) != (project / "vendor" / vendor.STAMP).read_text(encoding="utf-8")


def test_other_code_that_fills_it_fills_it_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(project)
    (project / "changed.py").write_text("# another way to trim", encoding="utf-8")
    filled = (project / "vendor").stat().st_ino
    monkeypatch.setattr(vendor, "__file__", str(project / "changed.py"))

    fill(project)

    assert (project / "vendor").stat().st_ino != filled


def test_a_folder_without_a_stamp_is_filled_again(project: Path) -> None:
    (project / "vendor" / "carried").mkdir(parents=True)
    (project / "vendor" / "other.py").touch()

    fill(project)

    assert (project / "vendor" / PAGE).exists()
    assert not (project / "vendor" / "other.py").exists()


@pytest.mark.parametrize("damage", [Path.unlink, lambda page: page.write_text("", encoding="utf-8")])
def test_a_file_that_was_lost_or_changed_is_filled_again(project: Path, damage: Callable[[Path], object]) -> None:
    fill(project)
    page = project / "vendor" / PAGE
    damage(page)

    fill(project)

    assert page.read_text(encoding="utf-8") == "1"


def test_a_version_that_pip_cannot_get_is_named_and_the_old_one_stays(project: Path) -> None:
    fill(project)
    pin(project, "3")

    with pytest.raises(DeployError, match=r"(?s)`pip install .*carried==3"):
        fill(project)

    assert (project / "vendor" / PAGE).read_text(encoding="utf-8") == "1"
    assert {path.name for path in project.iterdir()} == {"requirements-vendor.txt", "vendor"}


def test_what_is_vendored_has_the_versions_that_the_tests_run_on() -> None:
    vendored = locked(PROJECT / "requirements-vendor.txt")
    del vendored["star-openapi-swagger"]  # only its files are used

    assert {"aws-lambda-powertools", "botocore", "urllib3"} <= set(vendored)
    assert vendored == {name: version for name, version in INSTALLED.items() if name in vendored}
