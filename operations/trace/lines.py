"""What the functions' logs say of an id: their lines in words, and how far they were searched."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from chalicelib import timeline
from chalicelib.timeline import Moment, one_line
from operations import logs
from operations.logs import Line

# Of one log and one id: so many lines are shown, and for so long it is searched. AWS reads all that was logged in the
# time, whatever it finds.
LINES_MAX = 200
SEARCHED_FOR_S = 60.0

# The members of a line that say which other things it is about.
REQUEST = "request"  # what the line of an answered request says
CORRELATION, MESSAGE, SUBMISSION, COMPANY = "correlation_id", "message_id", "submission_id", "company_id"
# The members that are worth reading beside the sentence.
_SAID = ("outcome", "reason", "why", SUBMISSION, MESSAGE, COMPANY)


class Linked(timeline.Linked):
    """The ids that belong together, those that lines name among them, and when dragons were reported."""

    reported_at: set[datetime] = msgspec.field(default_factory=set)

    def take(self, members: Mapping[str, Any], at: datetime) -> None:
        """Take the ids that a line names."""
        for name, ids in self._by_member().items():
            if isinstance(members.get(name), str):
                ids.add(members[name])
        if (members.get("method"), members.get("route")) == ("POST", "/dragons"):
            self.reported_at.add(at)

    def is_about_others(self, members: Mapping[str, Any]) -> bool:
        """Tell whether a line is about other messages or reports alone: clients may use a request's id again."""
        return any(name in members and members[name] not in self._by_member()[name] for name in (MESSAGE, SUBMISSION))

    def searched(self) -> set[str]:
        """Return the ids that lines may contain."""
        return self.correlations | self.messages | self.submissions

    def _by_member(self) -> dict[str, set[str]]:
        return {
            CORRELATION: self.correlations,
            MESSAGE: self.messages,
            SUBMISSION: self.submissions,
            COMPANY: self.companies,
        }


@dataclass(frozen=True)
class Window:
    """The time that is searched; without an end, up to now."""

    since: datetime
    until: datetime | None = None

    @property
    def end(self) -> datetime:
        """The latest time of it."""
        return self.until or datetime.max.replace(tzinfo=UTC)


class Logs:
    """A stage's logs: those of its functions, and api.log if `make run` serves it."""

    def __init__(
        self,
        client: Any,
        stage: str,
        server_log: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take CloudWatch Logs' client, the stage's name, the local server's log, and a clock in seconds."""
        self._client = client
        self._server_log = server_log
        self._clock = clock
        self.groups = logs.functions(client, stage)
        self.limits: list[str] = []

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield each log with how long its lines are kept."""
        for group in self.groups.values():
            [described] = [
                each
                for each in self._client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
                if each["logGroupName"] == group
            ]
            days = described.get("retentionInDays")
            yield f"log {group}", f"kept for {days} days" if days else "kept for ever"
        if self._server_log:
            yield f"log {self._server_log.name}", "the local server's, kept until `make reset`"

    def said(self, ids: Iterable[str], window: Window) -> list[tuple[str, Line]]:
        """Return the lines that contain one of the ids, each with its log. What was not searched is in `limits`."""
        wanted = sorted(ids)
        found = [
            (f"log {group}", line)
            for name, group in self.groups.items()
            for each in wanted
            for line in self._in_group(name, each, window)
        ]
        if self._server_log and wanted:
            lines = logs.said_by_server(self._server_log, window.since, wanted)
            found += [(f"log {self._server_log.name}", line) for line in lines if line.at <= window.end]
        return found

    def _in_group(self, name: str, wanted: str, window: Window) -> list[Line]:
        group, ends = self.groups[name], self._clock() + SEARCHED_FOR_S
        events: list[Any] = []
        for page in logs.pages(self._client, group, window.since, f'"{wanted}"', window.until):
            events += page
            if len(events) > LINES_MAX:
                self.limits.append(
                    f"log {group} has more than {LINES_MAX} lines with {wanted}; the first are shown. `make logs` "
                    f"shows all (FUNCTION={name} ID={wanted})"
                )
                break
            if self._clock() > ends:
                self.limits.append(
                    f"log {group} was searched for {wanted} for {SEARCHED_FOR_S:.0f} s and not to its end: the search "
                    f"from {window.since:%Y-%m-%d %H:%M:%S}Z on is truncated. Fewer HOURS=… take less time"
                )
                break
        return list(logs.lines_of(name, events[:LINES_MAX]))


def members(text: str) -> dict[str, Any]:
    """Return the members of a line that the app has logged, or none of any other line."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def moment_of(source: str, line: Line, queue: str) -> Moment:
    """Return a line as a moment, in words. `queue` is the name of the message queue.

    A request is logged when it is answered; its moment is when it came, before what it has caused.
    """
    said = members(line.text)
    is_request = said.get("message") == REQUEST
    at = _written_at(said, line) - timedelta(milliseconds=_duration_ms(said) if is_request else 0)
    return Moment(at, source, one_line(_words(said, line.text, queue)), is_request=is_request)


def _words(said: Mapping[str, Any], text: str, queue: str) -> str:
    if "message" not in said:
        return text
    if said["message"] == REQUEST:
        answered = f"{said.get('method')} {said.get('route')}, answered {said.get('status')}"
        accepted = (said.get("method"), said.get("route"), said.get("status")) == ("POST", "/post-message", 202)
        on_queue = f": queue {queue} has the message" if accepted else ""
        return f"{answered} after {_duration_ms(said):.0f} ms{on_queue} (request {said.get(CORRELATION)})"
    level = f"{said['level']} " if said.get("level") in ("WARNING", "ERROR", "CRITICAL") else ""
    details = [f"{name} {said[name]}" for name in _SAID if name in said]
    if "exception" in said:
        details.append(str(said["exception"]).strip().splitlines()[-1])
    return f"{level}{said['message']}" + (f": {', '.join(details)}" if details else "")


def _written_at(said: Mapping[str, Any], line: Line) -> datetime:
    """Return when the app wrote a line, which is a little before CloudWatch has it."""
    try:
        return datetime.strptime(said["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z").astimezone(UTC)
    except (LookupError, TypeError, ValueError):
        return line.at


def _duration_ms(said: Mapping[str, Any]) -> float:
    duration = said.get("duration_ms")
    return float(duration) if isinstance(duration, int | float) else 0.0
