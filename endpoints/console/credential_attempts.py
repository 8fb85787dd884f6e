"""The queue of credentials from browsers before the endpoint checks them: one for the log-in and for acts."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

from msgspec import Struct

from endpoints.errors import UserError
from endpoints.keys.attempt_throttle import QUEUED_MAX, Abandoned, Attempt, AttemptThrottle, Caller
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis

THROTTLED = "throttled"


class Sender(Struct, frozen=True, kw_only=True):
    """Which browser has sent a credential.

    Attributes:
        browser: names a known browser, empty for a stranger.
        source: the address that the request came from.
        abandoned: returns whether the browser has gone.
    """

    browser: str
    source: str
    abandoned: Abandoned


class TooManyAttempts(UserError):  # noqa: N818 - names a state
    """So many credentials of one browser, or of strangers from one source, wait that no other may."""

    def __init__(self) -> None:
        super().__init__(phrase("too many credentials from here wait for their check; try again in half a minute"))


class CredentialAttempts:
    """Admits attempts; those of a browser, or of strangers from one source, in turn once a credential was wrong.

    So guesses from one browser fill no queue of another, and they lock out no officer.
    """

    def __init__(self, real_ms: Callable[[], Millis]) -> None:
        """Prepare it; `real_ms` reads the machine's monotonic clock."""
        # strangers, however many, make no known browser wait
        self._known, self._strangers = AttemptThrottle(real_ms), AttemptThrottle(real_ms)
        self._attempts = count()
        # bounded: an entry for each attempt that waits
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, sender: Sender) -> AsyncIterator[Attempt]:
        """Wait for the turn of an attempt; the check belongs into the body, which calls `failed` if it was wrong.

        Raises TooManyAttempts, and LocalProtocolError if the browser has gone.
        """
        throttle, key = (self._known, sender.browser) if sender.browser else (self._strangers, sender.source)
        if self._waiting[key] >= QUEUED_MAX:
            raise TooManyAttempts
        self._waiting[key] += 1
        try:
            # each attempt counts as a process of its own: it waits for its turn, and for no pause
            async with throttle.turn(Caller(key, next(self._attempts)), sender.abandoned) as attempt:
                yield attempt
        except LocalProtocolError as error:
            if error.code == THROTTLED:
                raise TooManyAttempts from None
            raise
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
