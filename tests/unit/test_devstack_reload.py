"""What saving a file does to a running devstack: no save is missed, and no bad one ends it."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from devstack import run
from devstack.aws.deployment import Deployment
from devstack.settings import DevstackError, Settings
from devstack.state import StateFolder, read_json

OUTPUTS = {"UserPoolId": "pool", "UserPoolClientId": "client", "DragonBucketName": "bucket"}


def _nothing(*_: Any) -> None:
    """Stand in for functions that have nothing to do here."""


class FakeEmulator:
    """Stands in for the emulator's process, which goes on running."""

    pid = 1
    status = None
    on_end = end = _nothing


class FakeApi:
    """Stands in for the API server: it serves what is saved when it starts."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.serves = ""
        self.knows: dict[str, str] = {}
        self.starts = 0
        self.ended_by_itself = ""
        self.then: Callable[[], Any] = _nothing

    @property
    def pid(self) -> int:
        return self.starts

    def replace(self, deployment: Deployment) -> str:
        self.starts += 1
        self.knows = deployment.outputs
        self.serves = ""
        if self._bench.saved == "hangs":
            raise DevstackError("the API server did not start")
        if self._bench.saved == "broken":
            return "SyntaxError: invalid syntax"
        self.serves = self._bench.saved
        self.then()
        return ""

    end = _nothing


class Bench:
    """A devstack without processes: the project is one word, and deploying records it."""

    def __init__(self, folder: Path, listening: socket.socket) -> None:
        self.saved = "first"
        self.deployed = ""
        self.outputs = OUTPUTS
        self.errors: dict[str, Exception] = {}  # what goes wrong with the save "bad", by step
        self.while_deploying: Callable[[], Any] = _nothing
        self.tell: Callable[[], None] = _nothing
        self.state = StateFolder(folder)
        self.stack = run._Stack(Settings(8000, 4566, folder), self.state, listening)
        self.api = FakeApi(self)
        self.stack._api = self.api  # type: ignore[assignment]

    def save(self, word: str) -> None:
        self.saved = word
        self.tell()

    def start(self) -> None:
        self.stack.start(0, contextlib.ExitStack())  # never closed: what it would end is not the test's

    def follow_changes(self) -> None:
        """Handle every event that has occurred, and those that occur meanwhile."""
        while not self.stack._happened.empty():
            self.stack._happened.put(run._EMULATOR_ENDED)
            with pytest.raises(DevstackError, match="the emulator ended"):
                self.stack.follow_changes()

    def watch(self, tell: Callable[[], None]) -> None:
        self.tell = tell

    def deploy(self, *_: Any) -> Deployment:
        deployed = self.saved
        self.while_deploying()
        self._fail_at("deploy", deployed)
        self.deployed = deployed
        return Deployment("", deployed, self.outputs, "api")

    def put_everything(self, *_: Any) -> list[str]:
        self._fail_at("seed", self.saved)
        return []

    def _fail_at(self, step: str, word: str) -> None:
        if word == "bad" and step in self.errors:
            raise self.errors[step]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    listening = socket.socket()
    made = Bench(tmp_path, listening)
    monkeypatch.setattr(run.emulator, "start", lambda *_: FakeEmulator())
    monkeypatch.setattr(run.emulator, "explain_end", lambda *_: "the emulator ended")
    monkeypatch.setattr(run.changes, "watch", made.watch)
    monkeypatch.setattr(run.sources, "app_fingerprint", lambda *_: made.saved)
    monkeypatch.setattr(run, "bring_up_to_date", made.deploy)
    monkeypatch.setattr(run.seed, "put_everything", made.put_everything)
    yield made
    listening.close()


class TestNothingIsMissed:
    def test_what_is_saved_between_serving_and_deploying_is_served_too(self, bench: Bench) -> None:
        bench.start()

        def save_once_more() -> None:
            bench.api.then = _nothing
            bench.save("third")

        bench.api.then = save_once_more
        bench.save("second")
        bench.follow_changes()

        assert (bench.api.serves, bench.deployed) == ("third", "third")

    def test_what_is_saved_during_the_first_deployment_is_deployed_too(self, bench: Bench) -> None:
        bench.while_deploying = lambda: bench.save("second")

        bench.start()
        bench.follow_changes()

        assert (bench.api.serves, bench.deployed) == ("second", "second")

    @pytest.mark.parametrize("word", ["third", "bad"])
    def test_what_is_saved_between_serving_and_deploying_and_undone_at_once_is_not_what_stays_deployed(
        self, bench: Bench, word: str
    ) -> None:
        bench.errors["deploy"] = DevstackError("half saved")
        bench.start()

        def save_once_more() -> None:
            bench.api.then = _nothing
            bench.saved = word  # the watch takes a moment to tell
            bench.while_deploying = undo

        def undo() -> None:
            bench.while_deploying = _nothing
            bench.save("second")

        bench.api.then = save_once_more
        bench.save("second")
        bench.follow_changes()

        assert (bench.api.serves, bench.deployed) == ("second", "second")

    def test_changed_outputs_reach_the_server(self, bench: Bench) -> None:
        bench.start()
        bench.outputs = OUTPUTS | {"UserPoolId": "another pool"}

        bench.save("second")
        bench.follow_changes()

        assert bench.api.knows == bench.outputs
        assert read_json(bench.state.run)["user_pool_id"] == "another pool"

    def test_a_save_that_changes_nothing_restarts_nothing(self, bench: Bench) -> None:
        bench.start()

        bench.save("first")
        bench.follow_changes()

        assert bench.api.starts == 1


class TestABadSave:
    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (DevstackError("`chalice package` failed"), "`chalice package` failed"),
            (KeyError("EndpointURL"), "KeyError: 'EndpointURL'"),
            (json.JSONDecodeError("Expecting value", "", 0), "JSONDecodeError: Expecting value"),
            (ClientError({"Error": {"Code": "NoSuchBucket"}}, "PutObject"), "NoSuchBucket"),
            (EndpointConnectionError(endpoint_url="http://here"), 'endpoint URL: "http://here"'),
            (FileNotFoundError(2, "No such file", "app-overrides.json"), "app-overrides.json"),
        ],
    )
    @pytest.mark.parametrize("step", ["deploy", "seed"])
    def test_that_cannot_be_deployed_is_reported_and_the_next_one_is_deployed(
        self, bench: Bench, capsys: pytest.CaptureFixture[str], step: str, error: Exception, told: str
    ) -> None:
        bench.start()
        before = bench.stack._deployment
        bench.errors[step] = error

        bench.save("bad")
        bench.tell()  # packaging writes where changes are watched for
        bench.follow_changes()
        said = capsys.readouterr().out
        assert bench.stack._deployment is before, "the next one is compared with what is served"
        bench.save("mended")
        bench.follow_changes()

        assert said.startswith("served, but not deployed: ")
        assert said.count("\n") == 1, "it is not tried again before something changes"
        assert told in said
        assert (bench.api.serves, bench.deployed) == ("mended", "mended")

    def test_at_the_start_ends_the_devstack_and_the_error_says_what_is_wrong(self, bench: Bench) -> None:
        bench.saved = "bad"
        bench.errors["deploy"] = KeyError("EndpointURL")

        with pytest.raises(DevstackError, match="KeyError: 'EndpointURL'"):
            bench.start()

    @pytest.mark.parametrize("word", ["hangs", "broken"])
    def test_that_cannot_be_served_is_reported_and_the_next_one_is_served(
        self, bench: Bench, capsys: pytest.CaptureFixture[str], word: str
    ) -> None:
        bench.start()

        bench.save(word)
        bench.follow_changes()
        said = capsys.readouterr().out
        bench.save("mended")
        bench.follow_changes()

        assert said.startswith("not reloaded: ")
        assert (bench.api.serves, bench.deployed) == ("mended", "mended")

    @pytest.mark.parametrize("word", ["hangs", "broken"])
    def test_that_a_killed_server_meets_first_is_reported_and_the_next_one_is_served(
        self, bench: Bench, capsys: pytest.CaptureFixture[str], word: str
    ) -> None:
        bench.start()
        bench.api.ended_by_itself = "was killed (SIGKILL)"
        bench.saved = word
        bench.stack._happened.put(run._API_ENDED)
        bench.save(word)
        bench.follow_changes()
        bench.save("mended")
        bench.follow_changes()

        assert "not reloaded: " in capsys.readouterr().out
        assert bench.api.serves == "mended"


class TestAServerThatEnds:
    def test_is_started_again(self, bench: Bench) -> None:
        bench.start()
        bench.api.ended_by_itself = "was killed (SIGKILL)"

        bench.stack._happened.put(run._API_ENDED)
        bench.follow_changes()

        assert bench.api.starts == 2
        assert read_json(bench.state.run)["pids"]["api"] == 2

    def test_right_after_every_start_is_left_alone_until_the_next_change(
        self, bench: Bench, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bench.api.ended_by_itself = "ended with status 3"
        bench.api.then = lambda: bench.stack._happened.put(run._API_ENDED)
        bench.start()

        bench.follow_changes()
        starts = bench.api.starts
        said = capsys.readouterr().out
        bench.save("no better")
        bench.follow_changes()

        assert starts <= run.QUICK_ENDS_MAX + 2
        assert said.count("it is started after the next change") == 1
        assert starts < bench.api.starts <= 2 * starts
