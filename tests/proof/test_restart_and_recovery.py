"""Killed, out of disk or with damaged files, the devstack says what is wrong, damages nothing more and comes up again.

tests/e2e/test_devstack.py has other cases: the parent killed, a port in use, a second run on the same state, a failed
deployment, SIGTERM during the start.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
import requests

from devstack.aws.saved import NEEDED
from operations import PROJECT
from tests.e2e.homes import move
from tests.e2e.running import Api, Devstack, free_ports
from tests.e2e.waiting import until
from tests.proof.mounts import fill, make_room, read_only, small_disk
from tests.proof.report import Report, Scale, only_at_full_scale
from tests.proof.tour import Tour

SUITE = "10 restart and recovery"
DISK = "448m"  # a run asks for 192 MiB of room, and writes about 100
ACCEPTED_WITHIN_S = 60  # a killed server is up again after a second or two
STORED_WITHIN_S = 120

needs_full_scale = only_at_full_scale("starts devstacks of its own")


@pytest.fixture(autouse=True)
def _nothing_goes_on() -> Iterator[None]:
    """Stop whatever a failed test has started."""
    before = len(Devstack.of_this_run)
    yield
    for stack in Devstack.of_this_run[before:]:
        stack.kill()


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content, except the lock, which names whoever tried last."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name != "lock"
    }


def post(tour: Tour) -> bool:
    """Post the tour's message until it is accepted, as clients do; return True if a connection broke on the way."""
    ends = time.monotonic() + ACCEPTED_WITHIN_S
    broke = False
    said = ""
    while time.monotonic() < ends:
        try:
            answer = tour.post_message()
        except requests.RequestException as error:  # the loop repeats it: posting is idempotent
            broke, said = True, repr(error)
            continue
        if answer.status_code in (200, 202):  # stored already, if an earlier answer was lost
            return broke
        said = f"{answer.status_code} {answer.text}"
        assert answer.status_code in (503, 504), said
        time.sleep(float(answer.headers["Retry-After"]))
    raise AssertionError(f"not accepted within {ACCEPTED_WITHIN_S} s, the last answer: {said}")


def not_stored(tours: list[Tour], within_s: float = STORED_WITHIN_S) -> list[Tour]:
    """Wait until the tours' messages are stored; return those that are not stored in time."""
    left = list(tours)

    def none_left() -> bool:
        left[:] = [tour for tour in left if tour.get_message().status_code != 200]
        return not left

    with contextlib.suppress(AssertionError):
        until(none_left, within_s)
    return left


class TestKilled:
    def test_a_killed_api_server_is_started_again_and_nothing_accepted_is_lost(
        self, report: Report, scale: Scale, rng: Random, proving_ground: Devstack, proving_apis: dict[str, Api]
    ) -> None:
        kills, clients = scale.of(1, 6), 4
        for user in ("amber", "operator"):
            proving_apis["local"].token(user)
        accepted: list[Tour] = []
        over = threading.Event()

        def client(_: int) -> int:
            own = Api(proving_ground, "local", _tokens=proving_apis["local"]._tokens)
            broken = 0
            while not over.is_set():
                tour = Tour(own)
                broken += post(tour)
                accepted.append(tour)
            return broken

        with ThreadPoolExecutor(clients) as pool:
            running = [pool.submit(client, number) for number in range(clients)]
            try:
                for _ in range(kills):
                    enough = len(accepted) + rng.randrange(10, 60)
                    until(lambda enough=enough: len(accepted) >= enough)
                    pid = proving_ground.running["pids"]["api"]
                    os.kill(pid, signal.SIGKILL)
                    until(lambda pid=pid: proving_ground.running["pids"]["api"] != pid)
            finally:
                over.set()
            broken = sum(future.result() for future in running)

        for tour in accepted:
            tour.api = proving_apis["local"]
        lost = [tour.message_id for tour in not_stored(accepted)]
        report.add(SUITE, "API server killed", tried=len(accepted), survived=len(accepted) - len(lost), lost=len(lost),
                   note=f"{kills} kills, {broken} broken connections")  # fmt: skip
        assert not lost
        assert proving_ground.output.count("the API server was killed (SIGKILL); starting it again") >= kills

    @needs_full_scale
    def test_after_a_start_was_killed_anywhere_the_next_one_comes_up(
        self, report: Report, rng: Random, tmp_path: Path, proving_apis: dict[str, Api]
    ) -> None:
        """This runs beside the proving ground, which must not notice: the two share nothing."""
        moments = [
            "artefact bucket",
            "deploying dragonpost-local-resources",
            "packaging the app",
            "dragonpost-local-app",
        ]
        state, ports = tmp_path / "state", free_ports()
        for moment in rng.sample(moments, 3):
            everything = rng.random() < 0.5  # as in a power failure; otherwise only the parent
            print(f"  killing {'everything' if everything else 'the parent'} at {moment!r}", flush=True)
            stack = Devstack(PROJECT, state, ports)
            stack.until_said(moment)
            for pid in stack.processes() if everything else [stack.process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            stack.process.wait(30)

            again = Devstack(PROJECT, state, ports).until_ready()

            with contextlib.suppress(AssertionError):
                until(lambda stack=stack: not stack.processes())
            assert not stack.processes(), "what was killed is gone, and so is all that it had started"
            elsewhere = Tour(Api(again, "gateway"))
            post(elsewhere)
            until(lambda elsewhere=elsewhere: elsewhere.get_message().status_code == 200)
            here = proving_apis["gateway"].get(f"/message/{elsewhere.message_id}")
            assert here.status_code == 404, "two devstacks share nothing"
            assert again.end() == 0
            again.assert_nothing_left()
            assert again.command("reset").returncode == 0  # so that the next one starts from nothing
        report.add(SUITE, "start killed half-way; a second devstack beside", tried=3, survived=3)

    @needs_full_scale
    def test_an_emulator_killed_while_it_serves_says_what_is_lost_and_the_next_run_comes_up(
        self, report: Report, rng: Random, whole: tuple[Path, Tour], tmp_path: Path
    ) -> None:
        """What was stored is in the data set aside, because it is written at once; the new run starts without it."""
        saved, earlier = whole
        state = tmp_path / "state"
        shutil.copytree(saved, state)
        ports = earlier.api.devstack.ports  # the same ports: saved queues keep their URLs
        stack = Devstack(PROJECT, state, ports).until_ready()
        api = Api(stack, "local")
        stored = [Tour(api) for _ in range(rng.randrange(5, 20))]
        accepted = [Tour(api) for _ in range(20)]
        for tour in stored:
            post(tour)
        assert not not_stored(stored)
        seen = {tour.message_id: tour.get_message().json()["data"] for tour in stored}
        for tour in accepted:  # nobody waits for these: they may still be in the queue, or half stored
            post(tour)
        os.kill(stack.running["pids"]["emulator"], signal.SIGKILL)

        assert stack.until_ended() == 1
        assert "the emulator was killed (SIGKILL)" in stack.output
        assert "Traceback" not in stack.output
        stack.assert_nothing_left()

        again = Devstack(PROJECT, state, ports).until_ready()
        (aside,) = state.glob("set-aside-*")
        assert "The emulator was killed before it could save" in again.output
        assert "Everything since its last clean end is lost, except what is in S3" in again.output
        assert str(aside) in again.output
        kept = {file.stem: file.read_text("utf-8") for file in (aside / "emulator" / "s3").rglob("*.json")}
        lost = [key for key, data in seen.items() if key not in kept or json.loads(kept[key])["data"] != data]
        new = Tour(Api(again, "local"))
        post(new)
        assert not not_stored([new])
        for tour in (earlier, *stored, *accepted):
            tour.api = new.api
        left_over = [tour.message_id for tour in (earlier, *stored, *accepted) if tour.get_message().status_code != 404]
        assert again.end() == 0
        again.assert_nothing_left()
        report.add(SUITE, "emulator killed while it serves: what was stored is set aside, and the next run comes up",
                   tried=len(seen), survived=len(seen) - len(lost), lost=len(lost),
                   note=f"{len(accepted)} more accepted just before")  # fmt: skip
        assert not lost
        assert earlier.message_id in kept
        assert not left_over, "it says that it starts clean"


class TestDisk:
    def test_a_full_disk_is_reported_at_once_and_nothing_is_written(self, report: Report, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", DISK) as disk:
            state = disk / "state"
            state.mkdir()
            (state / "users.json").write_text("{}", encoding="utf-8")
            fill(disk)
            before = contents(state)
            full = Devstack(PROJECT, state, free_ports())
            status = full.until_ended()
            after = contents(state)
            full.assert_nothing_left()

        assert status == 1
        assert "error: " in full.output
        assert str(state) in full.output
        assert "Traceback" not in full.output
        assert after == before
        report.add(SUITE, "start on a full disk", tried=1, survived=1)

    def test_a_read_only_disk_is_reported_and_nothing_is_lost(self, report: Report, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", DISK) as disk:
            state = disk / "state"
            state.mkdir()
            (state / "users.json").write_text('{"kept": "secret"}', encoding="utf-8")
            before = contents(state)
            with read_only(disk):
                refused = Devstack(PROJECT, state, free_ports())
                status = refused.until_ended()
            after = contents(state)
            refused.assert_nothing_left()

        assert status == 1
        assert f"the state folder {state} cannot be written" in refused.output
        assert "DRAGONPOST_STATE" in refused.output
        assert after == before
        report.add(SUITE, "start on a read-only disk", tried=1, survived=1)

    @needs_full_scale
    def test_a_disk_that_fills_up_is_reported_at_the_end_and_the_next_run_comes_up(
        self, report: Report, tmp_path: Path
    ) -> None:
        """The next run also comes up after a start on a full disk, and after one on a read-only disk."""
        with small_disk(tmp_path / "disk", DISK) as disk:
            fill(disk)
            assert Devstack(PROJECT, disk / "state", free_ports()).until_ended() == 1
            make_room(disk)
            stack = Devstack(PROJECT, disk / "state", free_ports()).until_ready()
            tour = Tour(Api(stack, "gateway"))
            tour.everything()  # every function is warm: a cold one could not even be unpacked
            fill(disk)
            another = Tour(tour.api)
            assert another.post_message().status_code == 202
            until(lambda: another.get_message().status_code == 200)
            make_room(disk)  # too late: what the devstack has accepted is not on disk

            assert stack.end() == 1
            assert "error: the emulator could not save all its data" in stack.output
            stack.assert_nothing_left()
            before = contents(disk / "state")
            with read_only(disk):
                assert Devstack(PROJECT, disk / "state", free_ports()).until_ended() == 1
            assert contents(disk / "state") == before

            again = Devstack(PROJECT, disk / "state", free_ports()).until_ready()
            assert "The emulator was killed before it could save" in again.output or "set-aside-" in again.output
            assert Tour(Api(again, "gateway")).post_message().status_code == 202
            (aside,) = (disk / "state").glob("set-aside-*")
            assert list(aside.rglob(f"{tour.message_id}.json"))
            fill(disk)
            assert again.end() == 1
            assert "could not save all its data because its disk was full" in again.output
            again.assert_nothing_left()
            assert again.command("reset").returncode == 0, "a full disk can be reset"
        report.add(SUITE, "disk full while running, and at the end", tried=2, survived=2)
        report.add(
            SUITE, "room made on a full disk, a read-only one writable: the next run comes up", tried=2, survived=2
        )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A state folder with the part of an emulator's saved data that a start looks at."""
    folder = tmp_path / "saved" / "emulator" / "state"
    folder.mkdir(parents=True)
    for name in NEEDED:
        written = {"__ministack_format__": 1, "payload": {}}
        (folder / f"{name}.json").write_text(json.dumps(written), encoding="utf-8")
    return tmp_path / "saved"


class TestDamaged:
    def test_a_damaged_state_file_is_named_and_nothing_is_overwritten(
        self, report: Report, scale: Scale, rng: Random, saved: Path
    ) -> None:
        damages = {
            "cut off": lambda content: content[: len(content) // 2],
            "emptied": lambda _: b"",
            "zeros": lambda content: bytes(len(content)),
            "noise": lambda _: rng.randbytes(500),
            "not UTF-8": lambda content: content[:-1] + b"\xff}",
            "another form": lambda _: b"[]",
            "null": lambda _: b"null",
        }
        files = sorted(saved.glob("emulator/state/*.json"))
        tried = survived = 0
        for kind, damage in rng.sample(sorted(damages.items()), scale.of(1, len(damages))):
            file = rng.choice(files)
            whole = file.read_bytes()
            file.write_bytes(damage(whole))
            before = contents(saved)
            refused = Devstack(PROJECT, saved, free_ports())
            tried += 1
            survived += (
                refused.until_ended() == 1
                and f"cannot read its saved state: {file}" in refused.output
                and "Traceback" not in refused.output
                and before.items() <= contents(saved).items()
            )
            assert survived == tried, f"{kind} {file.name}: {refused.output}"
            refused.assert_nothing_left()
            file.write_bytes(whole)
        report.add(SUITE, "damaged state file", tried=tried, survived=survived)

    @needs_full_scale
    def test_everything_is_there_after_the_file_is_put_back(
        self, report: Report, rng: Random, whole: tuple[Path, Tour], tmp_path: Path
    ) -> None:
        state, tour = whole
        copy = tmp_path / "state"
        shutil.copytree(state, copy)
        ours = ("deployed.json", "users.json")
        for name in ours:  # the devstack's own files, which it makes again
            (copy / name).write_bytes(rng.randbytes(200))
        file = copy / "emulator" / "state" / f"{rng.choice(NEEDED)}.json"
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        assert Devstack(PROJECT, copy, free_ports()).until_ended() == 1
        file.write_bytes(content)

        again = Devstack(PROJECT, copy, free_ports()).until_ready()

        tour.api = Api(again, "gateway")
        assert tour.get_message().status_code == 200
        assert tour.api.get(tour.dragon_path).json() == tour.dragon
        assert again.end() == 0
        report.add(SUITE, "repaired state, and damaged files of the devstack's own", tried=1 + len(ours), survived=3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tour]:
    """The state that a devstack leaves after a clean exit, and a tour whose message and dragon are in it.

    The registry is in DynamoDB: nothing that a start does may bring it back to S3.
    """
    state = tmp_path_factory.mktemp("whole") / "state"
    stack = Devstack(PROJECT, state, free_ports()).until_ready()
    tour = Tour(Api(stack, "gateway"))
    tour.post_message()
    until(lambda: tour.get_message().status_code == 200)
    assert tour.add_dragon() == "added"
    move(stack, "dynamodb")
    assert stack.end() == 0
    return state, tour
