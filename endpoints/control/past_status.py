"""The status of a link at an instant of its past, as its journal alone has it."""

from __future__ import annotations

from msgspec.structs import replace

from endpoints.control.reasons import state_of
from endpoints.control.status import Status, status
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.ports import Now
from protocol.core.snapshot import Snapshot
from protocol.wire.instants import Millis


def past_status(view: Snapshot, at: Millis) -> Status:
    """Return the status at `at`. It is never `fine`: what the process alone knew, no journal has.

    Without a reason against the link, its state is `unknown`, and so is the peer's presence. That a connection was
    lost is journaled; that one held is not.
    """
    gauges = Gauges(link=view.link, side=view.side, failure=None, flushed_at=None, free_bytes=None)
    found = status(view, gauges, Now(at=at, mono=0, real_s=0))
    known = tuple(each for each in found.reasons if each.code not in {"peer_unheard", "peer_gone"})
    return replace(
        found, reasons=known, state=state_of(known) if known else "unknown", peer="unknown", presence_age_s=None
    )
