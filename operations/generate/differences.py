"""The table of docs/embedded-aws.md: where the embedded AWS differs from AWS, from devstack/differences.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from operations import PROJECT
from operations.generate import CannotGenerate

DATA = Path("devstack", "differences.toml")
PAGE = Path("docs", "embedded-aws.md")
BEGIN = "<!-- begin: `make generate` makes this table from devstack/differences.toml -->\n"
END = "<!-- end -->\n"

_HEAD = "| here | on AWS | what that means |\n| --- | --- | --- |\n"


@dataclass(frozen=True)
class Difference:
    """What differs here and on AWS, what follows from it, and the test that shows it (by pytest's name).

    `seen_by` is the test of `make verify` that sees which of the two a deployed stage does, if one can.
    """

    here: str
    on_aws: str
    so: str
    shown_by: str
    seen_by: str = ""


def differences() -> list[Difference]:
    """Return all of them in the page's order. Raises CannotGenerate if an entry lacks something or has it twice."""
    try:
        entries = tomllib.loads((PROJECT / DATA).read_text(encoding="utf-8"))["difference"]
        return [Difference(**entry) for entry in entries]
    except (tomllib.TOMLDecodeError, TypeError, LookupError) as error:
        raise CannotGenerate(f"{DATA}: {error}") from error


def files() -> dict[Path, str]:
    """Return the page's text by its path. Raises CannotGenerate."""
    page = (PROJECT / PAGE).read_text(encoding="utf-8")
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise CannotGenerate(f"{PAGE} has no place for the table: {BEGIN.strip()} … {END.strip()}")
    rows = "".join(f"| {each.here} | {each.on_aws} | {each.so} |\n" for each in differences())
    return {PAGE: f"{before}{BEGIN}{_HEAD}{rows}{END}{after}"}
