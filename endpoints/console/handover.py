"""Ends the sessions of an officer whom another one has relieved, at this console or on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from endpoints.change_signal import ChangeSignal
from endpoints.console.log_in import EndOfSession
from endpoints.console.sessions import ReaderSession, Sessions
from endpoints.errors import UserError
from endpoints.structured_log import get_logger
from protocol.phrases import worded
from protocol.wire.messages import Identifier

_log = get_logger()


class Watches(Protocol):
    """Who has the watch of each link, and a signal at each change."""

    changed: ChangeSignal

    def on_watch(self) -> Mapping[str, Identifier | None]:
        """Return the officer by link, None for nobody; a link that has not said it is left out."""


class Ends(Protocol):
    """Ends sessions, and has the endpoint journal it."""

    async def end(self, session: ReaderSession, why: EndOfSession) -> bool:
        """End a session; return whether that was journaled."""


class Handover:
    """Notices who was relieved. An officer who still has the watch of another link stays logged in."""

    def __init__(self, watches: Watches, sessions: Sessions, log_in: Ends) -> None:
        """Prepare it.

        Args:
            watches: who has the watch.
            sessions: those who read.
            log_in: ends them.
        """
        self._watches = watches
        self._sessions = sessions
        self._log_in = log_in
        self._known: dict[str, Identifier | None] = {}

    async def run(self) -> None:
        """End sessions as their officers are relieved, until cancelled."""
        while True:
            changed = self._watches.changed.next
            await self.look()
            await changed.wait()

    async def look(self) -> None:
        """End the sessions of those who were relieved since the last look."""
        for officer in self._relieved():
            await self._end(officer)

    def _relieved(self) -> set[Identifier]:
        """Return whose watch another officer has taken since the last look."""
        now = self._watches.on_watch()
        pairs = [(self._known.get(link), officer) for link, officer in now.items()]
        self._known |= now
        left = {before for before, after in pairs if before is not None and after not in {None, before}}
        return left - set(now.values())

    async def _end(self, officer: Identifier) -> None:
        try:
            for session in self._sessions.all():
                if session.officer == officer:
                    await self._log_in.end(session, "handover")
        except UserError as error:
            _log.warning("sessions could not be ended", why=worded(error))
