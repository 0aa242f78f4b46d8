"""Show what happened to one id, in order: `.venv/bin/python -m operations.trace --stage prod --id <id>`.

The id is a request's (`X-Request-Id`), a message's, a submission's, or a dragon's name. Index, archive, dead letters,
registry, submissions and executions are looked at, and then the functions' logs around that time. Bodies of messages,
inputs and outputs of executions and causes of failed steps are not shown, and phone numbers are hidden.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib.dragons.document import DocumentCorrupt
from chalicelib.search import AN_ID
from chalicelib.search import Search as ResourceSearch
from chalicelib.timeline import Findings, uuid_of
from devstack.settings import Settings
from devstack.state import StateFolder
from operations import logs
from operations.contents import of_this_environment
from operations.exit_status import exit_status
from operations.logs import Line
from operations.reach import reach
from operations.stages import EMBEDDED, STAGES
from operations.stores import Clients, Standing
from operations.trace.dragons import Dragons
from operations.trace.lines import CORRELATION, MESSAGE, REQUEST, Linked, Logs, Window, members, moment_of
from operations.trace.messages import Messages
from operations.trace.timeline import told

LOOKS_BACK_HOURS = 24
# Around what the stores know of it, so that little of the logs is read.
AROUND = timedelta(minutes=15)


@dataclass
class Search:
    """The search for one id in a stage's stores (`chalicelib/search.py`), and then in its logs.

    `hours` is how far back logs are searched, if somebody has said that.
    """

    logs: Logs
    messages: Messages
    dragons: Dragons
    hours: float | None = None

    def of(self, wanted: str) -> Findings:
        """Return all that the stage knows of an id."""
        findings, linked = Findings(), Linked()
        stores = ResourceSearch(self.messages, self.dragons)
        stores.ask_stores(wanted, findings, linked)
        lines = self.logs.said({wanted}, self._window(findings, [])) if AN_ID.fullmatch(wanted) else []
        for _, line in lines:
            linked.take(members(line.text), line.at)
        stores.follow(wanted, findings, linked)
        if wanted in linked.correlations and not linked.submissions:
            for at in sorted(linked.reported_at):
                self.dragons.started_with(wanted, at, findings, linked)
        if AN_ID.fullmatch(wanted) and not (findings.anything or lines or uuid_of(wanted)):
            self.dragons.named(wanted, findings, linked)  # all reports are read, so this comes last
        lines += [
            (source, line)
            for source, line in self.logs.said(linked.searched() - {wanted}, self._window(findings, lines))
            if not linked.is_about_others(members(line.text))
        ]
        findings.limits += self.logs.limits
        self._conclude(wanted, lines, findings)
        findings.moments += [moment_of(source, line, self.messages.queue) for source, line in lines]
        if not findings.anything:
            self._say_where(findings)
        return findings

    def _window(self, findings: Findings, lines: Sequence[tuple[str, Line]]) -> Window:
        """Return the time to search: around what is known, or as far back as somebody has said."""
        times = [moment.at for moment in findings.moments] + [line.at for _, line in lines]
        if self.hours is None and times:
            return Window(min(times) - AROUND, max(times) + AROUND)
        return Window(datetime.now(UTC) - timedelta(hours=self.hours or LOOKS_BACK_HOURS))

    def _conclude(self, wanted: str, lines: Sequence[tuple[str, Line]], findings: Findings) -> None:
        """Answer from the lines what the stores do not tell."""
        said = [members(line.text) for _, line in lines]
        requests = [line for line in said if line.get("message") == REQUEST]
        findings.answers[:0] = [
            f"request {wanted}: {line.get('method')} {line.get('route')} answered {line.get('status')}"
            for line in requests
            if line.get(CORRELATION) == wanted
        ]
        of_messages = [line for line in said if MESSAGE in line]
        if any(answer.startswith("message ") for answer in findings.answers):
            return
        if of_messages:
            findings.answers.append(
                "the logs name the message, and no store has it: if a line says that it is settled, it has expired or "
                "was deleted since; if not, it is on its way"
            )
        elif any((line.get("route"), line.get("status")) == ("/post-message", 202) for line in requests):
            self.messages.unsettled(findings)

    def _say_where(self, findings: Findings) -> None:
        since = datetime.now(UTC) - timedelta(hours=self.hours or LOOKS_BACK_HOURS)
        searched = f"searched since {since:%Y-%m-%d %H:%M:%S}Z (HOURS=… looks further back)"
        findings.places |= {place: f"{kept}; {searched}" for place, kept in self.logs.places()}
        findings.places |= dict(self.messages.places()) | dict(self.dragons.kept())


def main(arguments: Sequence[str] | None = None, clients: Clients = of_this_environment) -> int:
    """Run the command line; returns 0, or 1 if nothing is known of the id or if it could not be looked for."""
    options = _parse(arguments)
    return exit_status(lambda: _run(options, clients), DocumentCorrupt, may="read its stores and logs")


def _run(options: argparse.Namespace, clients: Clients) -> int:
    server_log = StateFolder(Settings.from_environment().state).api_log if options.stage == EMBEDDED else None
    reach(options.stage)
    stage = Standing.found(options.stage, clients)
    search = Search(
        Logs(clients("logs"), options.stage, server_log), Messages(stage), Dragons(stage), hours=options.hours
    )
    findings = search.of(options.id)
    for line in told(findings, options.id, options.stage):
        print(line)
    return 0 if findings.anything else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.trace", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument(
        "--id",
        type=_an_id,
        required=True,
        help="an X-Request-Id, a message's id, a submission's id, or a dragon's name",
    )
    parser.add_argument(
        "--hours",
        type=logs.hours,
        help=f"how far back logs are searched (default: around what the stores know of it, or {LOOKS_BACK_HOURS})",
    )
    return parser.parse_args(arguments)


def _an_id(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError(
            "give a request's, a message's or a submission's id, or a dragon's name (ID=…)"
        )
    return text.strip()


if __name__ == "__main__":
    sys.exit(main())
