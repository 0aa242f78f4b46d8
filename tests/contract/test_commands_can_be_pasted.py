"""Commands that are printed or documented: whoever pastes one into a shell in the project's folder can run it."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations import PROJECT

MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))


# The programs that are installed for this project alone. A shell finds another one of their name, or none.
INSTALLED = {
    path.name for folder in (Path(sys.prefix) / "bin", PROJECT / "node_modules" / ".bin") for path in folder.glob("*")
}
PROGRAM = f"(?:{'|'.join(map(re.escape, sorted(INSTALLED, key=len, reverse=True)))})"
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Where a shell takes a word for a program: first in a line or in what `;`, `|`, `&`, `(`, `do` begin, after variables.
BEGINS = r"(?:^|[;|&(]|\b(?:do|then|exec)\b)[ \t]*(?:\w+=\S*[ \t]+)*"


def texts() -> Iterator[Path]:
    """Yield every file whose text somebody may read or see printed."""
    for kind in ("*.md", "*.yaml", "*.py"):
        yield from PROJECT.glob(kind)
    for folder in ("docs", "postman", "infrastructure", ".chalice", "chalicelib", "devstack", "operations"):
        for path in (PROJECT / folder).rglob("*"):
            parts = path.relative_to(PROJECT).parts
            if path.suffix in {".py", ".md", ".json", ".yaml"} and not {"deployments", "deployed"} & set(parts):
                yield path


TEXTS = {str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8") for path in texts()}


def bare(text: str) -> list[str]:
    """Return the commands in a text that name a program of .venv/bin or node_modules/.bin without its folder.

    A block that puts .venv/bin in front of the PATH may do so. So may `program` and `program subcommand` within a
    sentence: they name something, and a command to be pasted has an option or a file as well.
    """
    text = re.sub(r"^```\nexport PATH=\"\$PWD/\.venv/bin:\$PATH\"\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in BLOCK.findall(text) for line in block.replace("\\\n", "").splitlines()]
    lines += re.findall(r"^# {3,}(.*)", text, re.MULTILINE)  # a block in a comment
    found = [line for line in lines if re.search(rf"{BEGINS}{PROGRAM}(?=[ \t]|$)", line)]
    # A sentence may break within a command, in Python as two strings.
    spans = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", BLOCK.sub("", text))
    commands = [re.sub(r"[\"']?\n[ \t]*(?:f?[\"'])?", " ", span) for span in spans]
    found += [each for each in commands if re.search(rf"{BEGINS}{PROGRAM}\s(?:.*\s)?(?:-\w|--\w|\S*/)", each)]
    return found + re.findall(r"(?<!\.venv/bin/)\bpython3? -[A-Za-z]*m \S+", text)


@pytest.mark.parametrize("name", TEXTS)
def test_a_program_of_the_project_is_named_with_its_folder(name: str) -> None:
    """Elsewhere `python` is another version, without our packages, and `aws` another program; or both are missing."""
    assert bare(TEXTS[name]) == []


@pytest.mark.parametrize(
    "text",
    [
        "```\naws s3 ls\n```",
        "```sh\ncd x && AWS_REGION=x aws s3 ls\n```",
        "```\nfor each in a b; do \\\n  chalice delete; done\n```",
        "```\nTOKEN=$(python -c 'x')\n```",
        "run `aws s3 ls --recursive`",
        "run `A=1 pytest tests/e2e/test_x.py`",
        "by hand: `python\n-m tests.proof.fuzz_parser`",
        'f"first run `chalice delete "\n  f"--stage dev`"',
        "python3 -m operations.logs",
        "# Settings:\n#   bandit --quiet",
    ],
)
def test_a_program_without_its_folder_is_found(text: str) -> None:
    assert len(bare(text)) >= 1


@pytest.mark.parametrize(
    "text",
    [
        '```\nexport PATH="$PWD/.venv/bin:$PATH"\naws s3 ls\n```',
        "```\n.venv/bin/aws s3 ls\ncurl aws --x\n```",
        "what `chalice package` makes; `.venv/bin/chalice delete --stage dev`; `aws`",
    ],
)
def test_a_command_that_can_be_pasted_is_taken_for_one(text: str) -> None:
    assert bare(text) == []


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
