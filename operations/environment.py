"""The environment that every program of this project gets, whatever is set in yours.

The Makefile runs each program through `python -IS operations/environment.py KIND PROGRAM …`: `-I` makes Python ignore
the very variables that this removes. It therefore uses the standard library alone. `devstack` and `operations` make the
environments of their children with the same functions.
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
    """Return the environment for what installs and deploys: yours, without what changes how Python and pip work.

    What leads to an account (credentials, profile, region, proxy, certificates) stays.
    """
    kept = {name: value for name, value in environment.items() if _changes_no_tool(name) and not _is_socks(name, value)}
    # pip's configuration files may say `user = true`, which fails in a virtual environment; a variable beats them.
    return kept | {"PYTHONUTF8": "1", "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def for_this_machine(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for what runs and tests here: as `for_tools`, and without any AWS settings.

    A proxy stays, because packaging needs it to fetch dependencies, but is not asked for this machine's own addresses.
    """
    kept = {name: value for name, value in for_tools(environment).items() if not _leads_elsewhere(name)}
    unproxied = kept.get("NO_PROXY") or kept.get("no_proxy") or ""
    no_proxy = ",".join(dict.fromkeys(filter(None, [*unproxied.split(","), *LOOPBACK])))
    return kept | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def adopt(environment: Mapping[str, str]) -> None:
    """Make this the environment of the present process, and so of its boto3 clients."""
    made = dict(environment)
    os.environ.clear()
    os.environ.update(made)


def _changes_no_tool(name: str) -> bool:
    for prefix in ("PIP_", "UV_"):
        if name.startswith(prefix):
            return name.removeprefix(prefix) in _SOURCES
    return name in _PYTHON_KEPT or not name.startswith(("PYTHON", "__PYVENV"))


def _is_socks(name: str, value: str) -> bool:
    """Tell a proxy that pip, boto3 and other clients here cannot use. They fail, even where they would not need it."""
    return name.upper().endswith("_PROXY") and value.startswith("socks")


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
