"""Follows one link of one process for as long as the console runs: one task, whose news all screens share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path

from endpoints.console.condition import UNHEARD, Condition, gone, heard
from endpoints.control.async_client import AsyncControlClient
from endpoints.control.client import Unreachable
from endpoints.control.event_lines import Beat, EventLine, PartyPresence, State
from endpoints.errors import UserError
from endpoints.structured_log import get_logger
from protocol.phrases import phrase, worded
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Identifier

AGAIN_AFTER_S = 0.5
"""How long after a lost connection the next attempt is made."""
ANSWER_WITHIN_S = 3.0
"""How long the process may take to begin its stream."""

_log = get_logger()


class LinkFeed:
    """The news of one link.

    Attributes:
        last: the state that was heard last, None before the first.
        upto: the number of the journal's last record by the last sign of life, 0 before the first.
        heard_at: when that came, by the link's clock.
        presence: what it said of the parties.
        rate: how many seconds of the link's time pass in a real one.
        condition: whether the last words still hold.
        version: counts the changes of what a screen shows; signs of life alone are none.
    """

    def __init__(self, socket: Path, link: str, changed: Callable[[], None]) -> None:
        """Prepare it.

        Args:
            socket: the control socket of the process.
            link: the link's id.
            changed: is called after each change.
        """
        self.last: State | None = None
        self.upto = 0
        self.heard_at: Millis | None = None
        self.presence: Mapping[Identifier, PartyPresence] = {}
        self.rate = 1
        self.condition: Condition = UNHEARD
        self.version = 0
        self._socket = socket
        self._link = link
        self._changed = changed

    async def run(self) -> None:
        """Follow the link until cancelled."""
        while True:
            try:
                async with (
                    AsyncControlClient(self._socket, ANSWER_WITHIN_S) as client,
                    aclosing(client.events(self._link)) as lines,
                ):
                    async for line in lines:
                        self._take(line)
            except UserError as error:
                self._lost(error)
            except ValueError:
                # an instant that the calendar does not have
                self._lost(
                    Unreachable(
                        phrase("{socket}: the process there has another version; restart both", socket=self._socket)
                    )
                )
            await asyncio.sleep(AGAIN_AFTER_S)

    def _take(self, line: EventLine) -> None:
        at = parsed(line.at)
        self.heard_at, self.upto = at, line.id
        before = {party: each.state for party, each in self.presence.items()}
        self.presence = line.presence
        condition, rate = self.condition, self.rate
        self.rate = line.rate
        if isinstance(line, State):
            self.last = line
        if self.last is not None:
            self.condition = heard(self.last.status, self.last.snapshot, at, condition)
        present = {party: each.state for party, each in line.presence.items()}
        if type(line) is not Beat or (condition, rate, before) != (self.condition, self.rate, present):
            self._note()

    def _lost(self, error: UserError) -> None:
        found = gone(error, self.heard_at)
        if found != self.condition:
            _log.warning("a link's process does not answer", link=self._link, why=worded(error))
            self.condition = found
            self._note()

    def _note(self) -> None:
        self.version += 1
        self._changed()
