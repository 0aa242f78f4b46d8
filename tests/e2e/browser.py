"""A real browser on the service's pages, and what it complains about."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.e2e.running import Api

FLAGS = (
    "--no-sandbox",  # containers have no namespaces for it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ACTS_WITHIN_MS = 15_000
WIDE = 1280
NARROW = 390

# Resolves when the console has begun to show what the address names.
_GO = """to => new Promise((shown) => {
  addEventListener("hashchange", () => shown(), { once: true });
  const before = location.href;
  location.hash = to;
  if (location.href === before) dispatchEvent(new Event("hashchange"));
})"""
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program() -> str | None:
    """Return the browser's path: DRAGONPOST_BROWSER, or an installed Chromium. Returns None if there is none."""
    return os.environ.get("DRAGONPOST_BROWSER") or next(filter(None, map(shutil.which, _PROGRAMS)), None)


@contextlib.contextmanager
def running(path: str) -> Iterator[Browser]:
    """Run the browser at this path, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page of one target in a window of its own, with everything that went wrong in it."""

    page: Page
    api: Api
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        """Open one of the target's pages."""
        self.page.goto(self.api.base_url + path)
        return self.page

    def at(self, address: str) -> Page:
        """Go to an address of the console that is open, such as `#/dragons`, as a link or Back would."""
        self.page.evaluate(_GO, address)
        return self.page

    def sign_in(self, user: str) -> None:
        """Sign in with the form that every page has."""
        self.page.get_by_label("User name").fill(self.api.devstack.email(user))
        self.page.get_by_label("Password", exact=True).fill(self.api.devstack.password(user))
        self.page.get_by_role("button", name="Sign in").click()


@contextlib.contextmanager
def desk(browser: Browser, api: Api, user: str) -> Iterator[Visit]:
    """Open the console in a window of its own, with a user who has signed in."""
    with visit(browser, api) as visited:
        visited.open()
        visited.sign_in(user)
        expect(visited.page.get_by_role("button", name="Sign out")).to_be_visible()
        yield visited


@contextlib.contextmanager
def visit(
    browser: Browser,
    api: Api,
    *,
    theme: str = "light",
    width: int = WIDE,
    height: int = 900,
    zone: str | None = None,
    scale: float = 1,
) -> Iterator[Visit]:
    """Open a window whose console messages, crashes and policy violations are collected."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        locale="en-US",
        timezone_id=zone,
        device_scale_factor=scale,
        ignore_https_errors="ca_bundle" in api.devstack.running,  # made for the embedded AWS; no browser trusts it
    )
    context.set_default_timeout(ACTS_WITHIN_MS)
    try:
        page = context.new_page()
        visited = Visit(page, api)
        page.on("console", lambda message: _note(visited, message))
        page.on("pageerror", lambda error: visited.complaints.append(f"uncaught: {error}"))
        page.on("request", lambda request: visited.asked.append(request.url))
        yield visited
    finally:
        context.close()


def _note(visited: Visit, message: ConsoleMessage) -> None:
    # The browser logs every 4xx answer to `fetch` as an error, however the page handles it.
    expected = message.text.startswith("Failed to load resource: the server responded with a status of 4")
    if message.type in ("error", "warning") and not expected:
        visited.complaints.append(f"{message.type}: {message.text}")
