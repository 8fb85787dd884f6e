"""A batch that has reached a disk, as the promises read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from protocol.core.effects import AnyEffect
from protocol.record.journal import Entry
from protocol.wire.policy import Terms
from scenario.exploration.small_world import SmallWorld
from scenario.simulation.invariants import Observations, Violation

JournalRecord: TypeAlias = tuple[Entry, tuple[AnyEffect, ...]]


class WrittenBatch(Struct, frozen=True):
    """A batch that reached a disk, and what is known beside it.

    Attributes:
        side: the process.
        batch: its records.
        earlier: the records before it, oldest first.
        before, after: what the journal shows before and behind it.
        terms: those of the open epoch behind it.
        said: the epoch, seq and hash of each message of this side's.
        world: the world.
    """

    side: str
    batch: Sequence[JournalRecord]
    earlier: Sequence[JournalRecord]
    before: Observations
    after: Observations
    terms: Terms
    said: Sequence[tuple[int, int, str]]
    world: SmallWorld

    @property
    def effects(self) -> Iterator[AnyEffect]:
        """All effects of the batch."""
        for _, effects in self.batch:
            yield from effects

    @property
    def peer(self) -> str:
        """The other party."""
        return next(party for party in self.world.parties if party != self.side)

    def broken(self, what: str) -> None:
        """Raise Violation."""
        raise Violation(f"{self.side}: {what}")
