"""Metrics in the form that CloudWatch reads from the log."""

import json

import pytest

from chalicelib.telemetry import count


def test_a_count_is_a_metric_of_this_service(capsys: pytest.CaptureFixture[str]) -> None:
    count("DragonsAdded", 3, outcome="added")
    line = json.loads(capsys.readouterr().out)

    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert metrics["Namespace"] == "Dragonpost"
    assert metrics["Metrics"] == [{"Name": "DragonsAdded", "Unit": "Count"}]
    assert set(metrics["Dimensions"][0]) == {"service", "outcome"}
    assert line["DragonsAdded"] == [3.0]
    assert (line["service"], line["outcome"]) == ("dragonpost", "added")
