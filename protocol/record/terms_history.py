"""What a journal says was agreed at each of its records: the terms of the epoch, and the enrolled keys."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from protocol.core.events import EpochOpened, KeysEnrolled
from protocol.record.journal import Checkpoint, Record
from protocol.wire.messages import Identifier
from protocol.wire.policy import EnrolledKey, Terms


class _Kept(Struct, frozen=True):
    """What is read of a checkpoint's state, under whatever rules it was made."""

    terms: Terms | None = None
    keys: dict[Identifier, tuple[EnrolledKey, ...]] = {}


class TermsHistory:
    """Terms and keys, record by record.

    Attributes:
        terms: the present epoch's, None as long as nothing says them.
        keys: the keys that the last `KeysEnrolled` named, by party.
        keys_record: the record that named them, 0 before.
    """

    def __init__(self) -> None:
        self.terms: Terms | None = None
        self.keys: dict[str, tuple[EnrolledKey, ...]] = {}
        self.keys_record = 0

    def take(self, record: Record) -> bool:
        """Go on to `record`; return whether it changed anything."""
        entry = record.entry
        if isinstance(entry, EpochOpened):
            self.terms = entry.terms
        elif isinstance(entry, KeysEnrolled):
            self.keys, self.keys_record = entry.keys, record.n
        elif isinstance(entry, Checkpoint) and self.terms is None:
            try:
                kept = msgspec.json.decode(entry.state, type=_Kept)
            except msgspec.ValidationError:
                return False
            self.terms, self.keys, self.keys_record = kept.terms, kept.keys, record.n
        else:
            return False
        return True
