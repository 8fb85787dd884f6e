"""What a console opens: journals, link files and settings, but no key and no credential."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visits
from tests.support.console_station import ConsoleStation, console

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SCREENS = ("board", "messages", "compose", "drafts", "alarms", "channels", "history", "investigate", "settings")


def test_a_console_opens_neither_keys_nor_credentials(station: ConsoleStation, visits: Visits, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace: apt-get install strace")
    station.alert()
    assert station.stop(console("eucom")) == 0
    trace = tmp_path / "trace"
    station.open_console("eucom", under=(strace, "-f", "-qq", "-s", "500", "-e", "trace=%file", "-o", str(trace)))
    page = visits.enter(station, role="watch-1")
    for name in SCREENS:
        page.goto(station.screen("eucom", name))
        expect(page.locator("main h1")).to_be_visible()

    traced = station.processes[console("eucom")].popen.pid
    (child,) = Path(f"/proc/{traced}/task/{traced}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)
    assert station.processes.pop(console("eucom")).wait() == 0
    station.open_console("eucom")

    opened = {path for path in re.findall(r'"([^"]*)"', trace.read_text()) if str(station.folder) in path}
    assert any("/journal/" in path for path in opened), sorted(opened)
    assert any(path.endswith("endpoint.toml") for path in opened)
    assert not [path for path in opened if re.search(r"/keys/|/tls/|/officers/|\.key$|credential", path)]
