"""What a stranger sends to a console by hand: paths, methods, cookies and headers that no browser would send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.config.console_settings import ConsoleSettings
from endpoints.console.sessions import Sessions
from tests.support.served_console import LINK, browser, kept_sessions, raw, served, settings_of

FILES = f"/links/{LINK}/investigate"
PATHS = [
    "/static/../../../etc/passwd",
    "/static/%2e%2e%2f%2e%2e%2fpages.py",
    "/static/..%5c..%5cpages.py",
    "/static//etc/passwd",
    "/static/%00",
    "/static/console.css%00.png",
    "/static/console.css/",
    "/static/.",
    "/static/CONSOLE.CSS",
    f"/links/{LINK}/../../etc/passwd",
    f"/links/{LINK}/messages/../../../log-in",
    f"/links/{LINK}/messages/%2e%2e/%2e%2e",
    f"/links/{LINK}/messages/eucom/1/%ff",
    f"/links/{LINK}/messages/%ed%a0%80/1/2",
    f"/links/{LINK}/messages/" + "%F0%9F%92%A9" * 300,
    f"/links/{LINK}/messages/draft/99999999999999999999999",
    f"/links/{LINK}/messages/eucom/1/" + "9" * 400,
    "/links/%ff/board",
    "/links/..%2f..%2fetc/board",
    f"/links/{LINK}/investigate/../../../../etc/passwd",
    f"/links/{LINK}/investigate/journal.jsonl%00",
    f"/links/{LINK}/board.html",
    "/%0d%0aset-cookie:%20a=b",
    "//evil.example/log-in/",
    "/log-in/",
    "/.git/config",
    "/docs",
    "/openapi.json",
]
LINES = [
    "GET http://evil.example/ HTTP/1.1",
    "GET * HTTP/1.1",
    "CONNECT evil.example:443 HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "GET / HTTP/0.9",
    "GET / HTTP/2.0",
    "PRI * HTTP/2.0",
    "GET /\u00ff HTTP/1.1",
    "GET / evil HTTP/1.1",
    f"GET /links/{LINK}/board?{'a' * 20_000} HTTP/1.1",
]
QUERIES = [
    "text=%ff%fe%00",
    "text=%E2%80%AE%1b[31m",
    "kind=nonsense&sender=%3Cscript%3E&precedence=x&status=y&officer=z",
    "before=1e9.1&after=-1",
    "before=9999999999999999999999.99999999999999",
    "at=9999-12-31T23:59:59Z",
    "at=" + "%D9%A1" * 500,
    "&".join(f"a{number}=b" for number in range(31)),
    "text=" + "%" * 1_999,
    "text[]=a&text[b]=c&text=d",
    "__class__=x&self=y",
]
METHODS = ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "GETS", "POST"]
PATHS_FOR_METHODS = [f"/links/{LINK}/board", "/stream", "/static/page.js", "/healthz", "/", "/nowhere"]
PATHS_FOR_HEADS = [
    "/",
    "/log-in",
    f"/links/{LINK}/board",
    "/stream",
    "/healthz",
    "/static/page.js",
    f"{FILES}/timeline.html",
]
ORDERS = ["forged first", "forged last", "two headers", "forged twice", "empty last"]
CONTRADICTIONS = [
    ["origin: http://localhost:1", "origin: {origin}"],
    ["origin: {origin}", "origin: http://evil.example"],
    ["origin: {origin}", "sec-fetch-site: same-origin", "sec-fetch-site: cross-site"],
    ["origin: {origin}, http://evil.example"],
    ["origin: {origin}/"],
    ["Origin : {origin}"],
    ["origin: {origin}", "host: evil.example"],
    ["origin: {origin}", "content-length: 5", "content-length: 6"],
    ["origin: {origin}", f"content-length: {'9' * 5_000}"],
    ["origin: {origin}", "content-length: -1"],
    ["origin: {origin}", "content-length: 1_0"],
    ["x-forwarded-host: {origin}", "x-forwarded-for: 127.0.0.1", "forwarded: host={origin}"],
    ["x-http-method-override: GET"],
]


@pytest.fixture
def settings(tmp_path: Path) -> ConsoleSettings:
    return settings_of(tmp_path)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    with contextlib.closing(kept_sessions(tmp_path)) as opened:
        yield opened


def head(settings: ConsoleSettings, line: str, *headers: str) -> bytes:
    """Return a request with the console's own Host, and with other headers."""
    lines = [line, f"host: {settings.origin[7:]}", *headers, "connection: close"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def status(answer: bytes) -> int:
    """Return the status of an answer; 0 if the connection was closed without one."""
    return int(answer[9:12] or 0)


def harmless(answer: bytes) -> None:
    """Assert that an answer has nothing of the program or of the machine in it."""
    for secret in (b"Traceback", b"root:", b"/endpoints/", b"[console]", b"import "):
        assert secret not in answer


async def test_a_path_leads_to_a_page_of_the_console_or_nowhere(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        for path in PATHS:
            answer = await raw(settings, head(settings, f"GET {path} HTTP/1.1", f"cookie: {client.headers['cookie']}"))
            assert status(answer) == 404, answer[:300]
            assert (
                b"there is no such page" in answer
                or b"no such message" in answer
                or b"no such file" in answer
                or path.startswith("/static")
            )
            assert b"\r\nlocation:" not in answer.partition(b"\r\n\r\n")[0].lower()
            harmless(answer)


async def test_another_form_of_a_request_is_refused(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with served(settings, sessions):
        for line in LINES:
            answer = await raw(settings, head(settings, line))
            assert 400 <= status(answer) < 500 or b"location: /" in answer, answer[:200]
            assert b"evil" not in answer.partition(b"\r\n\r\n")[0]
            harmless(answer)


async def test_a_query_of_ten_megabytes_costs_a_connection_alone(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with served(settings, sessions):
        line = f"GET /links/{LINK}/history?text=".encode()
        answer = await raw(settings, line, *[b"x" * 65_536] * 160)
        assert status(answer) in {0, 400, 413, 414, 431}
        assert (await raw(settings, head(settings, "GET /healthz HTTP/1.1"))).endswith(b"ok\n")


async def test_a_query_is_a_filter_or_nothing(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        for query in QUERIES:
            answer = await client.get(f"/links/{LINK}/history?{query}")
            assert answer.status_code == 200
            assert "<script>" not in answer.text
            assert "\x1b" not in answer.text
            assert "\u202e" not in answer.text
        many = "&".join(f"a{number}=b" for number in range(100))
        assert (await client.get(f"/links/{LINK}/history?{many}")).status_code == 400


async def test_another_method_is_refused_with_or_without_the_origin(
    settings: ConsoleSettings, sessions: Sessions
) -> None:
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        for method in METHODS:
            for path in PATHS_FOR_METHODS:
                own = await client.request(method, path)
                assert own.status_code in {404, 405}, own.text
                assert own.headers["cache-control"] == "no-store"
                assert "access-control-allow-origin" not in own.headers
                foreign = await client.request(method, path, headers={"origin": "http://localhost:1"})
                assert foreign.status_code == 403
                assert "access-control-allow-origin" not in foreign.headers


async def test_the_head_of_an_answer_has_no_body_and_no_work_behind_it(
    settings: ConsoleSettings, sessions: Sessions
) -> None:
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        for path in PATHS_FOR_HEADS:
            async with asyncio.timeout(10):
                answer = await client.head(path)
            assert answer.status_code in {200, 303}
            assert answer.content == b""
            # a stream, and an account of the journal, would go on behind it
            request = head(settings, f"HEAD {path} HTTP/1.1", f"cookie: {client.headers['cookie']}")
            assert (await raw(settings, request, within_s=10)).endswith(b"\r\n\r\n")


async def test_of_two_sessions_in_one_request_none_counts(settings: ConsoleSettings, sessions: Sessions) -> None:
    """A browser keeps one cookie of a name; two were put together by something else."""
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        for order in ORDERS:
            own = client.headers["cookie"]
            name = own.partition("=")[0]
            cookies = {
                "forged first": [f"cookie: {name}=forged; {own}"],
                "forged last": [f"cookie: {own}; {name}=forged"],
                "two headers": [f"cookie: {own}", f"cookie: {name}=forged"],
                "forged twice": [f"cookie: {name}=a; {name}=b"],
                "empty last": [f"cookie: {own}; {name}="],
            }[order]
            answer = await raw(settings, head(settings, f"GET /links/{LINK}/board HTTP/1.1", *cookies))
            assert status(answer) == 303
            assert b"location: /log-in" in answer
            answer = await raw(settings, head(settings, f"GET /links/{LINK}/board HTTP/1.1", f"cookie: {own}; other=1"))
            assert status(answer) == 200


async def test_headers_that_contradict_each_other_open_nothing(settings: ConsoleSettings, sessions: Sessions) -> None:
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        for headers in CONTRADICTIONS:
            form = "content-type: application/x-www-form-urlencoded"
            written = [each.replace("{origin}", settings.origin) for each in headers]
            request = head(settings, "POST /log-out HTTP/1.1", form, f"cookie: {client.headers['cookie']}", *written)
            answer = await raw(settings, request + b"0\r\n\r\n")
            assert status(answer) in {400, 403, 413, 421, 0}, f"{headers}: {answer[:200]!r}"
            assert (await client.get(f"/links/{LINK}/board")).status_code == 200, "the session is still there"
            harmless(answer)


async def test_every_answer_says_whether_it_may_be_kept(settings: ConsoleSettings, sessions: Sessions) -> None:
    paths = ("/", "/log-in", "/nowhere", "/static/none", "/healthz", f"/links/{LINK}/board", "/meanwhile", FILES)
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        for cookie in (client.headers["cookie"], ""):
            for path in (*paths, f"{FILES}/journal.jsonl", f"{FILES}/timeline.csv?from=x", "/board-link/none"):
                answer = await client.get(path, headers={"cookie": cookie})
                assert answer.headers.get("cache-control") == "no-store", path


async def test_the_name_of_a_download_is_made_of_the_link_and_of_instants(
    settings: ConsoleSettings, sessions: Sessions
) -> None:
    async with served(settings, sessions), browser(settings, sessions.offer("investigator", texts=True)) as client:
        for since in ("2022-11-29", "2022-11-29%2016:00", "2022-11-29T16:00:30Z"):
            answer = await client.get(f"{FILES}/journal.jsonl?from={since}")
            name = answer.headers["content-disposition"]
            assert name.startswith(f'attachment; filename="EXERCISE-{LINK}-eucom-20221129T')
            assert name.endswith('Z.jsonl"')
        for forged in ('2022-11-29";x="', "2022-11-29%0d%0aset-cookie:a=b", "2022-11-29%00", "%E2%80%AE2022-11-29"):
            answer = await client.get(f"{FILES}/journal.jsonl?from={forged}")
            assert answer.status_code == 400
            assert "content-disposition" not in answer.headers
            assert "set-cookie" not in answer.headers
