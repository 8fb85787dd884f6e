"""Fixtures: a real link with a console for each side, and a real browser. Both are shared by the tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import DESKTOP, Visits, chromium
from tests.support.console_station import ConsoleStation


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    """Yield a link that is fine, with the consoles of both sides. A test that breaks something mends it."""
    with ConsoleStation.of(tmp_path_factory) as station:
        station.start_all()
        station.prove()
        yield station


@pytest.fixture
def visits(browser: Browser) -> Iterator[Visits]:
    """Yield what opens pages; at the end, no page may have violated its policy or failed in a script."""
    with Visits(browser) as visits:
        yield visits


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Yield a page in a browser profile of its own, without a session anywhere."""
    context = browser.new_context(viewport=DESKTOP)
    yield context.new_page()
    context.close()
