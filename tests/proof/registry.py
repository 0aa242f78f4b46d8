"""Tools for the suite of concurrent reports: names in many spellings, an S3 that misbehaves, other processes."""

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

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from chalicelib.aws import DependencyUnavailable
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import Addition, DragonQuery
from chalicelib.dragons.s3 import DocumentContended, S3DragonRepository
from operations import PROJECT
from tests.fakes.settings import FakeSettings
from tests.samples import dragon

SYLLABLES = ("Él", "an", "dra", "gö", "ß", "Ñu", "Zé", "ﬁ", "ij", "Σ", "ώς", "Ǆ", "Ẽ", "rū", "ἀ", "Å", "кá", "ø")
ANSWERED_WITHIN_S = 120  # sixty-four writers of one document wait for each other

Place = tuple[str, str]


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


def s3_client(aws_url: str, attempts: int = 1) -> Any:
    """Return a client of the embedded AWS that has root's credentials, enough connections, and this many attempts."""
    config = Config(max_pool_connections=70, retries={"mode": "standard", "total_max_attempts": attempts})
    session = boto3.Session("test", "test", region_name="us-east-1")
    return session.client("s3", endpoint_url=aws_url, config=config)  # type: ignore[call-overload]


def repository(s3: Any, place: Place) -> S3DragonRepository:
    """Return a new repository, as each warm function has one of its own."""
    bucket, key = place
    return S3DragonRepository(FakeSettings(dragon_data_bucket_name=bucket, dragon_data_file_name=key), lambda: s3)


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
            if isinstance(error, DocumentContended):
                time.sleep(0.05)


class AwkwardS3:
    """An S3 client that is slow between reading and writing, and that loses answers and requests.

    If an answer is lost, the write was done, and the caller sees a timeout, or the result of the SDK's second attempt.
    If a request is lost, the connection is cut and nothing was done. `chance` is the probability that a write goes
    wrong.
    """

    def __init__(self, s3: Any, rng: Random, *, chance: float = 0.0, latency_s: float = 0.0) -> None:
        self._s3 = s3
        self._rng = rng
        self._lock = threading.Lock()
        self._chance = chance
        self._latency_s = latency_s
        self.lost: dict[str, int] = {}

    def get_object(self, **parameters: Any) -> Any:
        answer = self._s3.get_object(**parameters)
        self._dawdle()
        return answer

    def put_object(self, **parameters: Any) -> Any:
        self._dawdle()
        kind = self._fate()
        if kind == "the request":
            raise ConnectionClosedError(endpoint_url="http://s3", request=None)
        try:
            answer = self._s3.put_object(**parameters)
        except ClientError as error:
            if kind == "the request, then the SDK tried again":
                error.response["ResponseMetadata"]["RetryAttempts"] = 1
            raise
        if kind == "the answer":
            raise ReadTimeoutError(endpoint_url="http://s3")
        if kind == "the answer, and the SDK tried again":
            try:
                answer = self._s3.put_object(**parameters)
            except ClientError as error:
                error.response["ResponseMetadata"]["RetryAttempts"] = 1
                raise
        return answer

    def _fate(self) -> str | None:
        with self._lock:
            if self._rng.random() >= self._chance:
                return None
            kinds = (
                "the answer",
                "the answer, and the SDK tried again",
                "the request",
                "the request, then the SDK tried again",
            )
            kind = self._rng.choice(kinds)
            self.lost[kind] = self.lost.get(kind, 0) + 1
            return kind

    def _dawdle(self) -> None:
        if self._latency_s:
            with self._lock:
                pause_s = self._rng.uniform(0, self._latency_s)
            time.sleep(pause_s)


def all_dragons(dragons: S3DragonRepository) -> list[Dragon]:
    """Return the whole registry, read page by page."""
    found: list[Dragon] = []
    after = None
    while True:
        page = dragons.page(DragonQuery(after=after, limit=100))
        found += page.dragons
        if page.next_after is None:
            return found
        after = page.next_after


class AnnouncedS3:
    """An S3 client that prints a line when it has read, and another when it is about to write."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def get_object(self, **parameters: Any) -> Any:
        try:
            return self._s3.get_object(**parameters)
        finally:  # "not modified" is an answer, too
            print("read", flush=True)

    def put_object(self, **parameters: Any) -> Any:
        print("write", flush=True)
        return self._s3.put_object(**parameters)


class WriterProcess:
    """Another process that reports dragons one after another, and prints a line before and after each step.

    It reads lines `submission id<TAB>name`. It prints `begin<TAB>submission id`, then `read` and `write` for each
    attempt, then `end<TAB>submission id<TAB>outcome<TAB>requests or answers lost so far`. `chance` is the probability
    that a write goes wrong.
    """

    def __init__(self, aws_url: str, place: Place, work: list[tuple[str, str]], chance: float, seed: int) -> None:
        self.work = work
        self.begun: list[str] = []
        self.outcomes: dict[str, str] = {}
        self.lost = 0
        self.said = ""  # the last line that it printed
        self._process = Popen(
            [sys.executable, "-m", "tests.proof.registry", aws_url, *place, str(chance), str(seed)],
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
    aws_url, bucket, key, chance, seed = sys.argv[1:]
    s3 = AwkwardS3(AnnouncedS3(s3_client(aws_url)), Random(int(seed)), chance=float(chance), latency_s=0.02)
    dragons = repository(s3, (bucket, key))
    for line in sys.stdin.read().splitlines():
        submission, name = line.split("\t")
        print(f"begin\t{submission}", flush=True)
        outcome: Addition = persistently(lambda name=name, submission=submission: dragons.add(dragon(name), submission))
        print(f"end\t{submission}\t{outcome.value}\t{sum(s3.lost.values())}", flush=True)


if __name__ == "__main__":
    main()
