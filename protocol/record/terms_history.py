"""Tracks the terms of the epoch, the keys and the enrolled officers through the records of a journal."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from msgspec import Struct, field

from protocol.core.alarms import AlarmCode
from protocol.core.event import Event
from protocol.core.events import AlarmAcknowledged
from protocol.core.link_keys import LinkKeys
from protocol.core.start_events import EpochOpened, KeysChanged, KeysEnrolled, OfficersEnrolled
from protocol.errors import LocalProtocolError
from protocol.record.journal import Checkpoint, Record
from protocol.record.migration import migrated
from protocol.wire.messages import Digest, Identifier
from protocol.wire.policy import Terms

_TAKEN: frozenset[type[Event]] = frozenset(
    {EpochOpened, KeysEnrolled, KeysChanged, AlarmAcknowledged, OfficersEnrolled, Checkpoint}
)


class _KeptEpoch(Struct, frozen=True):
    terms: Terms


class _Kept(Struct, frozen=True):
    """The part of a checkpoint's state that is read here, as the present rules write it."""

    epoch: _KeptEpoch | None = None
    keys: LinkKeys = field(default_factory=LinkKeys)
    officers: dict[Identifier, Digest] | None = None


class TermsHistory:
    """The terms, keys and officers in force at the last record taken.

    A service starts from the last checkpoint, so every checkpoint counts, not only one that a journal begins with.

    Attributes:
        terms: the terms of the current epoch, None before a record contains any.
        keys: the keys, by party: those that verify signatures, and those that wait for an officer.
        officers: the officers who may act, None before a record enrols any.
    """

    def __init__(self) -> None:
        self.terms: Terms | None = None
        self.keys = LinkKeys()
        self.officers: dict[Identifier, Digest] | None = None

    def take(self, record: Record) -> bool:
        """Take the next record; return whether other terms are in force, or other keys verify, than before."""
        if type(record.entry) not in _TAKEN:
            return False
        entry, before = record.entry, (self.terms, self.keys)
        match entry:
            case EpochOpened():
                self.terms = entry.terms
            case KeysEnrolled():
                self.keys = LinkKeys(entry.keys, watch=entry.watch or ())
            case KeysChanged():
                self.keys = self.keys.changed(entry.keys, entry.digest, entry.nonce, entry.watch or ())
            case AlarmAcknowledged(code=AlarmCode.KEYS_CHANGED):
                # wrong words accept nothing: `enrolments` reports them
                with suppress(LocalProtocolError):
                    self.keys = self.keys.acknowledged(entry.subject, entry.words)
            case OfficersEnrolled():
                self.officers = entry.officers
            case Checkpoint():
                self._take_state(entry)
            case _:
                pass
        return before != (self.terms, self.keys)

    def _take_state(self, entry: Checkpoint) -> None:
        try:
            kept = msgspec.json.decode(migrated(entry.state, entry.core, entry.rules), type=_Kept)
        except ValueError:
            return
        self.terms = None if kept.epoch is None else kept.epoch.terms
        self.keys, self.officers = kept.keys, kept.officers
