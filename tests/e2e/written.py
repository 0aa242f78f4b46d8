"""Everything that is written down while a devstack runs, and the kinds of text that must not be in it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.e2e.running import Devstack

# A number as the API accepts it (E.164), except those that are too short to be anybody's.
_PHONE = re.compile(r"(?<!\w)(?:\+|%2[Bb]|\\u002[Bb])[1-9]\d{7,14}(?!\d)")
# The first two parts of a JWT (RFC 7519): both begin with an encoded `{"`.
_TOKEN = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}")


def function_lines(devstack: Devstack, since_s: float = 0) -> list[tuple[str, str]]:
    """Return every line that functions have logged since a time (seconds since 1970), each with its group's name."""
    logs = devstack.client("logs")
    return [
        (group["logGroupName"], event["message"].rstrip("\n"))
        for groups in logs.get_paginator("describe_log_groups").paginate()
        for group in groups["logGroups"]
        for event in events(logs, group["logGroupName"], since_s)
    ]


def events(logs: Any, group: str, since_s: float = 0, page_size: int = 10_000) -> Iterator[dict[str, Any]]:
    """Yield a group's events by time.

    The embedded AWS ends an answer after `limit` events without saying so, so the next request begins with the last
    millisecond. Reading stream by stream would take minutes, because there each invocation has a stream of its own.
    """
    since_ms = int(since_s * 1000)
    while True:
        page = logs.filter_log_events(logGroupName=group, startTime=since_ms, limit=page_size)["events"]
        if len(page) < page_size:
            yield from page
            return
        ends_ms = page[-1]["timestamp"]
        assert ends_ms > page[0]["timestamp"], f"{page_size} events in one millisecond: there may be more"
        yield from (event for event in page if event["timestamp"] < ends_ms)
        since_ms = ends_ms


def devstack_text(devstack: Devstack) -> dict[str, str]:
    """Return what the devstack has printed and what its two logs hold."""
    return {"terminal": devstack.output} | _log_files(devstack.state)


def everything(devstack: Devstack, folder: Path) -> dict[str, str]:
    """Return what a devstack and its functions wrote, and what every other one of this run printed and logged."""
    of_functions: dict[str, list[str]] = defaultdict(list)
    for group, line in function_lines(devstack):
        of_functions[group].append(line)
    joined = {group: "\n".join(lines) for group, lines in of_functions.items()}
    printed = {f"terminal of devstack {number}": each.output for number, each in enumerate(Devstack.of_this_run)}
    return devstack_text(devstack) | joined | printed | _log_files(folder)


def _log_files(folder: Path) -> dict[str, str]:
    paths = (path for name in ("api.log", "emulator.log") for path in folder.rglob(name))
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace") for path in paths}


def secrets_in(texts: Mapping[str, str], passwords: Iterable[str]) -> list[tuple[str, str]]:
    """Return the kind and place of each phone number, token and password in these texts."""
    patterns = {
        "phone number": _PHONE,
        "token": _TOKEN,
        "password": re.compile("|".join(map(re.escape, passwords)) or "(?!)"),
    }
    return [
        (f"{kind} {match[0]}", place)
        for place, text in texts.items()
        for kind, pattern in patterns.items()
        for match in pattern.finditer(text)
    ]
