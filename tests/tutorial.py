"""docs/tutorial.md: the field and the route that it adds, and a copy of the project that has them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from operations import PROJECT

# The field that it adds.
NAME = "hoard_str"
ALIAS = "hoard"
LABEL = "Hoard"
EXAMPLES = ("honey", "old wine")
STORED_DEFAULT = "never seen"

PAGE = Path("docs", "tutorial.md")
_BLOCK = re.compile(r'^```(?P<language>\w+)(?: title="(?P<file>[^"]+)")?\n(?P<text>.*?)^```$', re.DOTALL | re.MULTILINE)
_NOT_COPIED = shutil.ignore_patterns(".*", "node_modules", "mutants", "__pycache__", "*.egg-info")


class TutorialOutdated(AssertionError):
    """A box of the page shows what is not in the project as the box has it."""


@dataclass(frozen=True)
class Step:
    """A box of the page: commands (`sh`), what changes in a file (`diff`), or a new file. Others have no language."""

    language: str
    file: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of the box, if it has any."""
        return self.text.splitlines() if self.language == "sh" else []

    def apply(self, project: Path) -> None:
        """Write the file as the box says. Raises TutorialOutdated if its surroundings are not there, once."""
        file = project / self.file
        if self.language != "diff":
            if file.exists():
                raise TutorialOutdated(f"{PAGE} makes {self.file}, which exists")
            file.write_text(self.text, encoding="utf-8")
            return
        before, after = self._side("-"), self._side("+")
        text = file.read_text(encoding="utf-8")
        if text.count(before) != 1:
            raise TutorialOutdated(f"{PAGE} changes {self.file}, where this is {text.count(before)} times:\n{before}")
        file.write_text(text.replace(before, after), encoding="utf-8")

    def _side(self, sign: str) -> str:
        """Return the lines before the change (`-`) or after it (`+`), with those that stay."""
        return "".join(line[1:] or "\n" for line in self.text.splitlines(keepends=True) if line[0] in f" {sign}\n")


def steps() -> list[Step]:
    """Return the page's boxes in their order."""
    page = (PROJECT / PAGE).read_text(encoding="utf-8")
    return [Step(box["language"], box["file"] or "", box["text"]) for box in _BLOCK.finditer(page)]


def copy_of_the_project(folder: Path) -> Path:
    """Copy the project, without what is installed, into a new folder; return that."""
    copy = folder / "project"
    shutil.copytree(PROJECT, copy, ignore=_not_copied)
    shutil.copytree(PROJECT / ".chalice", copy / ".chalice", ignore=shutil.ignore_patterns("deploy*", "venv"))
    (copy / "vendor").symlink_to(PROJECT / "vendor")  # docs/licences.md lists what is in it
    return copy


def _not_copied(folder: str, names: list[str]) -> set[str]:
    return _NOT_COPIED(folder, names) | ({"vendor"} if Path(folder) == PROJECT else set())
