"""The stream of news to a browser: one event each second, and one at each change. It says what changed, never content.

A page fetches its own content when the version of its link has changed. So an event is small and the same for all, a
slow reader misses nothing but versions in between, and one stream serves every page of a browser.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from http import HTTPStatus

from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from endpoints.console.present_links import PresentLinks
from endpoints.console.sessions import ReaderSession
from endpoints.control.connections import connections_max

BEAT_S = 1.0
PACE_S = 0.1
"""The shortest time between two events of one stream."""
OF_SESSION_MAX = 4
"""A browser needs one, and for a moment two while it takes over a new version of the console."""


class BrowserStreams:
    """The streams of one console."""

    def __init__(self, present: PresentLinks) -> None:
        """Prepare it."""
        self._present = present
        self._closing = False
        # by session
        self._open: Counter[str] = Counter()
        # the others are left for single requests
        self._most = connections_max() * 3 // 4

    def close(self) -> None:
        """End all of them."""
        self._closing = True
        self._present.changed.send()

    def response(self, session: ReaderSession, lasts: Callable[[], bool]) -> Response:
        """Return a stream for `session` that ends when `lasts` no longer holds; an error if there are too many."""
        return _CountedStream(self._events(lasts), self._open, session.id, self._most)

    async def _events(self, lasts: Callable[[], bool]) -> AsyncIterator[bytes]:
        while not self._closing and lasts():
            changed = self._present.changed.next
            yield b"data: " + self._present.event() + b"\n\n"
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), BEAT_S - PACE_S)
            await asyncio.sleep(PACE_S)


class _CountedStream(StreamingResponse):
    """A response that is counted while it lasts."""

    def __init__(self, events: AsyncIterator[bytes], count: Counter[str], session: str, most: int) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._count = count
        self._session = session
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._count[self._session] >= OF_SESSION_MAX or self._count.total() >= self._most:
            answer = PlainTextResponse("too many screens follow this console\n", HTTPStatus.SERVICE_UNAVAILABLE)
            await answer(scope, receive, send)
            return
        self._count[self._session] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._count[self._session] -= 1
            if not self._count[self._session]:
                del self._count[self._session]
