"""What a screen says without colour: in grey, and in the forced colours of a system, every mark keeps its shape."""

from __future__ import annotations

import io
from itertools import combinations
from typing import Any

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page, expect

from tests.support.browser import Visits, faults, look, picture
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LEVELS = ("critical", "serious", "caution", "normal", "standby", "unknown")
PIXELS, SCALE = 40, 3
EDGE = 2
APART = 0.08
"""The share of its square in which two marks differ at least."""
_MARKS = """(levels) => {
    const row = document.createElement("p");
    row.id = "marks";
    for (const level of levels) {
        const one = document.createElement("span");
        one.className = `level-${level}`;
        const mark = document.createElement("span");
        mark.className = "mark";
        mark.id = `mark-${level}`;
        one.append(mark);
        row.append(one, "\u00a0\u00a0\u00a0");
    }
    document.body.prepend(row);
}"""


def grey(station: ConsoleStation, visits: Visits, theme: str, scale: int) -> Page:
    """Return a board as somebody sees it who sees no colours."""
    page = visits.enter(station, device_scale_factor=scale)
    page.context.new_cdp_session(page).send("Emulation.setEmulatedVisionDeficiency", {"type": "achromatopsia"})
    look(page, theme=theme)
    return shown(page, station)


def forced(station: ConsoleStation, visits: Visits, scheme: str, scale: int) -> Page:
    """Return a board in the forced colours of a system, light or dark."""
    page = visits.enter(station, forced_colors="active", color_scheme=scheme, device_scale_factor=scale)
    return shown(page, station)


def shown(page: Page, station: ConsoleStation) -> Page:
    """Return a page with the board, once it is there."""
    page.goto(station.screen("eucom"))
    expect(page.locator(".bar .state .mark")).to_be_visible()
    return page


def marks(page: Page) -> dict[str, Image.Image]:
    """Return the shape of each level's mark: black where it differs from what is around it."""
    page.evaluate(_MARKS, LEVELS)
    found = {}
    for level in LEVELS:
        box = page.locator(f"#mark-{level}").bounding_box()
        assert box is not None
        # with what is around it: a square fills its box
        clip: Any = {"x": box["x"] - EDGE, "y": box["y"] - EDGE, "width": 2 * EDGE + 14, "height": 2 * EDGE + 14}
        shot = page.screenshot(clip=clip, animations="disabled")
        with Image.open(io.BytesIO(shot)) as image:
            grey = image.convert("L").resize((PIXELS, PIXELS))
        around = Image.new("L", grey.size, grey.getpixel((0, 0)))
        found[level] = ImageChops.difference(grey, around).point(lambda value: 255 if value > 48 else 0)
    return found


def alike(shapes: dict[str, Image.Image]) -> list[str]:
    """Return the pairs of levels whose marks can hardly be told apart, and the levels without a mark."""
    found = [level for level, shape in shapes.items() if shape.getbbox() is None]
    for one, other in combinations(LEVELS, 2):
        differs = ImageChops.difference(shapes[one], shapes[other]).histogram()[255] / PIXELS**2
        found += [f"{one} and {other}: {differs:.2f}"] if differs < APART else []
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_grey_each_level_has_a_shape_of_its_own(theme: str, station: ConsoleStation, visits: Visits) -> None:
    picture(grey(station, visits, theme, 1), f"board-grey-{theme}")
    assert not alike(marks(grey(station, visits, theme, SCALE)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_forced_colours_each_level_has_a_shape_of_its_own(
    scheme: str, station: ConsoleStation, visits: Visits
) -> None:
    page = forced(station, visits, scheme, 1)
    assert page.evaluate("() => matchMedia('(forced-colors: active)').matches")
    picture(page, f"board-forced-colours-{scheme}")
    expect(page.locator(".edge-top")).to_have_text("EXERCISE · УЧЕНИЕ")
    assert not faults(page)
    page.goto(station.screen("eucom", "messages"))
    picture(page, f"messages-forced-colours-{scheme}")
    assert not alike(marks(forced(station, visits, scheme, SCALE)))
