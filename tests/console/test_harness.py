"""The checks of this folder can fail: axe-core reports a planted fault, and a picture shows what is on the page."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.support import browser

pytestmark = pytest.mark.browser

SOUND = "<!doctype html><html lang='en'><title>t</title><body><main><h1>Board</h1><p>Доска ▲ ◆ ■ ● ◐</p></main></body>"


def test_a_fault_of_accessibility_is_reported_with_its_rule_and_element(page: Page) -> None:
    page.set_content(SOUND)
    assert browser.faults(page) == []

    page.set_content(SOUND.replace("<p>", "<p style='color:#aaa'>").replace(" lang='en'", ""))

    assert {each.partition(":")[0] for each in browser.faults(page)} == {"color-contrast", "html-has-lang"}


def test_a_picture_is_a_small_png_of_the_window(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "PICTURES", tmp_path)
    page.set_content(SOUND)

    browser.picture(page, "board")

    with Image.open(tmp_path / "board.png") as image:
        assert image.size == (1280, 800)
        assert len(image.convert("RGB").getcolors() or ()) > 2
    assert (tmp_path / "board.png").stat().st_size < 20_000
