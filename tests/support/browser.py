"""Drives the system's own Chromium: starts it, opens sessions, looks for faults of accessibility, takes pictures."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Self

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.support.console_station import ConsoleStation

PICTURES = Path(os.environ.get("PICTURES", "build/console"))
"""Where the tests put their pictures. `make pictures` names docs/console/."""
COLOURS = 128
"""Of a picture: with fewer, a serious mark would be as red as a critical one."""
DESKTOP: Any = {"width": 1280, "height": 800}
every_look = pytest.mark.parametrize(
    ("lang", "theme", "width"), list(product(("en", "ru"), ("light", "dark"), (320, 1280)))
)
"""Runs a test in each language and theme, on a telephone and on a desk."""
_FAULTS = ("Content Security Policy", "Trusted", "Refused to", "Uncaught")
"""What the browser reports of a page that violates its policy or fails; that a server is gone is no fault."""


def executable() -> str:
    """Return the path of the browser; skip the test if there is none."""
    found = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    if found is None:
        pytest.skip("chromium: not found; install it: tools/setup console")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a running browser. A page may sound only after a person has touched it, as in a browser at home."""
    arguments = ["--autoplay-policy=document-user-activation-required"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Visits:
    """Opens pages of consoles, and notes what the browser reports of them. A context manager.

    Attributes:
        faults: violations of a page's policy, and failures of its scripts.
        foreign: the addresses outside of localhost that pages have asked for.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.faults: list[str] = []
        self.foreign: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for context in self._contexts:
            context.close()
        if kind is None:
            assert not self.faults
            assert not self.foreign

    def profile(self, **options: Any) -> BrowserContext:
        """Return a new profile of the browser, without a session anywhere."""
        context = self._browser.new_context(**{"viewport": DESKTOP, **options})
        self._contexts.append(context)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        context.on("request", lambda request: self._asked(request.url))
        return context

    def enter(self, station: ConsoleStation, side: str = "eucom", role: str = "investigator", **options: Any) -> Page:
        """Return a page with the board of a side, in a profile of its own with a session of its own."""
        page = self.profile(**options).new_page()
        enter(page, station, side, role)
        return page

    def _said(self, message: ConsoleMessage) -> None:
        if any(each in message.text for each in _FAULTS):
            self.faults.append(message.text)

    def _asked(self, address: str) -> None:
        if not address.startswith("http://localhost:"):
            self.foreign.append(address)


def enter(page: Page, station: ConsoleStation, side: str = "eucom", role: str = "investigator") -> None:
    """Open the board of a side with a new session: of an officer, who logs in, or by a one-time link of `role`."""
    if role in {"board", "investigator"}:
        page.goto(station.board_link(side, role))
        return
    page.goto(f"{station.origin(side)}/log-in")
    page.locator("#officer").fill(role)
    page.locator("#credential").fill(station.credential(side, role))
    page.locator("button").click()
    page.locator(".bar").wait_for()
    # then the scripts hear keys
    page.wait_for_load_state("load")


def look(page: Page, lang: str = "en", theme: str = "light", size: str = "normal", keys: str = "on") -> None:
    """Have a page's profile show the console in this way, as the screen of its settings does."""
    page.evaluate(
        """async (form) => {
            const answer = await fetch("/settings", { method: "POST", body: new URLSearchParams(form) });
            if (!answer.ok) throw new Error(`settings: ${answer.status}`);
        }""",
        {"lang": lang, "theme": theme, "size": size, "keys": keys, "back": "/"},
    )


def faults(page: Page) -> list[str]:
    """Return the rules of axe-core that a page breaks, best practices included, each with the elements in question."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['target']}: {node['failureSummary']}" for each in found for node in each["nodes"]]


def tall(page: Page, name: str) -> None:
    """Save all of what a page shows as `name`.png: the window is made as high as the page, with its frame around it."""
    size = page.viewport_size
    assert size is not None
    high = page.evaluate("() => document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": int(high)})
    picture(page, name)
    page.set_viewport_size(size)


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """Save what a page shows as `name`.png: the window, or the `whole` page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    shot = page.screenshot(full_page=whole, animations="disabled", caret="hide")
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").quantize(COLOURS).save(PICTURES / f"{name}.png", optimize=True)
