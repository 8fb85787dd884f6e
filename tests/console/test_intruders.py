"""What strangers send to a console: other hosts and origins, forged sessions, huge bodies, hundreds of streams."""

from __future__ import annotations

from itertools import islice, repeat
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.browser import Visits, enter
from tests.support.console_station import ConsoleStation, console
from tests.support.foreign_site import ForeignSite
from tests.support.raw_browser import ask, client, one_sentence, session_cookie, streams

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

BOARD = "/links/eucom-ndmc/board"
HUGE_BYTES = 100_000_000


@pytest.fixture(scope="module")
def cookie(station: ConsoleStation) -> str:
    """Return the cookie of a session that lasts while this module runs."""
    return session_cookie(station)


def lives(station: ConsoleStation, cookie: str) -> None:
    """Assert that the console serves a board, and that the line carries an alert."""
    with client(station, cookie=cookie) as browser:
        assert browser.get(BOARD).status_code == httpx.codes.OK
    reference = station.alert()
    station.until(lambda: station.alert_state("ndmc", reference) == "received")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "localhost", "127.0.0.1:{port}", "LOCALHOST."])
def test_another_name_for_this_machine_gets_one_sentence(host: str, station: ConsoleStation, cookie: str) -> None:
    with client(station, cookie=cookie) as browser:
        answer = browser.get(BOARD, headers={"host": host.format(port=station.ports["eucom"])})

    assert answer.status_code == httpx.codes.MISDIRECTED_REQUEST
    assert one_sentence(answer) == f"this console is at {station.origin('eucom')} only"


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost:{port}\r\nHost: evil.example\r\n"])
def test_a_request_without_one_host_is_refused(hosts: bytes, station: ConsoleStation) -> None:
    port = station.ports["eucom"]
    answer = ask(port, b"GET / HTTP/1.1\r\n%s\r\n" % hosts.replace(b"{port}", str(port).encode()))

    assert answer.partition(b" ")[2][:3] in {b"400", b"421"}
    assert b"<html" not in answer


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1", "null", "", None])
@pytest.mark.parametrize("path", ["/log-in", "/log-out", "/settings"])
def test_a_form_of_another_origin_is_refused(
    path: str, origin: str | None, station: ConsoleStation, cookie: str
) -> None:
    headers = {"sec-fetch-site": "same-origin"} | ({} if origin is None else {"origin": origin})
    with client(station, cookie=cookie) as browser:
        answer = browser.post(path, data={"officer": "watch-1", "credential": "x", "lang": "ru"}, headers=headers)
        assert answer.status_code == httpx.codes.FORBIDDEN
        one_sentence(answer)
        assert browser.get(BOARD).status_code == httpx.codes.OK


def test_a_page_of_another_port_can_neither_read_nor_act_nor_frame(station: ConsoleStation, visits: Visits) -> None:
    """Cookies ignore ports, so SameSite alone would let another service of this machine act."""
    page = visits.profile().new_page()
    enter(page, station)
    with ForeignSite() as site:
        page.goto(site.page(station.origin("eucom")))
        expect(page.locator("#done")).to_have_text("done", timeout=20_000)
        assert page.locator("#read").text_content() == "fetch: refused; image: refused; stream: refused"
        page.locator("button").click()
        expect(page.locator("body")).to_contain_text("does not come from a page of this console")
        framed = site.page(station.origin("eucom"))
        page.goto(framed)
        frame = page.frame_locator("iframe").locator(".bar")
        expect(frame).to_have_count(0)
    # the log-out was refused
    page.goto(station.screen("eucom"))
    expect(page.locator(".bar")).to_be_visible()
    # those are the attempts of the other site, which its visitor's browser or the console has refused
    visits.faults.clear()
    visits.foreign.clear()


@pytest.mark.parametrize(
    "token", ["", "x", "kS-nFCuVH5sMBprcQeHH1FHEoa5W5sb0k99Mw48Q2U8", "A" * 10_000, "' OR 1=1 --", "%00", "é\u202e"]
)
def test_a_forged_session_leads_to_the_log_in(token: str, station: ConsoleStation, cookie: str) -> None:
    name = cookie.partition("=")[0]
    with client(station, cookie=f"{name}={token}") as browser:
        screen, stream, fresh = browser.get(BOARD), browser.get("/stream"), browser.get(BOARD, headers={"x-live": "1"})

    assert (screen.status_code, screen.headers.get("location")) == (httpx.codes.SEE_OTHER, "/log-in")
    assert stream.status_code == fresh.status_code == httpx.codes.UNAUTHORIZED
    assert len(stream.content) + len(fresh.content) < 500


@pytest.mark.parametrize(
    "path", ["/", "/log-in", BOARD, "/links/eucom-ndmc/nowhere", "/static/console.css", "/static/nothing", "/healthz"]
)
def test_every_answer_has_the_headers_of_the_policy(path: str, station: ConsoleStation, cookie: str) -> None:
    with client(station, cookie=cookie) as browser:
        answers = [browser.get(path), browser.get(path, headers={"host": "evil.example"}), browser.post(path)]

    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] in {"no-referrer", "same-origin"}
        assert "server" not in answer.headers


@pytest.mark.parametrize("body", ["announced", "chunked"])
def test_a_huge_body_is_refused_before_it_is_read(body: str, station: ConsoleStation, cookie: str) -> None:
    port, before = station.ports["eucom"], resident_bytes(station)
    head = (
        f"POST /log-in HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: {station.origin('eucom')}\r\n"
        "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    )
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    if body == "announced":
        answer = ask(port, f"{head}Content-Length: {HUGE_BYTES}\r\n\r\n".encode(), *repeat(bytes(65_536), 200))
    else:
        chunks = islice(repeat(chunk), HUGE_BYTES // 0x10000)
        answer = ask(port, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *chunks)

    # a client that is still sending may not get to see the answer
    assert answer[9:12] in {b"413", b"400", b""}
    assert resident_bytes(station) - before < 30_000_000
    lives(station, cookie)


def test_hundreds_of_streams_that_never_read_leave_the_console_and_the_line_in_use(
    station: ConsoleStation, cookie: str, visits: Visits
) -> None:
    before = resident_bytes(station)
    with streams(station, "eucom", cookie, 200):
        lives(station, cookie)
        assert resident_bytes(station) - before < 60_000_000
    # those that were there first have not locked anybody out
    page = visits.enter(station)
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("[data-shown]").first).not_to_have_text(page.locator("[data-shown]").first.inner_text())


def resident_bytes(station: ConsoleStation) -> int:
    """Return the resident memory of the console of eucom."""
    statm = Path(f"/proc/{station.processes[console('eucom')].popen.pid}/statm").read_text()
    return int(statm.split()[1]) * 4_096
