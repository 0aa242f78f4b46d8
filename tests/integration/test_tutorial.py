"""docs/tutorial.md works as it stands, and what it declares in one place is lost nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tutorial
from tests.tutorial import Step, TutorialOutdated

# What holds for any declaration of a field, and what holds for the one that was added. The page has the others.
OF_THE_FIELD = (
    "tests/unit/test_dragon_model.py",
    "tests/contract/test_dragon_page.py",
    "tests/integration/with_one_more_field.py",
)

# The page's commands, as they are run here: with the Python that runs this test, in the copy.
GENERATE = "make generate"
PYTEST = ".venv/bin/python -m pytest "


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


def test_whoever_follows_the_tutorial_gets_a_field_that_is_everywhere_and_a_route(tmp_path: Path) -> None:
    project = tutorial.copy_of_the_project(tmp_path)
    written, together, alone = [], list(OF_THE_FIELD), []

    for step in tutorial.steps():
        if not step.commands:
            step.apply(project)
        for command in step.commands:
            if command == GENERATE:
                written.append(ran(project, "operations.generate"))
                continue
            assert command.startswith(PYTEST), "a command that nobody has tried"
            options = command.removeprefix(PYTEST).split()
            (alone.append if "-k" in options else together.extend)(options)

    # Those that choose no tests run together, when all is written: each start of pytest takes seconds.
    for options in (together, *alone):
        ran(project, "pytest", "-p", "no:cacheprovider", *dict.fromkeys(options))
    # The page of costs as well, because a report's row gets longer.
    assert written == [
        "chalicelib/web/static/openapi.json written\ndocs/cost.md written\n",
        "chalicelib/web/static/openapi.json written\ninfrastructure/app-overrides.json written\ndocs/cost.md written\n",
    ]


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (Step("diff", "page.md", " a line\n+another\n"), "0 times"),
        (Step("diff", "page.md", " twice\n+another\n"), "2 times"),
        (Step("python", "page.md", "new\n"), "exists"),
    ],
)
def test_a_step_that_no_longer_fits_is_named(tmp_path: Path, step: Step, why: str) -> None:
    (tmp_path / "page.md").write_text("twice\n\ntwice\n", encoding="utf-8")

    with pytest.raises(TutorialOutdated, match=why):
        step.apply(tmp_path)
