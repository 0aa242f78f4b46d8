"""Tools for the suite of concurrent reports: names in many spellings, patience, other processes."""

from __future__ import annotations

import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from random import Random
from subprocess import PIPE, Popen
from typing import Any

from chalicelib.aws import DependencyUnavailable
from chalicelib.dragons.dynamodb import TableContended
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import Addition, DragonQuery, DragonRepository
from chalicelib.dragons.s3 import DocumentContended
from operations import PROJECT
from tests.proof.awkward import Announced
from tests.proof.homes import Home, client_of, home_at, place_of
from tests.samples import dragon

SYLLABLES = ("Él", "an", "dra", "gö", "ß", "Ñu", "Zé", "ﬁ", "ij", "Σ", "ώς", "Ǆ", "Ẽ", "rū", "ἀ", "Å", "кá", "ø")
ANSWERED_WITHIN_S = 120  # sixty-four writers of one document wait for each other


def distinct_names(rng: Random, count: int) -> list[str]:
    """Return names that are different however they are spelled."""
    return [
        "".join(rng.choices(SYLLABLES, k=rng.randrange(2, 5))) + f" {number:03} {rng.getrandbits(32):08x}"
        for number in range(count)
    ]


def spelled(name: str, rng: Random) -> str:
    """Return another spelling of a name: case, composition and surrounding space."""
    form: Any = rng.choice(["NFC", "NFD"])
    change: Callable[[str], str] = rng.choice([str.upper, str.lower, str.title, str.casefold, str.swapcase, str])
    return rng.choice(["", " ", "  "]) + unicodedata.normalize(form, change(name)) + rng.choice(["", " "])


def persistently(write: Callable[[], Any], retried: list[str] | None = None) -> Any:
    """Call until there is an answer, as the workflow's Retry does. Adds each failure to `retried`."""
    ends = time.monotonic() + ANSWERED_WITHIN_S
    while True:
        try:
            return write()
        except DependencyUnavailable as error:
            if time.monotonic() > ends:
                raise AssertionError(f"not answered within {ANSWERED_WITHIN_S} s") from error
            if retried is not None:
                retried.append(type(error).__name__)
            if isinstance(error, DocumentContended | TableContended):
                time.sleep(0.05)


def all_dragons(dragons: DragonRepository) -> list[Dragon]:
    """Return the whole registry, read page by page."""
    found: list[Dragon] = []
    after = None
    while True:
        page = dragons.page(DragonQuery(after=after, limit=100))
        found += page.dragons
        if page.next_after is None:
            return found
        after = page.next_after


class WriterProcess:
    """Another process that reports dragons one after another, and prints a line before and after each step.

    It reads lines `submission id<TAB>name`. It prints `begin<TAB>submission id`, then `read` and `write` as it does
    either, then `end<TAB>submission id<TAB>outcome<TAB>requests or answers lost so far`. `chance` is the probability
    that a write goes wrong.
    """

    def __init__(self, home: Home, work: list[tuple[str, str]], chance: float, seed: int) -> None:
        self.work = work
        self.begun: list[str] = []
        self.outcomes: dict[str, str] = {}
        self.lost = 0
        self.said = ""  # the last line that it printed
        self._process = Popen(
            [sys.executable, "-m", "tests.proof.registry", str(chance), str(seed), *place_of(home)],
            cwd=PROJECT,
            stdin=PIPE,
            stdout=PIPE,
            text=True,
        )
        assert self._process.stdin
        self._process.stdin.write("".join(f"{submission}\t{name}\n" for submission, name in work))
        self._process.stdin.close()
        self.begins = threading.Event()  # it is writing, or has ended
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill(self) -> bool:
        """Kill it with SIGKILL, whatever it is doing; return True if it was still at work."""
        self._process.kill()
        return self.wait() == -signal.SIGKILL

    def wait(self) -> int:
        """Wait until it ends, and return its exit status."""
        status = self._process.wait(ANSWERED_WITHIN_S)
        self._reader.join(10)
        return status

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as said:
            for line in said:
                self.said, *details = line.rstrip("\n").split("\t")
                if self.said == "begin":
                    self.begun.append(details[0])
                    self.begins.set()
                elif self.said == "end":
                    self.outcomes[details[0]] = details[1]
                    self.lost = int(details[2])
        self.begins.set()


def main() -> None:
    """Run as the process of a `WriterProcess`."""
    chance, seed, *place = sys.argv[1:]
    home = home_at(*place)
    client = home.awkward(Announced(client_of(home)), Random(int(seed)), chance=float(chance), latency_s=0.02)
    dragons = home.repository(client)
    for line in sys.stdin.read().splitlines():
        submission, name = line.split("\t")
        print(f"begin\t{submission}", flush=True)
        outcome: Addition = persistently(lambda name=name, submission=submission: dragons.add(dragon(name), submission))
        print(f"end\t{submission}\t{outcome.value}\t{sum(client.lost.values())}", flush=True)


if __name__ == "__main__":
    main()
