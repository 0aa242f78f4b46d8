"""What the devstacks of all e2e tests, and the functions deployed there, wrote to terminals and logs."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.e2e import written
from tests.e2e.dragons import a_dragon, settled
from tests.e2e.running import Api, Devstack


@pytest.mark.looks_back
def test_no_phone_number_token_or_password_is_in_any_log_of_the_run(
    devstack: Devstack, apis: dict[str, Api], tmp_path_factory: pytest.TempPathFactory
) -> None:
    phone, request_id = "+15555550123", f"last-{uuid.uuid4()}"
    for api in apis.values():
        reported = api.post(
            "/dragons",
            json=a_dragon(reportingPhoneNumber=phone, confirmationRequired=True),
            headers={"X-Request-Id": request_id},
        )
        assert settled(api, reported.headers["Location"])["status"] == "added"
    passwords = json.loads((devstack.state / "users.json").read_text(encoding="utf-8")).values()

    texts = written.everything(devstack, tmp_path_factory.getbasetemp())

    named = [place for place, text in texts.items() if request_id in text]
    assert {"api.log", "/aws/lambda/dragonpost-local", "/aws/lambda/dragonpost-local-add_dragon"} <= set(named)
    assert not written.secrets_in(texts, passwords)


@pytest.mark.looks_back
@pytest.mark.parametrize("page_size", [10_000, 50])
def test_the_search_misses_no_line_of_a_function(devstack: Devstack, page_size: int) -> None:
    logs, group = devstack.client("logs"), "/aws/lambda/dragonpost-local"
    streams = logs.get_paginator("describe_log_streams").paginate(logGroupName=group).build_full_result()["logStreams"]

    read = list(written.events(logs, group, page_size=page_size))

    stored = sum(stream["storedBytes"] for stream in streams)  # the embedded AWS counts characters
    assert sum(len(event["message"]) for event in read) == stored > 0


@pytest.mark.parametrize(
    "secret",
    [
        '{"reportingPhoneNumber":"+15555550123"}',
        "GET /dragons?phone=%2B15555550123",
        "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
        "password=correct horse",
    ],
)
def test_a_secret_in_a_log_is_found(secret: str) -> None:
    assert len(written.secrets_in({"a log": f"a line\n{secret}\n"}, ["correct horse", "another"])) == 1


def test_times_and_ids_are_not_mistaken_for_secrets() -> None:
    line = "2026-11-22T10:00:00+00:00 9007199254740993 e0721e56-fb09-4273-ae74-7bcbc92d43eb 1+1 a+12345678"
    assert not written.secrets_in({"a log": line}, [])
