"""Staying signed in: the pages' session (session.js, api.js) in Node.js, before a Cognito that rotates tokens as AWS's.

tests/e2e/test_browser.py uses it in a browser, with the embedded AWS's Cognito, which rotates none.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from operations import PROJECT

CASES = PROJECT / "tests" / "unit" / "session.test.mjs"
RUNS_WITHIN_S = 60


@pytest.fixture(scope="module")
def ran() -> str:
    """What Node.js says about every case."""
    command = ("node", "--experimental-vm-modules", "--no-warnings", "--test-reporter=tap", str(CASES))
    return subprocess.run(command, capture_output=True, text=True, timeout=RUNS_WITHIN_S, check=False).stdout


@pytest.mark.parametrize("case", re.findall(r'^test\("(.*?)",', CASES.read_text(encoding="utf-8"), re.MULTILINE))
def test_a_session(case: str, ran: str) -> None:
    assert re.search(rf"^ok \d+ - {re.escape(case)}$", ran, re.MULTILINE), ran
