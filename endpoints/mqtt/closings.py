"""Tells a broker that closes the connection at what we publish from a lost network: no I/O, no clock.

RabbitMQ before 4.3 answers a publish without permission by closing the connection, without PUBACK and DISCONNECT.
"""

from __future__ import annotations

from protocol.phrases import phrase

REPEATED = 3
"""A broker that was killed or restarted closes a connection at a publish, too, but not so often in a row."""
CAREFUL_S = 5.0
"""How long a careful connection has one publish at a time on its way: after a loss, the core publishes at once."""
AT_ONCE_S = 2.0
"""Presence is published as soon as the connection is open; the broker reads it within this time."""


class Closings:
    """Counts connections in a row that the broker closed while, or right after, we published."""

    def __init__(self) -> None:
        self._count = 0
        self._unanswered = False

    @property
    def careful(self) -> bool:
        """Whether the next connection should have one publish at a time on its way, so that a closing names it."""
        return self._count >= REPEATED - 1

    @property
    def due(self) -> bool:
        """Whether the unanswered publish of the connection that ended last is to be reported as refused."""
        return self._unanswered and self._count >= REPEATED

    def ended(self, lived_s: float | None, *, closed: bool, unanswered: bool) -> str | None:
        """Note that an attempt failed or its connection ended. Return a better reason, None if there is none.

        Args:
            lived_s: how long the connection was open, None if it never was.
            closed: the other end closed it, without giving a reason.
            unanswered: a publish was waiting for the broker's answer.
        """
        self._unanswered = False
        if lived_s is None:
            # another node may be down, which says nothing about the ones that close
            return None
        if not closed or not (unanswered or lived_s < AT_ONCE_S):
            self._count = 0
            return None
        self._unanswered = unanswered
        # what was refused is published again at once: a connection that lasted begins a new row
        self._count = self._count + 1 if lived_s <= CAREFUL_S else 1
        if self._count < REPEATED:
            return None
        return phrase("the broker closes the connection when we publish: its permissions may lack us")
