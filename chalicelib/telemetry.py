"""Structured logs and metrics, in the form that AWS Lambda Powertools gives them.

Nothing here logs a request body, a token or a phone number; pass identifiers and reasons only.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "dragonpost")
NAMESPACE = "Dragonpost"


def _as_ascii(fields: dict[str, Any]) -> str:
    """Return a log line in which every character beyond ASCII is escaped.

    Powertools leaves U+0085, U+009B and U+2028 as they are. Some readers take them for the end of a line, or for a
    command to the terminal.
    """
    return json.dumps(fields, separators=(",", ":"), default=str)


logger = Logger(service=SERVICE, utc=True, json_serializer=_as_ascii)


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Put the correlation id into this thread's log lines during the block, and log an exception that leaves it."""
    logger.thread_safe_append_keys(correlation_id=correlation_id)
    try:
        yield
    except Exception:
        logger.exception("failed")
        raise
    finally:
        logger.thread_safe_clear_keys()


def count(name: str, value: int = 1, **dimensions: str) -> None:
    """Emit a CloudWatch metric (embedded metric format) in units of Count.

    Takes the metric's name, the amount and further dimensions, whose values must be few and never user input. Call it
    only while no other thread writes: Powertools writes a metric and the end of its line separately. (A log line is one
    write.)
    """
    with single_metric(name=name, unit=MetricUnit.Count, value=value, namespace=NAMESPACE) as metric:
        metric.add_dimension("service", SERVICE)
        for dimension, label in dimensions.items():
            metric.add_dimension(dimension, label)
