"""The records that a journal need not read again before it writes them: what is in them was checked where it came in.

All other records are rare, and each is read again. tests/endpoints/journal/test_proven_records.py shows that these are
readable whatever an officer, a peer or a broker sends; the simulation reads every record that it has written.
"""

from __future__ import annotations

from protocol.core.effects import AnyEffect, Apply, Notify, Queue, Seal, Settle
from protocol.core.events import BatchClosed, FrameReceived, NotificationDone, OfficerRaisedAlert
from protocol.record.journal import Checkpoint, Entry

# the state in a checkpoint is what a core has just encoded
_ENTRIES = frozenset({FrameReceived, BatchClosed, NotificationDone, OfficerRaisedAlert, Checkpoint})
# an alarm is read again with the record that raises or clears it, before people are notified of it
_EFFECTS = frozenset({Queue, Apply, Settle, Seal, Notify})


def proven(entry: Entry, effects: tuple[AnyEffect, ...]) -> bool:
    """Return whether a record of `entry` and `effects` can be read in any case, if a core has taken the event."""
    return type(entry) in _ENTRIES and all(type(effect) in _EFFECTS for effect in effects)
