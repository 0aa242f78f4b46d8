"""What `make verify` leaves behind if something goes wrong, without a stage."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.dragons.document import left_for
from operations import visitors
from operations.api import Api
from operations.stores import Standing
from operations.visitors import Visitor, VisitorsRemain
from tests.verify import __main__ as verify
from tests.verify.report import Report

PEOPLE = [Visitor("operator", "operator@visitors.example", "", "1")]
TELLS_ITS_FOLDER = """
def test_it(tmp_path):
    (tmp_path / "report.json").write_text("a token")
    open({told!r}, "w").write(str(tmp_path))
"""
TIDIES_UP = """
import pathlib, pytest, signal, time

signal.signal(signal.SIGTERM, signal.default_int_handler)  # as tests/conftest.py does

@pytest.fixture
def made():
    yield
    pathlib.Path({told!r}).write_text("removed")

def test_it(made):
    pathlib.Path({begun!r}).touch()
    time.sleep(30)
"""


def standing(document: bytes = b"[]", rows: Sequence[Any] = ()) -> Standing:
    class Client:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            answers: dict[str, Any] = {
                "get_parameter": {"Parameter": {"Value": "dragons.json"}},
                "get_object": {"Body": io.BytesIO(document)},
                "scan": {"Items": []},
                "get_paginator": SimpleNamespace(paginate=lambda **_: [{"Items": rows}]),
                "list_users": {"Users": []},
            }
            return lambda *_, **__: answers[name]

    resources = {"DragonTable": "dragons", "MessageTable": "messages", "UserPool": "pool"}
    return Standing("prod", lambda _: Client(), resources)


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path / "report.md", "prod", "https://api.example/prod", "eu-central-1")


def test_what_tests_wrote_down_goes_with_the_folder_because_tokens_are_in_it(tmp_path: Path, report: Report) -> None:
    told, test, folder = tmp_path / "told", tmp_path / "test_it.py", tmp_path / "verifying"
    test.write_text(TELLS_ITS_FOLDER.format(told=str(told)), encoding="utf-8")
    folder.mkdir()

    assert verify.run([str(test)], folder / "stage.json", report)

    assert folder in Path(told.read_text(encoding="utf-8")).parents


def test_tests_remove_what_they_made_when_the_run_is_interrupted(tmp_path: Path, report: Report) -> None:
    told, begun, test = tmp_path / "told", tmp_path / "begun", tmp_path / "test_it.py"
    test.write_text(TIDIES_UP.format(told=str(told), begun=str(begun)), encoding="utf-8")

    def interrupt() -> None:
        while not begun.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        verify.run([str(test)], tmp_path / "stage.json", report)

    assert told.exists()


def test_the_report_is_written_although_something_could_not_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def visiting(*_: Any) -> Iterator[list[Visitor]]:
        yield PEOPLE
        raise VisitorsRemain("no")

    monkeypatch.setattr(verify, "reach", lambda _: None)
    monkeypatch.setattr(Standing, "found", lambda *_: standing())
    monkeypatch.setattr(verify, "api_of", lambda *_: Api("https://api.example/prod"))
    monkeypatch.setattr(Report, "of", lambda place, *_: Report(place, "prod", "https://api.example", "eu-central-1"))
    monkeypatch.setattr(verify, "_place", lambda *_: {})
    monkeypatch.setattr(verify, "run", lambda *_: True)
    monkeypatch.setattr(verify, "_remove_dragons", lambda *_: None)
    monkeypatch.setattr(visitors, "visiting", visiting)
    place = tmp_path / "report.md"

    assert verify.main(["--stage", "prod", "--report", str(place)]) == 2

    assert place.read_text(encoding="utf-8").startswith("# Stage prod")


def test_a_report_that_never_settles_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pending = SimpleNamespace(status="pending", dragon=SimpleNamespace(dragon_name_str="Proofwing"))
    monkeypatch.setattr(visitors, "submissions", lambda *_: [pending])
    monkeypatch.setattr(visitors, "id_token", lambda *_: "")
    monkeypatch.setattr(verify, "SETTLES_WITHIN_S", 0.05)

    with pytest.raises(verify.NotVerified, match="still pending, and may yet add Proofwing"):
        verify._remove_dragons(standing(), Api("https://api.example/prod"), PEOPLE)


@pytest.mark.parametrize("document", [b"", b"{", b"\xff"])
def test_a_stage_whose_dragons_cannot_be_read_holds_data(document: bytes) -> None:
    assert list(verify._holds(standing(document))) == ["a dragon document that cannot be read"]


def test_the_dragons_are_counted_in_the_home_that_the_registry_has() -> None:
    """What was left in the document's place is no dragon."""
    rows = [{"sort_key": {"S": name}, "entry": {"S": "{}"}} for name in ("ash", "ember")]

    assert list(verify._holds(standing(left_for("dynamodb"), rows))) == ["2 dragons"]
    assert list(verify._holds(standing(left_for("dynamodb")))) == []
