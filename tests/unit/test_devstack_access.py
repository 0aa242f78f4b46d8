"""What `make aws-env` prints, evaluated by a shell that is set up for something else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.aws import access
from devstack.settings import Settings

HERE = "http://127.0.0.1:4999"

# Each leads a client somewhere else or stops it, or has an odd form.
SET = {
    "AWS_PROFILE": "nope",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_ENDPOINT_URL_SQS": "http://elsewhere.example",
    "AWS_MAX_ATTEMPTS": "abc",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_RETRY_MODE": "bogus",
    "AWS_Lower_case": "x",
    "AWS_MORE": "several\nAWS_LINES=x\n'$(exit 1)",
    "AWS_EMPTY": "",
    "HTTP_PROXY": "http://127.0.0.1:9",
}
SHELLS = [shell for shell in ("sh", "dash", "bash", "ksh", "zsh") if shutil.which(shell)]
LISTED = "import json, os; print(json.dumps(dict(os.environ)))"
REACHED = "import boto3; print(*(boto3.client(each).meta.endpoint_url for each in ('s3', 'sqs', 'dynamodb')))"


@pytest.fixture
def commands(tmp_path: Path) -> str:
    (tmp_path / "run.json").write_text(f'{{"aws_url": "{HERE}"}}', encoding="utf-8")
    return access.shell_commands(Settings(8000, 4566, tmp_path))


def evaluated(shell: str, commands: str, program: str, given: dict[str, str]) -> str:
    ran = subprocess.run(
        [shell, "-euc", 'eval "$1"; exec "$2" -c "$3"', shell, commands, sys.executable, program],
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout


@pytest.mark.parametrize("given", [{}, SET], ids=["nothing set", "much set"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_is_left_no_setting_of_aws_but_those_that_are_printed(
    shell: str, given: dict[str, str], commands: str
) -> None:
    left = json.loads(evaluated(shell, commands, LISTED, given))

    assert {name: value for name, value in left.items() if name.startswith("AWS_")} == {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": HERE,
        "AWS_PAGER": "",
        "AWS_REGION": "us-east-1",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@pytest.mark.slow
def test_every_client_of_a_shell_reaches_the_embedded_aws(commands: str) -> None:
    assert set(evaluated("sh", commands, REACHED, SET).split()) == {HERE}
