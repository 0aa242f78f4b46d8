"""Write every file that is generated: `make generate`; with `--check`, only look for outdated ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from operations import PROJECT
from operations.functions import FunctionIncomplete
from operations.generate import (
    CannotGenerate,
    app_overrides,
    chalice_config,
    characters,
    cost,
    differences,
    licences,
    llms,
    openapi,
    policies,
    workflow_graph,
)

GENERATORS = (
    characters,
    openapi,
    workflow_graph,
    app_overrides,
    chalice_config,
    policies,
    differences,
    cost,
    licences,
    llms,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files or check them; return the exit status."""
    parser = argparse.ArgumentParser(
        prog=".venv/bin/python -m operations.generate", description="Write every file that is generated from others."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    check = parser.parse_args(arguments).check
    try:
        wanted = generated()
        outdated, leftovers = _outdated(wanted), _leftovers(wanted)
        if not check:
            for path, text in outdated.items():
                (PROJECT / path).write_text(text, encoding="utf-8")
                print(f"{path} written")
            for path in leftovers:
                (PROJECT / path).unlink()
                print(f"{path} removed")
            return 0
    except (CannotGenerate, FunctionIncomplete, OSError) as error:
        print(f"make generate: {error}", file=sys.stderr)
        return 1
    for path in (*outdated, *leftovers):
        print(f"{path} is out of date: run `make generate` and commit it", file=sys.stderr)
    return 1 if outdated or leftovers else 0


def generated() -> dict[Path, str]:
    """Return the text of every generated file, by its path relative to the project's root. Raises CannotGenerate."""
    return {path: text for generator in GENERATORS for path, text in generator.files().items()}


def _outdated(wanted: Mapping[Path, str]) -> dict[Path, str]:
    """Return those files that are missing or hold another text."""
    return {path: text for path, text in wanted.items() if _text_of(PROJECT / path) != text}


def _leftovers(wanted: Mapping[Path, str]) -> list[Path]:
    """Return the policy files of stages and functions that are no longer there."""
    return sorted(path for file in PROJECT.glob(policies.FILES) if (path := file.relative_to(PROJECT)) not in wanted)


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
