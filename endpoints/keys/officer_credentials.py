"""Authenticates the officers of a running process: one attempt after another, and proven credentials at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from endpoints.keys.attempt_throttle import Abandoned, AttemptThrottle, Caller
from endpoints.keys.credentials import decoy, verify
from endpoints.keys.proven_credentials import ProvenCredentials
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis

_FORGET_EVERY_S = 60.0
"""How often what nobody uses any more is looked for, so that it leaves the memory also while nobody acts."""

Verify = Callable[[str, str], bool]
"""Returns whether a credential matches a hash."""


class WrongCredential(LocalProtocolError):  # noqa: N818 - names what was tried
    """The credential is not the officer's, or there is no such officer: which of the two is not said.

    Attributes:
        source: under which the failure is counted; see `endpoints.keys.attempt_throttle`.
    """

    def __init__(self, officer: str, source: str) -> None:
        super().__init__(
            "not_authorised",
            phrase(
                "officer {officer} with this credential is not enrolled here; check both; a new credential is given "
                "with: deconflict officer reset CONFIG ID",
                officer=repr(officer[:40]),
            ),
        )
        self.source = source


class OfficerCredentials:
    """Authenticates the officers of one process."""

    def __init__(self, hashed: Mapping[str, str], real_ms: Callable[[], Millis], verify: Verify = verify) -> None:
        """Accept the officers in `hashed`, id to hashed credential.

        `real_ms` reads the machine's monotonic clock. `verify` is the slow check, which runs in a thread.
        """
        self._hashed = dict(hashed)
        self._decoy = decoy()
        self._real_ms = real_ms
        self._verify = verify
        self._throttle = AttemptThrottle(real_ms)
        self._proven = ProvenCredentials(real_ms)
        self._forgetting: asyncio.TimerHandle | None = None

    def exchange(self, hashed: Mapping[str, str]) -> None:
        """Accept the officers in `hashed` from now on, and nobody else, also for the attempts that wait already.

        Every credential has to be proven anew. Wrong credentials that were tried before another roster slow down
        nobody any more: an officer with a new credential has tried the old one.
        """
        self._proven.forget_all()
        if hashed != self._hashed:
            self._hashed = dict(hashed)
            self._throttle = AttemptThrottle(self._real_ms)

    @property
    def enrolled(self) -> bool:
        """Whether there is any officer."""
        return bool(self._hashed)

    async def authenticate(self, officer: str, credential: str, caller: Caller, abandoned: Abandoned) -> None:
        """Return if `credential` is the officer's.

        An unknown officer takes as long as a wrong credential. `caller` may have to wait before the check, until
        `abandoned`. A credential that was proven recently skips only the slow check: it takes its turn like any other,
        so guesses are compared with it no faster than they are checked.

        Raises WrongCredential, and LocalProtocolError as `AttemptThrottle.turn`.
        """
        async with self._throttle.turn(caller, abandoned) as attempt:
            hashed = self._hashed.get(officer)
            against = hashed or self._decoy
            proven = self._proven.holds(officer, against, credential)
            right = (proven or await asyncio.to_thread(self._verify, credential, against)) and hashed is not None
            # the officer may have been removed, or got another credential, during the check
            right = right and self._hashed.get(officer) == hashed
            if not right:
                attempt.failed()
            elif not proven:
                self._remember(officer, against, credential)
        if not right:
            raise WrongCredential(officer, attempt.source)

    def _remember(self, officer: str, hashed: str, credential: str) -> None:
        self._proven.keep(officer, hashed, credential)
        if self._forgetting is None:
            self._forget_later()

    def _forget_later(self) -> None:
        self._forgetting = asyncio.get_running_loop().call_later(_FORGET_EVERY_S, self._forget)

    def _forget(self) -> None:
        self._forgetting = None
        self._proven.forget_unused()
        if self._proven:
            self._forget_later()
