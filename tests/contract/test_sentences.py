"""A sentence that a client reads is in chalicelib/web/problems.py, and nowhere else, so it is easy to find."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from chalicelib.dragons.steps import why_duplicate
from operations import PROJECT
from operations.generate.__main__ import generated
from tests.samples import dragon

PROBLEMS = PROJECT / "chalicelib" / "web" / "problems.py"
TEXT = {".py", ".js", ".html", ".json", ".yaml"}
LETTERS_MIN = 12  # shorter ones are header names and the like


def other_sources() -> list[Path]:
    """Return every file that could repeat a sentence, except those that are generated from problems.py."""
    folders = [PROJECT / name for name in ("chalicelib", "devstack", "operations", "infrastructure")]
    found = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in TEXT]
    made = generated()
    return [path for path in (PROJECT / "app.py", *found) if path != PROBLEMS and path.relative_to(PROJECT) not in made]


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield a module's strings. Strings that the compiler joins are one; those around a placeholder are several."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def said_in(path: Path) -> str:
    return "\n".join(texts(parsed(path))) if path.suffix == ".py" else path.read_text(encoding="utf-8")


def test_no_sentence_of_a_problem_is_said_anywhere_else() -> None:
    sentences = {text.strip() for text in texts(parsed(PROBLEMS)) if " " in text.strip() and len(text) >= LETTERS_MIN}
    assert len(sentences) > 30

    said = {path.relative_to(PROJECT): said_in(path) for path in other_sources()}
    twice = [f"{path}: {sentence}" for path, text in said.items() for sentence in sentences if sentence in text]

    assert twice == []


def test_problems_are_made_in_one_module_only() -> None:
    elsewhere = [
        path.relative_to(PROJECT)
        for path in other_sources()
        if path.suffix == ".py"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Problem", "problems.Problem"}
    ]

    assert elsewhere == []


def test_the_answers_that_the_pages_quote_are_those_of_the_service() -> None:
    document = json.loads((PROJECT / "chalicelib" / "web" / "static" / "openapi.json").read_text(encoding="utf-8"))
    said = set(details(document)) | {why_duplicate(dragon(name)) for name in ("Pepperwing", "GLASSWING OF DELFT")}
    quoted = {
        detail: page
        for page in ("README.md", "docs/api.md", "docs/problems.md")
        for detail in re.findall(r'"detail": ?"([^"]+)"', (PROJECT / page).read_text(encoding="utf-8"))
    }

    assert len(quoted) >= 5
    assert {detail: page for detail, page in quoted.items() if detail not in said} == {}


def details(node: object) -> Iterator[str]:
    """Yield every `detail` in the examples of a document."""
    if isinstance(node, dict):
        if isinstance(node.get("detail"), str):
            yield node["detail"]
        for member in node.values():
            yield from details(member)
    elif isinstance(node, list):
        for item in node:
            yield from details(item)
