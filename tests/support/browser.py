"""Drives the system's own Chromium: starts it, logs officers in, looks for faults of accessibility, takes pictures."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(os.environ.get("PICTURES", "build/console"))
"""Where the tests put their pictures. `make pictures` names docs/console/."""
COLOURS = 64
"""Of a picture: enough for two themes and the smoothed edges of letters."""
DESKTOP: Any = {"width": 1280, "height": 800}


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


def faults(page: Page) -> list[str]:
    """Return the rules of axe-core that a page breaks, best practices included, each with the elements in question."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['target']}: {node['failureSummary']}" for each in found for node in each["nodes"]]


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """Save what a page shows as `name`.png: the window, or the `whole` page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    shot = page.screenshot(full_page=whole, animations="disabled", caret="hide")
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").quantize(COLOURS).save(PICTURES / f"{name}.png", optimize=True)
