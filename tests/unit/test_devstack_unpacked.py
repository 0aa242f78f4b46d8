"""Workers of the same code share one folder. With a folder for each, starting one takes seconds."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ministack.core import lambda_runtime

from devstack.aws import unpacked

pytestmark = pytest.mark.slow

Start = Callable[[str], lambda_runtime.Worker]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Start]:
    """Start a worker whose code is of this version."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(lambda_runtime, "zipfile", zipfile)
    unpacked.share()
    workers = []

    def start(version: str) -> lambda_runtime.Worker:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            same_time = zipfile.ZipInfo("app.py")  # in every zip, as Chalice does
            archive.writestr(same_time, f"def handler(event, context):\n    return [{version!r}, __file__]\n")
        arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
        runtime = f"python3.{sys.version_info.minor}"
        config = {"FunctionName": "f", "FunctionArn": arn, "Handler": "app.handler", "Runtime": runtime}
        workers.append(lambda_runtime.Worker("f", config, packed.getvalue()))
        return workers[-1]

    yield start
    lambda_runtime.kill_workers(workers)


def called(worker: lambda_runtime.Worker) -> tuple[str, Path]:
    """Call a worker; return its code's version, and the folder of its code."""
    answer = worker.invoke({}, "an-id")
    assert answer["status"] == "ok", answer
    version, file = answer["result"]
    return version, Path(file).resolve().parent


def test_workers_of_the_same_code_share_a_folder_and_others_do_not(start: Start) -> None:
    (one, folder), (_, same), (two, other) = (called(start(version)) for version in ("1", "1", "2"))

    assert (one, two) == ("1", "2")
    assert folder == same != other


def test_code_is_kept_for_as_long_as_a_worker_has_it(start: Start) -> None:
    old, new = start("1"), start("2")
    (_, used), (_, _) = called(old), called(new)
    assert used.exists()

    old.kill()
    called(start("3"))

    assert not used.exists()
    assert called(new)[0] == "2"


def test_a_worker_that_ends_starts_again(start: Start) -> None:
    worker = start("1")
    called(worker)
    worker._proc.kill()
    worker._proc.wait()

    assert called(worker)[0] == "1"


def test_another_worker_may_end_while_new_code_is_unpacked(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder goes while somebody looks into it. A change of a function ends its workers and starts others."""
    ending = tmp_path / "ministack-lambda-f-ending"

    def gone(look: Callable[..., Any]) -> Callable[..., Any]:
        def looked(folder: Any = ".") -> Any:
            if isinstance(folder, (str, Path)) and Path(folder) == ending:
                with contextlib.suppress(FileNotFoundError):
                    ending.rmdir()
            return look(folder)

        return looked

    called(start("1"))
    ending.mkdir()
    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, gone(getattr(os, name)))

    assert called(start("2"))[0] == "2"
    assert not ending.exists()


def test_a_worker_keeps_no_copy_of_the_zip(start: Start, tmp_path: Path) -> None:
    called(start("1"))

    assert list(tmp_path.rglob("*.zip")) == []
