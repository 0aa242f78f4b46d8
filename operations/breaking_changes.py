"""Compare the OpenAPI document with the last released one: `.venv/bin/python -m operations.breaking_changes`.

A change that breaks clients is allowed only if the version says so, with a higher major number, or below 1.0 with a
higher minor one (https://semver.org, 4 and 8). api-smart-diff, from npm, does the comparison. `--release` makes the
document the released one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from operations import PROJECT
from operations.generate.openapi import DOCUMENT, version

RELEASED = PROJECT / "docs" / "openapi.released.json"
SCRIPT = Path(__file__).with_suffix(".mjs")
COMPARES_WITHIN_S = 60


def breaking_changes(released: Path, *others: Path) -> list[list[str]]:
    """Return what each of the others breaks for clients of `released`, one line for each change.

    Raises RuntimeError if the documents cannot be compared.
    """
    compared = subprocess.run(
        ["node", str(SCRIPT), str(released), *map(str, others)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=COMPARES_WITHIN_S,
        check=False,
    )
    if compared.returncode != 0:
        raise RuntimeError(f"cannot compare the documents (`npm ci` installs what it needs):\n{compared.stderr}")
    return [[_line(change) for change in changes] for changes in json.loads(compared.stdout)]


def may_break(released: str, present: str) -> bool:
    """Tell whether the present version may break clients of the released one."""
    old_major, old_minor, _ = _numbers(released)
    new_major, new_minor, _ = _numbers(present)
    if new_major == 0:
        return (new_major, new_minor) > (old_major, old_minor)
    return new_major > old_major


def main(arguments: list[str] | None = None) -> int:
    """Compare, or release; return the exit status."""
    parser = argparse.ArgumentParser(
        prog=".venv/bin/python -m operations.breaking_changes",
        description="Find changes of the API that break its clients.",
    )
    parser.add_argument("--release", action="store_true", help="make the present document the released one")
    if parser.parse_args(arguments).release:
        RELEASED.write_bytes(DOCUMENT.read_bytes())
        return 0
    (changes,) = breaking_changes(RELEASED, DOCUMENT)
    released = json.loads(RELEASED.read_text(encoding="utf-8"))["info"]["version"]
    if not changes or may_break(released, version()):
        return 0
    print(f"These changes break clients of {released}, which version {version()} does not allow:", file=sys.stderr)
    print(*(f"  {change}" for change in changes), sep="\n", file=sys.stderr)
    print("Change the API without breaking them, or raise the version (see CONTRIBUTING.md).", file=sys.stderr)
    return 1


def _line(change: dict[str, Any]) -> str:
    place = " > ".join(map(str, change["path"][1:]))
    return f"{change['action']} {place} {change.get('description') or ''}".rstrip()


def _numbers(version_: str) -> tuple[int, int, int]:
    major, minor, patch = (int(number) for number in version_.split("."))
    return major, minor, patch


if __name__ == "__main__":
    sys.exit(main())
