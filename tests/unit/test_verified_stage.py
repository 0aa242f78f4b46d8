"""How the end-to-end tests reach a stage that is deployed, which `make verify` looks at."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tests.e2e.running import Api
from tests.e2e.stage import Stage
from tests.e2e.test_correlation import logged


def proxies(url: str) -> dict[str, str]:
    running = {"gateway_url": url}
    return dict(Api(Stage({"stage": "prod", "running": running, "people": {}}), "gateway").http.proxies)


@pytest.fixture(autouse=True)
def _behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "inside.example")


def test_a_stage_of_an_account_is_reached_by_the_proxy_that_leads_to_the_account() -> None:
    assert proxies("https://abc.execute-api.eu-central-1.amazonaws.com/prod")["https"] == "http://proxy.example:3128"


@pytest.mark.parametrize("host", ["127.0.0.1:4566", "localhost:4566", "inside.example"])
def test_no_proxy_is_asked_for_what_needs_none(host: str) -> None:
    assert proxies(f"https://{host}/prod") == {}


def test_a_line_is_found_among_many_days_of_lines_of_which_aws_first_shows_none() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html"""
    pages = [{"events": [], "nextToken": "more"}, {"events": [{"message": json.dumps({"correlation_id": "c-1"})}]}]
    asked: dict[str, Any] = {}

    class Logs:
        def filter_log_events(self, **given: Any) -> Any:
            asked.update(given)
            return pages[0]

        def get_paginator(self, _: str) -> Any:
            return SimpleNamespace(paginate=lambda **given: asked.update(given) or pages)

    stage: Any = SimpleNamespace(stage="prod", client=lambda _: Logs())

    assert logged(stage, "add_dragon", "c-1") == [{"correlation_id": "c-1"}]
    assert time.time() - asked["startTime"] / 1000 < 3600
