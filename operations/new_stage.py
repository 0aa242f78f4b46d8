"""Add a stage like another one: `.venv/bin/python -m operations.new_stage --name staging --from prod`.

It writes the stage into infrastructure/stages.toml, and every file that is generated from that. Nothing is deployed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import NODEFAULT, structs

from operations import PROJECT
from operations.stages import EMBEDDED, FILE, NAME_LETTERS_MAX, STAGES, Stage

# No two stages can have one of these.
_OF_ONE_STAGE = frozenset({"ApiDomainName", "ApiDomainCertificateArn", "ApiDomainBasePath", "SignInDomainPrefix"})


class NewStageError(Exception):
    """The stage cannot be added; the message says why and what to do."""


def check_name(name: str) -> None:
    """Raise NewStageError if there cannot be a new stage of this name."""
    if not name:
        raise NewStageError("give the new stage a name: `make stage NAME=staging`")
    if name in STAGES:
        raise NewStageError(f"{FILE} has a stage {name} already")
    if not re.fullmatch(rf"[a-z][a-z0-9]{{0,{NAME_LETTERS_MAX - 1}}}", name):
        raise NewStageError(
            f"{name!r} cannot be a stage's name: it is a letter and up to {NAME_LETTERS_MAX - 1} letters or digits, "
            "all in lower case, because buckets, which may have 63 characters in their names, have it in theirs"
        )


def written(name: str, like: Stage) -> str:
    """Return a new stage's part of the file, given the stage that it is like. What every stage may have is left out."""
    own = {key: value for key, value in structs.asdict(like).items() if value != _default(key)}
    tables = {key: dict(own.pop(key)) for key in ("environment", "parameters") if key in own}
    if "parameters" in tables:
        tables["parameters"] = {key: value for key, value in tables["parameters"].items() if key not in _OF_ONE_STAGE}
    lines = ["", f"[{name}]", *_members(own)]
    for key, table in tables.items():
        lines += ["", f"[{name}.{key}]", *_members(table)] if table else []
    return "\n".join(lines) + "\n"


def _default(member: str) -> Any:
    [found] = [each for each in structs.fields(Stage) if each.name == member]
    return {} if found.default is NODEFAULT else found.default


def _members(table: dict[str, Any]) -> Iterator[str]:
    """Yield a table's lines. Text, numbers and true or false are written in TOML as in JSON."""
    yield from (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items())


def add(name: str, like: str) -> None:
    """Add a stage to the file, and generate what follows. Raises NewStageError, and then the file is as it was."""
    check_name(name)
    if like == EMBEDDED or like not in STAGES:
        others = ", ".join(each for each in STAGES if each != EMBEDDED)
        raise NewStageError(f"a stage can be like {others}, and not like {like}")
    file = PROJECT / FILE
    before = file.read_text(encoding="utf-8")
    file.write_text(before.rstrip("\n") + "\n" + written(name, STAGES[like]), encoding="utf-8")
    # A process of its own, because this one has read the stages as they were.
    generated = subprocess.run([sys.executable, "-m", "operations.generate"], cwd=PROJECT, check=False)
    if generated.returncode:
        file.write_text(before, encoding="utf-8")
        raise NewStageError(f"{FILE} is as it was: see above what could not be generated, and run `make generate`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.new_stage", description=__doc__)
    parser.add_argument("--name", required=True, help="the new stage's name")
    first = next(name for name in STAGES if name != EMBEDDED)
    parser.add_argument("--from", dest="like", default=first, help=f"the stage that it is like (default: {first})")
    options = parser.parse_args(arguments)
    try:
        add(options.name, options.like)
    except (NewStageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"{FILE} has {options.name}, which is like {options.like}. Look through it, commit it with what was written, "
        f"and run `make deploy STAGE={options.name}`."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
