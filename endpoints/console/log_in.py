"""Logs officers in: the endpoint proves the credential and journals it, and the console keeps nothing of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Literal

from endpoints.config.console_settings import ConsoleSettings
from endpoints.console.credential_attempts import CredentialAttempts, Sender, TooManyAttempts
from endpoints.console.sessions import ReaderSession, Sessions
from endpoints.control.async_client import AsyncControlClient
from endpoints.control.client import RequestRefused
from endpoints.errors import UserError
from endpoints.structured_log import get_logger
from protocol.phrases import phrase, worded
from protocol.wire.messages import Digest, Identifier

EndOfSession = Literal["log-out", "expired", "removed", "ended", "handover"]
LOOK_EVERY_S = 5.0
ANSWER_WITHIN_S = 30.0
"""Longer than a credential waits for its check."""
WRONG = "not_authorised"
MALFORMED = "bad_request"
"""Of a name that no officer can have."""

_log = get_logger()


class LogIn:
    """Begins and ends the sessions of officers."""

    def __init__(
        self,
        sessions: Sessions,
        settings: ConsoleSettings,
        officers: Callable[[], Mapping[Identifier, Digest] | None],
        attempts: CredentialAttempts,
    ) -> None:
        """Prepare it.

        Args:
            sessions: those who read.
            settings: whose control socket proves credentials.
            officers: returns the digest of each enrolled officer's entry, None before it is known.
            attempts: the queue of credentials.
        """
        self._sessions = sessions
        self._settings = settings
        self._officers = officers
        self._attempts = attempts

    async def begin(self, officer: str, credential: str, sender: Sender) -> str:
        """Return the token of a new session. Raises LinkError: wrong, not proven, or too many wait.

        Args:
            officer: who logs in.
            credential: proves it.
            sender: whose attempt it is.
        """
        if not officer or not credential:
            raise UserError(phrase("a log-in needs an officer and their credential"))
        session = secrets.token_hex(8)
        try:
            async with self._attempts.turn(sender) as attempt:
                try:
                    asked = {"role": "officer", "officer": officer, "credential": credential, "session": session}
                    await self._ask("log-in", asked)
                except RequestRefused as error:
                    if error.code == WRONG:
                        attempt.failed()
                    if error.code in {WRONG, MALFORMED}:
                        # the same for an officer who is unknown, and no command: a browser can run none
                        raise UserError(
                            phrase("no officer with this name and this credential is enrolled here; check both")
                        ) from None
                    raise
        except TooManyAttempts:
            raise UserError(
                phrase(
                    "too many log-ins from here are waiting; try again in half a minute, or first open in this browser "
                    "a link of: deconflict console board-link CONFIG"
                )
            ) from None
        lasting_ms = self._settings.session_s * 1_000
        proof = (self._officers() or {}).get(officer, "")
        return self._sessions.begin("officer", officer=officer, proof=proof, lasting_ms=lasting_ms, identity=session)

    def holds(self, session: ReaderSession) -> bool:
        """Return whether a session's officer is still enrolled as they were when they logged in."""
        officers = self._officers()
        return not session.officer or officers is None or officers.get(session.officer, "-") in {session.proof, ""}

    async def began(self, session: ReaderSession) -> None:
        """Have the endpoint journal a session that began with a one-time link."""
        await self._journal("log-in", {"session": session.id, "role": session.role})

    async def end(self, session: ReaderSession, why: EndOfSession) -> bool:
        """End a session, and have the endpoint journal it; return whether it did. The session ends all the same."""
        self._sessions.end(session)
        officer = {"officer": session.officer} if session.officer else {}
        return await self._journal("log-out", {"session": session.id, "role": session.role, "why": why, **officer})

    async def run(self) -> None:
        """End the sessions whose time is over, and those of officers who no longer hold; until cancelled."""
        while True:
            try:
                for session in self._sessions.over():
                    await self.end(session, "expired")
                for session in self._sessions.all():
                    if not self.holds(session):
                        await self.end(session, "removed")
            except UserError as error:
                # a full disk: it is tried again, and no screen goes dark for it
                _log.warning("sessions could not be ended", why=worded(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _journal(self, action: str, document: Mapping[str, str]) -> bool:
        try:
            await self._ask(action, document)
        except UserError as error:
            _log.warning("a session could not be journaled", why=worded(error))
            return False
        return True

    async def _ask(self, action: str, document: Mapping[str, str]) -> None:
        """Ask the endpoint at the first link that runs. Raises UserError."""
        request = {"request": secrets.token_hex(8), **document}
        async with AsyncControlClient(self._settings.control, ANSWER_WITHIN_S) as client:
            for number, link in enumerate(self._settings.links, 1):
                try:
                    await client.post(link.id, action, request)
                except RequestRefused as error:
                    if error.code != "link_stopped" or number == len(self._settings.links):
                        raise
                else:
                    return
