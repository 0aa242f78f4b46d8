"""How every view of the console looks, in both themes and two widths, and whether that is how it was accepted.

`.venv/bin/python -m tests.e2e.screenshots --accept` accepts how they look now. Another version of Chromium draws
letters a little differently, so pictures are compared only with those that the same version has drawn.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.e2e.browser import NARROW, WIDE, visit
from tests.e2e.running import Api
from tests.e2e.scenes import SCENES, ZONE, scenes

ACCEPTED = Path(__file__).parent / "accepted"
VERSION = ACCEPTED / "chromium.txt"  # which version has drawn them
SHRUNK = 0.5  # so that the repository stays small
HEIGHTS = {WIDE: 700, NARROW: 844}
DIFFERING_MAX = 0.1  # of the pixels of any square; so a word in another colour differs, however large the picture is
NOISE = 0.02  # letters and lines are not always drawn alike; what differs less need not be accepted anew
# The largest share of a square of 32 by 32. A pixel differs if one of its colours does by more than 24, of 255.
_SHARE_THAT_DIFFERS = """async ([a, b]) => {
  const pixels = async (png) => {
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    return canvas.getImageData(0, 0, image.width, image.height);
  };
  const [one, other] = [await pixels(a), await pixels(b)];
  if (one.width !== other.width || one.height !== other.height) return 1;
  const differing = new Map();
  for (let at = 0; at < one.data.length; at += 4) {
    if ([0, 1, 2].every((colour) => Math.abs(one.data[at + colour] - other.data[at + colour]) <= 24)) continue;
    const [row, column] = [Math.floor(at / 4 / one.width), (at / 4) % one.width];
    const square = `${row >> 5} ${column >> 5}`;
    differing.set(square, (differing.get(square) ?? 0) + 1);
  }
  return Math.max(0, ...differing.values()) / (32 * 32);
}"""


def pictures(
    browser: Browser, api: Api, names: set[str] | None = None, *, scale: float = SHRUNK, whole: bool = True
) -> Iterator[tuple[str, bytes]]:
    """Take pictures of all views, or of those that are named. Yield the name of each file, and the PNG.

    They show the `whole` page, because what matters may be below the first screen; unless something lies on top of it,
    or it is very long.
    """
    with visit(browser, api, zone=ZONE, scale=scale) as visited:
        for view, page in scenes(visited, names):
            for theme in ("light", "dark"):
                for width, height in HEIGHTS.items():
                    _look(page, theme == "dark", width, height)
                    yield (
                        f"{view}-{theme}-{width}.png",
                        page.screenshot(caret="hide", animations="disabled", full_page=whole and SCENES[view].whole),
                    )


def _look(page: Page, dark: bool, width: int, height: int) -> None:
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": width, "height": height})
    page.mouse.move(0, 0)  # or what it happens to be on would look as if it were meant
    page.evaluate("document.fonts.ready")


def changed(
    browser: Browser, taken: Iterator[tuple[str, bytes]], differing_max: float = DIFFERING_MAX
) -> dict[str, str]:
    """Return the names of the pictures that do not look as they were accepted, each with what differs."""
    found = {}
    page = browser.new_page()
    for name, picture in taken:
        accepted = ACCEPTED / name
        if not accepted.is_file():
            found[name] = "nobody has accepted it yet"
            continue
        both = [base64.b64encode(png).decode() for png in (accepted.read_bytes(), picture)]
        share = page.evaluate(_SHARE_THAT_DIFFERS, both)
        if share > differing_max:
            found[name] = f"{share:.1%} of a part of it differ"
    page.close()
    return found


def not_comparable(browser: Browser) -> str | None:
    """Return why this browser's pictures cannot be compared with the accepted ones, or None if they can."""
    recorded = VERSION.read_text(encoding="utf-8").strip()
    if browser.version == recorded:
        return None
    return f"the accepted pictures are of Chromium {recorded}, and this is {browser.version}"
