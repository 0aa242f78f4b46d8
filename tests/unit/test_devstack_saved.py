"""Saved state that the emulator would silently drop and overwrite is found before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devstack.aws import saved
from devstack.settings import DevstackError

WRITTEN = {"__ministack_format__": 1, "payload": {}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in saved.NEEDED:
        (tmp_path / f"{name}.json").write_text(json.dumps(WRITTEN), encoding="utf-8")
    return tmp_path


def test_what_the_emulator_writes_is_accepted(folder: Path) -> None:
    saved.check_readable(folder)
    saved.check_complete(folder)


def test_queues_are_where_the_emulator_looks_for_them_on_another_port(folder: Path) -> None:
    url = "http://localhost:4566/000000000000/dragonpost-local-messages-dead"
    elsewhere = "http://127.0.0.1:4566/_aws/execute-api/a1/local http://localhost:9324/000000000000/orders"
    files = [folder / "sqs.json", folder / "ssm.json"]
    for file in files:
        file.write_text(
            json.dumps(WRITTEN | {"payload": {url: {"QueueUrl": url}, "note": elsewhere}}), encoding="utf-8"
        )

    saved.move_queues(folder.glob("*.json"), 14566)

    (folder / "iam.json").write_bytes(b"\xff damaged")
    saved.move_queues([folder / "iam.json"], 14566)

    moved = url.replace("4566", "14566")
    for file in files:
        assert json.loads(file.read_text(encoding="utf-8"))["payload"] == {
            moved: {"QueueUrl": moved},
            "note": elsewhere,
        }
    assert {file.suffix for file in folder.iterdir()} == {".json"}


def test_a_run_that_ended_before_anything_was_deployed_leaves_fewer_files_and_is_accepted(folder: Path) -> None:
    """Found by killing the devstack while it started: only services that were used have a file."""
    (folder / "cloudformation.json").unlink()
    saved.check_readable(folder)


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"null", b"[]", b"{}", b"\0" * 40, b"\xff\xfe{}", b'{"__ministack_format__": 1, "payload": [1]}'],
)
def test_a_damaged_file_is_named_and_left_as_it_is(folder: Path, damaged: bytes) -> None:
    file = folder / "dynamodb.json"
    file.write_bytes(damaged)

    with pytest.raises(DevstackError, match=f"cannot read its saved state: {file}: .*") as refused:
        saved.check_readable(folder)

    assert "make reset" in str(refused.value)
    assert file.read_bytes() == damaged


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "sqs.json").unlink()

    with pytest.raises(DevstackError, match=r"sqs\.json: it is missing"):
        saved.check_complete(folder)
