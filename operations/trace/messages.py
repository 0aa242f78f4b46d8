"""What the service knows of a message (`chalicelib/messages/trail.py`), and what only an operator's command asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chalicelib.messages.dead_letters import DeadLetters
from chalicelib.messages.stored import DAY_S
from chalicelib.messages.trail import MessageTrail
from chalicelib.timeline import Findings, Linked
from operations.stores import Standing
from operations.trace.places import Places


class Messages(MessageTrail):
    """The messages of a stage."""

    def __init__(self, stage: Standing) -> None:
        self._stage, self._places = stage, Places(stage)
        super().__init__(
            self._places,
            lambda: DeadLetters(self._places, lambda: stage.clients("sqs")),
            lambda: stage.clients("s3"),
            lambda: stage.clients("dynamodb"),
        )

    @property
    def queue(self) -> str:
        """The message queue's name."""
        return _name(self._places.message_queue_url)

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield where messages are, with how long they are kept there."""
        days = self._stage.parameter("archive_retention_days")
        kept = "kept for ever" if days == "0" else f"kept for {days} days"
        letters = self._places.message_dead_letter_queue_url
        yield f"table {self._places.message_table_name}", f"stored messages, {kept}"
        yield f"queue {_name(letters)}", f"dead letters, kept for {self._days(letters)} days"
        waiting = f"{self._depth()}, for {self._days(self._places.message_queue_url)} days at most"
        reason = "not looked into, because that would delay messages"
        yield f"queue {self.queue}", f"{reason}: {waiting}. Only the sender's X-Request-Id leads to them"

    def dead(self, ids: Iterable[str], findings: Findings, linked: Linked) -> bool:
        """Do as `MessageTrail.dead`, and name the command that shows each letter."""
        found = super().dead(ids, findings, linked)
        findings.next += [
            f'make dead-letters STAGE={self._stage.name} DO="show {letter}"' for letter in sorted(linked.letters)
        ]
        return found

    def unsettled(self, findings: Findings) -> None:
        """Say what is known of messages that were accepted and are not settled."""
        kept = f"{self._depth()}), which keeps them for {self._days(self._places.message_queue_url)} days"
        findings.answers.append(
            f"the message is not stored yet, and is no dead letter: it is one of those on queue {self.queue} ({kept}. "
            "Looking for it there would delay it"
        )
        findings.next.append(f"make status STAGE={self._stage.name}")

    def _depth(self) -> str:
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        waiting, in_flight = self._attributes(self._places.message_queue_url, *names)
        return f"{waiting} waiting, {in_flight} being delivered"

    def _days(self, url: str) -> int:
        """Return how many days a queue keeps messages."""
        [seconds] = self._attributes(url, "MessageRetentionPeriod")
        return int(seconds) // DAY_S

    def _attributes(self, url: str, *names: str) -> list[str]:
        found = self._stage.clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
        return [found[name] for name in names]


def _name(url: str) -> str:
    return url.rpartition("/")[2]
