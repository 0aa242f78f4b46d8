"""Log lines and metrics, in the form in which CloudWatch reads them from the log."""

import contextlib
import io
import json
import logging
import sys
import time
from datetime import date
from typing import Any

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from chalicelib.telemetry import LogLines, correlated, count, handler, logger, tell

HOSTILE = ["a\r\nb", "\x1b[2J", "\x9b2J", "\u0085forged", "\u2028forged", '{"forged":1}', "é", "\x7f", "\ud800"]


def test_a_count_is_a_metric_of_this_service(capsys: pytest.CaptureFixture[str]) -> None:
    count("DragonsAdded", 3, outcome="added")
    line = json.loads(capsys.readouterr().out)

    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert metrics["Namespace"] == "Dragonpost"
    assert metrics["Metrics"] == [{"Name": "DragonsAdded", "Unit": "Count"}]
    assert set(metrics["Dimensions"][0]) == {"service", "outcome"}
    assert line["DragonsAdded"] == [3.0]
    assert (line["service"], line["outcome"]) == ("dragonpost", "added")


@pytest.mark.parametrize("dimensions", [{}, {"outcome": "added"}, {"outcome": "added", "reason": "\u2028é"}])
@pytest.mark.parametrize("value", [1, 3])
def test_a_metric_is_what_powertools_writes(
    capsys: pytest.CaptureFixture[str], value: int, dimensions: dict[str, str]
) -> None:
    with single_metric(name="DragonsAdded", unit=MetricUnit.Count, value=value, namespace="Dragonpost") as metric:
        for dimension, label in {"service": "dragonpost", **dimensions}.items():
            metric.add_dimension(dimension, label)
    count("DragonsAdded", value, **dimensions)
    written = capsys.readouterr().out
    theirs, ours = map(json.loads, written.splitlines())

    assert 0 <= ours["_aws"].pop("Timestamp") - theirs["_aws"].pop("Timestamp") < 10_000
    assert ours == theirs
    assert written.endswith("}\n")
    assert written.isascii()


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_a_log_line_is_one_line_of_ascii_and_holds_what_was_logged(log: io.StringIO, hostile: str) -> None:
    with correlated(hostile):
        logger.info("told", extra={"submission_id": hostile})

    (line,) = log.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["correlation_id"] == json.loads(line)["submission_id"] == hostile


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_an_exceptions_line_is_one_line_of_ascii_too(hostile: str) -> None:
    """The line is not logged: pytest would keep half a character as it is, and cannot send that between processes."""
    error = ValueError(hostile)
    record = logging.LogRecord(
        "dragonpost", logging.ERROR, "a.py", 12, "failed", (), (ValueError, error, None), "place"
    )

    line = LogLines().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert hostile in json.loads(line)["exception"]


@pytest.mark.parametrize(
    ("created", "told"),
    [
        (1795504801.5, "2026-11-24 07:20:01,500+0000"),
        (1795504801.0, "2026-11-24 07:20:01,000+0000"),
        (1795504801.0625, "2026-11-24 07:20:01,062+0000"),
    ],
)
def test_the_time_is_that_of_utc_wherever_the_function_runs(
    monkeypatch: pytest.MonkeyPatch, created: float, told: str
) -> None:
    record = logging.LogRecord("dragonpost", logging.INFO, "a/b.py", 12, "request", (), None, "place")
    record.created = created
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        line = json.loads(LogLines().format(record))
    time.tzset()

    assert line["timestamp"] == told


def test_no_exceptions_line_is_lost_without_powertools(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that was made without vendor/ lacks it."""
    monkeypatch.setitem(sys.modules, "aws_lambda_powertools.logging.formatter", None)
    try:
        raise KeyError("lost\u2028")
    except KeyError:
        record = logging.LogRecord("dragonpost", 40, "a.py", 12, "%s failed", ("it",), sys.exc_info(), "place")

    with correlated("request-1"):
        line = LogLines().format(record)

    assert line.isprintable()
    told = json.loads(line)
    assert (told["level"], told["message"], told["correlation_id"]) == ("ERROR", "it failed", "request-1")
    assert told["exception"].startswith("Traceback")
    assert "KeyError: 'lost\\u2028'" in told["exception"]


def test_an_exception_that_leaves_the_block_is_logged_with_its_request_and_goes_on(log: io.StringIO) -> None:
    with pytest.raises(KeyError, match="lost"), correlated("request-1"):
        raise KeyError("lost")

    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["message"], line["correlation_id"]) == ("ERROR", "failed", "request-1")
    assert "KeyError: 'lost'" in line["exception"]


def test_a_line_may_name_a_request_of_its_own(log: io.StringIO) -> None:
    with correlated("request-1"):
        logger.info("told", extra={"correlation_id": "request-2"})

    assert json.loads(log.getvalue())["correlation_id"] == "request-2"


@pytest.mark.parametrize("failing", [False, True])
def test_the_next_request_does_not_go_by_the_last_ones_id(log: io.StringIO, failing: bool) -> None:
    with contextlib.suppress(KeyError), correlated("request-1"):
        if failing:
            raise KeyError
    log.truncate(0)
    log.seek(0)
    logger.info("told")

    assert "correlation_id" not in json.loads(log.getvalue())


def test_a_log_line_has_no_white_space_between_its_members(log: io.StringIO) -> None:
    logger.info("told", extra={"when": date(2023, 12, 10)})

    assert '"when":"2023-12-10"' in log.getvalue()
    assert '": ' not in log.getvalue()


@pytest.mark.parametrize("told", [{}, {"status": 202, "route": None}, {"route": "\u2028 \x7f"}])
def test_what_is_told_is_the_line_that_would_be_logged(log: io.StringIO, told: dict[str, Any]) -> None:
    with correlated("request-1"):
        tell("request", "place:12", told)
        logger.info("request", extra=told)

    ours, logged = map(json.loads, log.getvalue().splitlines())
    assert ours.pop("location") == "place:12"
    assert logged.pop("location").startswith("test_what_is_told")
    assert ours.pop("timestamp")[:16] == logged.pop("timestamp")[:16]
    assert ours == logged
    assert log.getvalue().isascii()


def test_a_stdout_that_fails_breaks_nothing_but_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(handler, "stream", Full())
    tell("request", "place:12", {})


def test_one_is_counted_unless_it_says_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    count("DragonsAdded")
    line = json.loads(capsys.readouterr().out)

    assert line["DragonsAdded"] == [1.0]
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]


class TestLogLines:
    """Whoever reads the log (`make logs`, CloudWatch's filters) finds what Powertools writes."""

    @staticmethod
    def both(record: logging.LogRecord) -> list[dict[str, Any]]:
        """Return the line that Powertools' own formatter writes for a record, and ours."""
        theirs, ours = LambdaPowertoolsFormatter(utc=True, service="dragonpost"), LogLines()
        record.created, record.msecs = 1795504801.0625, 62.0
        line = ours.format(record)  # it puts the correlation id into the record
        assert line.isascii()
        return [json.loads(theirs.format(record)), json.loads(line)]

    @pytest.mark.parametrize("trace", [None, "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=x;Sampled=1"])
    @pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
    @pytest.mark.parametrize(
        ("message", "arguments"), [("request", ()), ("request of %s", ("a",)), ("100 %", ()), ("é \u2028", ())]
    )
    @pytest.mark.parametrize(
        "more", [{}, {"status": 200, "route": None}, {"names": ["a"], "when": date(2023, 12, 10), "thread": 1}]
    )
    def test_are_those_of_powertools(
        self,
        monkeypatch: pytest.MonkeyPatch,
        trace: str | None,
        level: int,
        message: str,
        arguments: tuple[str, ...],
        more: dict[str, Any],
    ) -> None:
        monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
        if trace:
            monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
        record = logging.LogRecord("dragonpost", level, "a/b.py", 12, message, arguments, None, "place")
        vars(record).update(more)

        with correlated("request-1"):
            theirs, ours = self.both(record)

        assert ours == theirs
        assert (ours["service"], ours["location"], ours["correlation_id"]) == ("dragonpost", "place:12", "request-1")
        assert ("xray_trace_id" in ours) is bool(trace)

    def test_of_an_exception_are_those_of_powertools(self) -> None:
        try:
            raise KeyError("lost")
        except KeyError:
            record = logging.LogRecord("dragonpost", 40, "a/b.py", 12, "failed", (), sys.exc_info(), "place")

        theirs, ours = self.both(record)

        assert ours == theirs
        assert ours["exception_name"] == "KeyError"
