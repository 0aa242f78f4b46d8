"""The state folder: who holds it, what is in it, and what happens to it after an unclean end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from devstack.settings import DevstackError

PREDECESSOR_ENDS_WITHIN_S = 20
FREE_BYTES_MIN = 192 * 1024 * 1024  # a run writes about 100 MiB, the package and the unpacked functions among them
_SET_ASIDE = "set-aside-"
_POSTMAN = ".postman_environment.json"
START_IT = "Start it with `make run` in another terminal (with the same DRAGONPOST_STATE, if you set one)."


class StateFolder:
    """Names every file in the state folder, and guards it against a second user."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / "lock"
        self.emulator = path / "emulator"
        self.emulator_tmp = path / "emulator-tmp"
        self.emulator_log = path / "emulator.log"
        self.api_log = path / "api.log"
        # This file exists for as long as an emulator runs whose memory has not been saved.
        self.unsaved = path / "emulator.unsaved"
        self.tls = path / "tls"  # the certificate, if the emulator serves TLS
        self.build = path / "build" / "local"
        self.deployed = path / "deployed.json"
        self.users = path / "users.json"
        self.run = path / "run.json"

    def postman(self, stage: str) -> Path:
        """The Postman environment that is filled in for a stage."""
        return self.path / f"{stage}{_POSTMAN}"

    @contextlib.contextmanager
    def held(self) -> Iterator[int]:
        """Hold the folder, and yield the lock's file descriptor.

        The emulator inherits the descriptor and so keeps the lock while it saves, even if its parent was killed.
        Raises DevstackError if the lock cannot be written, or if another devstack uses the folder.
        """
        descriptor = self._open_lock()
        try:
            self._lock(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def running(self) -> dict[str, Any]:
        """Return what run.json says about the devstack that runs on this folder. Raises DevstackError if none does."""
        if not (running := read_json(self.run)):
            raise DevstackError(f"no devstack is running on {self.path}. {START_IT}")
        return running

    def set_aside(self) -> Path:
        """Move out of the way what a killed emulator has left; return the folder that it is in now."""
        aside = self.path / f"{_SET_ASIDE}{time.strftime('%Y%m%d-%H%M%S')}"
        aside.mkdir()
        for left in (self.emulator, self.emulator_log, self.deployed):
            if left.exists():
                left.rename(aside / left.name)
        self.unsaved.unlink()
        return aside

    def reset(self) -> None:
        """Remove everything the devstack keeps here, and nothing else. Raises DevstackError while one runs."""
        if not self.path.exists():
            return
        with self.held():
            for entry in [*self.path.iterdir(), *self.build.parent.glob(self.build.name)]:
                if entry in self._own() or entry.name.startswith(_SET_ASIDE) or entry.name.endswith(_POSTMAN):
                    _remove(entry)
            self.lock.unlink()
        for folder in (self.build.parent, self.path):
            with contextlib.suppress(OSError):  # it has files that are not ours in it
                folder.rmdir()

    def _own(self) -> set[Path]:
        own = {path for path in vars(self).values() if path not in (self.path, self.lock)}
        return own | {_draft(path) for path in own if path.suffix == ".json"}  # left by a kill; one has passwords

    def _open_lock(self) -> int:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error

    def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + PREDECESSOR_ENDS_WITHIN_S
        told = False
        while not _try_lock(descriptor):
            holder = _holder(descriptor)
            if _alive(holder) or time.monotonic() > deadline:
                raise DevstackError(
                    f"a devstack (process {holder}) already uses {self.path}. End it first. To run a second one beside "
                    "it, set DRAGONPOST_STATE, DRAGONPOST_PORT and DRAGONPOST_AWS_PORT."
                )
            if not told:
                print("waiting for the emulator of a run that was killed to save its data", file=sys.stderr, flush=True)
                told = True
            time.sleep(0.1)  # flock has no time limit, and the holder may never let go
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)

    def check_writable(self) -> None:
        """Raise DevstackError if the folder cannot be written, or if its disk has no room for what a run writes.

        The emulator would notice only when it ends, and lose everything.
        """
        try:
            for folder in (self.emulator / "state", self.emulator / "s3", self.build):
                folder.mkdir(parents=True, exist_ok=True)
                probe = folder / ".probe"
                probe.write_bytes(b"dragons" * 1024)
                probe.unlink()
        except OSError as error:
            raise self._unwritable(error) from error
        free = shutil.disk_usage(self.path).free
        if free < FREE_BYTES_MIN:
            raise DevstackError(
                f"only {free / 2**20:.1f} MiB are free on the disk of the state folder {self.path}, too little to keep "
                f"data on ({FREE_BYTES_MIN // 2**20} MiB). Make room, or set DRAGONPOST_STATE to a folder elsewhere."
            )

    def _unwritable(self, error: OSError) -> DevstackError:
        what_to_do = "set DRAGONPOST_STATE to one that can"
        return DevstackError(f"the state folder {self.path} cannot be written ({error}); {what_to_do}")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in one of our files, or an empty one if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object that only this user can read. Readers see the old one or the new one, never a part."""
    draft = _draft(path)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    draft.replace(path)


def _draft(path: Path) -> Path:
    return path.with_suffix(".tmp")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0)
    return int(text) if text.isdigit() else 0


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
