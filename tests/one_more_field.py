"""A pytest plugin (`-p tests.one_more_field`): everything runs with a dragon that has one more field.

The field is added to the text of chalicelib/dragons/model.py, where a developer would add it, and nowhere else.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

NAME = "hoard_str"
ALIAS = "hoard"
LABEL = "Hoard"
EXAMPLES = ("honey", "old wine")
STORED_DEFAULT = "never seen"

_MODEL = "chalicelib.dragons.model"
_LINE = (
    f"    {NAME}: Annotated[str, Field(rule=Place, alias={ALIAS!r}, label={LABEL!r}, examples={EXAMPLES!r})]"
    f" = {STORED_DEFAULT!r}"
)


def with_one_more_field(source: str) -> str:
    """Return the model's source with one more field at the end of the declaration."""
    (dragon,) = (part for part in ast.parse(source).body if isinstance(part, ast.ClassDef) and part.name == "Dragon")
    *_, last = (part for part in dragon.body if isinstance(part, ast.AnnAssign))
    lines = source.splitlines()
    return "\n".join([*lines[: last.end_lineno], _LINE, *lines[last.end_lineno :]])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Load the model with the field, before anything else loads it."""
    if _MODEL in sys.modules:
        raise RuntimeError(f"{_MODEL} is loaded already; nothing may import it before this plugin")
    spec = importlib.util.find_spec(_MODEL)
    assert spec
    assert spec.origin
    source = with_one_more_field(Path(spec.origin).read_text(encoding="utf-8"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODEL] = module
    exec(compile(source, spec.origin, "exec"), module.__dict__)  # noqa: S102 - our own source and one line
    importlib.import_module("chalicelib.dragons").model = module  # type: ignore[attr-defined]
