"""Make screenshots of the console and the docs: `.venv/bin/python -m tests.e2e.screenshots FOLDER`.

Starts a devstack of its own and goes through every view in both themes and two widths. The README shows
`registry.png` and `workflow.png`; look at all of them before you copy those two to docs/images/.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect

from operations import PROJECT
from tests.e2e import browser as real_browser
from tests.e2e.browser import NARROW, WIDE, visit
from tests.e2e.running import Api, Devstack, free_ports

STORED_WITHIN_MS = 30_000
SIZES = {WIDE: 900, NARROW: 844}


def main() -> None:
    """Make them all."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    program = real_browser.program()
    if program is None:
        sys.exit("no Chromium was found; install one, or set DRAGONPOST_BROWSER")
    with tempfile.TemporaryDirectory() as state:
        devstack = Devstack(PROJECT, Path(state, "state"), free_ports())
        try:
            api = Api(devstack.until_ready(), "local")
            with real_browser.running(program) as browser:
                for theme in ("light", "dark"):
                    for width in SIZES:
                        _console(browser, api, folder, theme, width)
                        _docs(browser, api, folder, theme, width)
        finally:
            devstack.end()


def _console(browser: Browser, api: Api, folder: Path, theme: str, width: int) -> None:
    with visit(browser, api, theme=theme, width=width, height=SIZES[width]) as visited:

        def shot(name: str, *, whole: bool = True) -> None:
            page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=whole)

        page = visited.open()
        shot("welcome")
        visited.sign_in("operator")
        expect(page.locator(".card").first).to_be_visible()
        shot("registry-cards", whole=False)
        if (theme, width) == ("light", WIDE):
            page.screenshot(path=folder / "registry.png", clip={"x": 0, "y": 0, "width": WIDE, "height": 760})
        page.get_by_text("Table", exact=True).click()
        shot("registry-table", whole=False)
        page.get_by_role("button", name="Correct or remove").first.click()
        expect(page.get_by_role("dialog").get_by_label("Name")).not_to_have_value("")
        shot("correct", whole=False)
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("link", name="Report a dragon").click()
        for name, status in ((f"{theme} Harbour {width}".title(), "added"), ("Ashfall", "rejected")):
            page.get_by_role("button", name="Fill in an example").click()
            page.get_by_role("form", name="Report").get_by_label("Name").fill(name)
            page.get_by_role("button", name="Report").click()
            expect(page.locator("#outcome .status")).to_have_text(status)
            shot(f"report-{status}")
            if (theme, width, status) == ("light", WIDE, "added"):
                page.locator(".watch").first.screenshot(path=folder / "workflow.png")
        page.get_by_role("link", name="Post a message").click()
        page.get_by_role("button", name="Post", exact=True).click()
        expect(page.locator("[data-status=stored]")).to_be_visible(timeout=STORED_WITHIN_MS)
        shot("post-stored")
        page.get_by_label("Order amount").fill("lots")
        page.get_by_role("button", name="Post", exact=True).click()
        expect(page.locator(".fault")).to_be_visible()
        shot("post-fault")


def _docs(browser: Browser, api: Api, folder: Path, theme: str, width: int) -> None:
    with visit(browser, api, theme=theme, width=width, height=SIZES[width]) as visited:
        page = visited.open("/docs")
        expect(page.locator(".opblock").first).to_be_visible()
        page.screenshot(path=folder / f"docs-{theme}-{width}.png")
        visited.sign_in("operator")
        page.locator(".opblock-summary-control").first.click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table")).to_be_visible()
        page.screenshot(path=folder / f"docs-tried-{theme}-{width}.png", full_page=True)


if __name__ == "__main__":
    main()
