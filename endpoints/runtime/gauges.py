"""What the running process alone knows about a link: failure, connection, disk, presence, what the broker has."""

from __future__ import annotations

from msgspec import Struct

from protocol.core.alarms import Alarm
from protocol.wire.instants import Millis
from protocol.wire.messages import Identifier


class Gauges(Struct, frozen=True, kw_only=True):
    """One link's readings at one instant. None of them is journaled; a restart resets them.

    `Snapshot` and `Gauges` together are all that `status`, the delivery ladder, a console and metrics read.
    """

    link: Identifier
    side: Identifier
    # why the link has stopped, None while it runs
    failure: Alarm | None
    # when a batch was last written to the journal and flushed, None before the first
    flushed_at: Millis | None
    # of the journal's file system when it was last checked, None before the first check
    free_bytes: int | None
    # the newest reason why there is no connection, also one that is journaled already; empty while there is one
    connection_trouble: str = ""
    # whether the broker has accepted a session of this link since the process began
    accepted: bool = False
    # by party: when it last said over this connection that it is present, on the machine's monotonic clock, in seconds
    heard_s: dict[Identifier, float] = {}
    # parties whose signs of life stay out, although the broker calls them present (SPEC Q2.5)
    silent: frozenset[Identifier] = frozenset()
    # our messages that the broker has accepted and the peer has not receipted
    broker_has: frozenset[int] = frozenset()
