"""Spans: consecutive batches of a journal's file that were verified before, and that a reader may pass over.

A span states everything that verification, audit and replay take from its records. Only batches whose records change
neither terms nor keys nor officers, and whose signatures are all good, are in a span. A reader passes over a span only
where it follows from what was read, and under exactly the keys that verified it. It reads everything else itself.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec import Struct

from protocol.core.core import acting
from protocol.core.event import Event
from protocol.core.events import (
    BatchClosed,
    DeadlineReached,
    FrameReceived,
    LineTestRequested,
    NotificationDone,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
    PeerPresenceChanged,
    TransportConnected,
    TransportLost,
)
from protocol.errors import RemoteProtocolError
from protocol.record.journal import Chain, Record
from protocol.record.sealed_frames import own_sealed
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.instants import Millis
from protocol.wire.keyring import Keyring
from protocol.wire.refusals import VERIFIED

_IN_SPANS: frozenset[type[Event]] = frozenset(
    {
        BatchClosed,
        DeadlineReached,
        FrameReceived,
        LineTestRequested,
        NotificationDone,
        OfficerAcknowledged,
        OfficerAnswered,
        OfficerCancelled,
        OfficerRaisedAlert,
        OfficerRefused,
        OfficerReleased,
        PeerPresenceChanged,
        TransportConnected,
        TransportLost,
    }
)
"""The frequent events. They leave terms, keys, officers and the clock as they are, and begin no start."""


class Batched(Struct, frozen=True):
    """The end of a batch: the number of its record, and its times."""

    record: int
    at: Millis
    mono: Millis


class Span(Struct, frozen=True):
    """Whole batches of a file, without a break between them.

    Attributes:
        begin, end: the offsets of the first line and behind the last one.
        link, side: of all records.
        first, last: the numbers of the records.
        prev, head: the hash of the record before them, and of the last one, which names all of their bytes.
        at: the time of the latest record.
        signatures: how many frames were verified, each with a good signature.
        keys: the digest of the keys that verified them: see `digest_of`.
        officers: the officers who acted.
        opens, closes: the ends of the first and the last batch.
        latest: the latest ends of batches, by the wall clock and by the monotonic one.
    """

    begin: int
    end: int
    link: str
    side: str
    first: int
    last: int
    prev: str
    head: str
    at: Millis
    signatures: int
    keys: bytes
    officers: frozenset[str]
    opens: Batched
    closes: Batched
    latest: tuple[Millis, Millis]

    @property
    def records(self) -> int:
        """The number of records."""
        return self.last - self.first + 1


def digest_of(ring: Keyring) -> bytes:
    """Return the digest of a keyring's keys and suite."""
    return sha256(msgspec.json.encode((ring.keys, ring.suite), order="deterministic")).digest()


class SpanFinder:
    """Verifies records one by one, and finds the spans in them.

    Attributes:
        spans: those that have ended.
    """

    def __init__(self, apart: str | None = None) -> None:
        """Begin.

        Args:
            apart: the hash of a record that the reader has to see itself, so that no span contains it.
        """
        self.spans: list[Span] = []
        self._apart = apart
        self._chain = Chain()
        self._ring: Keyring | None = None
        self._keys = b""
        # the span before the present batch
        self._span: Span | None = None
        # the present batch; None if it belongs to no span
        self._batch: _Batch | None = None

    def use(self, ring: Keyring | None) -> None:
        """Verify what follows under these keys; None if there are none."""
        if ring is not self._ring:
            self._end()
            self._ring, self._keys = ring, b"" if ring is None else digest_of(ring)

    def take(self, record: Record, begin: int, end: int) -> None:
        """Take the next record, whose line stands in the file from offset `begin` to `end`."""
        chain = self._chain
        if not chain.n or chain.objection(record):
            self._end()
            self._chain = chain = Chain()
            chain.skip_to(record)
        begins = chain.batch is None
        chain.adopt(record)
        if begins and record.batch == record.n:
            self._batch = _Batch(record, begin)
        elif begins:
            # the reader reports its batch: a chain that begins here does not
            self._end()
        if self._batch is not None and not self._judge(record, self._batch):
            self._end()
        if record.ends_batch:
            self._close(record, end)

    def interrupt(self) -> None:
        """Note that what follows does not follow from the last record: a line between them is no record."""
        self._end()
        self._chain = Chain()

    def finish(self) -> list[Span]:
        """Return all spans after the last record."""
        self._end()
        return self.spans

    def _end(self) -> None:
        """End the present span before the present batch, which belongs to none."""
        if self._span is not None:
            self.spans.append(self._span)
        self._span = self._batch = None

    def _judge(self, record: Record, batch: _Batch) -> bool:
        """Return whether a record may be in a span, and add it to its batch."""
        entry, ring = record.entry, self._ring
        if type(entry) not in _IN_SPANS or ring is None or record.n == 1 or record.hash == self._apart:
            return False
        batch.at = max(batch.at, entry.at)
        if (officer := acting(entry)) is not None:
            batch.officers.add(officer)
        try:
            if isinstance(entry, FrameReceived):
                if entry.verdict != VERIFIED:
                    return False
                ring.open(entry.sender, PAYLOAD_TYPES[entry.channel], entry.frame)
                batch.signatures += 1
            elif isinstance(entry, BatchClosed):
                for payload_type, frame in own_sealed(record, entry):
                    ring.open(record.side, payload_type, frame)
                    batch.signatures += 1
        except RemoteProtocolError:
            return False
        return True

    def _close(self, record: Record, end: int) -> None:
        """End the present batch with its last record."""
        batch, self._batch = self._batch, None
        if batch is None:
            return
        entry, before = record.entry, self._span
        closes = Batched(record.n, entry.at, entry.mono)
        opens = closes if before is None else before.opens
        at, mono = (entry.at, entry.mono) if before is None else before.latest
        self._span = Span(
            begin=batch.begin if before is None else before.begin,
            end=end,
            link=record.link,
            side=record.side,
            first=batch.first if before is None else before.first,
            last=record.n,
            prev=batch.prev if before is None else before.prev,
            head=record.hash,
            at=batch.at if before is None else max(before.at, batch.at),
            signatures=batch.signatures + (0 if before is None else before.signatures),
            keys=self._keys,
            officers=frozenset(batch.officers) if before is None else before.officers | batch.officers,
            opens=opens,
            closes=closes,
            latest=(max(at, entry.at), max(mono, entry.mono)),
        )


class _Batch:
    """A batch that has not ended yet: where it begins, and what was found in it so far."""

    def __init__(self, record: Record, begin: int) -> None:
        self.begin = begin
        self.first, self.prev = record.n, record.prev
        self.at: Millis = 0
        self.signatures = 0
        self.officers: set[str] = set()
