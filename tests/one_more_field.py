"""The field that CONTRIBUTING.md adds to a dragon, and a copy of the project that has it."""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
from pathlib import Path

from operations import PROJECT

NAME = "hoard_str"
ALIAS = "hoard"
LABEL = "Hoard"
EXAMPLES = ("honey", "old wine")
STORED_DEFAULT = "never seen"

_MODEL = Path("chalicelib", "dragons", "model.py")
_NOT_COPIED = shutil.ignore_patterns(".*", "node_modules", "mutants", "__pycache__", "*.egg-info")


def project_with_one_more_field(folder: Path) -> Path:
    """Copy the project into a new folder, and declare the field as CONTRIBUTING.md says; return the folder."""
    copy = folder / "project"
    shutil.copytree(PROJECT, copy, ignore=_not_copied)
    shutil.copytree(PROJECT / ".chalice", copy / ".chalice", ignore=shutil.ignore_patterns("deploy*", "venv"))
    (copy / "vendor").symlink_to(PROJECT / "vendor")  # docs/licences.md lists what is in it
    model = copy / _MODEL
    model.write_text(with_one_more_field(model.read_text(encoding="utf-8")), encoding="utf-8")
    return copy


def _not_copied(folder: str, names: list[str]) -> set[str]:
    return _NOT_COPIED(folder, names) | ({"vendor"} if Path(folder) == PROJECT else set())


def with_one_more_field(source: str) -> str:
    """Return the model's source with the recipe's declaration at the end of `Dragon`."""
    recipe = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (declaration,) = re.findall(r"^ *```python\n(.*?)^ *```$", recipe, re.DOTALL | re.MULTILINE)
    (dragon,) = (part for part in ast.parse(source).body if isinstance(part, ast.ClassDef) and part.name == "Dragon")
    *_, last = (part for part in dragon.body if isinstance(part, ast.AnnAssign))
    lines = source.splitlines()
    added = textwrap.indent(textwrap.dedent(declaration), "    ").splitlines()
    return "\n".join([*lines[: last.end_lineno], *added, *lines[last.end_lineno :]]) + "\n"
