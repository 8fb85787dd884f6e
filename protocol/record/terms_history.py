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

    A service starts from the last checkpoint, so every checkpoint counts, not only one that a journal begins with.

    Attributes:
        terms: the terms of the current epoch, None before a record contains any.
        keys: the enrolled keys, by party.
    """

    def __init__(self) -> None:
        self.terms: Terms | None = None
        self.keys: dict[str, tuple[EnrolledKey, ...]] = {}

    def take(self, record: Record) -> bool:
        """Take the next record; return whether it named other terms or keys than those in force."""
        entry, before = record.entry, (self.terms, self.keys)
        if isinstance(entry, EpochOpened):
            self.terms = entry.terms
        elif isinstance(entry, KeysEnrolled):
            self.keys = entry.keys
        elif isinstance(entry, Checkpoint):
            try:
                kept = msgspec.json.decode(entry.state, type=_Kept)
            except msgspec.ValidationError:
                return False
            self.terms = kept.terms if kept.epoch is None else kept.epoch.terms
            self.keys = kept.keys
        return before != (self.terms, self.keys)
