"""Follows one link of one process for as long as the console runs: one task, whose news all screens share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import httpx
import msgspec
from msgspec import Struct

from endpoints.console.condition import UNHEARD, Condition, gone, heard
from endpoints.control.client import NotRunning, Unreachable
from endpoints.control.status import Status
from endpoints.errors import UserError
from endpoints.structured_log import get_logger
from protocol.core.snapshot import Snapshot
from protocol.phrases import phrase, said
from protocol.wire.instants import Millis

AGAIN_AFTER_S = 0.5
"""How long after a lost connection the next attempt is made."""

_log = get_logger()


class LinkReport(Struct, frozen=True, kw_only=True):
    """What a link's process said last.

    Attributes:
        n: the number of the journal's last record then.
        at: when it was said; by the exercise's clock if there is one.
        status, snapshot: the link's; the snapshot is None while the link is stopped.
    """

    n: int
    at: Millis
    status: Status
    snapshot: Snapshot | None


class LinkFeed:
    """The news of one link.

    Attributes:
        last: what was heard last, None before the first.
        heard_at: when the last sign of life came, by the link's clock.
        condition: whether the last words still hold.
        rate: how many seconds of the link's time pass in a real one.
        version: counts the changes of any of these, signs of life apart.
    """

    def __init__(self, socket: Path, link: str, now: Callable[[], Millis], changed: Callable[[], None]) -> None:
        """Prepare it.

        Args:
            socket: the control socket of the process.
            link: the link's id.
            now: reads the link's clock.
            changed: is called after each change.
        """
        self.last: LinkReport | None = None
        self.heard_at: Millis | None = None
        self.condition: Condition = UNHEARD
        self.rate = 1
        self.version = 0
        self._socket = socket
        self._link = link
        self._now = now
        self._changed = changed

    async def run(self) -> None:
        """Follow the link until cancelled."""
        while True:
            try:
                async with aclosing(_polled(self._socket, self._link, self._now)) as lines:
                    async for line in lines:
                        self._take(line)
                error = UserError(phrase("the process has stopped"))
            except UserError as problem:
                error = problem
            self._lost(error)
            await asyncio.sleep(AGAIN_AFTER_S)

    def _take(self, line: LinkReport) -> None:
        self.heard_at = line.at
        before, self.last = self.last, line
        found = heard(line.status)
        if (
            before is None
            or (before.status, before.snapshot) != (line.status, line.snapshot)
            or found != self.condition
        ):
            self._note(found)

    def _lost(self, error: UserError) -> None:
        text = error.args[0]
        found = gone(self.heard_at, str(text), said(text))
        if found != self.condition:
            _log.warning("a link's process does not answer", link=self._link, why=str(text))
            self._note(found)

    def _note(self, condition: Condition) -> None:
        self.condition = condition
        self.version += 1
        self._changed()


async def _polled(socket: Path, link: str, now: Callable[[], Millis]) -> AsyncGenerator[LinkReport]:
    """Yield what the process says of the link, each second. Raises UserError."""
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://control", timeout=3.0) as client:
        while True:
            try:
                answers = [await client.get(f"/v1/links/{link}/{what}") for what in ("status", "snapshot")]
            except httpx.ConnectError:
                raise NotRunning(phrase("{socket}: nobody answers on this control socket", socket=socket)) from None
            except httpx.HTTPError:
                raise Unreachable(
                    phrase("{socket}: no answer in time; the process or its disk hangs", socket=socket)
                ) from None
            if not answers[0].is_success:
                raise Unreachable(phrase("{socket}: no answer in time; the process or its disk hangs", socket=socket))
            yield LinkReport(
                n=0,
                at=now(),
                status=msgspec.json.decode(answers[0].content, type=Status),
                snapshot=msgspec.json.decode(answers[1].content, type=Snapshot) if answers[1].is_success else None,
            )
            await asyncio.sleep(1.0)
