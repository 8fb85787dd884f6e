"""Streams of JSON lines to the clients of the control socket: how many there may be, how they are paced and end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from endpoints.control.connections import connections_max
from endpoints.control.event_stream import EventFeed, Look
from endpoints.control.present_state import pause_s
from endpoints.runtime.link_runner import AnyRunner
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis

LOOK_AGAIN_S = 1.0
"""Interval at which a followed status is computed again: it becomes `late` without any event."""
SIGN_OF_LIFE_S = 5.0
"""After this time without a change, a stream sends an empty line: its reader can tell that the process lives."""
BEAT_S = 1.0
"""After this time without a change, an event stream sends a beat."""
Show = Callable[[AnyRunner], tuple[Any, bool]]
"""Returns what a stream shows of a link now, None for no change, and whether the stream ends with it."""


class Streams:
    """The streams of one process."""

    def __init__(self, runners: Mapping[str, AnyRunner], feed: EventFeed, real_ms: Callable[[], Millis]) -> None:
        """Make it.

        Args:
            runners: the running links.
            feed: looks at them for event streams.
            real_ms: reads the machine's monotonic clock.
        """
        self._runners = runners
        self._feed = feed
        self._real_ms = real_ms
        self._closing = False
        self._open = 0
        # the others are left for single requests
        self._max = connections_max() * 3 // 4

    def close(self) -> None:
        """End every stream."""
        self._closing = True
        for runner in self._runners.values():
            runner.changed.send()

    def follow(self, link: str, show: Show, within_s: float | None = None) -> Response:
        """Return a stream of JSON lines, one now and one at each change, until `show` reports the last.

        Without a change for a while, it has an empty line.

        The link's runner may be replaced meanwhile; if the new one does not know the reference, the stream ends.
        Raises LocalProtocolError if too many are followed already.
        """
        return self._response(self._followed(link, show, within_s))

    def events(self, link: str, after: int | None) -> Response:
        """Return the event stream of a link: its state now and at each change, and a beat each second without one.

        It begins with a beat if the client, which knows the state as of record `after`, has missed nothing. Raises
        LocalProtocolError if too many are followed already.
        """
        return self._response(self._events(link, after))

    def _response(self, lines: AsyncGenerator[bytes]) -> Response:
        if self._open >= self._max:
            raise LocalProtocolError(
                "busy", phrase("{count} clients follow this process already; end one of them", count=self._open)
            )

        self._open += 1
        return _Stream(lines, self._ended)

    def _ended(self) -> None:
        self._open -= 1

    async def _followed(self, link: str, show: Show, within_s: float | None) -> AsyncGenerator[bytes]:
        end_ms = None if within_s is None else self._real_ms() + within_s * 1_000
        before = b""
        quiet_ms = self._real_ms()
        while not self._closing:
            runner = self._runners[link]
            changed = runner.changed.next
            began_ms = self._real_ms()
            try:
                value, last = show(runner)
            except LocalProtocolError:
                return
            line = before if value is None else msgspec.json.encode(value) + b"\n"
            pause = pause_s(self._real_ms() - began_ms)
            if line != before:
                yield line
                quiet_ms = self._real_ms()
            elif self._real_ms() - quiet_ms >= SIGN_OF_LIFE_S * 1_000:
                yield b"\n"
                quiet_ms = self._real_ms()
            if last:
                return
            before = line
            left_s = LOOK_AGAIN_S if end_ms is None else (end_ms - self._real_ms()) / 1_000
            if left_s <= 0:
                return
            wait_s = min(left_s, LOOK_AGAIN_S)
            pause = min(pause, wait_s)
            await asyncio.sleep(pause)
            await _change(changed, wait_s - pause)

    async def _events(self, link: str, after: int | None) -> AsyncGenerator[bytes]:
        shown: bytes | None = None
        beat_ms = self._real_ms()
        self._feed.join(link)
        try:
            while not self._closing:
                runner = self._runners[link]
                look = self._feed.look(runner)
                first = shown is None
                known = look.certain and look.n == after if first else shown == look.content
                shown = look.content
                if not known:
                    yield look.line
                elif first or self._real_ms() >= beat_ms:
                    yield self._feed.beat(runner, look.n)
                else:
                    await self._wait(look, beat_ms)
                    continue
                beat_ms = self._real_ms() + round(BEAT_S * 1_000)
        finally:
            self._feed.part(link)

    async def _wait(self, look: Look, until_ms: Millis) -> None:
        """Wait until the link has changed since `look` and may be looked at again, or until `until_ms`."""
        await _change(look.change, max(0, until_ms - self._real_ms()) / 1_000)
        pause_ms = min(look.next_ms, until_ms) - self._real_ms()
        if pause_ms > 0:
            await asyncio.sleep(pause_ms / 1_000)


async def _change(changed: asyncio.Event, within_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), within_s)


class _Stream(StreamingResponse):
    """A stream of lines, which says when it has ended."""

    def __init__(self, lines: AsyncGenerator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(lines, media_type="application/x-ndjson")
        self._lines = lines
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines until they end or the client goes."""
        try:
            async with contextlib.aclosing(self._lines):
                await super().__call__(scope, receive, send)
        finally:
            self._ended()
