"""What is wrong with how a page is built: what axe finds, whether it scrolls sideways, and whether anything moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from playwright.sync_api import Page

from operations import PROJECT
from tests.e2e.browser import Visit
from tests.e2e.scenes import SCENES, scenes

_AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
_MOVING = """() => {
  const seconds = (durations) => Math.max(...durations.split(",").map(parseFloat));
  const moves = (style) =>
    style.animationName !== "none" || seconds(style.transitionDuration) > 0 || style.scrollBehavior === "smooth";
  return [...document.querySelectorAll("*")]
    .filter((element) => ["", "::before", "::after"].some((part) => moves(getComputedStyle(element, part))))
    .map((element) => element.outerHTML.slice(0, 80));
}"""


def findings(page: Page) -> list[str]:
    """Return axe's findings."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def moving(page: Page) -> list[str]:
    """Return the elements that move, fade, or scroll smoothly."""
    found: list[str] = page.evaluate(_MOVING)
    return found


def faults(visited: Visit, looks: Iterable[tuple[str, int]], names: set[str] | None = None) -> dict[str, list[str]]:
    """Go through all views, or those that are named, in each of these themes and widths. Return what is wrong.

    Paper is left out: nobody hears it read out, and it neither scrolls nor moves.
    """
    found = {}
    on_screen = {name for name, scene in SCENES.items() if not scene.on_paper}
    for view, page in scenes(visited, names or on_screen):
        for theme, width in looks:
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            page.set_viewport_size({"width": width, "height": 900})
            found[f"{view}, {theme}, {width}"] = findings(page) + _sideways(page)
        found[f"{view}, moving"] = moving(page)
    return {place: wrong for place, wrong in found.items() if wrong}


def _sideways(page: Page) -> list[str]:
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return ["it scrolls sideways"] if wider > 0 else []


def without_likenesses() -> set[str]:
    """Return the console's views without those that look like another: one empty list, and no names of machines."""
    alike = {name for name, scene in SCENES.items() if scene.rare or scene.seen in (".empty", ".own-names")}
    return {name for name, scene in SCENES.items() if scene.path == "/"} - alike | {"dragons-none"}
