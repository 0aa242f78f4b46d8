"""Commands that are printed or documented: whoever pastes one into a shell in the project's folder can run it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations import PROJECT

MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))


def texts() -> Iterator[Path]:
    """Yield every file whose text somebody may read or see printed."""
    yield from PROJECT.glob("*.md")
    for folder in ("docs", "postman", "infrastructure", ".chalice", "chalicelib", "devstack", "operations"):
        for path in (PROJECT / folder).rglob("*"):
            parts = path.relative_to(PROJECT).parts
            if path.suffix in {".py", ".md", ".json", ".yaml"} and not {"deployments", "deployed"} & set(parts):
                yield path


TEXTS = {str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8") for path in texts()}


@pytest.mark.parametrize("name", TEXTS)
def test_a_module_is_run_by_the_virtual_environments_python(name: str) -> None:
    """Elsewhere `python` is another version, without our packages, or missing."""
    text = TEXTS[name]
    # A block that puts .venv/bin in front of the PATH may say `python`.
    text = re.sub(r"^```\nexport PATH=\"\$PWD/\.venv/bin:\$PATH\"\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)

    assert re.findall(r"(?<!\.venv/bin/)\bpython3? -[A-Za-z]*m \S+", text) == []


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if "python -m" in text])
def test_a_module_that_is_to_be_run_exists(name: str) -> None:
    modules = set(re.findall(r"python -m ((?:operations|devstack|tests)[\w.]*\w|\w+)", TEXTS[name]))

    assert [module for module in modules if not importlib.util.find_spec(module)] == []


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if "make" in text])
def test_a_target_of_make_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"[`(]make (?:-s )?([a-z][a-z0-9-]*)\b", TEXTS[name]))

    assert named <= TARGETS


def test_make_help_lists_every_target() -> None:
    listed = set(re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE))
    phony = set(re.findall(r"[\w-]+", re.search(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE).group(1)))  # type: ignore[union-attr]

    assert listed == phony == TARGETS
