"""Slows down guessing at the log-in, by where it comes from, before the endpoint spends its time on a credential."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from endpoints.errors import UserError
from protocol.phrases import phrase
from protocol.wire.instants import Millis

FIRST_MS: Millis = 1_000
MOST_MS: Millis = 30_000
FORGOTTEN_MS: Millis = 600_000
WAITING_MAX = 4
"""Log-ins that are looked at together: more of them would fill the endpoint's one lane for credentials."""
SOURCES_MAX = 1_024


class _Attempt:
    def __init__(self) -> None:
        self.result: bool | None = None

    def wrong(self) -> None:
        """Note that the credential was wrong."""
        self.result = False

    def right(self) -> None:
        """Note that the credential was right."""
        self.result = True


class LogInThrottle:
    """Remembers who was wrong lately."""

    def __init__(self, real_ms: Callable[[], Millis]) -> None:
        """Remember nobody; `real_ms` reads the machine's monotonic clock."""
        self._real_ms = real_ms
        self._waiting = 0
        # by source: how often it was wrong in a row, and when it was last; the least recent first
        self._wrong: dict[str, tuple[int, Millis]] = {}

    @contextmanager
    def attempt(self, source: str) -> Iterator[_Attempt]:
        """Enclose one log-in from `source`. Raises UserError if it comes too soon, or while too many are looked at."""
        now = self._real_ms()
        times, last = self._wrong.get(source, (0, 0))
        if times and now - last >= FORGOTTEN_MS:
            times = 0
        until = last + min(FIRST_MS << (times - 1), MOST_MS) if times else 0
        if now < until:
            raise UserError(
                phrase("the last log-in from here was wrong; try again in {count} s", count=-(-(until - now) // 1_000))
            )
        if self._waiting >= WAITING_MAX:
            raise UserError(phrase("others are logging in at this moment; try again in a few seconds"))
        found = _Attempt()
        self._waiting += 1
        try:
            yield found
        finally:
            self._waiting -= 1
            if found.result is not None:
                self._wrong.pop(source, None)
            if found.result is False:
                # 30 s are reached after five; more would only make the number larger
                self._wrong[source] = (min(times + 1, 6), self._real_ms())
                while len(self._wrong) > SOURCES_MAX:
                    del self._wrong[next(iter(self._wrong))]
