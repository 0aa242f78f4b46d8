"""llms.txt: the list of docs/index.md for programs that read (https://llmstxt.org/)."""

from __future__ import annotations

import re
from pathlib import Path

from operations import PROJECT
from operations.generate import CannotGenerate

INDEX = Path("docs", "index.md")
FILE = Path("llms.txt")

_OF_THE_PROJECT = """\
## Project

- [README](README.md): what it is, and how to run, call, test and deploy it.
- [AGENTS](AGENTS.md): what to know before you change it.
- [CONTRIBUTING](CONTRIBUTING.md): how code reads here, what is generated, and what the gate checks.
- [OpenAPI document](chalicelib/web/static/openapi.json): the API for programs, as `GET /openapi.json` serves it.

"""


def files() -> dict[Path, str]:
    """Return the file's text by its path. Raises CannotGenerate if the index has no title and first paragraph."""
    index = (PROJECT / INDEX).read_text(encoding="utf-8")
    found = re.fullmatch(r"# (?P<title>.+)\n\n(?P<about>(?:.+\n)+)\n(?P<lists>## (?s:.*))", index)
    if not found:
        raise CannotGenerate(f"{INDEX} has to begin with a title, a paragraph and the first list")
    about = " ".join(found["about"].split())
    lists = re.sub(r"\]\((?!\w+:)", f"]({INDEX.parent.as_posix()}/", found["lists"])
    return {FILE: f"# {found['title']}\n\n> {about}\n\n{_OF_THE_PROJECT}{lists}"}
