"""`.venv/bin/python -m devstack run`: the parent process, which starts everything in order and ends it in reverse."""

from __future__ import annotations

import contextlib
import os
import queue
import shlex
import signal
import socket
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from devstack import changes
from devstack.aws import emulator, seed, sources
from devstack.aws.deployment import Deployment, bring_up_to_date
from devstack.processes import Child
from devstack.server.process import ApiServer, check_free, listen
from devstack.settings import DevstackError, Settings
from devstack.state import StateFolder, write_json

_EMULATOR_ENDED = "emulator ended"
_API_ENDED = "API server ended"

# An API server that ends so soon after its start, more than so often in a row, stays down until the next change.
QUICKLY_S = 10
QUICK_ENDS_MAX = 10

READY = """\
ready  {local_url}  ({seconds:.1f} s)

  token        TOKEN=$({make} token)        the operator's; with USER=amber or USER=cobalt, a company's
  dragons      curl -H "Authorization: Bearer $TOKEN" '{local_url}/dragons?limit=3'
  console      {local_url}/    docs {local_url}/docs    (sign in with one click; passwords in {state}/users.json)
  more calls   README.md, docs/api.md
  deployed     {gateway_url}/
  AWS          eval "$({make} aws-env)"  and then, for instance, .venv/bin/aws s3 ls
  logs         {make} logs        what the functions and the workflow said; FUNCTION=add_dragon, ID=<X-Request-Id>
  state        {state}
  end          Ctrl-C; the data stays until `{make} reset`
"""


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stop(BaseException):
    """SIGINT, SIGTERM or SIGHUP has arrived."""


def run(settings: Settings) -> int:
    """Run until a signal comes, and return the exit status. Raises DevstackError if something does not start."""
    started = time.monotonic()
    state = StateFolder(settings.state)
    try:
        with _stop_on_signals(), contextlib.ExitStack() as ends:
            lock = ends.enter_context(state.held())
            state.check_writable()
            listening = ends.enter_context(listen(settings.port, "DRAGONPOST_PORT"))
            check_free(settings.aws_port, "DRAGONPOST_AWS_PORT")
            stack = _Stack(settings, state, listening)
            stack.start(lock, ends)
            print(stack.ready_text(time.monotonic() - started), flush=True)
            stack.follow_changes()
    except _Stop:
        print("ended; the data is kept", flush=True)
    return 0


class _Stack:
    """The two child processes, and what is deployed."""

    def __init__(self, settings: Settings, state: StateFolder, listening: socket.socket) -> None:
        self._settings = settings
        self._state = state
        self._happened: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._api = ApiServer(settings, state.api_log, listening, lambda: self._happened.put(_API_ENDED))
        self._made_from: set[str] = set()  # fingerprints of what was last served and deployed, or was meant to be
        self._served_since = 0.0
        self._quick_ends = 0
        self._aws: Child
        self._deployment: Deployment

    def start(self, lock: int, ends: contextlib.ExitStack) -> None:
        """Start everything, and add to `ends` what has to happen at the end. Raises DevstackError."""
        self._state.api_log.unlink(missing_ok=True)
        changes.watch(lambda: self._happened.put("changed"))  # first: a deployment takes a while
        self._aws = emulator.start(self._settings, self._state, lock)
        ends.callback(_protected, emulator.end, self._aws)
        self._aws.on_end(lambda: self._happened.put(_EMULATOR_ENDED))
        ends.callback(_protected, self._api.end)
        self._deploy_and_seed()
        if broken := self._api.replace(self._deployment):
            raise DevstackError(f"the app cannot be loaded: {broken}\nThe end of {self._state.api_log} says where.")
        ends.callback(self._state.run.unlink, missing_ok=True)
        self._tell_others()

    def follow_changes(self) -> None:
        """Reload after every change, forever. Raises DevstackError when the emulator ends."""
        while (what := self._happened.get()) != _EMULATOR_ENDED:
            if what == _API_ENDED:
                self._start_api_again()
            else:
                self._reload()
        raise DevstackError(emulator.explain_end(self._aws, self._state))

    def ready_text(self, seconds: float) -> str:
        """Return the ready line and what to try next."""
        return READY.format(
            local_url=self._settings.local_url,
            gateway_url=self._deployment.gateway_url(self._settings),
            make=_make(self._settings),
            state=self._state.path,
            seconds=seconds,
        )

    def _deploy_and_seed(self) -> None:
        """Deploy what has changed, and seed. Raises DevstackError for any failure: a half-saved file can cause all."""
        self._made_from.add(self._fingerprint())
        try:
            deployment = bring_up_to_date(self._settings, self._state)
            said = seed.put_everything(self._settings, self._state, deployment.outputs)
        except Exception as error:  # half-saved files show in many ways
            if self._aws.status is not None:
                raise DevstackError(emulator.explain_end(self._aws, self._state)) from None
            if isinstance(error, DevstackError):
                raise
            raise DevstackError(f"{type(error).__name__}: {error}") from error
        self._deployment = deployment
        for line in said:
            print(line, flush=True)

    def _reload(self) -> None:
        """Serve the changed code, then deploy it. If either fails, print why and leave it to the next change."""
        fingerprint = self._fingerprint()
        if self._made_from == {fingerprint}:
            return
        self._made_from = {fingerprint}  # deploying adds its own: there may be a later save by then
        self._quick_ends = 0
        started = time.monotonic()
        before = self._deployment.outputs
        if not self._serve():
            return
        try:
            self._deploy_and_seed()
        except DevstackError as error:
            print(f"served, but not deployed: {error}", flush=True)
            return
        served = self._deployment.outputs == before or self._serve()
        self._tell_others()
        if served:
            print(f"reloaded and deployed ({time.monotonic() - started:.1f} s)", flush=True)

    def _serve(self) -> bool:
        """Start an API server with the code as it is now. Return whether it serves that; if not, print why."""
        try:
            broken = self._api.replace(self._deployment)
        except DevstackError as error:
            print(f"not reloaded: {error}\n(connections wait until the next change)", flush=True)
            return False
        self._served_since = time.monotonic()
        if broken:
            print(f"not reloaded: {broken} (503 until that is mended; {self._state.api_log} has more)", flush=True)
        return not broken

    def _start_api_again(self) -> None:
        """Start a new API server if the last one was not told to end. It keeps nothing that could be lost.

        If one after the other ends quickly, the cause is in the code. Then wait for a change, which may mend it.
        """
        if not (how := self._api.ended_by_itself):
            return
        quickly = time.monotonic() - self._served_since < QUICKLY_S
        self._quick_ends = self._quick_ends + 1 if quickly else 0
        if self._quick_ends > QUICK_ENDS_MAX:
            print(f"the API server {how} again and again; it is started after the next change", flush=True)
            return
        print(f"the API server {how}; starting it again ({self._state.api_log} may say why)", flush=True)
        self._serve()
        self._tell_others()

    def _fingerprint(self) -> str:
        return sources.app_fingerprint(sources.resources_fingerprint(), self._settings.aws_url)

    def _tell_others(self) -> None:
        """Write run.json, from which `make token`, the tests and Postman know where this devstack is."""
        outputs = self._deployment.outputs
        running = {
            "local_url": self._settings.local_url,
            "gateway_url": self._deployment.gateway_url(self._settings),
            "aws_url": self._settings.aws_url,
            "user_pool_id": outputs["UserPoolId"],
            "user_pool_client_id": outputs["UserPoolClientId"],
            "outputs": outputs,
            "pids": {"parent": os.getpid(), "emulator": self._aws.pid, "api": self._api.pid},
        }
        write_json(self._state.run, running)


def _make(settings: Settings) -> str:
    """Return how another terminal runs make, so that it finds this devstack."""
    elsewhere = settings.state != Settings.from_environment({}).state
    return f"make -s DRAGONPOST_STATE={shlex.quote(str(settings.state))}" if elsewhere else "make -s"


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[None]:
    def stop(number: int, _frame: FrameType | None) -> None:
        _ignore_signals()  # a second Ctrl-C must not interrupt an ending in order
        raise _Stop(signal.Signals(number).name)

    for number in _SIGNALS:
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # nohup has SIGHUP ignored
            signal.signal(number, stop)
    yield


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _protected(end: Any, *arguments: Any) -> None:
    """Run an ending to completion, even if a signal arrives while something else causes it."""
    _ignore_signals()
    end(*arguments)
