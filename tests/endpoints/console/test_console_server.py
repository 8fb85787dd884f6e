"""The console over real sockets, without an endpoint: sessions, pages, limits of time, bytes and number, addresses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme
from msgspec import structs

from endpoints.config.console_settings import ConsoleSettings, TcpListen, UnixListen
from endpoints.console import address
from endpoints.console.cookies import Cookies
from endpoints.console.sessions import Sessions
from endpoints.console.stream import OF_SESSION_MAX
from endpoints.control.limited_server import TimeLimits
from endpoints.errors import UserError
from tests.support.served_console import LINK, browser, kept_sessions, raw, served, settings_of


@pytest.fixture
def settings(tmp_path: Path) -> ConsoleSettings:
    return settings_of(tmp_path)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    with contextlib.closing(kept_sessions(tmp_path)) as opened:
        yield opened


async def test_nothing_is_read_without_a_session(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with served(settings, sessions), browser(settings) as client:
        page = f"/links/{LINK}/board"
        assert (await client.get(page)).headers["location"] == "/log-in"
        for path, headers in ((page, {"x-live": "1"}), ("/stream", {}), ("/meanwhile", {})):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.text) == (401, ""), path
        assert (await client.post("/sounding", data={"pages": "1", "armed": "1"})).status_code == 401
        assert (await client.get("/healthz")).text == "ok\n"
        assert "EXERCISE · УЧЕНИЕ" in (await client.get("/log-in")).text


@pytest.mark.parametrize("method", ["TRACE", "PUT", "DELETE", "POST"])
async def test_a_method_that_a_page_does_not_have_is_refused(
    method: str, settings: ConsoleSettings, sessions: Sessions
) -> None:
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        for path in (f"/links/{LINK}/board", "/static/page.js", "/healthz"):
            answer = await client.request(method, path)
            assert answer.status_code == 405, path
        for path in ("/log-out", "/settings", f"/links/{LINK}/acts/acknowledge"):
            assert (await client.get(path)).status_code in {404, 405}, path


async def test_a_board_sees_the_board_alone_and_an_investigator_everything_that_there_is(
    settings: ConsoleSettings, sessions: Sessions
) -> None:
    async with served(settings, sessions):
        async with browser(settings, sessions.offer("board", texts=False)) as client:
            answer = await client.get(f"/links/{LINK}/board")
            assert answer.status_code == 200
            assert "The endpoint" in answer.text
            assert "<form" not in answer.text.partition("</dialog>")[2], "a board has no act"
            assert (await client.get(f"/links/{LINK}/messages")).status_code in {403, 404}
        async with browser(settings, sessions.offer("investigator", texts=True)) as client:
            assert (
                (await client.get(f"/links/{LINK}/board", headers={"x-live": "1"})).text.lstrip().startswith("<div id")
            )
            for path in ("/links/other/board", f"/links/{LINK}/fly", "/elsewhere", "/links/%00/board"):
                answer = await client.get(path)
                assert answer.status_code == 404, path
                assert "there is no such page" in answer.text
            answer = await client.post("/log-out")
            assert answer.headers["location"] == "/log-in"
            assert answer.headers["clear-site-data"] == '"storage"'
            assert (await client.get(f"/links/{LINK}/board")).headers["location"] == "/log-in"


async def test_a_log_in_needs_an_endpoint_that_answers(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with served(settings, sessions), browser(settings) as client:
        for form, words in (
            ({"officer": "watch-1", "credential": "x"}, "nobody answers on this control socket"),
            ({"officer": "watch-1", "credential": ""}, "a log-in needs an officer and their credential"),
        ):
            answer = await client.post("/log-in", data=form)
            assert answer.status_code == 403
            assert words in answer.text
        assert (await client.post("/log-in", json={"officer": "watch-1"})).status_code == 415
        many = {f"field-{number}": "x" for number in range(40)}
        assert (await client.post("/log-in", data=many)).status_code == 400


async def test_a_preview_is_an_officers_and_json_within_a_bound(settings: ConsoleSettings, sessions: Sessions) -> None:
    path = f"/links/{LINK}/acts/preview?language=en"
    form = {"request": "unsent-form", "category": "air_pursuit", "text": {"en": "<b>x</b>"}}
    async with served(settings, sessions), browser(settings) as client:
        assert (await client.post(path, json=form)).status_code == 401
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        assert (await client.post(path, json=form)).status_code == 403
    cookie = Cookies("eucom", (LINK,)).session
    async with served(settings, sessions), browser(settings) as client:
        client.headers["cookie"] = f"{cookie}={sessions.begin('officer', officer='watch-1')}"
        shown = await client.post(path, json=form)
        assert (shown.status_code, shown.headers["cache-control"]) == (200, "no-store")
        assert "&lt;b&gt;x&lt;/b&gt;" in shown.text
        assert "choose how urgent it is" in shown.text
        assert (await client.get(path)).status_code == 404
        assert (await client.post(path, data={"text": "x"})).status_code == 415
        assert (await client.post(path, json=form | {"unknown": 1})).status_code == 400
        assert (await client.post(path, json=form | {"text": {"en": "x" * 59_000}})).status_code == 200
        assert (await client.post(path, json=form | {"text": {"en": "x" * 66_000}})).status_code == 413
        client.headers["sec-fetch-site"] = "cross-site"
        assert (await client.post(path, json=form)).status_code == 403


async def test_settings_stay_in_the_browser_and_lead_back_here_only(
    settings: ConsoleSettings, sessions: Sessions
) -> None:
    async with served(settings, sessions), browser(settings) as client:
        answer = await client.post(
            "/settings", data={"lang": "ru", "theme": "dark", "size": "giant", "back": "/log-in"}
        )
        assert answer.headers["location"] == "/log-in"
        look = answer.headers["set-cookie"].partition(";")[0]
        page = (await client.get("/log-in", headers={"cookie": look})).text
        assert '<html lang="ru" data-theme="dark" data-size="normal"' in page
        for back in (
            "//evil.example/",
            "https://evil.example/",
            "/\\evil.example",
            "/a\r\nset-cookie: b=c",
            "javascript:",
        ):
            answer = await client.post("/settings", data={"back": back})
            assert answer.headers["location"] == "/", back
        forged = "__Host-look-0=" + "%ff" * 3_000
        assert (await client.get("/log-in", headers={"cookie": forged})).status_code == 200


async def test_static_files_are_kept_only_under_their_build(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with served(settings, sessions), browser(settings) as client:
        page = (await client.get("/log-in")).text
        style = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
        answer = await client.get(style)
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        assert (await client.get("/static/console.css?v=old")).headers["cache-control"] == "no-store"
        for name in ("..%2fpages.py", "%2e%2e/pages.py", "nothing.css"):
            assert (await client.get(f"/static/{name}")).status_code == 404


async def test_there_are_only_so_many_streams_and_pages_go_on(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with served(settings, sessions), browser(settings, sessions.offer("board", texts=False)) as client:
        request = f"GET /stream HTTP/1.1\r\nhost: {settings.origin[7:]}\r\ncookie: {client.headers['cookie']}\r\n\r\n"
        port = int(settings.origin.rpartition(":")[2])
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        for _, writer in streams:
            with contextlib.suppress(ConnectionError):
                writer.write(request.encode())
        answers = await asyncio.gather(*(first_line(reader) for reader, _ in streams))
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == OF_SESSION_MAX
        assert set(answers) <= {b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 Service Unavailable\r\n", b""}
        async with asyncio.timeout(10):
            assert (await client.get(f"/links/{LINK}/board")).status_code == 200
        for _, writer in streams:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def first_line(reader: asyncio.StreamReader) -> bytes:
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(reader.readline(), 20)
    return b""


async def test_a_stream_beats_and_ends_with_its_session(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with (
        served(settings, sessions),
        browser(settings, sessions.offer("board", texts=False)) as client,
        client.stream("GET", "/stream") as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith('data: {"at":')
        for each in sessions.all():
            sessions.end(each)
        async with asyncio.timeout(10):
            async for _ in lines:
                pass


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"GET / HTT"],
        [b"POST /log-in HTTP/1.1\r\nhost: %(host)s\r\norigin: http://%(host)s\r\ncontent-length: 9\r\n\r\nabc"],
    ],
)
async def test_a_browser_that_does_not_finish_its_request_is_dropped(
    settings: ConsoleSettings, sessions: Sessions, pieces: list[bytes]
) -> None:
    host = settings.origin[7:].encode()
    async with served(settings, sessions, TimeLimits(request_s=0.3, idle_s=75, read_s=20)):
        got = await raw(settings, *(piece.replace(b"%(host)s", host) for piece in pieces))
        assert got == b"" or got.startswith(b"HTTP/1.1 4")


async def test_large_headers_and_bodies_are_refused(settings: ConsoleSettings, sessions: Sessions) -> None:
    host = settings.origin[7:].encode()
    async with served(settings, sessions):
        got = await raw(settings, b"GET / HTTP/1.1\r\nhost: " + host + b"\r\nx: " + b"x" * 100_000)
        assert got == b"" or got.startswith(b"HTTP/1.1 4")
        head = b"POST /log-in HTTP/1.1\r\nhost: %b\r\norigin: http://%b\r\ncontent-length: 104857600\r\n\r\n" % (
            host,
            host,
        )
        got = await raw(settings, head, *[b"x" * 65_536] * 4)
        assert got == b"" or got.startswith(b"HTTP/1.1 413")


async def test_the_console_listens_at_a_socket_for_a_proxy(
    settings: ConsoleSettings, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "console.sock"
    behind = structs.replace(settings, listen=UnixListen(path), origin="https://console.example.org")
    with contextlib.closing(address.listen(behind.listen)):
        pass
    assert path.exists(), "a process that was killed leaves its socket file"
    async with served(behind, sessions):
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url=behind.origin.replace("https", "http")) as client:
            answer = await client.get("/log-in")
            assert answer.status_code == 200
            assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        with pytest.raises(UserError, match="cannot listen at"):
            address.listen(behind.listen)
    assert oct(os.stat(path).st_mode)[-3:] == "660"  # noqa: PTH116 - the mode alone


async def test_another_machine_connects_with_tls_1_3(
    settings: ConsoleSettings, sessions: Sessions, tmp_path: Path
) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("localhost")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "own.pem")
    origin = settings.origin.replace("http:", "https:")
    secure = structs.replace(settings, origin=origin, certificate=tmp_path / "own.pem", key=tmp_path / "key.pem")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with served(secure, sessions):
        async with httpx.AsyncClient(base_url=origin, verify=trust, trust_env=False) as client:
            assert (await client.get("/log-in")).status_code == 200
        assert not (await raw(secure, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
    with pytest.raises(UserError, match="certificate and key cannot be used"):
        address.tls(structs.replace(secure, key=tmp_path / "own.pem"))


def test_an_address_that_is_taken_is_named(settings: ConsoleSettings) -> None:
    with contextlib.closing(address.listen(settings.listen)), pytest.raises(UserError, match="already in use"):
        address.listen(settings.listen)


async def test_localhost_is_every_address_that_browsers_take_for_it(
    settings: ConsoleSettings, sessions: Sessions
) -> None:
    """Else a process of another user could take `[::1]`, and with it the credentials that browsers send there."""
    assert isinstance(settings.listen, TcpListen)
    port = settings.listen.port
    async with served(settings, sessions):
        for host in address.LOOPBACKS:
            if ":" in host and not ipv6():
                continue
            transport = httpx.AsyncHTTPTransport()
            place = f"[{host}]" if ":" in host else host
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{place}:{port}") as client:
                answers = [await client.get("/healthz", headers={"host": f"localhost:{port}"}) for _ in range(3)]
            assert {answer.text for answer in answers} == {"ok\n"}
    if ipv6():
        with socket.create_server(("::1", port), family=socket.AF_INET6), pytest.raises(UserError, match="in use"):
            address.listen(settings.listen)


def ipv6() -> bool:
    """Return whether this machine has the address `::1`."""
    with socket.socket(socket.AF_INET6) as probe, contextlib.suppress(OSError):
        probe.bind(("::1", 0))
        return True
    return False


@pytest.mark.parametrize("query", ["from=yesterday", "from=2022-11-30&to=2022-11-29", "to=2022-02-31"])
@pytest.mark.parametrize("name", ["timeline.html", "timeline.csv", "journal.jsonl"])
async def test_a_download_of_a_wrong_interval_is_the_readers_mistake(
    settings: ConsoleSettings, sessions: Sessions, name: str, query: str
) -> None:
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        answer = await client.get(f"/links/{LINK}/investigate/{name}?{query}")
        assert answer.status_code == 400
        assert "content-disposition" not in answer.headers
        assert re.search("expected a time in UTC|ends before it begins", answer.text)
