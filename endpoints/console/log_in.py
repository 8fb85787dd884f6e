"""Logs officers in: the endpoint proves the credential, and the console keeps nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from endpoints.console.sessions import ReaderSession, Sessions
from endpoints.errors import UserError
from protocol.phrases import phrase


class Proves(Protocol):
    """Proves credentials."""

    async def log_in(self, officer: str, credential: str, session: str) -> None:
        """Return if the credential is the officer's. Raises UserError."""
        ...

    async def log_out(self, officer: str, session: str, why: str) -> None:
        """Tell that a session has ended. Raises UserError."""
        ...


class LogIn:
    """Begins and ends the sessions of officers."""

    def __init__(self, sessions: Sessions, control: Path, link: str) -> None:
        """Prepare it: credentials are proven at the process that listens on `control`, for its `link`."""
        self._sessions = sessions
        self._control = control
        self._link = link

    async def begin(self, officer: str, credential: str, source: str) -> str:
        """Return the token of a new session. Raises UserError: wrong, or not proven."""
        del source
        if not officer or not credential:
            raise UserError(phrase("a log-in needs an officer and their credential"))
        raise UserError(
            phrase("the endpoint cannot prove a credential; use a one-time link: deconflict console board-link")
        )

    async def ended(self, session: ReaderSession) -> None:
        """Tell the endpoint that a session has ended."""
