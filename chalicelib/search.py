"""One id, one timeline: what all stores know of a message's, a submission's or a request's id, or of a dragon's name.

Only resources are asked, and no logs. So a request's id is found only where something still carries it: a dead letter.
"""

from __future__ import annotations

import re

from chalicelib.dragons.trail import DragonTrail
from chalicelib.messages.trail import MessageTrail
from chalicelib.timeline import Findings, Linked, uuid_of

AN_ID = re.compile(r"[\w.:=-]+", re.ASCII)  # what is anything else can only be a dragon's name


class Search:
    """The search for an id in the stores of a stage. Every method raises `aws.calling`'s errors."""

    def __init__(self, messages: MessageTrail, dragons: DragonTrail) -> None:
        self.messages = messages
        self.dragons = dragons

    def of_resources(self, wanted: str) -> tuple[Findings, Linked]:
        """Return all that the stores know of an id, and the ids that belong to it."""
        findings, linked = Findings(), Linked()
        self.ask_stores(wanted, findings, linked)
        self.follow(wanted, findings, linked)
        return findings, linked

    def ask_stores(self, wanted: str, findings: Findings, linked: Linked) -> None:
        """Look where an id leads to at once: the index, the submissions, the registry."""
        if message_id := uuid_of(wanted):
            self.messages.stored(message_id, findings, linked)
        if not findings.anything:
            self.dragons.reported(wanted, findings, linked)
        is_a_name = not message_id and (not AN_ID.fullmatch(wanted) or self.dragons.registered(wanted))
        if is_a_name and not findings.anything:
            self.dragons.named(wanted, findings, linked)

    def follow(self, wanted: str, findings: Findings, linked: Linked) -> None:
        """Look for what the id leads to: dead letters, messages, reports."""
        if not linked.submissions:
            self.messages.dead({wanted.lower(), wanted, *linked.messages}, findings, linked)
        known = {uuid_of(wanted)} if findings.answers else set()
        for message_id in sorted(linked.messages - known):
            if not self.messages.stored(message_id, findings, linked):
                self.messages.archived_only(message_id, linked.companies, findings)
        for submission_id in sorted(linked.submissions - {wanted}):
            if not any(submission_id in answer for answer in findings.answers):
                self.dragons.reported(submission_id, findings, linked)
