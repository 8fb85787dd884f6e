"""The stream of news to a browser: one event each second, and one at each change. It says what changed, never content.

A page fetches its own content when the version of its link has changed. So an event is small and the same for all, a
slow reader misses nothing but versions in between, and one stream serves every page of a browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from starlette.responses import PlainTextResponse, Response, StreamingResponse

from endpoints.console.present_links import PresentLinks
from endpoints.console.pulse import Pulse
from endpoints.console.sessions import ReaderSession
from endpoints.control.connections import connections_max

BEAT_S = 1.0
PACE_S = 0.1
"""The shortest time between two events of one stream."""


class BrowserStreams:
    """The streams of one console."""

    def __init__(self, present: PresentLinks) -> None:
        """Prepare it."""
        self._present = present
        self._closing = False
        self._open = 0
        # the others are left for single requests
        self._most = connections_max() * 3 // 4

    def close(self) -> None:
        """End all of them."""
        self._closing = True
        self._present.pulse.beat()

    def response(self, session: ReaderSession, lasts: Callable[[], bool]) -> Response:
        """Return a stream for `session` that ends when `lasts` no longer holds; an error if there are too many."""
        del session
        if self._open >= self._most:
            return PlainTextResponse(
                f"{self._open} screens follow this console already\n", HTTPStatus.SERVICE_UNAVAILABLE
            )
        return StreamingResponse(
            self._events(lasts), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _events(self, lasts: Callable[[], bool]) -> AsyncIterator[bytes]:
        self._open += 1
        try:
            while not self._closing and lasts():
                changed = self._present.pulse.next
                yield b"data: " + self._present.event() + b"\n\n"
                await Pulse.wait(changed, BEAT_S - PACE_S)
                await asyncio.sleep(PACE_S)
        finally:
            self._open -= 1
