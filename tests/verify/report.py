"""What `make verify` found out about a stage, as a page in Markdown."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from operations import PROJECT, visitors
from operations.generate.differences import Difference, differences
from operations.stores import Standing
from tests.verify.suite import LEFT_OUT


@dataclass
class Report:
    """The stage that was looked at, and what came of each test."""

    place: Path
    stage: str
    url: str
    region: str
    began: float = field(default_factory=time.time)
    passed: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # why, by the test's name
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # tests, by the reason
    seen: dict[str, str] = field(default_factory=dict)  # by the test of a known difference

    @classmethod
    def of(cls, place: Path | None, stage: Standing, url: str) -> Report:
        """Return an empty report; without a place, it is written into .local, under the stage and the time."""
        now = time.strftime("%Y-%m-%d-%H%M%S", time.gmtime())
        region = str(stage.clients("cognito-idp").meta.region_name)
        return cls(place or PROJECT / ".local" / f"verified-{stage.name}-{now}.md", stage.name, url, region)

    def read(self, results: Path) -> None:
        """Take over what pytest says in a file of JUnit's form."""
        for case in ET.parse(results).getroot().iter("testcase"):  # noqa: S314 - our own file
            name = _name(case)
            properties = {each.get("name"): str(each.get("value")) for each in case.iter("property")}
            if "seen" in properties:
                self.seen[name.partition("[")[0]] = properties["seen"]
            problem = next((each for kind in ("failure", "error") for each in case.iter(kind)), None)
            skipped = case.find("skipped")
            if problem is not None:
                self.failed[name] = str(problem.get("message", "")).partition("\n")[0]
            elif skipped is not None:
                self.left_out[str(skipped.get("message", ""))].append(name)
            else:
                self.passed += 1

    def write(self) -> None:
        """Write the page, and say where it is."""
        self.place.parent.mkdir(parents=True, exist_ok=True)
        self.place.write_text(self.as_markdown(), encoding="utf-8")
        print(f"{self.passed} passed, {len(self.failed)} failed; the report is {self.place}")

    def as_markdown(self) -> str:
        """Return the page."""
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.began))
        where = f"{self.url} ({self.region}{', an emulator' if os.environ.get('AWS_ENDPOINT_URL') else ''})"
        left_out = sum(map(len, self.left_out.values()))
        outcome = f"{self.passed} tests passed, {len(self.failed)} failed, {left_out} are not for a deployed stage"
        lines = [
            f"# Stage {self.stage}, verified on {when}",
            "",
            f"{where}: {outcome}. {time.time() - self.began:.0f} s.",
            "",
            "## What differed from the embedded AWS",
            "",
            *([f"- `{name}`: {why}" for name, why in sorted(self.failed.items())] or ["Nothing that was not known."]),
            "",
            "## Known differences that a client can see",
            "",
            "| on the embedded AWS | on AWS | this stage |",
            "| --- | --- | --- |",
            *(self._row(each) for each in differences() if each.seen_by),
            "",
            "## What was not tried, and why",
            "",
            *(f"- `{name}`: {reason}" for reason, names in sorted(self.left_out.items()) for name in names),
            *(f"- `{file}`: {reason}" for file, reason in LEFT_OUT.items()),
            "",
            "## What stays",
            "",
            *(f"- {left}" for left in visitors.LEFT),
        ]
        return "\n".join(lines) + "\n"

    def _row(self, difference: Difference) -> str:
        seen = self.seen.get(difference.seen_by, "not looked at")
        return f"| {difference.here} | {difference.on_aws} | {seen} |"


def _name(case: ET.Element) -> str:
    """Return a test's name as pytest takes it: `file::class::test`."""
    file = str(case.get("file", ""))
    module = file.removesuffix(".py").replace("/", ".")
    inside = str(case.get("classname", "")).removeprefix(module).strip(".")
    return "::".join(filter(None, (file, inside.replace(".", "::"), str(case.get("name")))))
