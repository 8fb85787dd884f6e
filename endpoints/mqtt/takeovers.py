"""Detects another client that connects with our certificate, apart from a broker that restarts (SPEC Q3.3)."""

from __future__ import annotations

from endpoints.mqtt.failover import Destination

TAKEN_OVER = 0x8E
"""MQTT 5 reason code of a DISCONNECT: another connection has our client id now."""
REPEATED = 3
"""One or two may be a console left open, or our own earlier connection that the broker still held."""
QUIET_S = 600.0
"""The count restarts after this time without a takeover."""
_BRIEF_S = 60.0
"""Two clients that displace each other reconnect after their back-off: no connection of theirs lasts longer."""


class TakeoverCounter:
    """Counts takeovers of our client id. Reports the third, and then each doubling.

    Mosquitto 2.0 sends no DISCONNECT at a takeover; it closes TLS properly. A brief connection that was closed properly
    therefore counts as a takeover too, if the next attempt succeeds at the same place: elsewhere, another node may have
    taken over from one that was stopped. Whether the broker kept our session does not matter: the other client may have
    ended it. A broker that once said 0x8E is believed to say it each time.
    """

    def __init__(self) -> None:
        self.began = False
        """Whether the last call counted the first takeover in a while: people should hear of it before the third."""
        self._count = 0
        self._last_s = -QUIET_S
        self._reported = 0
        # where a brief connection was closed properly
        self._suspected: Destination | None = None
        self._told = False

    def lost(self, now_s: float, lived_s: float, code: int | None, place: Destination, *, orderly: bool) -> int | None:
        """Note that an open connection to `place` ended. Return the number of takeovers if it is due to be reported."""
        self.began = False
        self._told = self._told or code == TAKEN_OVER
        self._suspected = place if orderly and lived_s < _BRIEF_S and not self._told else None
        return self._counted(now_s) if code == TAKEN_OVER else None

    def not_opened(self) -> None:
        """Note that an attempt failed: the broker was unavailable, so the earlier loss was not a takeover."""
        self._suspected, self.began = None, False

    def opened(self, now_s: float, place: Destination) -> int | None:
        """Note that a connection to `place` is open. Return the number of takeovers if it is due to be reported."""
        self.began = False
        suspected, self._suspected = self._suspected, None
        return self._counted(now_s) if suspected == place else None

    def _counted(self, now_s: float) -> int | None:
        if now_s - self._last_s > QUIET_S:
            self._count = self._reported = 0
        self._last_s = now_s
        self._count += 1
        self.began = self._count == 1
        if self._count < max(REPEATED, 2 * self._reported):
            return None
        self._reported = self._count
        return self._count
