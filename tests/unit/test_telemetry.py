"""Log lines and metrics, in the form in which CloudWatch reads them from the log."""

import io
import json

import pytest

from chalicelib.telemetry import correlated, count, logger

HOSTILE = ["a\r\nb", "\x1b[2J", "\x9b2J", "\u0085forged", "\u2028forged", '{"forged":1}', "é"]


def test_a_count_is_a_metric_of_this_service(capsys: pytest.CaptureFixture[str]) -> None:
    count("DragonsAdded", 3, outcome="added")
    line = json.loads(capsys.readouterr().out)

    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert metrics["Namespace"] == "Dragonpost"
    assert metrics["Metrics"] == [{"Name": "DragonsAdded", "Unit": "Count"}]
    assert set(metrics["Dimensions"][0]) == {"service", "outcome"}
    assert line["DragonsAdded"] == [3.0]
    assert (line["service"], line["outcome"]) == ("dragonpost", "added")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_log_line_is_one_line_of_ascii_and_holds_what_was_logged(log: io.StringIO, hostile: str) -> None:
    with correlated(hostile):
        logger.info("told", extra={"submission_id": hostile})

    (line,) = log.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["correlation_id"] == json.loads(line)["submission_id"] == hostile
