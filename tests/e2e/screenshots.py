"""Make screenshots of the console and the docs: `.venv/bin/python -m tests.e2e.screenshots FOLDER`, or `--accept`.

Starts a devstack of its own and goes through every view in both themes and two widths. With `--accept`, the pictures
become those that later ones are compared with. The README shows `registry.png` and `workflow.png`; look at all of them
before you copy those two to docs/images/.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from operations import PROJECT
from tests.e2e import browser as real_browser
from tests.e2e import pictures
from tests.e2e.browser import WIDE
from tests.e2e.running import Api, Devstack, free_ports


def main() -> None:
    """Make them all."""
    if len(sys.argv) != 2:
        sys.exit("name the folder for the pictures, or --accept")
    accept = sys.argv[1] == "--accept"
    folder = pictures.ACCEPTED if accept else Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    program = real_browser.program()
    if program is None:
        sys.exit("no Chromium was found; install one, or set DRAGONPOST_BROWSER")
    with tempfile.TemporaryDirectory() as state:
        devstack = Devstack(PROJECT, Path(state, "state"), free_ports())
        try:
            api = Api(devstack.until_ready(), "local")
            with real_browser.running(program) as browser:
                if accept:
                    _accept(browser, api)
                else:
                    _save(browser, api, folder)
        finally:
            devstack.end()


def _accept(browser: Browser, api: Api) -> None:
    """Accept the pictures. One that looks as it did stays, byte for byte, so that the repository does not grow."""
    taken = dict(pictures.pictures(browser, api))
    anew = taken if pictures.not_comparable(browser) else pictures.changed(browser, iter(taken.items()), pictures.NOISE)
    for old in pictures.ACCEPTED.glob("*.png"):
        if old.name not in taken:
            old.unlink()
    for name in anew:
        (pictures.ACCEPTED / name).write_bytes(taken[name])
    pictures.VERSION.write_text(browser.version + "\n", encoding="utf-8")


def _save(browser: Browser, api: Api, folder: Path) -> None:
    for name, picture in pictures.pictures(browser, api, scale=1):
        (folder / name).write_bytes(picture)
    of_readme = {"dragons": "registry", "submission": "workflow"}
    first_screens = dict(pictures.pictures(browser, api, set(of_readme), scale=1, whole=False))
    for view, name in of_readme.items():
        (folder / f"{name}.png").write_bytes(first_screens[f"{view}-light-{WIDE}.png"])


if __name__ == "__main__":
    main()
