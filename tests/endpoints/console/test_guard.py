from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from endpoints.console.guard import BODY_MAX_BYTES, HEADERS, Guard

ORIGIN = "http://localhost:8440"
OWN = {"host": "localhost:8440", "origin": ORIGIN, "sec-fetch-site": "same-origin"}


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())}")


async def ask(method: str, headers: dict[str, str], content: Any = None) -> httpx.Response:
    application = Guard(Starlette(routes=[Route("/", echo, methods=["GET", "POST"])]), ORIGIN)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url=ORIGIN) as client:
        return await client.request(method, "/", headers=headers, content=content)


async def test_the_consoles_own_pages_may_ask() -> None:
    answer = await ask("POST", OWN, b"abc")
    assert (answer.status_code, answer.text) == (200, "3")


@pytest.mark.parametrize("status", [200, 404, 403, 421])
async def test_every_answer_has_the_headers(status: int) -> None:
    headers = {200: OWN, 404: OWN, 403: OWN | {"sec-fetch-site": "cross-site"}, 421: {"host": "evil.example"}}[status]
    application = Guard(Starlette(routes=[Route("/there", echo)]), ORIGIN)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url=ORIGIN) as client:
        answer = await client.get("/there" if status == 200 else "/", headers=headers)
    assert answer.status_code == status
    for name, value in HEADERS:
        assert answer.headers[name.decode()] == value.decode()
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8440", "localhost", "localhost:8441", "evil.example", "evil.example:8440", "", "[::1]:8440"]
)
async def test_a_name_that_was_pointed_here_gets_one_sentence(host: str) -> None:
    answer = await ask("GET", {"host": host})
    assert answer.status_code == 421
    assert answer.text.splitlines() == [
        "this console is at http://localhost:8440 only",
        "эта консоль доступна только по адресу http://localhost:8440",
    ]


async def test_two_hosts_are_not_ours() -> None:
    application = Guard(Starlette(routes=[Route("/", echo)]), ORIGIN)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    hosts = [(b"host", b"localhost:8440"), (b"host", b"evil.example")]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": hosts, "query_string": b""}
    await application(scope, receive, send)
    assert sent[0]["status"] == 421


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost:8441"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none", "origin": ""},
    ],
)
async def test_a_form_of_another_site_changes_nothing(changed: dict[str, str]) -> None:
    answer = await ask("POST", OWN | changed, b"lang=ru")
    assert answer.status_code == 403
    assert answer.text.splitlines()[0] == "this request does not come from a page of this console"


async def test_another_site_may_link_here_and_embed_nothing() -> None:
    followed = {"host": "localhost:8440", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert (await ask("GET", followed | {"sec-fetch-dest": "document"})).status_code == 200
    assert (await ask("GET", followed | {"sec-fetch-dest": "iframe"})).status_code == 403
    assert (await ask("GET", {**followed, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"})).status_code == 403


@pytest.mark.parametrize("length", [str(BODY_MAX_BYTES + 1), "104857600", "-1", "many"])
async def test_a_long_body_is_not_read(length: str) -> None:
    answer = await ask("POST", OWN | {"content-length": length}, b"x")
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


async def test_a_long_body_without_a_length_is_cut_off() -> None:
    async def parts() -> Any:
        for _ in range(100):
            yield b"x" * 1_000

    with pytest.raises(Exception, match=r"^$"):
        await ask("POST", OWN, parts())
