"""`make console` from outside: what it prints leads into the consoles of both sides, and Ctrl-C ends everything."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visits
from tests.support.station import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

COMMAND = (sys.executable, "-m", "endpoints.cli.main", "demo", "--console", "--lang", "en")
UP_WITHIN_S = 90
CONSOLE = re.compile(r"console of (\w+): (http://localhost:(\d+))\n +log in as ([\w-]+), with the credential in (.+)\n")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Yield the running command, as make starts it, and the file of what it prints."""
    said = tmp_path / "said"
    with said.open("wb") as output:
        # `make` runs it in the foreground: Ctrl-C reaches it
        process = subprocess.Popen(COMMAND, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
    yield process, said
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_printed_lines_lead_into_both_consoles(demo: tuple[subprocess.Popen[bytes], Path], visits: Visits) -> None:
    process, said = demo
    deadline = time.monotonic() + UP_WITHIN_S
    while len(found := CONSOLE.findall(said.read_text("utf-8"))) < 2:
        assert process.poll() is None, said.read_text("utf-8")
        assert time.monotonic() < deadline, said.read_text("utf-8")
        time.sleep(0.1)
    profile = visits.profile()
    for side, origin, _port, officer, file in found[:2]:
        (credential,) = shlex.split(file)
        page = profile.new_page()
        page.goto(origin)
        page.locator("#officer").fill(officer)
        page.locator("#credential").fill(Path(credential).read_text("utf-8").strip())
        page.locator("form button").click()
        expect(page).to_have_url(re.compile("/board$"))
        expect(page.locator("#out-title")).to_contain_text(f"{side} →")
        expect(page.locator(".rate")).to_contain_text("60 times as fast", timeout=20_000)
        # the watch's verdict is beside it
        expect(page.locator("#watch")).not_to_contain_text("not shown")

    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    for port in (int(each[2]) for each in found[:2]):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, "a console is still there"
