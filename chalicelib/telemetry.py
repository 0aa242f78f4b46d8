"""Structured logs and metrics, in the form that AWS Lambda Powertools gives them.

Powertools itself is imported when there is an exception to write. What succeeds does without it. A package without
vendor/ lacks Powertools; an exception's line then has its traceback as text.

Nothing here logs a request body, a token or a phone number; pass identifiers and reasons only.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from types import TracebackType
from typing import Any

import msgspec

SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "dragonpost")
NAMESPACE = "Dragonpost"

_correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
# It escapes every character beyond printable ASCII. Powertools leaves U+0085, U+009B and U+2028 as they are. Some
# readers take them for the end of a line, or for a command to the terminal.
_escaping = json.JSONEncoder(separators=(",", ":"), default=str)
_encoder = msgspec.json.Encoder(enc_hook=str)  # it takes a fifth of the time, and escapes nothing beyond U+001F
# What logging puts into every record, by itself and to format it; whatever else a record has was logged with it.
_NO_EXTRAS = frozenset({*vars(logging.makeLogRecord({})), "asctime", "level", "location", "taskName", "timestamp"})
# It is not logged, so it need not be found out (https://docs.python.org/3/howto/logging.html#optimization).
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class LogLines(logging.Formatter):
    """Powertools' log lines, in a third of the time: messages are sentences, so none is tried as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record. What has an exception or arguments is left to Powertools, if it is there."""
        vars(record).setdefault("correlation_id", _correlation_id.get())
        if (record.exc_info or record.args) and self._of_powertools:
            return str(self._of_powertools.format(record))
        extras = {name: value for name, value in vars(record).items() if name not in _NO_EXTRAS}
        if record.exc_info:
            extras = {"exception": self.formatException(record.exc_info), **extras}
        message = record.getMessage() if record.args else record.msg
        return _line(record.levelname, f"{record.funcName}:{record.lineno}", message, record.created, extras)

    @cached_property
    def _of_powertools(self) -> logging.Formatter | None:
        try:
            from aws_lambda_powertools.logging.formatter import (  # noqa: PLC0415 - see the module
                LambdaPowertoolsFormatter,
            )
        except ImportError:
            return None

        class WithOurTime(LambdaPowertoolsFormatter):
            def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
                return _utc(record.created)

        return WithOurTime(json_serializer=_in_ascii, service=SERVICE)


def _line(level: str, location: str, message: object, created_s: float, extras: Mapping[str, object]) -> str:
    """Return a line in Powertools' form. What is None is left out."""
    line = {
        "level": level,
        "location": location,
        "message": message,
        "timestamp": _utc(created_s),
        "service": SERVICE,
        "xray_trace_id": _trace_id(),
        **extras,
    }
    return _in_ascii({name: value for name, value in line.items() if value is not None})


def _in_ascii(line: Mapping[str, Any]) -> str:
    """Return a line as JSON in printable ASCII."""
    with suppress(UnicodeEncodeError):  # half of a surrogate pair
        text = _encoder.encode(line).decode()
        if text.isascii() and "\x7f" not in text:
            return text
    return _escaping.encode(line)


def _utc(created_s: float) -> str:
    """Return a time in UTC, in the form that Powertools has by default: `2026-11-24 07:20:01,500+0000`."""
    second, microseconds = divmod(round(created_s * 1_000_000), 1_000_000)
    return f"{_second(second)},{microseconds // 1000:03}+0000"


@lru_cache(maxsize=1)  # a busy function writes many lines in a second
def _second(since_1970: int) -> str:
    return datetime.fromtimestamp(since_1970, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _trace_id() -> str | None:
    """Return the id of the trace that Lambda says the present call belongs to, if any."""
    trace = os.environ.get("_X_AMZN_TRACE_ID")
    return trace.split(";")[0].removeprefix("Root=") if trace else None


def _level() -> int:
    """Return the level that Powertools would take from the environment. An unknown one, such as `TRACE`, is INFO."""
    named = os.environ.get("AWS_LAMBDA_LOG_LEVEL") or os.environ.get("POWERTOOLS_LOG_LEVEL") or "INFO"
    return logging.getLevelNamesMapping().get(named.upper(), logging.INFO)


handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(LogLines())
logger = logging.Logger(SERVICE, _level())  # of no other: what handles all loggers' records would repeat its lines
logger.addHandler(handler)


def tell(message: str, location: str, extras: Mapping[str, object]) -> None:
    """Write the line of a request as `logger.info` would, in a third of the time: nothing has to be found out first.

    Takes the message, the place in the code (`function:line`), and what else the line has. Ask the logger first whether
    it wants the line. If stdout fails, the line is lost, and nothing else.
    """
    line = _line("INFO", location, message, time.time(), {**extras, "correlation_id": _correlation_id.get()})
    with suppress(OSError):
        handler.stream.write(line + handler.terminator)
        handler.flush()


class correlated:  # noqa: N801 - a verb: with correlated(…)
    """Put the correlation id into this thread's log lines during the block, and log an exception that leaves it."""

    __slots__ = ("_correlation_id", "_token")

    def __init__(self, correlation_id: str) -> None:
        self._correlation_id = correlation_id

    def __enter__(self) -> None:
        self._token = _correlation_id.set(self._correlation_id)

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: TracebackType | None) -> None:
        if isinstance(error, Exception):
            logger.error("failed", exc_info=error)
        _correlation_id.reset(self._token)


def count(name: str, value: int = 1, **dimensions: str) -> None:
    """Emit a CloudWatch metric in units of Count, as one line in the embedded metric format
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).

    Takes the metric's name, the amount and further dimensions, whose values must be few and never user input. If stdout
    fails, the line is lost: what it counts is done all the same.
    """
    labels = {"service": SERVICE, **dimensions}
    described = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(labels)],
        "Metrics": [{"Name": name, "Unit": "Count"}],
    }
    envelope = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [described]}
    with suppress(OSError):
        sys.stdout.write(_in_ascii({"_aws": envelope, **labels, name: [float(value)]}) + "\n")
