"""The page of costs: its arithmetic, and that it prices what the service does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import app as declared
from benchmarks.calls import CALLS
from benchmarks.quotas import USES
from chalicelib.dragons import dynamodb
from chalicelib.dragons.model import Dragon
from operations import PROJECT
from operations.generate import CannotGenerate, cost
from operations.generate.cost import Inputs, pipelines, routes, transitions
from tests.samples import dragon_members

INPUTS = Inputs.read()
PAGE = (PROJECT / "docs" / "cost.md").read_text(encoding="utf-8")


def a_million(units: object) -> float:
    return INPUTS.usd(units) * 1_000_000  # type: ignore[arg-type]


def test_every_route_has_its_price_on_the_page() -> None:
    wanted = {
        f"{method} {path}" for path, methods in declared.app.routes.items() for method in methods if method != "HEAD"
    }

    assert routes(INPUTS).keys() >= wanted, "what follows a comma is another answer than the usual one"
    assert not [route for route in wanted if f"| `{route}` |" not in PAGE]


def test_an_answer_is_the_gateway_the_run_its_calls_its_log_and_its_trace() -> None:
    """Worked out by hand: 1 GB for 3 ms and two calls of 15 ms, half a read unit, and a request to SQS."""
    by_hand = 3.50 + 0.20 + 0.033 * 13.3334 + 0.5 * 0.125 + 0.40 + 700e-9 * 0.50 * 1e6 + 0.05 * 5.00

    assert a_million(routes(INPUTS)["POST /post-message"]) == pytest.approx(by_hand)


def test_a_message_costs_its_own_calls_and_its_part_of_the_batchs() -> None:
    """Beside its request: a read, an object, a row and its item in the index of lists; and a tenth of a run of five
    calls, of receiving, of deleting.
    """
    run = 0.20 + (0.003 + 4 * 0.015) * 13.3334 + 700e-9 * 0.50 * 1e6
    by_hand = a_million(routes(INPUTS)["POST /post-message"]) + 0.125 + 5.00 + 2 * 0.625 + (run + 2 * 0.40) / 10

    assert a_million(pipelines(INPUTS)[cost.STORED.format(batch=10)]) == pytest.approx(by_hand)


def test_a_report_pays_for_each_state_that_it_enters() -> None:
    """docs/scaling.md and docs/cost.md say 12."""
    assert transitions(["RecordPending", "AddDragon", "Added"]) == 12
    assert transitions(["RecordPending", "AddDragon", "Rejected"]) == 11
    assert "12 for a dragon that is added" in " ".join(PAGE.split())


def test_a_way_that_the_workflow_does_not_have_is_refused() -> None:
    with pytest.raises(CannotGenerate, match="no way from Added to AddDragon"):
        transitions(["Added", "AddDragon"])


def test_a_call_that_nobody_has_priced_is_refused() -> None:
    """A route that makes another call must not be free."""
    with pytest.raises(CannotGenerate, match="what sqs ChangeMessageVisibility costs"):
        INPUTS.calls("GET /health", ["sqs ChangeMessageVisibility"])


def test_a_unit_without_a_price_is_refused() -> None:
    with pytest.raises(CannotGenerate, match=r"prices\.toml has no price of unicorns"):
        INPUTS.usd({"unicorns": 1})


def test_every_price_says_where_and_when_it_was_seen_or_that_it_was_not() -> None:
    unseen = [price for price in INPUTS.prices.values() if not price.source]

    for price in INPUTS.prices.values():
        assert price.usd > 0
        assert bool(price.source) == bool(price.dated) == bool(re.fullmatch(r"\d{4}-\d\d-\d\d", price.seen))
    assert PAGE.count("nobody has seen it") == len(unseen)


def test_a_corrected_price_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    dearer = replace(INPUTS, prices=INPUTS.prices | {"sqs": replace(INPUTS.prices["sqs"], usd=4.0)})
    monkeypatch.setattr(Inputs, "read", lambda: dearer)

    [changed] = cost.files().values()

    assert changed != PAGE


def test_a_page_without_a_place_for_a_table_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inputs, "read", lambda: INPUTS)
    (tmp_path / "docs").mkdir()
    (tmp_path / cost.PAGE).write_text("# What it costs\n", encoding="utf-8")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(cost, "PROJECT", tmp_path)
        elsewhere.setattr(cost, "transitions", lambda _: 12)

        with pytest.raises(CannotGenerate, match=r"docs/cost\.md has no place for a table"):
            cost.files()


def test_a_message_row_is_one_write_unit() -> None:
    """The price of storing rests on that."""
    [(_, archived, _), (_, row, _), (_, listed, _), _] = cost.storage(INPUTS)

    assert archived < listed < row < 1024


def test_a_list_of_messages_is_eight_queries_at_once_each_for_a_whole_page() -> None:
    """Worked out by hand: 1 GB for 3 ms and one call of 15 ms; 102 items of 339 bytes take 9 units, and half of them
    are paid for.
    """
    by_hand = 3.50 + 0.20 + 0.018 * 13.3334 + 8 * 4.5 * 0.125 + 700e-9 * 0.50 * 1e6 + 0.05 * 5.00

    assert a_million(routes(INPUTS)["GET /messages"]) == pytest.approx(by_hand)


def test_a_page_takes_as_many_units_in_the_simulation() -> None:
    for asked, uses in USES.items():
        if "dynamodb Query" in uses:
            queries = CALLS[asked].count("dynamodb Query")
            assert INPUTS.calls(asked, ["dynamodb Query"] * queries)["dynamodb-read"] == (
                queries * uses["dynamodb Query"][1]
            ), asked


def test_a_page_of_families_takes_as_many_units_as_is_assumed() -> None:
    """Each of 101 families has 16 rows of so many bytes."""
    update = dynamodb.addition(Dragon(**dragon_members("Ember")), b"")[2]["Update"]
    written = update["ExpressionAttributeValues"][":spelling"]["S"]
    texts = [value["S"] for value in update["Key"].values()] + [written]
    names = (dynamodb.PART, dynamodb.SORT_KEY, dynamodb.SPELLING, dynamodb.COUNT)
    size = sum(map(len, names)) + sum(len(text.encode()) for text in texts) + 2

    assert cost.read_units(101 * dynamodb.COUNTS_OF_A_FAMILY, size) == INPUTS.assumed["families_page"]


def test_what_the_other_designs_are_said_to_take_is_no_more_than_ours() -> None:
    """They get the fewest calls that could work, so that ours are not made to look good."""
    ours = routes(INPUTS) | pipelines(INPUTS)
    for design, usd in cost.designs(INPUTS):
        assert usd <= INPUTS.usd(ours[design.asked]), design.asked


def test_the_calls_are_those_that_tests_assert() -> None:
    assert {name for name in CALLS if name.split(" ", 1)[0].isupper()} == routes(INPUTS).keys()
