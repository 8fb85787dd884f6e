"""Simulates the disk of one journal: a segment store that crashes, power cuts, full disks and failed flushes befall."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from typing import Literal, NoReturn

from endpoints.journal.store import LastSegment
from protocol.record.recovery import SECTOR_BYTES

PLENTY_BYTES = 1 << 40

Doom = Literal["before_append", "torn"]


class Crashed(Exception):  # noqa: N818 - not an error: the process has ended
    """The simulated process ended here, in the middle of what it did."""


class Disk:
    """A `SegmentStore`, and what survives the process that writes it. Nothing reaches it but flushed batches.

    Attributes:
        segments: their bytes, by the number of their first record.
        free: what `free_bytes` returns.
        full, flush_fails: the next write fails, and may leave a part of its batch.
        doom: where in the next write the process crashes.
        power_cut: that crash is a power cut: sectors that were not flushed may be missing.
    """

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name = name
        self.segments: dict[int, bytearray] = {}
        self.free = PLENTY_BYTES
        self.full = False
        self.flush_fails = False
        self.doom: Doom | None = None
        self.power_cut = False
        self._chance = chance
        self._opened = False
        # after each batch: its segment, and the segment's length
        self._ends: list[tuple[int, int]] = []

    # --- the store ------------------------------------------------------------------------------------------------

    def open(self, *, create: bool) -> LastSegment | None:
        """Return the last segment. A process that had the store open before is taken to be dead."""
        del create
        self._opened = True
        if not self.segments:
            return None
        first = max(self.segments)
        return LastSegment(f"{self.name}/{first}", first, bytes(self.segments[first]).rstrip(b"\0"))

    def resume(self, end: int, last_batch: bytes) -> None:
        """Cut what a crash left after byte `end` of the last segment."""
        del last_batch
        first = max(self.segments)
        del self.segments[first][end:]
        if self._ends[-1] != (first, end):
            # the process crashed after a whole batch had reached the disk
            self._ends.append((first, end))

    def append(self, data: bytes) -> None:
        """Add a batch to the last segment, or what the process's fate leaves of it."""
        self._begin_write()
        first = max(self.segments)
        segment = self.segments[first]
        if self.doom == "torn":
            self._tear(segment, data, holes=self.power_cut)
            raise Crashed
        if self.full or self.flush_fails:
            self._tear(segment, data, holes=self.flush_fails)
            self._fail()
        segment += data
        self._ends.append((first, len(segment)))

    def start_segment(self, first: int, data: bytes) -> None:
        """Add a segment with its first batch. It gets its name only when that is on disk: it is never torn."""
        self._begin_write()
        if self.doom == "torn":
            raise Crashed
        if self.full or self.flush_fails:
            self._fail()
        self.segments[first] = bytearray(data)
        self._ends.append((first, len(data)))

    def free_bytes(self) -> int:
        """Return `free`."""
        return self.free

    def close(self) -> None:
        """Refuse writes until the store is opened again."""
        self._opened = False

    # --- the machine ----------------------------------------------------------------------------------------------

    def restore(self, lacking: int) -> None:
        """Put back an older copy, without the last `lacking` batches; the first batch is always there."""
        del self._ends[max(1, len(self._ends) - lacking) :]
        first, length = self._ends[-1]
        for later in [each for each in self.segments if each > first]:
            del self.segments[later]
        del self.segments[first][length:]

    def lines(self) -> Iterator[bytes]:
        """Yield every line of the journal, without what a crash left after the last newline."""
        for _, segment in sorted(self.segments.items()):
            yield from bytes(segment).split(b"\n")[:-1]

    # --- within ---------------------------------------------------------------------------------------------------

    def _begin_write(self) -> None:
        if not self._opened:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self.doom == "before_append":
            raise Crashed

    def _fail(self) -> NoReturn:
        code = errno.ENOSPC if self.full else errno.EIO
        raise OSError(code, os.strerror(code))

    def _tear(self, segment: bytearray, data: bytes, *, holes: bool) -> None:
        """Add what is left of a batch: after a kill its beginning, after a power cut or a failed flush any sectors."""
        start = len(segment)
        if not holes:
            segment += data[: self._chance.randint(0, len(data))]
            return
        segment += data
        for sector in range(start // SECTOR_BYTES, len(segment) // SECTOR_BYTES + 1):
            if self._chance.getrandbits(1):
                begin, end = max(start, sector * SECTOR_BYTES), min(len(segment), (sector + 1) * SECTOR_BYTES)
                segment[begin:end] = bytes(end - begin)
