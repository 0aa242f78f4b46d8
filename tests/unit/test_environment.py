"""The environment of our programs: none of the settings below changes what they do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import boto3
import pytest

from devstack.aws import emulator
from devstack.settings import Settings, aws_environment
from devstack.state import StateFolder
from operations import PROJECT, environment

# What people have in their environments, each of which once stopped `make run`, `make token` or `make test`.
SET = {
    "AWS_PROFILE": "nope",
    "AWS_CONFIG_FILE": "malformed",
    "AWS_RETRY_MODE": "bogus",
    "AWS_CA_BUNDLE": "/none",
    "BOTO_CONFIG": "/none",
    "DRAGONPOST_USER_POOL_ARN": "another",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "LC_ALL": "de_DE.ISO-8859-1",
    "PIP_USER": "1",
    "PIP_TARGET": "/none",
    "PYTHONPATH": "/none",
    "PYTHONSAFEPATH": "1",
    "PYTHONHOME": "/none",
    "PYTHONUTF8": "0",
    "PYTHONOPTIMIZE": "1",
    "UV_PYTHON": "/none",
    "NODE_ENV": "production",
    "NODE_OPTIONS": "--require=/none",
    "NODE_PATH": "/none",
    "NPM_CONFIG_OMIT": "dev",
    "npm_config_dry_run": "true",
    "npm_config_ignore-scripts": "true",
    "PYTEST_ADDOPTS": "--none",
    "PYTEST_PLUGINS": "none",
    "MYPYPATH": "/none",
    "RUFF_OUTPUT_FORMAT": "none",
    "COVERAGE_RCFILE": "/none",
    "SCHEMATHESIS_HOOKS": "none",
}

# What only servers would take for theirs.
OF_SERVERS = {
    "WEB_CONCURRENCY": "auto",
    "FORWARDED_ALLOW_IPS": "nonsense",
    "LOG_LEVEL": "none",
    "SFN_MOCK_CONFIG": "/none",
    "SFN_WAIT_SCALE": "0",
    "SERVICES": "s3",
    "MINISTACK_ACCOUNT_ID": "123456789012",
    "LOCALSTACK_HOSTNAME": "elsewhere",
    "EDGE_PORT": "9",
}


def test_what_runs_here_sees_no_account_and_no_setting_of_python_and_pip() -> None:
    made = environment.for_this_machine({**SET, "HOME": "/home/ada", "NO_PROXY": "intranet"})

    assert made == {
        "HOME": "/home/ada",
        "LC_ALL": "de_DE.ISO-8859-1",  # harmless beside PYTHONUTF8
        "HTTP_PROXY": "http://127.0.0.1:9",  # packaging may need it
        "NO_PROXY": "intranet,127.0.0.1,localhost",
        "no_proxy": "intranet,127.0.0.1,localhost",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "PYTHONUTF8": "1",
        "PIP_USER": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "npm_config_include": "dev",
    }


def test_what_deploys_keeps_what_leads_to_its_account() -> None:
    made = environment.for_tools({**SET, "AWS_REGION": "eu-central-1"})

    assert {name: value for name, value in made.items() if name.startswith(("AWS_", "HTTP"))} == {
        "AWS_REGION": "eu-central-1",
        **{name: value for name, value in SET.items() if name.startswith(("AWS_", "HTTP"))},
    }
    assert "ALL_PROXY" not in made, "pip fails with a SOCKS proxy, and boto3 knows none"
    assert not {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PIP_TARGET", "UV_PYTHON"} & made.keys()


def test_pip_and_uv_are_still_told_where_packages_come_from() -> None:
    sources = {"PIP_INDEX_URL": "https://a", "PIP_CERT": "/cert", "UV_DEFAULT_INDEX": "https://a", "UV_OFFLINE": "1"}

    assert environment.for_tools(sources).items() >= sources.items()


def test_npm_and_node_are_still_told_where_packages_come_from_and_whom_to_trust() -> None:
    sources = {
        "NPM_CONFIG_REGISTRY": "https://a",
        "npm_config_strict-ssl": "false",
        "npm_config_@ours:registry": "https://a",
        "npm_config_//a/:_authToken": "secret",
        "NODE_EXTRA_CA_CERTS": "/cert",
    }

    assert environment.for_tools(sources).items() >= sources.items()


@pytest.mark.slow
def test_npm_installs_what_testing_needs_whatever_you_install_elsewhere(tmp_path: Path) -> None:
    """Everything in package.json is a development dependency, so `omit=dev` would leave nothing."""
    (tmp_path / "needed").mkdir()
    packages = {
        "package.json": {"name": "p", "devDependencies": {"needed": "file:needed"}},
        "needed/package.json": {"name": "needed", "version": "1.0.0"},
        "package-lock.json": {
            "name": "p",
            "lockfileVersion": 3,
            "packages": {
                "": {"name": "p", "devDependencies": {"needed": "file:needed"}},
                "needed": {"version": "1.0.0", "dev": True},
                "node_modules/needed": {"resolved": "needed", "link": True},
            },
        },
    }
    for name, content in packages.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "npmrc").write_text("omit=dev\noffline=true\n", encoding="utf-8")

    subprocess.run(
        [sys.executable, "-IS", PROJECT / "operations/environment.py", "tools", "npm", "ci"],
        cwd=tmp_path,
        env={**os.environ, **SET, "NPM_CONFIG_USERCONFIG": str(tmp_path / "npmrc")},
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert (tmp_path / "node_modules" / "needed" / "package.json").exists()


@pytest.mark.parametrize("given", [{"NO_PROXY": "*"}, {"no_proxy": " * "}, {"NO_PROXY": "a", "no_proxy": "*"}])
def test_who_wants_no_proxy_at_all_gets_none(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    """`*` means every host only if nothing stands beside it."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    made = environment.for_this_machine({"HTTPS_PROXY": "http://127.0.0.1:9", **given})

    environment.adopt(made)

    assert urllib.request.proxy_bypass("pypi.org")
    assert environment.for_this_machine(made) == made


def test_making_it_twice_changes_nothing() -> None:
    once = environment.for_this_machine(SET)

    assert environment.for_this_machine(once) == once


def test_children_of_the_devstack_reach_the_emulator_and_see_no_setting_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in SET.items():
        monkeypatch.setenv(name, value)

    made = Settings(8000, 4999, tmp_path).child_environment()

    assert made["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4999"
    assert not [name for name in made if name.startswith("DRAGONPOST_")]
    assert not {"AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_RETRY_MODE"} & made.keys()


def test_a_server_gets_what_a_system_gives_every_process_and_nothing_of_yours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A list of what MiniStack, uvicorn and their libraries read would always lack some."""
    monkeypatch.setattr(os, "environ", {"PATH": "/bin", "LC_ALL": "C", "PYTHONUNBUFFERED": "1"})
    expected = {**os.environ, **environment.for_this_machine({})}
    os.environ.update(SET | OF_SERVERS | {"LC_ALL": "C"})

    made = Settings(8000, 4999, tmp_path).server_environment()

    assert made == expected | aws_environment("http://127.0.0.1:4999")


def test_the_emulator_is_told_what_to_do_by_us_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in (*SET, *OF_SERVERS) if name in os.environ]:
        monkeypatch.delenv(name)
    unset = emulator._environment(Settings(8000, 4999, tmp_path), StateFolder(tmp_path))
    for name, value in (SET | OF_SERVERS).items():
        monkeypatch.setenv(name, value)

    made = emulator._environment(Settings(8000, 4999, tmp_path), StateFolder(tmp_path))

    assert made == unset | {"LC_ALL": SET["LC_ALL"]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["here", "tools"])
def test_a_program_of_the_makefile_starts_whatever_is_set(kind: str, tmp_path: Path) -> None:
    """Its first step is Python itself, which reads these before any code of ours could remove them."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')", encoding="utf-8")
    told = "import json, operations, sys; print(sys.flags.utf8_mode, sys.flags.optimize, 'ł')"

    ran = subprocess.run(
        [sys.executable, "-IS", "operations/environment.py", kind, sys.executable, "-c", told],
        cwd=PROJECT,
        env={**os.environ, **SET, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert ran.stdout.decode() == "1 0 ł\n"


def test_the_present_process_can_adopt_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name, value in SET.items():
        os.environ[name] = value

    environment.adopt(environment.for_this_machine(os.environ))

    assert "AWS_PROFILE" not in os.environ
    assert boto3.Session("test", "test", region_name="us-east-1").profile_name == "default"
