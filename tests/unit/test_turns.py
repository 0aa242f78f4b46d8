"""Tests that measure something run alone, even if other workers have work to do."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

from tests.e2e.waiting import until
from tests.turns import turn


def started(folder: Path, *, alone: bool, has_begun: threading.Event) -> threading.Thread:
    def take() -> None:
        with turn(folder, alone=alone):
            has_begun.set()

    thread = threading.Thread(target=take)
    thread.start()
    return thread


def queues(folder: Path) -> bool:
    """Tell whether anything waits for the next turn."""
    with (folder / "next").open("w") as queue:
        try:
            fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_others_run_at_the_same_time(tmp_path: Path) -> None:
    other = threading.Event()
    with turn(tmp_path, alone=False):
        started(tmp_path, alone=False, has_begun=other).join(10)

        assert other.is_set()


def test_a_turn_alone_waits_for_the_others_and_they_wait_for_it(tmp_path: Path) -> None:
    alone, later = threading.Event(), threading.Event()
    with turn(tmp_path, alone=False):
        threads = [started(tmp_path, alone=True, has_begun=alone)]
        until(lambda: queues(tmp_path))
        threads.append(started(tmp_path, alone=False, has_begun=later))
        assert not later.wait(0.1), "it would go on and on, and nobody would ever be alone"
        assert not alone.is_set()

    for thread in threads:
        thread.join(10)
    assert alone.is_set()
    assert later.is_set()
    with turn(tmp_path, alone=True):
        thread = started(tmp_path, alone=False, has_begun=(meanwhile := threading.Event()))
        assert not meanwhile.wait(0.1)
    thread.join(10)
