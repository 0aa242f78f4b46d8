"""A dragon's field is declared once: a field that is added there, and nowhere else, is lost nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.one_more_field import project_with_one_more_field

# What holds for any declaration, and what holds for the added field.
TESTS = (
    "tests/unit/test_dragon_model.py",
    "tests/contract/test_dragon_page.py::test_a_field_that_came_after_the_release_has_a_default_for_dragons_that_are_stored",
    "tests/contract/test_dragon_page.py::test_the_first_dragons_are_a_document_that_the_service_reads",
    "tests/integration/with_one_more_field.py",
)


def ran(project: Path, *arguments: str) -> str:
    """Run a module of the copy; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ended = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_field_that_is_added_as_the_recipe_says_is_everywhere(tmp_path: Path) -> None:
    project = project_with_one_more_field(tmp_path)

    written = ran(project, "operations.generate")
    ran(project, "pytest", "-q", "-p", "no:cacheprovider", *TESTS)

    # And the page of costs, because a report's row gets longer.
    assert written == "chalicelib/web/static/openapi.json written\ndocs/cost.md written\n"
