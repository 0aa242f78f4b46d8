"""What the devstack prints for other terminals, as they paste it: `make aws-env`, `make logs`."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid

from tests.e2e.dragons import a_dragon
from tests.e2e.messages import a_message, post, stored
from tests.e2e.operating import run
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until


def logs(devstack: Devstack, *options: str) -> list[list[str]]:
    """Run the command on the devstack's stage; return each line's source and text."""
    return [line.split(maxsplit=3)[2:] for line in run(devstack, "logs", *options).splitlines()]


def test_rows_get_the_end_that_follows_from_how_long_messages_are_kept(
    devstack: Devstack, apis: dict[str, Api]
) -> None:
    stored(apis["gateway"], post(apis["gateway"], a_message()).headers["Location"])
    parameter = {"Name": "/dragonpost/local/archive_retention_days", "Type": "String", "Overwrite": True}
    table = devstack.running["outputs"]["MessageTableName"]

    def ends() -> list[bool]:
        return ["expires_at" in row for row in devstack.client("dynamodb").scan(TableName=table)["Items"]]

    try:
        devstack.client("ssm").put_parameter(**parameter, Value="30")
        [kept, *_] = run(devstack, "expire").splitlines()
        assert kept == "local keeps messages for 30 days"
        assert ends()
        assert all(ends())
    finally:
        devstack.client("ssm").put_parameter(**parameter, Value="0")
        run(devstack, "expire")

    assert not any(ends())


def test_the_printed_settings_lead_a_shell_to_the_embedded_aws(devstack: Devstack) -> None:
    """Also a shell that has a profile, and settings that stop every client."""
    settings = devstack.command("aws-env")

    ran = subprocess.run(
        ["sh", "-c", 'eval "$1" && exec "$2" -m awscli s3 ls', "sh", settings.stdout, sys.executable],
        env=devstack.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (settings.stderr, ran.stderr) == ("", "")
    assert devstack.running["outputs"]["DragonBucketName"] in ran.stdout


def test_one_id_shows_what_the_functions_and_the_workflow_said_about_a_report(
    devstack: Devstack, apis: dict[str, Api]
) -> None:
    answer = apis["gateway"].post("/dragons", json=a_dragon(), headers={"Prefer": "wait=10"})
    assert answer.status_code == 201
    correlation_id = answer.headers["X-Request-Id"]

    def told() -> list[list[str]] | None:
        found = logs(devstack, "--id", correlation_id)
        return found if any(by == "api" for by, _ in found) else None  # an invocation's lines come when it has ended

    said = until(told)

    assert {by for by, _ in said} == {"workflow", "add_dragon", "api"}
    assert [text.split(maxsplit=1)[1] for by, text in said if by == "workflow"][:4] == [
        "ExecutionStarted",
        "entered Complete?",
        "entered RecordPending",
        "entered ValidateDragon",
    ]
    assert all(correlation_id in text for by, text in said if by != "workflow")


def test_a_message_is_followed_by_its_own_id_and_to_one_function(devstack: Devstack, apis: dict[str, Api]) -> None:
    message_id = str(uuid.uuid4())
    stored(apis["local"], post(apis["local"], a_message("1", message_id=message_id)).headers["Location"])

    [[by, text]] = until(lambda: logs(devstack, "--function", "store_messages", "--id", message_id))

    assert by == "store_messages"
    assert json.loads(text)["message"] == "message settled"
    assert any(f"/message/{message_id}" in text for by, text in logs(devstack, "--function", "server"))
