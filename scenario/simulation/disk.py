"""The simulated disk: the real journal format on it, and what a disk does when a machine dies or fills up."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Raw

from endpoints.journal.writer import JournalWriter, Sign
from protocol.core.effects import AnyEffect
from protocol.record.journal import Checkpoint, Closed, Entry, Record
from protocol.record.recovery import SECTOR_BYTES, recover
from protocol.wire.instants import Millis

PLENTY_BYTES = 1 << 40
SEGMENT_BYTES = 160_000
"""Small, so that a month has many checkpoints and a restart folds little."""

Batch = Sequence[tuple[Entry, tuple[AnyEffect, ...]]]
Doom = Literal["before_append", "torn", "after_append"]


class Crashed(Exception):  # noqa: N818 - what happened to a process, thrown through it; nobody's error
    """The process is gone, in the midst of whatever it did."""


class Disk:
    """What survives a process: the segments of one journal, by their first record's number.

    Attributes:
        free_bytes: what the journal is told when it asks.
        full, flush_fails: what the next write meets.
        doom: where the next batch ends the process.
        power_cut: that end takes the machine with it, and what was not flushed.
    """

    def __init__(self, chance: random.Random) -> None:
        self.segments: dict[int, bytearray] = {}
        self.free_bytes = PLENTY_BYTES
        self.full = False
        self.flush_fails = False
        self.doom: Doom | None = None
        self.power_cut = False
        # after each batch: which segment, and how long it was
        self.ends: list[tuple[int, int]] = []
        self._chance = chance

    def restore(self, lacking: int) -> None:
        """Put back a copy that lacks the last batches; the first one is always there."""
        del self.ends[max(1, len(self.ends) - lacking) :]
        first, length = self.ends[-1]
        for later in [each for each in self.segments if each > first]:
            del self.segments[later]
        del self.segments[first][length:]

    def lines(self) -> Iterator[bytes]:
        """Yield every line of the journal. What a crash left of an unfinished batch is no line, or no record."""
        for _, segment in sorted(self.segments.items()):
            yield from bytes(segment).split(b"\n")[:-1]

    def tear(self, segment: bytearray, data: bytes, *, holes: bool) -> None:
        """Leave of a batch that was being written what a kill (a beginning) or a power cut (any sectors) leaves."""
        start = len(segment)
        if not holes:
            segment += data[: self._chance.randint(0, len(data))]
            return
        segment += data
        for sector in range(start // SECTOR_BYTES, len(segment) // SECTOR_BYTES + 1):
            if self._chance.getrandbits(1):
                begin, end = max(start, sector * SECTOR_BYTES), min(len(segment), (sector + 1) * SECTOR_BYTES)
                segment[begin:end] = bytes(end - begin)


class SimulatedJournal(JournalWriter):
    """The service's own journal, on a simulated disk."""

    def __init__(self, disk: Disk, link: str, side: str, durable: Callable[[Batch], None]) -> None:
        super().__init__(Path(side), link, side, SEGMENT_BYTES)
        self._disk = disk
        self._durable = durable

    def mount(self) -> tuple[Record, ...]:
        """Cut what a crash left; return the records since the last checkpoint. Raises JournalError for damage."""
        if not self._disk.segments:
            return ()
        first = max(self._disk.segments)
        segment = self._disk.segments[first]
        found = recover(bytes(segment), first, self.link, self.side)
        del segment[found.keep :]
        if self._disk.ends[-1] != (first, found.keep):
            # a batch was whole, though nobody lived to know
            self._disk.ends.append((first, found.keep))
        last = found.records[-1]
        self._file = 0
        self._flushed, self._n, self._hash = (first, found.keep), last.n, last.hash
        self._opening = segment.find(b"\n") + 1 if isinstance(found.records[0].entry, Checkpoint) else 0
        return found.records

    def append(self, batch: Batch) -> int:
        """Make a batch durable, unless the process is doomed to end here."""
        if self._disk.doom == "before_append":
            raise Crashed
        first = super().append(batch)
        self._durable(batch)
        if self._disk.doom == "after_append":
            raise Crashed
        return first

    def rotate(self, state: Raw, rules: str, core: str, at: Millis, mono: Millis, sign: Sign | None) -> None:
        """Open the next segment with a checkpoint of `state`."""
        entry = Checkpoint(at=at, mono=mono, rules=rules, core=core, state=state, signed_head=self._signed_head(sign))
        data, digest = self._encode([(entry, ())])
        self._open_segment(data)
        self._n += 1
        self._hash = digest
        self._durable([(entry, ())])

    def close(self, at: Millis, mono: Millis, sign: Sign | None) -> None:
        """Record a clean stop."""
        before = self._n
        super().close(at, mono, sign)
        if self._n > before:
            self._durable([(Closed(at=at, mono=mono), ())])

    def free_bytes(self) -> int:
        """Return what the disk says."""
        return self._disk.free_bytes

    def _write(self, data: bytes) -> None:
        first, start = self._flushed
        segment = self._disk.segments[first]
        if self._disk.doom == "torn":
            self._disk.tear(segment, data, holes=self._disk.power_cut)
            raise Crashed
        if self._disk.full or self._disk.flush_fails:
            self._disk.tear(segment, data, holes=self._disk.flush_fails)
            raise self._fail(self._error())
        segment += data
        self._flushed = (first, start + len(data))
        self._disk.ends.append(self._flushed)

    def _open_segment(self, data: bytes) -> None:
        # a segment gets its name after its first batch is on disk: there is nothing torn about it
        if self._disk.doom == "torn":
            raise Crashed
        if self._disk.full or self._disk.flush_fails:
            raise self._fail(self._error())
        first = self._n + 1
        self._disk.segments[first] = bytearray(data)
        self._file = 0
        self._opening = len(data) if first > 1 else 0
        self._flushed = (first, len(data))
        self._disk.ends.append(self._flushed)

    def _error(self) -> OSError:
        code = errno.ENOSPC if self._disk.full else errno.EIO
        return OSError(code, os.strerror(code))

    def _release(self) -> None:
        self._file = -1
        self._failed = self._failed or "the journal is closed"
