"""Log-ins while somebody guesses: who waits, for how long, and who does not. The endpoint is a small stand-in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from endpoints.config.console_settings import load_console
from endpoints.console.credential_attempts import CredentialAttempts, Sender
from endpoints.console.log_in import LogIn
from endpoints.console.sessions import Sessions
from endpoints.errors import UserError
from endpoints.keys import attempt_throttle
from endpoints.keys.attempt_throttle import PACE_MS, QUEUED_MAX
from protocol.errors import LinkError
from tests.support.installation import installed

RIGHT, WRONG = "right", "wrong"
SOURCE = "127.0.0.1"


class Desk:
    """A log-in at an endpoint that knows one credential, and the clock."""

    def __init__(self, folder: Path, sessions: Sessions) -> None:
        self.now = 1_000_000
        self.asked: list[str] = []
        self.gone = False
        self.control = folder / "control.sock"
        settings = load_console(installed(folder / "d") / "eucom" / "endpoint.toml", {})
        settings = structs.replace(settings, control=self.control)
        self.log_in = LogIn(sessions, settings, lambda: None, CredentialAttempts(lambda: self.now))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request as the endpoint does."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        credential = json.loads(await reader.readexactly(length))["credential"]
        self.asked.append(credential)
        right = credential == RIGHT
        body = b"{}" if right else b'{"code": "not_authorised", "detail": "not enrolled here"}'
        writer.write(
            b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (200 if right else 403, len(body))
        )
        writer.write(body)
        await writer.drain()
        writer.close()

    async def begin(self, credential: str = RIGHT, browser: str = "") -> str:
        """Make an attempt; return the token of the session."""

        async def abandoned() -> bool:
            return self.gone

        async with asyncio.timeout(20):
            sender = Sender(browser=browser, source=SOURCE, abandoned=abandoned)
            return await self.log_in.begin("watch-1", credential, sender)

    async def guess(self, browser: str = "") -> None:
        with pytest.raises(UserError, match="enrolled here; check both"):
            await self.begin(WRONG, browser)

    async def waiting(self, count: int) -> list[asyncio.Task[str]]:
        """Return the attempts of strangers who guess, once they wait."""
        tasks = [asyncio.create_task(self.begin(WRONG)) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(attempt_throttle, "LOOK_S", 0)
    with closing(Sessions(tmp_path / "console.db", lambda: 1)) as sessions:
        desk = Desk(tmp_path, sessions)
        server = await asyncio.start_unix_server(desk.answer, desk.control)
        async with server:
            yield desk


async def test_a_stranger_takes_turns_with_those_who_guess_and_is_let_in(desk: Desk) -> None:
    for _ in range(8):
        await desk.guess()
        desk.now += PACE_MS
    before = await desk.waiting(1)
    officer = asyncio.create_task(desk.begin())
    after = await desk.waiting(3)
    asked = len(desk.asked)
    while not officer.done():
        assert len(desk.asked) <= asked + 2
        await asyncio.sleep(0.01)
        desk.now += PACE_MS // 10
    assert await officer
    assert desk.asked[asked : asked + 2] == [WRONG, RIGHT]
    for task in (*before, *after):
        task.cancel()
    await asyncio.gather(*before, *after, return_exceptions=True)


async def test_a_known_browser_waits_for_nobodys_guesses_but_its_own(desk: Desk) -> None:
    await desk.guess()
    strangers = await desk.waiting(QUEUED_MAX)
    assert await desk.begin(browser="b1")
    with pytest.raises(
        UserError, match=r"too many log-ins from here are waiting; .* deconflict console board-link CONFIG"
    ):
        await desk.begin()

    await desk.guess("b1")
    again = asyncio.create_task(desk.begin(browser="b1"))
    assert await desk.begin(browser="b2")
    assert not again.done()
    desk.now += PACE_MS
    assert await again
    for task in strangers:
        task.cancel()
    await asyncio.gather(*strangers, return_exceptions=True)


async def test_an_attempt_that_nobody_waits_for_is_not_made(desk: Desk) -> None:
    await desk.guess()
    desk.gone = True
    with pytest.raises(LinkError, match="nobody waits for this request any more"):
        await desk.begin()
    assert desk.asked == [WRONG]
