"""Every Python dependency has a version and hashes in requirements*.txt: `make lock` makes them of requirements*.in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from operations import PROJECT
from tests.locked import hashes, locked

PEERS = PROJECT / "benchmarks" / "peers"
NOTHING = PEERS / "raw" / "requirements.txt"  # of the peer that needs no package
FILES = sorted({*PROJECT.glob("requirements*.txt"), *PEERS.rglob("*.txt")} - {NOTHING})
ASKED = sorted({*PROJECT.glob("requirements*.in"), *PEERS.rglob("*.in")})
INSTALLS = re.compile(r"(?:pip|\$\(UV\)) install\b[^\n]*(?:\\\n[^\n]*)*")


def asked(file: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PROJECT)))
def test_nothing_is_installed_without_a_hash(file: Path) -> None:
    found = hashes(file)

    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
    assert len(lines) == len(found) > 0, "a line that is no pin"
    assert not [pin for pin, count in found if count == 0]


@pytest.mark.parametrize("file", ASKED, ids=lambda file: str(file.relative_to(PROJECT)))
def test_what_is_asked_for_is_what_is_locked(file: Path) -> None:
    """After a change of a pin, run `make lock`."""
    versions = locked(file.with_suffix(".txt"))

    for wanted in asked(file):
        name = canonicalize_name(wanted.name)
        assert wanted.specifier.contains(versions[name]), f"{name} {versions[name]} instead of {wanted.specifier}"


def test_every_file_that_is_installed_has_a_source() -> None:
    by_hand = PROJECT / "requirements-vendor.txt"  # one hash for each: whatever the machine, it is the same wheel

    assert {*FILES} - {by_hand} == {file.with_suffix(".txt") for file in ASKED}


def test_no_two_files_pin_one_package_differently() -> None:
    """Checkov has an environment of its own, where it pins another SDK, and so have the peers."""
    files = [file for file in FILES if file.parent == PROJECT and file.name != "requirements-checkov.txt"]
    versions = [locked(file) for file in files]

    names = {name for each in versions for name in each}
    for name in names:
        assert len({each[name] for each in versions if name in each}) == 1, name


def test_make_insists_on_hashes_wherever_it_installs() -> None:
    installs = INSTALLS.findall((PROJECT / "Makefile").read_text(encoding="utf-8"))

    assert len(installs) == 3
    assert not [command for command in installs if "--require-hashes" not in command]
