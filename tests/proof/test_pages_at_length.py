"""What of the pages takes too long for each run: every view in all its looks, and all of /docs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e import browser as real_browser
from tests.e2e.axe import faults
from tests.e2e.browser import NARROW, WIDE, visit
from tests.e2e.pictures import ACCEPTED, changed, not_comparable, pictures
from tests.e2e.running import TARGETS, Api
from tests.e2e.trying import OPERATORS_REFUSALS, REFUSALS_OF_A_COMPANY, Trying, try_all
from tests.proof.report import only_at_full_scale

PROGRAM = real_browser.program()
needs_full_scale = only_at_full_scale("takes minutes")
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium was found: set DRAGONPOST_BROWSER")


@pytest.fixture
def browser() -> Iterator[Browser]:
    assert PROGRAM
    with real_browser.running(PROGRAM) as running:
        yield running


@needs_full_scale
@needs_browser
def test_every_view_of_the_console_looks_as_it_was_accepted(browser: Browser, proving_apis: dict[str, Api]) -> None:
    if reason := not_comparable(browser):
        pytest.skip(reason)

    taken = dict(pictures(browser, proving_apis["local"]))

    assert taken.keys() == {accepted.name for accepted in ACCEPTED.glob("*.png")}
    assert changed(browser, iter(taken.items())) == {}


@needs_full_scale
@needs_browser
@pytest.mark.parametrize("target", TARGETS)
def test_axe_finds_nothing_in_any_view_in_either_theme_and_width(
    browser: Browser, proving_apis: dict[str, Api], target: str
) -> None:
    looks = [(theme, width) for theme in ("light", "dark") for width in (WIDE, NARROW)]
    with visit(browser, proving_apis[target]) as visited:
        assert faults(visited, looks) == {}
        assert visited.complaints == []


@needs_full_scale
@needs_browser
def test_every_operation_of_the_docs_succeeds_for_somebody_of_a_company_or_is_refused_as_documented(
    browser: Browser, proving_apis: dict[str, Api]
) -> None:
    with visit(browser, proving_apis["local"]) as visited:
        try_all(visited, "cobalt", REFUSALS_OF_A_COMPANY)
        assert visited.complaints == []


@needs_full_scale
@needs_browser
def test_every_operation_of_the_docs_is_filled_in_and_succeeds_twice_in_a_row_for_an_operator(
    browser: Browser, proving_apis: dict[str, Api]
) -> None:
    with visit(browser, proving_apis["gateway"]) as visited:
        names, ids = try_all(visited, "operator", OPERATORS_REFUSALS)
        again = Trying(visited)
        assert [len(names), len(ids)] == [1, 1]
        assert names.isdisjoint([again.filled_in("getDragon")["dragon_name"]])
        assert ids.isdisjoint([again.filled_in("getMessage")["message_id"]])
        assert visited.complaints == []
