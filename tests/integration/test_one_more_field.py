"""A dragon's field is declared once: a field that is added there, and nowhere else, is lost nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_a_field_that_is_declared_in_one_place_is_everywhere() -> None:
    """In another process, because everything that depends on the fields is made when the model is imported."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.one_more_field", "-p", "no:cacheprovider"),
            str(HERE / "with_one_more_field.py"),
        ],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
