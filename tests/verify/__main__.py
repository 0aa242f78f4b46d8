"""Verify a deployed stage: `.venv/bin/python -m tests.verify --stage dev`.

It runs the end-to-end suite, the attack surface and a tour of both pipelines against the stage, as visitors that it
makes. At the end it removes them with everything that was theirs, and writes a report of what differed from the
embedded AWS, on which the same tests pass. On a stage that holds data it asks first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.dragons.document import moved_to
from chalicelib.dragons.submissions import Submission
from devstack.settings import DevstackError
from operations import PROJECT, dragon_rows, visitors
from operations.api import Api, ApiNotFound, api_of
from operations.contents import PLACE, of_this_environment
from operations.deploy.target import resources_stack
from operations.reach import reach
from operations.stages import STAGES
from operations.stores import StageOutdated, Standing
from operations.visitors import Visitor
from tests.people import VARIABLE
from tests.verify.report import Report
from tests.verify.suite import SUITE

SETTLES_WITHIN_S = 120
LOOKS_EVERY_S = 0.5
ENDS_WITHIN_S = 60


class NotVerified(Exception):
    """The stage could not be looked at; the message says why."""


def verify(options: argparse.Namespace) -> bool:
    """Look at a stage, and write the report. Return whether everything was as it has to be."""
    stage = Standing.found(options.stage, of_this_environment)
    api = api_of(options.stage, of_this_environment)
    if not options.yes:
        _ask(stage)
    report = Report.of(options.report, stage, api.url)
    with visitors.visiting(stage, _say) as people, tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "stage.json")
        place.touch(0o600)  # it has the visitors' passwords in it
        place.write_text(json.dumps(_place(stage, api.url, people)), encoding="utf-8")
        try:
            passed = run(options.only or SUITE, place, report)
            report.write()
        finally:
            _remove_dragons(stage, api, people)
    return passed


def _ask(stage: Standing) -> None:
    """Say what a stage holds and what would stay, and have its name typed if it holds anything. Raises NotVerified."""
    if not (found := list(_holds(stage))):
        return
    print(f"{stage.name} holds {', '.join(found)}. They stay as they are: this makes users and data of its own, and")
    print("removes them. What stays:")
    for left in visitors.LEFT:
        print(f"  - {left}")
    print("Alarms that watch for dead letters may go off. Type the stage's name to go on: ", end="", flush=True)
    if sys.stdin.readline().strip() != stage.name:
        raise NotVerified(f"that was not {stage.name}; nothing was done (DO=yes, or --yes, asks nothing)")


def _holds(stage: Standing) -> Iterator[str]:
    bucket, key = (stage.parameter(name) for name in PLACE)
    body = stage.clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        if moved_to(body):
            dragons = dragon_rows.dragons(stage.clients("dynamodb"), stage.resources["DragonTable"])
        else:
            dragons = msgspec.json.decode(body)
        if dragons:
            yield f"{len(dragons)} dragons"
    except (msgspec.DecodeError, UnicodeDecodeError):
        yield "a dragon document that cannot be read"
    table = {"TableName": stage.resources["MessageTable"], "Limit": 1}
    if stage.clients("dynamodb").scan(**table)["Items"]:
        yield "messages"
    if stage.clients("cognito-idp").list_users(UserPoolId=stage.resources["UserPool"], Limit=1)["Users"]:
        yield "users"


def _place(stage: Standing, url: str, people: Sequence[Visitor]) -> dict[str, Any]:
    """Return what the tests are told: in the form of a devstack's run.json, and the visitors."""
    [stack] = stage.clients("cloudformation").describe_stacks(StackName=resources_stack(stage.name))["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    running = {
        "gateway_url": url,
        "user_pool_id": outputs["UserPoolId"],
        "user_pool_client_id": outputs["UserPoolClientId"],
        "outputs": outputs,
        **({"ca_bundle": bundle} if (bundle := os.environ.get("AWS_CA_BUNDLE")) else {}),
    }
    who = {
        each.name: {"email": each.email, "password": each.password, "company_id": each.company_id} for each in people
    }
    return {"stage": stage.name, "running": running, "people": who}


def run(tests: Sequence[str], place: Path, report: Report) -> bool:
    """Run tests, and put what came of them into the report. Return whether all passed. Raises NotVerified.

    `place` is the file that tells them of the stage. What they write down is put beside it: there may be tokens in it.
    """
    results, written = place.with_name("results.xml"), place.with_name("written")
    options = ("-o", "junit_family=xunit1", f"--junitxml={results}", f"--basetemp={written}", "--tb=short", "--quiet")
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *tests)
    status = _ended(command, {**os.environ, VARIABLE: str(place)})
    if not results.exists():
        raise NotVerified(f"the tests ended with status {status} before they had any result")
    report.read(results)
    return status == 0


def _ended(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run pytest, and return its status. When this process is interrupted, tests remove what they made first."""
    # Ctrl-C reaches all processes of a session. Here this one alone gets it, and passes it on, once.
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDS_WITHIN_S)
        raise
    finally:
        process.kill()
        process.wait()


def _remove_dragons(stage: Standing, api: Api, people: Sequence[Visitor]) -> None:
    """Remove the dragons that visitors have added, by the API, once each of their reports is settled."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    while _pending(reported := visitors.submissions(stage, people)) and time.monotonic() < deadline:
        time.sleep(LOOKS_EVERY_S)
    added = {each.dragon.dragon_name_str for each in reported if each.status == "added"}
    token = visitors.id_token(stage, next(each for each in people if not each.company_id))
    for name in sorted(added):
        path = f"/dragons/{quote(name, safe='')}"
        seen = api.send("GET", path, token)
        if seen.status == 404:
            continue
        gone = api.send("DELETE", path, token, headers={"If-Match": seen.headers["ETag"]})
        if gone.status != 204:
            raise NotVerified(f"the dragon {name} could not be removed: {gone.status}")
    _say(f"{len(added)} dragons that visitors had added are removed")
    if pending := _pending(reported):
        raise NotVerified(
            f"reports of visitors are still pending, and may yet add {', '.join(pending)}: remove them then"
        )


def _pending(reported: Sequence[Submission]) -> list[str]:
    return [each.dragon.dragon_name_str for each in reported if each.status == "pending"]


def _say(message: str) -> None:
    print(f"  {message}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 1 if something is not as it has to be, 2 if nobody could look."""
    options = _parse(arguments)
    try:
        reach(options.stage)
        passed = verify(options)
    except (NotVerified, ApiNotFound, DevstackError, StageOutdated, visitors.VisitorsRemain) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ClientError, BotoCoreError, OSError) as error:
        print(f"error: {error}. Is the stage deployed, and may you create users in its pool?", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0 if passed else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m tests.verify", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--yes", action="store_true", help="ask nothing, also if the stage holds data")
    parser.add_argument(
        "--report", type=Path, help="where to write the report (default: .local/verified-STAGE-TIME.md)"
    )
    parser.add_argument("only", nargs="*", help="tests to run, as pytest names them (default: all that a stage is for)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
