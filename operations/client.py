"""Make a typed client of the API, as a package that can be installed: `make client LANGUAGE=python`, or `typescript`.

A generator writes the operations and models from the OpenAPI document; `clients/` has the rest. For Python, that is
openapi-python-client, which `.venv` has; for TypeScript, openapi-typescript, which npm installs beside the package.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from operations import PROJECT, environment
from operations.exit_status import exit_status
from operations.generate.openapi import DOCUMENT, version

SOURCES = PROJECT / "clients"
PLACE = PROJECT / ".local" / "client"
TAKES_AT_MOST_S = 300
_UNVERSIONED = "0.0.0"


class NoClient(Exception):
    """The client could not be made. The message says which step failed, and how."""


def python(folder: Path) -> Path:
    """Make the Python package in this folder, whose former content goes. Return the wheel. Raises `NoClient`."""
    if importlib.util.find_spec("openapi_python_client") is None:
        raise NoClient("openapi-python-client is not installed in .venv: run `make install`")
    _require_folder(folder)
    shutil.rmtree(folder, ignore_errors=True)
    package = folder / "dragonpost_client"
    folder.mkdir(parents=True)
    unformatted = folder / "generator.yaml"
    unformatted.write_text("post_hooks: []\n", encoding="utf-8")
    generator = (sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning")
    _run(*generator, "--path", DOCUMENT, "--config", unformatted, "--output-path", package, cwd=folder)
    shutil.copytree(SOURCES / "python", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "py.typed").touch()
    shutil.copy(PROJECT / "LICENSE", folder)
    _set_version(folder / "pyproject.toml")
    # The build's only requirement, setuptools, is in this environment, and pinned there.
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel")
    _run(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", folder, cwd=folder)
    return next((folder / "dist").glob("*.whl"))


def typescript(folder: Path) -> Path:
    """Make the npm package in this folder. Return what `npm pack` makes of it. Raises `NoClient`.

    What npm has installed there stays until other versions are pinned.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NoClient("the TypeScript client needs Node.js with npm: install it, and have it on your PATH")
    _require_folder(folder)
    for made in ("src", "dist"):
        shutil.rmtree(folder / made, ignore_errors=True)
    shutil.copytree(SOURCES / "typescript", folder, dirs_exist_ok=True)
    shutil.copy(PROJECT / "LICENSE", folder)
    pinned, installed = folder / "package-lock.json", folder / "node_modules" / ".installed"
    if not installed.exists() or installed.read_bytes() != pinned.read_bytes():
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)
        shutil.copy(pinned, installed)
    _set_version(folder / "package.json")
    # As `node` runs them, because the path in the first line of a script of `.bin` may be too long.
    programs = folder / "node_modules"
    _run("node", programs / "openapi-typescript/bin/cli.js", DOCUMENT, "--output", "src/schema.ts", cwd=folder)
    _run("node", programs / "typescript/bin/tsc", cwd=folder)
    packed = _run("npm", "pack", "--silent", "--pack-destination", "dist", cwd=folder)
    return folder / "dist" / packed.split()[-1]


LANGUAGES = {"python": python, "typescript": typescript}
_INSTALLED_BY = {"python": "pip install", "typescript": "npm install"}


def main(arguments: list[str] | None = None) -> int:
    """Make a client, and print how to install it; return the exit status."""
    parser = argparse.ArgumentParser(prog="make client", description="Make a typed client of the API.")
    parser.add_argument("--language", required=True, help=" or ".join(LANGUAGES))
    language = parser.parse_args(arguments).language
    if language not in LANGUAGES:
        parser.error(f"LANGUAGE={language}: choose {' or '.join(LANGUAGES)}")

    def work() -> None:
        package = LANGUAGES[language](PLACE / language)
        print(f"{_INSTALLED_BY[language]} {package.relative_to(PROJECT)}")

    return exit_status(work, NoClient, OSError, may="write there")


def _require_folder(place: Path) -> None:
    if place.exists() and not place.is_dir():
        raise NoClient(f"{place} is in the way: it is not a folder. Move it away")


def _set_version(manifest: Path) -> None:
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace(f'"{_UNVERSIONED}"', f'"{version()}"', 1), encoding="utf-8")


def _run(*command: str | Path, cwd: Path) -> str:
    try:
        ran = subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env=environment.for_tools(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TAKES_AT_MOST_S,
            check=True,
        )
    except subprocess.CalledProcessError as failed:
        raise NoClient(f"{_name(command)} ended with status {failed.returncode}, and said:\n{failed.stdout}") from None
    except subprocess.TimeoutExpired:
        raise NoClient(f"{_name(command)} took longer than {TAKES_AT_MOST_S} s") from None
    return ran.stdout


def _name(command: tuple[str | Path, ...]) -> str:
    """Return what people call a command: Python's module, Node.js's script, or the program."""
    program, *arguments = map(str, command)
    if program == sys.executable:
        return arguments[arguments.index("-m") + 1]
    return arguments[0] if program == "node" else program


if __name__ == "__main__":
    sys.exit(main())
