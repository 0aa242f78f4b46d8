"""What is made of a body's bytes, and how often."""

from __future__ import annotations

import base64
import gzip
import hashlib

import pytest

from chalicelib import representation
from chalicelib.representation import Representation


def test_everything_that_is_sent_is_made_of_the_bytes() -> None:
    shown = Representation("[\u00e9]".encode())

    assert shown.text == "[\u00e9]"
    assert shown.etag == representation.etag_of(shown.body)
    assert gzip.decompress(base64.b64decode(shown.gzipped)) == shown.body


def test_bytes_that_are_not_utf_8_have_no_text() -> None:
    assert Representation(b"\xff").text is None


def test_one_that_is_kept_stays_the_same() -> None:
    shown = Representation(b"[]")

    assert Representation.of(shown) is shown
    assert Representation.of(b"[]").body == shown.body


def test_what_was_made_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Representation(b"[]")
    first = (shown.text, shown.etag, shown.gzipped)
    monkeypatch.setattr(hashlib, "sha256", None)
    monkeypatch.setattr(gzip, "compress", None)

    assert (shown.text, shown.etag, shown.gzipped) == first
