"""Change the service's code in thousands of small ways, and name each change that no quick test notices.

mutmut makes the changes and runs the tests that reach each; pyproject.toml has its settings. It keeps what it found in
mutants/, so that a run that was stopped goes on from there. A change that survives fails this command, unless
docs/mutants.md accepts it; so does one that is accepted and no longer survives.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout

import pytest
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from operations import PROJECT

MUTANTS = PROJECT / "mutants"
REPORT = PROJECT / "docs" / "mutants.md"

# A change that makes the tests go on for ever was noticed, too.
KILLED = ("killed", "timeout", "segfault")
NOT_TRIED = ("not checked", "check was interrupted by user")

# A line of a code block in the report, which has nothing else indented; and its table.
_ACCEPTED = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)
_SCORE = re.compile(r"(?<=\n)\| module .*?\n(?=\n)", re.DOTALL)


def main() -> int:
    """Run what has not been run yet, and compare what survives with what is accepted. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__, add_help=False)
    parser.add_argument("--jobs", type=int, default=1, help="how many changes to try at the same time")
    jobs = parser.parse_args().jobs
    if lost := _tests_that_cannot_be_named():
        print(
            "pytest finds no test by these ids; give their parameters plain ASCII ids:",
            *lost,
            sep="\n    ",
            file=sys.stderr,
        )
        return 1
    _forget_what_no_longer_holds()
    if status := subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs)],
                                cwd=PROJECT, check=False).returncode:  # fmt: skip
        return status
    results = list(_results())
    table = _score(results)
    print(f"\n{table}")
    if left := sum(status in NOT_TRIED for _, status in results):
        print(f"{left} changes are not tried yet; `make mutants` goes on with them.", file=sys.stderr)
        return 1
    report = REPORT.read_text(encoding="utf-8")
    REPORT.write_text(_SCORE.sub(lambda _: table, report), encoding="utf-8")
    accepted = set(_ACCEPTED.findall(report))
    alive = {described(data, name) for (data, name), status in results if status not in KILLED}
    for change in sorted(alive - accepted):
        print(f"no quick test notices:\n    {change}", file=sys.stderr)
    for change in sorted(accepted - alive):
        print(f"is accepted in docs/mutants.md and does not survive (any more):\n    {change}", file=sys.stderr)
    return int(alive != accepted)


def described(data: SourceFileMutationData, name: str) -> str:
    """Return a change as docs/mutants.md lists it: `module.function: what was → what is`.

    mutmut's own names have numbers, which another change of the function shifts.
    """
    module = str(data.path).removesuffix(".py").replace("/", ".")
    function, owner = orig_function_and_class_names_from_key(name)
    was, now = [], []
    for line in get_diff_for_mutant(name, path=data.path).splitlines()[3:]:
        if line.startswith("-"):
            was.append(line[1:].strip())
        elif line.startswith("+"):
            now.append(line[1:].strip())
    place = ".".join(filter(None, (module, owner, function.rpartition(".")[2])))
    return f"{place}: {' '.join(was)} → {' '.join(now)}".rstrip()


class _Collected:
    """A pytest plugin that remembers the ids of the tests that were collected."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.ids = [item.nodeid for item in session.items]


def _tests_that_cannot_be_named() -> list[str]:
    """Return the tests that pytest does not find by their ids: it ends with an error, which mutmut takes for a kill.

    They are among those whose ids pytest has escaped.
    """
    collected = _Collected()
    collect = ["--collect-only", "-qqq", *config().pytest_add_cli_args]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        pytest.main([*collect, *config().pytest_add_cli_args_test_selection], [collected])
        if pytest.main([*collect, *collected.ids]) == pytest.ExitCode.OK:
            return []
        return [each for each in collected.ids if "\\" in each and pytest.main([*collect, each])]


def _results() -> Iterator[tuple[tuple[SourceFileMutationData, str], str]]:
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            yield (data, name), status_by_exit_code[code]


def _score(results: list[tuple[tuple[SourceFileMutationData, str], str]]) -> str:
    made, killed = Counter[str](), Counter[str]()
    for (data, _), status in results:
        made[str(data.path)] += 1
        killed[str(data.path)] += status in KILLED
    rows = [f"| `{module}` | {made[module]} | {killed[module]} |" for module in made]
    share = 100 * killed.total() / max(made.total(), 1)
    total = f"| **all** | **{made.total()}** | **{killed.total()} ({share:.1f} %)** |"
    return "\n".join(["| module | changes | noticed |", "| --- | --- | --- |", *rows, total, ""])


def _forget_what_no_longer_holds() -> None:
    """Have survivors tried again, by the tests that reach them now, if anything changed; what was killed stays so.

    mutmut itself looks for changed functions alone, and not at which tests reach them.
    """
    shutil.rmtree(MUTANTS / "tests", ignore_errors=True)  # mutmut adds to its copy, and leaves what was deleted
    MUTANTS.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    for path in sorted(
        [PROJECT / "app.py", *(PROJECT / "chalicelib").rglob("*.py"), *(PROJECT / "tests").rglob("*.py")]
    ):
        digest.update(path.read_bytes())
    tried = MUTANTS / "tried.sha256"
    if tried.exists() and tried.read_text() == digest.hexdigest():
        return
    (MUTANTS / "mutmut-stats.json").unlink(missing_ok=True)
    for (data, name), status in _results():
        if status not in KILLED:
            data.exit_code_by_key[name] = None
            data.save()
    tried.write_text(digest.hexdigest())


if __name__ == "__main__":
    raise SystemExit(main())
