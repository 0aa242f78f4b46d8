"""The environment that every program of this project gets, whatever is set in yours.

The Makefile runs each program through this file, with Python's `-I`, which ignores the very variables that are removed
here. It therefore uses the standard library alone. `devstack` and `operations` make the environments of their children
with the same functions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

LOOPBACK = ("127.0.0.1", "localhost")

# Python's variables can hide our modules, end the output's encoding, or switch assertions off.
_PYTHON_KEPT = frozenset({"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER"})

# pip and uv may be told where packages come from, and how to get there; not what to install, or where to.
_SOURCES = frozenset(
    {
        *("INDEX_URL", "EXTRA_INDEX_URL", "NO_INDEX", "FIND_LINKS", "TRUSTED_HOST", "CONFIG_FILE", "KEYRING_PROVIDER"),
        *(
            "CERT",
            "CLIENT_CERT",
            "PROXY",
            "TIMEOUT",
            "DEFAULT_TIMEOUT",
            "RETRIES",
            "CACHE_DIR",
            "NO_CACHE_DIR",
            "NO_INPUT",
        ),
        *("DEFAULT_INDEX", "INDEX", "INDEX_STRATEGY", "INSECURE_HOST", "HTTP_TIMEOUT", "NATIVE_TLS", "SYSTEM_CERTS"),
        *("NO_CACHE", "OFFLINE"),
    }
)

# So may npm, whose options have either case and may be of one registry alone (`@scope:registry`, `//host/:_authToken`).
_NPM_SOURCES = frozenset(
    {
        *("REGISTRY", "USERCONFIG", "GLOBALCONFIG", "CACHE", "OFFLINE", "PREFER_OFFLINE"),
        *("PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NOPROXY", "LOCAL_ADDRESS", "MAXSOCKETS"),
        *("CA", "CAFILE", "CERT", "KEY", "STRICT_SSL", "_AUTH"),
        *("FETCH_RETRIES", "FETCH_RETRY_FACTOR", "FETCH_RETRY_MINTIMEOUT", "FETCH_RETRY_MAXTIMEOUT", "FETCH_TIMEOUT"),
    }
)

# Node.js may be told whom to trust. Its other variables load modules of yours, or leave out what testing needs.
_NODE_KEPT = frozenset({"NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "NODE_USE_SYSTEM_CA"})

# What the checks read beside their command line and pyproject.toml, but for where they keep what they know already.
_CHECKS = ("PYTEST_", "MYPY", "RUFF_", "COVERAGE_", "HYPOTHESIS_", "SCHEMATHESIS_")
_CHECKS_KEPT = frozenset({"MYPY_CACHE_DIR", "RUFF_CACHE_DIR", "SCHEMATHESIS_EXAMPLES", "SCHEMATHESIS_SEED"})

_TOOLS = ("PYTHON", "__PYVENV", "NODE_", *_CHECKS)
_TOOLS_KEPT = _PYTHON_KEPT | _NODE_KEPT | _CHECKS_KEPT

# What a system gives every process.
_SYSTEMS = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP"})
_SYSTEMS_BEGIN = ("LC_", "LD_", "DYLD_")

# These make programs talk to a real account, or behave as in Lambda.
_AWS = ("AWS_", "BOTO", "LAMBDA_", "CHALICE_", "POWERTOOLS_")

# What `make run` and the tests are told by whoever starts them. Anything else that begins so is a setting of the app.
_OURS_KEPT = frozenset(
    {
        *("DRAGONPOST_PORT", "DRAGONPOST_AWS_PORT", "DRAGONPOST_STATE"),
        *("DRAGONPOST_BROWSER", "DRAGONPOST_REQUIRE_BROWSER"),
    }
)


def for_tools(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for what installs and deploys: yours, without what changes how its programs work.

    What leads to an account (credentials, profile, region, proxy, certificates) stays.
    """
    kept = {name: value for name, value in environment.items() if _changes_no_tool(name) and not _is_socks(name, value)}
    # Configuration files may tell pip `user = true`, which fails in a virtual environment, and npm `omit=dev`, which
    # would leave out all that we need of it. A variable beats them.
    return kept | {
        "PYTHONUTF8": "1",
        "PIP_USER": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "npm_config_include": "dev",
    }


def for_this_machine(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for what runs and tests here: as `for_tools`, and without any AWS settings.

    A proxy stays, because packaging needs it to fetch dependencies, but is not asked for this machine's own addresses.
    """
    kept = {name: value for name, value in for_tools(environment).items() if not _leads_elsewhere(name)}
    no_proxy = _without_proxy(kept.get("no_proxy") or kept.get("NO_PROXY") or "")  # as Python's clients choose
    return kept | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def for_servers(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the servers here: of `for_this_machine`, what a system gives every process, and ours.

    Servers and their libraries read hundreds of variables (MiniStack alone has 120), so this names those that stay.
    Servers reach this machine alone, so no proxy is among them.
    """
    return for_this_machine({name: value for name, value in environment.items() if _is_the_systems(name)})


def adopt(environment: Mapping[str, str]) -> None:
    """Make this the environment of the present process, and so of its boto3 clients."""
    made = dict(environment)
    os.environ.clear()
    os.environ.update(made)


def _without_proxy(hosts: str) -> str:
    """Return a value of NO_PROXY with this machine in it. A lone `*` means every host, and nothing beside another."""
    if hosts.strip() == "*":
        return "*"
    return ",".join(dict.fromkeys(filter(None, [*hosts.split(","), *LOOPBACK])))


def _changes_no_tool(name: str) -> bool:
    if name.upper().startswith("NPM_CONFIG_"):
        option = name.upper().removeprefix("NPM_CONFIG_")
        return option.replace("-", "_") in _NPM_SOURCES or option.startswith(("@", "//"))
    for prefix in ("PIP_", "UV_"):
        if name.startswith(prefix):
            return name.removeprefix(prefix) in _SOURCES
    return name in _TOOLS_KEPT or not name.startswith(_TOOLS)


def _is_the_systems(name: str) -> bool:
    return name in _SYSTEMS or name in _PYTHON_KEPT or name.startswith(_SYSTEMS_BEGIN)


def _is_socks(name: str, value: str) -> bool:
    """Tell a proxy that pip, boto3 and other clients here cannot use. They fail, even where they would not need it."""
    return name.upper().endswith("_PROXY") and value.lower().startswith("socks")


def _leads_elsewhere(name: str) -> bool:
    return name.startswith(_AWS) or (name.startswith("DRAGONPOST_") and name not in _OURS_KEPT)


_KINDS: Mapping[str, Callable[[Mapping[str, str]], dict[str, str]]] = {
    "tools": for_tools,
    "here": for_this_machine,
}


def main(kind: str, program: str, *arguments: str) -> NoReturn:
    """Become the program, in the environment of this kind (`tools` or `here`)."""
    os.execvpe(program, [program, *arguments], _KINDS[kind](os.environ))  # noqa: S606 - the Makefile names it


if __name__ == "__main__":
    main(*sys.argv[1:])
