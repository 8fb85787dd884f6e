"""What a journal that begins at a checkpoint knows about the records before it."""

from __future__ import annotations

from msgspec import Struct

from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.record.journal import Checkpoint, Record
from protocol.record.migration import migrated, objection
from protocol.record.replay import CORES
from protocol.wire.instants import written
from protocol.wire.messages import Digest, Identifier, Reference, Utc


class Beginning(Struct, frozen=True, kw_only=True):
    """The checkpoint that a journal begins with.

    Attributes:
        record, at: its number and time.
        epoch: the epoch that is open, 0 if none is.
        streams: the last message that the journal knows of each party's stream in that epoch, and its digest.
        sealed: the frames that the peer has not receipted.
    """

    record: int
    at: Utc
    epoch: int = 0
    streams: dict[Identifier, tuple[int, Digest]] = {}
    sealed: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, record: Record, entry: Checkpoint) -> Beginning:
        """Return the beginning that `entry` is. A state that cannot be restored says nothing about any message."""
        kind = CORES.get(entry.core)
        if kind is None or objection(entry.rules):
            return cls(record=record.n, at=written(record.entry.at))
        try:
            core = kind.restore(migrated(entry.state, entry.core, entry.rules))
        except ValueError:
            return cls(record=record.n, at=written(record.entry.at))
        return cls._of_watch(record, core) if isinstance(core, Observer) else cls._of_link(record, core)

    @classmethod
    def _of_watch(cls, record: Record, core: Observer) -> Beginning:
        state, at = core.state.epoch, written(record.entry.at)
        if state is None:
            return cls(record=record.n, at=at)
        streams = {party: (stream.upto, stream.head) for party, stream in state.streams.items()}
        return cls(record=record.n, at=at, epoch=state.terms.epoch, streams=streams)

    @classmethod
    def _of_link(cls, record: Record, core: Link) -> Beginning:
        state, at = core.state.epoch, written(record.entry.at)
        if state is None:
            return cls(record=record.n, at=at)
        peer = state.terms.answering if core.side == state.terms.caller else state.terms.caller
        return cls(
            record=record.n,
            at=at,
            epoch=state.terms.epoch,
            streams={core.side: (state.outbox.last, state.outbox.head), peer: (state.inbox.upto, state.inbox.head)},
            sealed=tuple(run.frame for run in state.outbox.sealed),
        )

    def covers(self, reference: Reference) -> bool:
        """Return whether the message was known before this journal begins."""
        if reference.epoch != self.epoch:
            return reference.epoch < self.epoch
        return reference.seq <= self.streams.get(reference.sender, (0, ""))[0]
