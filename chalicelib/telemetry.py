"""Structured logs and metrics, in the form that AWS Lambda Powertools gives them.

Nothing here logs a request body, a token or a phone number; pass identifiers and reasons only.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import RESERVED_LOG_ATTRS, LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit, single_metric

SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "dragonpost")
NAMESPACE = "Dragonpost"

_correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
# It escapes every character beyond printable ASCII. Powertools leaves U+0085, U+009B and U+2028 as they are. Some
# readers take them for the end of a line, or for a command to the terminal.
_encoder = json.JSONEncoder(separators=(",", ":"), default=str)
_NO_EXTRAS = frozenset(RESERVED_LOG_ATTRS)


class LogLines(LambdaPowertoolsFormatter):
    """Powertools' log lines, in half the time: messages are sentences, so none is tried as JSON or filled in here."""

    def __init__(self) -> None:
        super().__init__(json_serializer=_encoder.encode)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record. What has an exception or arguments is left to Powertools."""
        vars(record).setdefault("correlation_id", _correlation_id.get())
        if record.exc_info or record.args:
            return str(super().format(record))
        line = {
            **self.log_format,
            "level": record.levelname,
            "location": f"{record.funcName}:{record.lineno}",
            "message": record.msg,
            "timestamp": self.formatTime(record),
            "xray_trace_id": self._get_latest_trace_id(),
            **{name: value for name, value in vars(record).items() if name not in _NO_EXTRAS},
        }
        return self.serialize({name: value for name, value in line.items() if value is not None})

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's
        """Return the time in UTC, in the form that Powertools has by default: `2026-11-24 07:20:01,500+0000`."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(" ", "milliseconds")
        return f"{time[:19]},{time[20:23]}+0000"


logger = Logger(service=SERVICE, logger_formatter=LogLines())


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Put the correlation id into this thread's log lines during the block, and log an exception that leaves it."""
    token = _correlation_id.set(correlation_id)
    try:
        yield
    except Exception:
        logger.exception("failed")
        raise
    finally:
        _correlation_id.reset(token)


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
