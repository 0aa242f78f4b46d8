"""Schemathesis holds the service to its document: every check and every phase.

There are two runs: the local server gets the fixed seed, and every case that follows from the document itself; the
deployed API gets a random seed. `SCHEMATHESIS_EXAMPLES=500 .venv/bin/python -m pytest tests/e2e/test_schemathesis.py`
makes longer runs, with either seed on either target. `SCHEMATHESIS_SEED=…` repeats a random one.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations import PROJECT
from tests.e2e.running import Api

CONFIG = Path(__file__).parent / "fuzzing" / "schemathesis.toml"
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
RUNS_WITHIN_S = 600 if not EXAMPLES else 6 * 3600
CASES_MIN = 1_000  # of both runs together; fewer would mean that whole operations or phases were left out

FIXED_SEED = 20_261_122
RANDOM_SEED = int(os.environ.get("SCHEMATHESIS_SEED") or secrets.randbelow(2**32))

# The coverage phase derives its cases from the document, not from the seed, so once is enough.
RUNS = {
    "fixed seed": (FIXED_SEED, "examples,coverage,fuzzing,stateful", 10),
    "random seed": (RANDOM_SEED, "fuzzing,stateful", 8),
}
CROSSED = [("local", "fixed seed"), ("gateway", "random seed")]
# API Gateway knows no 405: it answers 404 by a gateway response, for paths and methods alike (docs/api.md).
SWITCHED_OFF = {"local": [], "gateway": ["--exclude-checks", "unsupported_method"]}


@pytest.fixture(scope="module")
def cases() -> Iterator[list[int]]:
    """How many requests each run sent. Their sum must be large enough."""
    sent: list[int] = []
    yield sent
    if len(sent) >= len(CROSSED):
        assert sum(sent) >= CASES_MIN, sent


@pytest.mark.parametrize(("target", "run"), CROSSED if not EXAMPLES else itertools.product(SWITCHED_OFF, RUNS))
def test_the_service_keeps_what_its_document_promises(
    apis: dict[str, Api], target: str, run: str, cases: list[int], tmp_path: Path
) -> None:
    api = apis[target]
    seed, phases, examples = RUNS[run]
    print(f"schemathesis, {target}, {run}: --seed {seed}")

    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
            *("run", f"{api.base_url}/openapi.json", "--url", api.base_url),
            *("--header", f"Authorization: Bearer {api.token('operator')}"),
            *("--seed", str(seed), "--phases", phases, "--max-examples", str(EXAMPLES or examples)),
            *("--continue-on-failure", "--no-color", "--generation-database", "none"),
            *SWITCHED_OFF[target],
            # Each look at the dead letters takes a second, so only longer runs have what looks at them.
            *(() if EXAMPLES else ("--exclude-operation-id-regex", "DeadLetter|Timeline")),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "NO_PROXY": "127.0.0.1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUNS_WITHIN_S,
        check=False,
    )

    assert ran.returncode == 0, f"--seed {seed}\n{ran.stdout}"
    generated = re.search(r"^\s*(\d+) generated", ran.stdout, re.MULTILINE)
    assert generated, ran.stdout
    print(f"{generated[1]} requests")
    cases.append(int(generated[1]))
