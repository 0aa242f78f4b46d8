"""Killed, starved of disk, or damaged on disk: the devstack says which, damages nothing more, and comes up again.

What tests/e2e/test_devstack.py shows already is not repeated here: the parent killed, the emulator killed, a port in
use, a second run on the same state, a failed deployment, SIGTERM during the start.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
import requests

from devstack.saved import NEEDED
from tests.e2e.running import PROJECT, Api, Devstack, free_ports
from tests.e2e.waiting import until
from tests.proof.mounts import fill, make_room, read_only, small_disk
from tests.proof.report import Report, Scale
from tests.proof.tour import Tour

SUITE = "10 restart and recovery"
DISK = "192m"  # a run needs 64 MiB of room, and writes about 30

needs_full_scale = pytest.mark.skipif(
    os.environ.get("PROOF_SCALE", "fast") != "full", reason="starts devstacks of its own: make prove"
)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, with what is in it; the lock names whoever tried last."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name != "lock"
    }


def post(tour: Tour) -> bool:
    """Post the tour's message until it is accepted; tell whether a connection broke on the way."""
    broke = False
    while True:
        try:
            answer = tour.post_message()
        except requests.ConnectionError:  # sent again, as clients do: posting is idempotent
            broke = True
            continue
        assert answer.status_code == 202, answer.text
        return broke


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

        lost = 0
        for tour in accepted:
            tour.api = proving_apis["local"]
            lost += not until(lambda tour=tour: tour.get_message().status_code == 200, 120)
        note = f"{kills} kills, {broken} broken connections"
        report.add(SUITE, "API server killed", tried=len(accepted), survived=len(accepted) - lost, lost=lost, note=note)
        assert proving_ground.output.count("the API server was killed (SIGKILL); starting it again") >= kills

    @needs_full_scale
    def test_a_start_killed_anywhere_is_followed_by_one_that_comes_up(
        self, report: Report, rng: Random, tmp_path: Path, proving_apis: dict[str, Api]
    ) -> None:
        """Beside the proving ground, which must not notice: the two share nothing."""
        moments = [
            "artefact bucket",
            "deploying dragonpost-local-resources",
            "packaging the app",
            "dragonpost-local-app",
        ]
        state, ports = tmp_path / "state", free_ports()
        for moment in rng.sample(moments, 3):
            everything = rng.random() < 0.5  # as power would fail; else the parent alone
            print(f"  killing {'everything' if everything else 'the parent'} at {moment!r}", flush=True)
            stack = Devstack(PROJECT, state, ports)
            stack.until_said(moment)
            for pid in stack.processes() if everything else [stack.process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            stack.process.wait(30)

            again = Devstack(PROJECT, state, ports).until_ready()

            until(lambda stack=stack: not stack.processes())
            elsewhere = Tour(Api(again, "gateway"))
            post(elsewhere)
            until(lambda elsewhere=elsewhere: elsewhere.get_message().status_code == 200)
            here = proving_apis["gateway"].get(f"/message/{elsewhere.message_id}")
            assert here.status_code == 404, "two devstacks share nothing"
            assert again.end() == 0
            again.assert_nothing_left()
            assert again.command("reset").returncode == 0  # so that the next one starts from nothing
        report.add(SUITE, "start killed half-way; a second devstack beside", tried=3, survived=3)


class TestDisk:
    def test_a_full_disk_is_told_at_once_and_nothing_is_written(self, report: Report, tmp_path: Path) -> None:
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

    def test_a_read_only_disk_is_told_and_nothing_is_lost(self, report: Report, tmp_path: Path) -> None:
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
    def test_a_disk_that_fills_up_is_told_at_the_end_and_the_next_run_comes_up(
        self, report: Report, tmp_path: Path
    ) -> None:
        with small_disk(tmp_path / "disk", DISK) as disk:
            stack = Devstack(PROJECT, disk / "state", free_ports()).until_ready()
            tour = Tour(Api(stack, "gateway"))
            tour.everything()  # every function is warm: a cold one could not even be unpacked
            fill(disk)
            another = Tour(tour.api)
            assert another.post_message().status_code == 202
            until(lambda: another.get_message().status_code == 200)
            make_room(disk)  # too late: what was answered for is not on disk

            assert stack.end() == 1
            assert "error: the emulator could not save all its data" in stack.output
            stack.assert_nothing_left()

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


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A state folder with what an emulator has saved, as far as a start looks at it."""
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
        for kind, damage in rng.sample(sorted(damages.items()), scale.of(2, len(damages))):
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
    def test_after_the_file_is_put_back_everything_is_there(
        self, report: Report, rng: Random, whole: tuple[Path, Tour], tmp_path: Path
    ) -> None:
        state, tour = whole
        copy = tmp_path / "state"
        shutil.copytree(state, copy)
        ours = ("deployed.json", "users.json")
        for name in ours:  # the devstack's own, which it makes again
            (copy / name).write_bytes(rng.randbytes(200))
        file = copy / "emulator" / "state" / f"{rng.choice(NEEDED)}.json"
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        assert Devstack(PROJECT, copy, free_ports()).until_ended() == 1
        file.write_bytes(content)

        again = Devstack(PROJECT, copy, free_ports()).until_ready()

        stored = Tour(Api(again, "gateway"), message_id=tour.message_id).get_message()
        assert stored.status_code == 200
        assert again.end() == 0
        report.add(SUITE, "repaired state, and damaged files of the devstack's own", tried=1 + len(ours), survived=3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tour]:
    """The state that a devstack has left after a clean end, and a tour whose message is in it."""
    state = tmp_path_factory.mktemp("whole") / "state"
    stack = Devstack(PROJECT, state, free_ports()).until_ready()
    tour = Tour(Api(stack, "gateway"))
    tour.post_message()
    until(lambda: tour.get_message().status_code == 200)
    assert stack.end() == 0
    return state, tour
