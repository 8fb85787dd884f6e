"""What the running process alone knows about a link: its failure, its connection, its disk, what the broker has."""

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
    # why there is no connection to the broker; empty while there is one
    connection_trouble: str
    # when a batch was last written to the journal and flushed, None before the first
    flushed_at: Millis | None
    # of the journal's file system when it was last checked, None before the first check
    free_bytes: int | None
    # our messages that the broker has accepted and the peer has not receipted
    broker_has: frozenset[int] = frozenset()
