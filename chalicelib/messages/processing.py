"""The queue consumer: stores a batch of deliveries concurrently, and settles each on its own.

A message that was stored is deleted at once. One that can never be stored goes to the dead-letter queue with its
reason. Only transient failures raise, after all the others are settled; SQS then delivers those messages again, and no
others. So nothing is lost whether or not the event source mapping reports batch item failures, and a bad message does
not affect its neighbours.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from chalicelib import aws, exact_json
from chalicelib.faults import InvalidInput
from chalicelib.messages.model import message_from
from chalicelib.messages.queue import Delivery, MessageQueue
from chalicelib.messages.repository import MessageConflict, MessageRepository, MessageTooLarge, Storing
from chalicelib.telemetry import count, logger

WORKERS = 10

# The errors that no retry cures, each with the word that begins the dead letter's reason.
_KINDS: dict[type[Exception], str] = {
    exact_json.MalformedJson: "unreadable",
    InvalidInput: "invalid",
    MessageTooLarge: "invalid",
    MessageConflict: "conflict",
}
_HOPELESS = tuple(_KINDS)


class BatchIncomplete(Exception):
    """Some deliveries of a batch could not be settled now. They stay on the queue, and SQS delivers them again."""


def process(deliveries: Sequence[Delivery], messages: MessageRepository, queue: MessageQueue) -> None:
    """Settle each delivery of a batch.

    Raises `BatchIncomplete` if any failed for a reason that may pass, after all others are settled.
    """
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        fates = list(pool.map(lambda delivery: _settle_in_time(delivery, messages, queue), deliveries))
    # Not in the threads: a metric and the end of its line are two writes, and another thread could write in between.
    for metric, settled in Counter(filter(None, fates)).items():
        count(metric, settled)
    unsettled = fates.count(None)
    if unsettled:
        raise BatchIncomplete(f"{unsettled} of {len(deliveries)} messages stay on the queue; the log says why")


def _settle_in_time(delivery: Delivery, messages: MessageRepository, queue: MessageQueue) -> str | None:
    """Settle or leave one delivery before Lambda ends the function, which would hide the reason."""
    with aws.within(aws.CALLS_BEGIN_WITHIN_S):
        return _settle(delivery, messages, queue)


def _settle(delivery: Delivery, messages: MessageRepository, queue: MessageQueue) -> str | None:
    """Store, bury or leave one delivery. Return the metric that counts it, or None if it is left."""
    fields = {"correlation_id": delivery.correlation_id, "sqs_message_id": delivery.sqs_message_id}
    try:
        try:
            message = message_from(exact_json.parse_object(delivery.body))
            fields |= {"message_id": str(message.metadata.message_id), "company_id": str(message.metadata.company_id)}
            storing = messages.store(message)
        except _HOPELESS as hopeless:
            kind = next(kind for error, kind in _KINDS.items() if isinstance(hopeless, error))
            queue.bury(delivery, f"{kind}: {hopeless}")
            logger.warning("message buried", extra=fields | {"reason": kind})
            return "MessagesBuried"
        queue.delete(delivery)
    except Exception:  # noqa: BLE001 - whatever happens to this one, the batch's others must be settled
        logger.exception("message not settled; it will be delivered again", extra=fields)
        return None
    logger.info("message settled", extra=fields | {"outcome": storing.value})
    return "MessagesStored" if storing is Storing.STORED else "MessagesRepeated"
