"""The queue consumer: stores a batch of deliveries side by side, and settles each on its own.

A thread looks a message up, archives and indexes it, or moves it to the dead-letter queue with its reason if it can
never be stored. What is settled so is deleted from the queue, with one call for all of it. A batch thus takes the time
of four calls, whatever its size. Messages with the same company and id share a thread, so that the first one of the
batch is the one that is stored.

Only transient failures raise, after all the others are settled; SQS then delivers those messages again, and no others.
So nothing is lost whether or not the event source mapping reports batch item failures, and a bad message does not
affect its neighbours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context

import msgspec

from chalicelib import aws, exact_json
from chalicelib.faults import InvalidInput
from chalicelib.messages.model import Message, message_from
from chalicelib.messages.queue import BATCH_MAX, Delivery, MessageQueue
from chalicelib.messages.repository import MessageConflict, MessageRepository, MessageTooLarge, Storing
from chalicelib.telemetry import count, logger

# What is settled by then is deleted without waiting for the others: a call that hangs may use up the batch's time.
SLOW_AFTER_S = 1.0

# The errors that no retry cures, each with the word that begins the dead letter's reason.
_KINDS: dict[type[Exception], str] = {
    exact_json.MalformedJson: "unreadable",
    InvalidInput: "invalid",
    MessageTooLarge: "invalid",
    MessageConflict: "conflict",
}
_HOPELESS = tuple(_KINDS)

_METRICS = {Storing.STORED: "MessagesStored", Storing.REPEATED: "MessagesRepeated"}


class BatchIncomplete(Exception):
    """Some deliveries of a batch could not be settled now. They stay on the queue, and SQS delivers them again."""


class _Opened(msgspec.Struct, frozen=True):
    """A delivery with its message, or with the error that reading it raised."""

    delivery: Delivery
    content: Message | Exception

    def fields(self) -> dict[str, str]:
        """Return what each log line about the delivery says."""
        known = {"correlation_id": self.delivery.correlation_id, "sqs_message_id": self.delivery.sqs_message_id}
        if isinstance(self.content, Message):
            metadata = self.content.metadata
            known |= {"message_id": str(metadata.message_id), "company_id": str(metadata.company_id)}
        return known


class _Settled(msgspec.Struct, frozen=True):
    """A delivery that the queue need not keep: its message is stored, or is a dead letter of this kind."""

    opened: _Opened
    fate: Storing | str

    @property
    def metric(self) -> str:
        """The metric that counts it."""
        return _METRICS[self.fate] if isinstance(self.fate, Storing) else "MessagesBuried"

    def log(self) -> None:
        """Log what became of it."""
        if isinstance(self.fate, Storing):
            logger.info("message settled", extra=self.opened.fields() | {"outcome": self.fate.value})
        else:
            logger.warning("message buried", extra=self.opened.fields() | {"reason": self.fate})


class Consumer:
    """Settles batches of deliveries. It keeps its threads, one for each message of a batch, for the next batch."""

    def __init__(self, messages: MessageRepository, queue: MessageQueue) -> None:
        self._messages = messages
        self._queue = queue
        self._threads = ThreadPoolExecutor(BATCH_MAX)

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Settle each delivery of a batch (of `BATCH_MAX` at most), before Lambda ends the function.

        Raises `BatchIncomplete` if any failed for a reason that may pass, after all others are settled.
        """
        with aws.within(aws.CALLS_BEGIN_WITHIN_S):
            groups = [
                self._threads.submit(copy_context().run, self._settle_in_order, group) for group in _by_id(deliveries)
            ]
            quick = wait(groups, SLOW_AFTER_S).done
            fates = [*self._delete(quick), *self._delete(group for group in groups if group not in quick)]
        for metric, settled in Counter(fates).items():
            count(metric, settled)
        unsettled = len(deliveries) - len(fates)
        if unsettled:
            raise BatchIncomplete(f"{unsettled} of {len(deliveries)} messages stay on the queue; the log says why")

    def _settle_in_order(self, group: Iterable[_Opened]) -> list[_Settled]:
        """Settle deliveries with the same company and id, one after another. The result lacks those that are left."""
        stored: list[Message] = []
        fates = [self._settle(opened, stored) for opened in group]
        return [settled for settled in fates if settled is not None]

    def _settle(self, opened: _Opened, stored: list[Message]) -> _Settled | None:
        """Store, bury or leave one delivery. If its message is stored, it joins those that are stored under its id."""
        try:
            try:
                return _Settled(opened, self._store(opened, stored))
            except _HOPELESS as hopeless:
                kind = next(kind for error, kind in _KINDS.items() if isinstance(hopeless, error))
                self._queue.bury(opened.delivery, f"{kind}: {hopeless}")
                return _Settled(opened, kind)
        except Exception as error:  # noqa: BLE001 - whatever happens to this one, the batch's others must be settled
            _log_as_left(opened, error)
            return None

    def _store(self, opened: _Opened, stored: list[Message]) -> Storing:
        content = opened.content
        if isinstance(content, Exception):
            raise content
        if any(content.digest() == other.digest() for other in stored):
            return Storing.REPEATED
        storing = self._messages.store(content, opened.delivery.sent_ms)
        stored.append(content)
        return storing

    def _delete(self, groups: Iterable[Future[list[_Settled]]]) -> list[str]:
        """Delete what was settled from the queue, and log each fate. Return the metrics that count what is deleted."""
        settled = [one for group in groups for one in group.result()]
        if not settled:
            return []
        failures = self._failures([one.opened.delivery for one in settled])
        for one in settled:
            if one.opened.delivery in failures:
                _log_as_left(one.opened, failures[one.opened.delivery])
            else:
                one.log()
        return [one.metric for one in settled if one.opened.delivery not in failures]

    def _failures(self, settled: Sequence[Delivery]) -> Mapping[Delivery, Exception]:
        """Delete settled deliveries; return those that could not be deleted, each with its error."""
        try:
            return self._queue.delete(settled)
        except Exception as error:  # noqa: BLE001 - the log has to name every message that will be delivered again
            return dict.fromkeys(settled, error)


def _by_id(deliveries: Iterable[Delivery]) -> Iterable[list[_Opened]]:
    """Return the deliveries, those with the same company and id together and in their order."""
    groups: dict[str | Delivery, list[_Opened]] = {}
    for delivery in deliveries:
        opened = _opened(delivery)
        key = opened.content.archive_key if isinstance(opened.content, Message) else delivery
        groups.setdefault(key, []).append(opened)
    return groups.values()


def _opened(delivery: Delivery) -> _Opened:
    try:
        return _Opened(delivery, message_from(exact_json.parse_object(delivery.body)))
    except Exception as error:  # noqa: BLE001 - `Consumer._settle` tells what it means
        return _Opened(delivery, error)


def _log_as_left(opened: _Opened, error: Exception) -> None:
    logger.error("message not settled; it will be delivered again", exc_info=error, extra=opened.fields())
