"""Whoever is measured has to do the same as everybody else, or the benchmarks end and name it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.cases import API
from benchmarks.lane import Lane
from benchmarks.package import Packaged
from benchmarks.peer import OF_LAMBDA, OF_PEERS, PEERS, RAW, Peer, PeerError


def as_packaged(peer: Peer, folder: Path) -> Packaged:
    """Return an app as if it were packaged, to be run by this interpreter."""
    return Packaged(peer, folder / "none.zip", folder, Path(sys.executable), {API: {**OF_LAMBDA, **OF_PEERS}})


def test_the_raw_handler_does_what_every_case_asks() -> None:
    with Lane(as_packaged(RAW, RAW.source), "behind_http") as lane:
        for case in ("post", "post again", "post invalid", "get message", "list, new", "list, known", "list, known"):
            lane.check(case)


@pytest.mark.parametrize(
    ("answers", "fault"),
    [
        ("return {'statusCode': 500, 'body': '{}'}", "raw fails the case `post`: the status is 500, not 202"),
        (
            "return {'statusCode': 202, 'body': '{\"status\": \"accepted\"}'}",
            "raw fails the case `post`: it called nothing",
        ),
        ("raise RuntimeError('broken')", r"raw cannot be run \(post\):(.|\n)*broken"),
    ],
)
def test_a_peer_that_does_otherwise_is_named_with_what_it_did(tmp_path: Path, answers: str, fault: str) -> None:
    (tmp_path / "app.py").write_text(f"def handler(event, context):\n    {answers}\n", encoding="utf-8")

    with Lane(as_packaged(RAW, tmp_path), "in_place_of_calls") as lane, pytest.raises(PeerError, match=fault):
        lane.check("post")


def test_every_peer_has_a_source_that_pins_what_it_requires() -> None:
    for peer in PEERS[:-1]:
        lines = (peer.source / "requirements.txt").read_text(encoding="utf-8").splitlines()

        assert all("==" in line for line in lines if line[:1].isalnum()), peer.name
