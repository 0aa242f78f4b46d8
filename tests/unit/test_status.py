"""The screen that says whether a stage is well."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from operations import resources
from operations.generate import alarms
from operations.status import _RUNBOOK, Finding, How, _long, after, told

NOON = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
WELL = Finding(How.WELL, "dead letters", "none")


def test_a_stage_that_is_well_says_so_in_its_first_line() -> None:
    assert list(told("dev", NOON, [WELL])) == [
        "dragonpost dev at 2026-11-26 12:00:00Z: all is well",
        "ok   dead letters  none",
    ]


@pytest.mark.parametrize("how", [How.ILL, How.UNKNOWN])
def test_what_is_not_well_names_the_next_command(how: How) -> None:
    first, *_, line, after = told("dev", NOON, [WELL, Finding(how, "queue", "old", "make logs STAGE=dev")])

    assert first.endswith("1 of 2 things need you")
    assert line.split() == [how, "queue", "old"]
    assert after.strip() == "next: make logs STAGE=dev"


def test_every_alarms_description_ends_with_its_paragraph() -> None:
    """The screen takes the paragraph from there."""
    both = {
        name: resource["Properties"]
        for name, resource in (resources.template()["Resources"] | alarms.alarms()).items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }

    assert len(both) >= 14
    for name, alarm in both.items():
        found = _RUNBOOK.search(alarm["AlarmDescription"])
        assert found, name
        assert found[1].startswith("docs/operations.md#"), name
        assert not found[1].endswith("."), name


@pytest.mark.parametrize(
    ("stack", "status", "next_"),
    [
        ("dragonpost-prod-app", "UPDATE_ROLLBACK_COMPLETE", "docs/operations.md#a-release-is-taken-back"),
        ("dragonpost-prod-resources", "UPDATE_ROLLBACK_COMPLETE", "make deploy STAGE=prod"),
        ("dragonpost-prod-app", "ROLLBACK_COMPLETE", "make deploy STAGE=prod"),
        (
            "dragonpost-prod-app",
            "UPDATE_ROLLBACK_FAILED",
            (
                ".venv/bin/aws cloudformation continue-update-rollback --stack-name dragonpost-prod-app, "
                "docs/operations.md#a-release-is-taken-back"
            ),
        ),
    ],
)
def test_a_release_that_was_taken_back_is_looked_at_before_it_goes_out_again(
    stack: str, status: str, next_: str
) -> None:
    """And CloudFormation refuses to deploy a stack that it could not put back, until it has."""
    assert after("prod", stack, status) == next_


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (119, "119 s"), (121, "2 min"), (7_300, "2 h"), (200_000, "2 d")]
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert _long(seconds) == text
