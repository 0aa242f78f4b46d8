"""The command that lists the dragons that are not shown."""

from __future__ import annotations

import json

import pytest

from chalicelib import aws
from chalicelib.dragons.document import left_for
from operations import namesakes
from tests.integration.stage import DRAGON_BUCKET, DRAGON_FILE, Stage
from tests.samples import dragon_members

ARGUMENTS = ["--stage", "local"]


@pytest.fixture(autouse=True)
def _endpoint_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address of its own, the command would take that of the embedded AWS."""
    monkeypatch.setattr("operations.namesakes.STAGES", {"local": type("Stage", (), {"environment": {}})})


def test_each_entry_that_is_not_shown_is_listed_with_the_one_that_is(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("O'Brien", "Ember", "O\u2019BRIEN", "Em\u3164ber", "\ufeffEmber", "Ash")
    stage.put_document(json.dumps([dragon_members(name) for name in names]).encode())

    assert namesakes.main(ARGUMENTS) == 0

    assert capsys.readouterr().out.splitlines() == [
        "3 not shown",
        '"O\\u2019BRIEN" is not shown: "O\'Brien" comes first',
        '"Em\\u3164ber" is not shown: "Ember" comes first',
        '"\\ufeffEmber" is not shown: "Ember" comes first',
    ]


def test_a_document_without_namesakes_says_so(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.put_document(json.dumps([dragon_members()]).encode())

    assert namesakes.main(ARGUMENTS) == 0
    assert capsys.readouterr().out == "0 not shown\n"


def test_a_registry_that_was_moved_has_no_namesakes(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.put_document(left_for("dynamodb"))

    assert namesakes.main(ARGUMENTS) == 0
    assert capsys.readouterr().out == "0 not shown\n"


@pytest.mark.parametrize("document", [b"{}", None])
def test_a_document_that_cannot_be_read_is_one_error(
    stage: Stage, capsys: pytest.CaptureFixture[str], document: bytes | None
) -> None:
    if document is None:
        aws.s3().delete_object(Bucket=DRAGON_BUCKET, Key=DRAGON_FILE)
    else:
        stage.put_document(document)

    assert namesakes.main(ARGUMENTS) == 1

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("error: ")
