"""Somebody else with our certificate: told from a broker that comes and goes (SPEC Q3.3)."""

from __future__ import annotations

TAKEN_OVER = 0x8E
"""MQTT 5 reason code of a DISCONNECT: another connection has our client id now."""
REPEATED = 3
"""Once or twice may be a console left open, or our own connection that the broker had not missed yet."""
QUIET_S = 600.0
"""After so long without one, the count begins anew."""
_BRIEF_S = 60.0
"""Two who drive each other out come back after their back-off: no connection between them lives longer."""


class Takeovers:
    """Counts takeovers, and says when their number is worth telling: at the third, and whenever it has doubled.

    Mosquitto 2.0 sends no DISCONNECT at a takeover, it ends TLS in order. So this counts as one too: a brief connection
    ended in order, and the very next attempt is accepted. That the broker has our session is not asked for: whoever
    took our place may have ended it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._last_s = -QUIET_S
        self._told = 0
        self._suspected = False

    def lost(self, now_s: float, lived_s: float, code: int | None, *, orderly: bool) -> int | None:
        """Note that an open connection has ended. Return how many takeovers there were, if that is to be told."""
        self._suspected = orderly and lived_s < _BRIEF_S
        return self._counted(now_s) if code == TAKEN_OVER else None

    def not_opened(self) -> None:
        """Note that an attempt failed: the broker was away, nobody took its place."""
        self._suspected = False

    def opened(self, now_s: float) -> int | None:
        """Note that a connection is open. Return how many takeovers there were, if that is to be told."""
        suspected, self._suspected = self._suspected, False
        return self._counted(now_s) if suspected else None

    def _counted(self, now_s: float) -> int | None:
        if now_s - self._last_s > QUIET_S:
            self._count = self._told = 0
        self._last_s = now_s
        self._count += 1
        if self._count < max(REPEATED, 2 * self._told):
            return None
        self._told = self._count
        return self._count
