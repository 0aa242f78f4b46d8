"""The bytecode that the package brings: it is there, and whatever was edited is still what runs."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from chalice.utils import OSUtils

from operations.deploy.commands import DeployError
from operations.vendor import bytecode
from operations.vendor.bytecode import cached

pytestmark = pytest.mark.slow

UNCHECKED, CHECKED = 0b01, 0b11  # https://peps.python.org/pep-0552/
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); import app; print(app.SAYS)"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose app has a module, and a vendor/ with one, too."""
    for name, source in {
        "app.py": "from chalicelib.inner.words import SAYS",
        "chalicelib/__init__.py": "",
        "chalicelib/inner/__init__.py": "",
        "chalicelib/inner/words.py": "SAYS = 'as it was'",
        "vendor/carried/__init__.py": "SAYS = 1",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source, encoding="utf-8")
    return tmp_path


def flags(path: Path) -> int:
    """Return how bytecode is compared with its source."""
    return int.from_bytes(path.read_bytes()[4:8], "little")


def packed(project: Path) -> Path:
    """Put the project's code and its vendor/ into one folder, with other times, as Chalice does."""
    package = project / "package"
    shutil.copytree(project / "vendor", package, copy_function=shutil.copyfile)
    shutil.copytree(project / "chalicelib", package / "chalicelib", dirs_exist_ok=True, copy_function=shutil.copyfile)
    shutil.copyfile(project / "app.py", package / "app.py")
    return package


def says(package: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-I", "-B", "-c", PROGRAM, str(package)], capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def test_third_parties_bytecode_is_trusted_and_ours_is_compared(project: Path) -> None:
    vendor = project / "vendor"

    bytecode.compile_third_parties(vendor)
    bytecode.compile_ours(project, vendor)

    third = [vendor / "carried/__init__.py"]
    assert {flags(cached(path.parent, path.name)) for path in third} == {UNCHECKED}
    beside = ("chalice/app.py", "chalice/__init__.py", "msgspec/__init__.py", "app.py", "chalicelib/inner/words.py")
    assert {flags(cached(vendor, name)) for name in beside} == {CHECKED}


def test_bytecode_of_the_code_as_it_is_runs(project: Path) -> None:
    bytecode.compile_ours(project, project / "vendor")
    package = packed(project)
    words = cached(package, "chalicelib/inner/words.py")
    words.write_bytes(words.read_bytes().replace(b"as it was", b"bytecode!"))

    assert says(package) == "bytecode!"


def test_what_was_edited_since_is_what_runs(project: Path) -> None:
    bytecode.compile_ours(project, project / "vendor")
    (project / "chalicelib/inner/words.py").write_text("SAYS = 'edited!!!'", encoding="utf-8")

    assert says(packed(project)) == "edited!!!"


def test_an_edit_is_compiled_and_a_module_that_is_gone_leaves_nothing(project: Path) -> None:
    vendor = project / "vendor"
    bytecode.compile_ours(project, vendor)
    words = project / "chalicelib/inner/words.py"
    words.write_text("SAYS = 'edited'", encoding="utf-8")
    words.with_name("more.py").touch()
    bytecode.compile_ours(project, vendor)

    assert cached(vendor, "chalicelib/inner/words.py").read_bytes()[8:16] == importlib.util.source_hash(
        words.read_bytes()
    )
    assert cached(vendor, "chalicelib/inner/more.py").exists()

    words.with_name("more.py").unlink()
    bytecode.compile_ours(project, vendor)

    assert not cached(vendor, "chalicelib/inner/more.py").exists()


def test_the_same_code_has_the_same_bytecode_wherever_it_lies(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "project"
    shutil.copytree(project, elsewhere)
    for each in (project, elsewhere):
        bytecode.compile_third_parties(each / "vendor")
        bytecode.compile_ours(each, each / "vendor")

    here = {path.relative_to(project): path.read_bytes() for path in (project / "vendor").rglob("*.pyc")}
    assert here == {path.relative_to(elsewhere): path.read_bytes() for path in (elsewhere / "vendor").rglob("*.pyc")}


def test_code_that_cannot_be_compiled_is_named(project: Path) -> None:
    (project / "chalicelib/inner/words.py").write_text("SAYS =", encoding="utf-8")

    with pytest.raises(DeployError, match=r"(?s)cannot be compiled.*chalicelib/inner/words\.py.*SyntaxError"):
        bytecode.compile_ours(project, project / "vendor")


def test_what_python_compiles_in_the_working_tree_is_not_where_chalice_would_pack_it(project: Path) -> None:
    left = project / "chalicelib/inner" / bytecode.CACHE / "words.cpython-310.pyc"
    left.parent.mkdir()
    left.touch()

    for _ in range(2):
        bytecode.keep_out_of_the_package(project)
        command = [sys.executable, "-I", "-c", PROGRAM, str(project)]
        subprocess.run(command, check=True, capture_output=True)

    packed_by_chalice = [*walked(project / "chalicelib")]
    assert {path.suffix for path in packed_by_chalice} == {".py"}
    assert (project / ".pycache/chalicelib/inner" / f"words.{bytecode.TAG}.pyc").exists()


def walked(folder: Path) -> list[Path]:
    """Return a folder's files as Chalice finds them (`OSUtils.walk`)."""
    return [Path(root, name) for root, _, names in OSUtils().walk(str(folder)) for name in names]
