"""Tracks the terms of the epoch and the enrolled keys through the records of a journal."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from protocol.core.events import EpochOpened, KeysEnrolled
from protocol.record.journal import Checkpoint, Record
from protocol.wire.messages import Identifier
from protocol.wire.policy import EnrolledKey, Terms


class _KeptEpoch(Struct, frozen=True):
    terms: Terms


class _Kept(Struct, frozen=True):
    """The part of a checkpoint's state that is read here, as all versions of the rules write it."""

    # since rules 2
    epoch: _KeptEpoch | None = None
    # in rules 1
    terms: Terms | None = None
    keys: dict[Identifier, tuple[EnrolledKey, ...]] = {}


class TermsHistory:
    """The terms and keys in force at the last record taken.

    Attributes:
        terms: the terms of the current epoch, None before a record contains any.
        keys: the enrolled keys, by party.
        keys_record: the number of the record that they are from, 0 before there is one.
    """

    def __init__(self) -> None:
        self.terms: Terms | None = None
        self.keys: dict[str, tuple[EnrolledKey, ...]] = {}
        self.keys_record = 0

    def take(self, record: Record) -> bool:
        """Take the next record; return whether it changed the terms or keys."""
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
            self.terms = kept.terms if kept.epoch is None else kept.epoch.terms
            self.keys, self.keys_record = kept.keys, record.n
        else:
            return False
        return True
