"""The lines of a link's event stream, as the endpoint writes them and the console reads them."""

from __future__ import annotations

from msgspec import Struct

from endpoints.control.reasons import PresenceState
from endpoints.control.status import Status
from protocol.core.snapshot import Snapshot
from protocol.wire.messages import Digest, Identifier, Utc


class PartyPresence(Struct, frozen=True):
    """Whether a party is present, as a hint from the broker, and how long ago it was heard over this connection."""

    state: PresenceState
    # null if it was not
    age_s: int | None


class Beat(Struct, frozen=True, kw_only=True, tag_field="kind", tag="beat"):
    """The line of a second in which nothing has changed."""

    # the number of the journal's last record
    id: int
    # the present time of the link, during an exercise the exercise's, and how many times as fast as real time it runs
    at: Utc
    rate: int
    # of the peer; at the watch, of both parties
    presence: dict[Identifier, PartyPresence]


class State(Beat, frozen=True, kw_only=True, tag="state"):
    """The line of a change: the whole state."""

    status: Status
    # null for a link that has stopped: what its core holds may not be on disk
    snapshot: Snapshot | None
    # the digest of the entry of each officer who may act; null before any were enrolled
    officers: dict[Identifier, Digest] | None


EventLine = State | Beat
"""One line of the stream."""
