"""Each difference between the embedded AWS and AWS names the test that shows it, so that none outlives its cause."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from operations import PROJECT
from operations.generate import CannotGenerate, differences
from operations.generate.differences import Difference
from tests.verify.suite import LEFT_OUT, SUITE

PROBES = Path("tests", "deploy", "test_differences.py")
SEEN_ON_A_STAGE = Path("tests", "verify", "test_known_differences.py")


def named_in(file: Path) -> set[str]:
    """Return a file's tests as pytest names them, without parameters."""
    found = set()
    for node in ast.parse((PROJECT / file).read_text(encoding="utf-8")).body:
        methods = node.body if isinstance(node, ast.ClassDef) else [node]
        inside = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        names = [each.name for each in methods if isinstance(each, ast.FunctionDef)]
        found |= {f"{file.as_posix()}::{inside}{name}" for name in names if name.startswith("test_")}
    return found


@pytest.mark.parametrize("difference", differences.differences(), ids=lambda difference: difference.here[:40])
def test_a_difference_names_a_test_that_exists(difference: Difference) -> None:
    file = Path(difference.shown_by.partition("::")[0])

    assert (PROJECT / file).is_file()
    assert difference.shown_by in named_in(file)
    assert all((difference.here, difference.on_aws, difference.so))


def test_every_probe_of_the_emulator_is_a_differences() -> None:
    """Or a difference was dropped from the page, though it is still there."""
    named = {difference.shown_by for difference in differences.differences()}

    assert named_in(PROBES) - named == set()


def test_whatever_is_looked_at_on_a_stage_is_a_difference() -> None:
    assert {difference.seen_by for difference in differences.differences()} - {""} == named_in(SEEN_ON_A_STAGE)


def test_every_end_to_end_test_and_proof_is_run_on_a_stage_or_left_out_with_a_reason() -> None:
    files = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "tests").glob("*/test_*.py")
        if path.parent.name in ("e2e", "proof")
    }
    run = {test.partition("::")[0] for test in SUITE}

    assert {file for file in run if not file.startswith("tests/verify/")} | LEFT_OUT.keys() == files
    assert run.isdisjoint(LEFT_OUT)
    assert all((PROJECT / file).is_file() for file in run)


def test_no_difference_is_told_twice() -> None:
    told = [difference.here for difference in differences.differences()]

    assert len(told) == len(set(told))


@pytest.mark.parametrize(
    "data",
    [
        '[[difference]]\nhere = "a"\non_aws = "b"\nso = "c"\n',
        '[[difference]]\nhere = "a"\non_aws = "b"\nso = "c"\nshown_by = "d"\nmore = "e"\n',
        "",
        "[[difference",
    ],
    ids=["without a test", "a member that nobody reads", "empty", "half saved"],
)
def test_an_entry_that_is_not_whole_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    (tmp_path / "devstack").mkdir()
    (tmp_path / differences.DATA).write_text(data, encoding="utf-8")
    monkeypatch.setattr(differences, "PROJECT", tmp_path)

    with pytest.raises(CannotGenerate, match=r"devstack/differences\.toml"):
        differences.differences()


def test_a_page_without_a_place_for_the_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / differences.PAGE).write_text("# The embedded AWS\n", encoding="utf-8")
    monkeypatch.setattr(differences, "PROJECT", tmp_path)

    with pytest.raises(CannotGenerate, match=r"docs/embedded-aws\.md"):
        differences.files()
