"""Starting and ending the embedded AWS."""

from __future__ import annotations

import shutil
import sys
import time
import urllib.error

from devstack.aws import certificate, saved
from devstack.aws.child import DISK_FULL, STATE_NOT_SAVED, STATE_UNREADABLE
from devstack.opener import opener
from devstack.processes import Child
from devstack.settings import HOST, REGION, DevstackError, Settings
from devstack.state import StateFolder

STARTS_WITHIN_S = 30
SAVES_WITHIN_S = 20

_KILLED = """\
The emulator was killed before it could save (kill -9, a power cut, no memory left), or its disk was full.
  Everything since its last clean end is lost, except what is in S3, which is written at once. The rest no longer
  matches it: users, stacks, messages in queues, table rows and executions are older than the objects in the buckets.
  So this run starts clean. What was left is in {aside}; `make reset` removes it."""


def start(settings: Settings, state: StateFolder, lock: int) -> Child:
    """Start MiniStack and wait until it answers. What one that was killed has left is set aside first.

    Raises DevstackError if its saved state is damaged or if it does not start; the message ends with its log's end.
    """
    if state.unsaved.exists():
        print(_KILLED.format(aside=state.set_aside()), file=sys.stderr, flush=True)
    saved.check_readable(state.emulator / "state")
    if state.deployed.exists():
        saved.check_complete(state.emulator / "state")
    files = [*(state.emulator / "state").glob("*.json"), state.deployed]
    saved.move_queues((file for file in files if file.exists()), settings.aws_port)
    shutil.rmtree(state.emulator_tmp, ignore_errors=True)
    state.emulator_tmp.mkdir()
    state.emulator_log.unlink(missing_ok=True)
    if settings.ca_bundle:
        certificate.make(settings.ca_bundle)
    child = Child(
        "devstack.aws.child",
        environment=_environment(settings, state),
        log=state.emulator_log,
        pass_fds=(lock,),
    )
    try:
        _wait_until_ready(child, settings, state)
    except BaseException:
        child.end(SAVES_WITHIN_S)
        raise
    return child


def end(child: Child) -> None:
    """Let the emulator save and end. Raises DevstackError if its data was not saved."""
    in_time = child.end(SAVES_WITHIN_S)
    if child.status in (STATE_NOT_SAVED, DISK_FULL):
        why = " because its disk was full" if child.status == DISK_FULL else ""
        raise DevstackError(
            f"the emulator could not save all its data{why}; see {child.log}. "
            "The next run sets aside what was saved, and starts clean."
        )
    if not in_time:
        raise DevstackError(f"the emulator needed more than {SAVES_WITHIN_S} s to end and was killed; its data is lost")


def explain_end(child: Child, state: StateFolder) -> str:
    """Return why the emulator ended without being told to."""
    if child.status == STATE_UNREADABLE:
        return (
            f"the emulator cannot read its saved state: {child.last_lines(1)}\n"
            f"Repair that file in {state.emulator / 'state'}, or forget everything with `make reset`."
        )
    return f"the emulator {child.how_it_ended}. The end of {child.log}:\n{child.last_lines()}"


def _wait_until_ready(child: Child, settings: Settings, state: StateFolder) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while not _ready(settings):
        if child.wait(0.05):
            raise DevstackError(explain_end(child, state))
        if time.monotonic() > deadline:
            raise DevstackError(
                f"the emulator did not answer on port {settings.aws_port} within {STARTS_WITHIN_S} s. "
                f"The end of {child.log}:\n{child.last_lines()}"
            )


def _ready(settings: Settings) -> bool:
    try:
        with opener(settings.ca_bundle).open(f"{settings.aws_url}/_ministack/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _environment(settings: Settings, state: StateFolder) -> dict[str, str]:
    environment = settings.server_environment()
    # Stage local's functions get theirs from the template; over TLS, MiniStack leads them to itself.
    del environment["AWS_ENDPOINT_URL"]
    ours = {
        "GATEWAY_PORT": str(settings.aws_port),
        "BIND_HOST": HOST,
        "IOT_MTLS_ENABLED": "0",  # otherwise it listens on 0.0.0.0:8883, whatever BIND_HOST says
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state.emulator / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state.emulator / "s3"),
        "MINISTACK_REGION": REGION,
        "LOG_LEVEL": "WARNING",
        "TMPDIR": str(state.emulator_tmp),  # the functions' code is unpacked here
        "DOCKER_HOST": "unix:///nonexistent",  # otherwise it looks for containers of its own to remove
        "DEVSTACK_UNSAVED": str(state.unsaved),
    }
    return environment | ours | _tls(settings)


def _tls(settings: Settings) -> dict[str, str]:
    """Return what has MiniStack serve TLS, and trust its own certificate when it asks itself for a pool's keys."""
    if not settings.ca_bundle:
        return {}
    folder = settings.ca_bundle.parent
    return {
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(folder / certificate.CERTIFICATE),
        "MINISTACK_SSL_KEY": str(folder / certificate.KEY),
        "SSL_CERT_FILE": str(settings.ca_bundle),
    }
