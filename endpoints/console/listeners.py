"""Keeps which browsers follow the console and can sound, and tells the endpoint, which warns if nobody would hear."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from endpoints.control.async_client import AsyncControlClient
from endpoints.errors import UserError
from protocol.wire.instants import Millis

LAPSES_MS: Millis = 25_000
"""A browser says it every ten seconds; after this time without, it is gone."""
TELL_EVERY_S = 10.0
PATIENCE_S = 3.0
PAGES_MAX = 99
BROWSERS_MAX = 256


class _Followers(NamedTuple):
    at: Millis
    pages: int
    armed: int


class Listeners:
    """The browsers of one console, each by its session."""

    def __init__(self, control: Path, real_ms: Callable[[], Millis]) -> None:
        """Prepare it: `control` is the endpoint's socket, `real_ms` reads the machine's monotonic clock."""
        self._control = control
        self._real_ms = real_ms
        self._console = secrets.token_hex(8)
        self._browsers: dict[str, _Followers] = {}
        self._changed = asyncio.Event()

    def tell(self, session: str, pages: str, armed: str) -> None:
        """Take what the browser of a session says: its pages, and how many of them can sound."""
        if not (pages.isdecimal() and armed.isdecimal()):
            return
        found = _Followers(self._real_ms(), min(int(pages[:4]), PAGES_MAX), min(int(armed[:4]), PAGES_MAX))
        before = self._browsers.get(session)
        self._browsers[session] = found
        while len(self._browsers) > BROWSERS_MAX:
            del self._browsers[next(iter(self._browsers))]
        if before is None or before[1:] != found[1:]:
            self._changed.set()

    def counts(self) -> dict[str, int]:
        """Return how many browsers and pages there are, and how many browsers can sound."""
        now = self._real_ms()
        self._browsers = {name: each for name, each in self._browsers.items() if now - each.at < LAPSES_MS}
        found = [each for each in self._browsers.values() if each.pages]
        return {
            "sessions": len(found),
            "screens": sum(each.pages for each in found),
            "armed": sum(each.armed > 0 for each in found),
        }

    async def run(self) -> None:
        """Tell the endpoint at each change, and every ten seconds, until cancelled."""
        while True:
            self._changed.clear()
            await self._say(closing=False)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), TELL_EVERY_S)
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        """Tell the endpoint that this console ends, so that nobody misses its screens."""
        await self._say(closing=True)

    async def _say(self, *, closing: bool) -> None:
        # while it does not answer, every screen shows that
        with suppress(UserError):
            async with AsyncControlClient(self._control, PATIENCE_S) as client:
                await client.tell("console", {"console": self._console, "closing": closing, **self.counts()})
