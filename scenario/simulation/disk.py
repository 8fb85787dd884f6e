"""Simulates the disk of one journal, with crashes, power cuts, a full disk and failed flushes."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from typing import Literal, NoReturn

from endpoints.journal.store import LastSegment
from protocol.record.recovery import SECTOR_BYTES

PLENTY_BYTES = 1 << 40

WriteCrash = Literal["before_append", "torn"]


class Crashed(Exception):  # noqa: N818 - not an error: the process has ended
    """The simulated process ended here, in the middle of a turn."""


class Disk:
    """A `SegmentStore` in memory, which outlives the process that writes it. It receives only flushed batches.

    Attributes:
        segments: their bytes, by the number of their first record.
    """

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name = name
        self.segments: dict[int, bytearray] = {}
        self._chance = chance
        self._opened = False
        self._free_bytes = PLENTY_BYTES
        self._full = False
        self._flush_fails = False
        self._crash_point: WriteCrash | None = None
        self._power_cut = False
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
        """Add a batch to the last segment; a fault leaves a part of it."""
        self._begin_write()
        first = max(self.segments)
        segment = self.segments[first]
        if self._crash_point == "torn":
            self._tear(segment, data, holes=self._power_cut)
            raise Crashed
        if self._full or self._flush_fails:
            self._tear(segment, data, holes=self._flush_fails)
            self._fail()
        segment += data
        self._ends.append((first, len(segment)))

    def start_segment(self, first: int, data: bytes) -> None:
        """Add a segment with its first batch. It gets its name only when that is on disk: it is never torn."""
        self._begin_write()
        if self._crash_point == "torn":
            raise Crashed
        if self._full or self._flush_fails:
            self._fail()
        self.segments[first] = bytearray(data)
        self._ends.append((first, len(data)))

    def free_bytes(self) -> int:
        """Return the value that `show_free` has set."""
        return self._free_bytes

    def close(self) -> None:
        """Refuse writes until the store is opened again."""
        self._opened = False

    # --- faults ---------------------------------------------------------------------------------------------------

    def show_free(self, free_bytes: int) -> None:
        """Set what `free_bytes` returns."""
        self._free_bytes = free_bytes

    def fill(self, *, full: bool) -> None:
        """Start or end a fault in which the disk is full: each write fails, and may leave a part of its batch."""
        self._full = full

    def break_flushes(self, *, broken: bool) -> None:
        """Start or end a fault in which each flush fails, and may leave any sectors of its batch."""
        self._flush_fails = broken

    def crash_in_next_write(self, point: WriteCrash, *, power_cut: bool) -> None:
        """End the process at `point` of the next write; a power cut may leave any sectors of the batch."""
        self._crash_point, self._power_cut = point, power_cut

    def cancel_crash(self) -> None:
        """Cancel the crash that `crash_in_next_write` has planned."""
        self._crash_point = None

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
        if self._crash_point == "before_append":
            raise Crashed

    def _fail(self) -> NoReturn:
        code = errno.ENOSPC if self._full else errno.EIO
        raise OSError(code, os.strerror(code))

    def _tear(self, segment: bytearray, data: bytes, *, holes: bool) -> None:
        """Add a part of a batch: its beginning; with `holes`, as after a power cut or failed flush, any sectors."""
        start = len(segment)
        if not holes:
            segment += data[: self._chance.randint(0, len(data))]
            return
        segment += data
        for sector in range(start // SECTOR_BYTES, len(segment) // SECTOR_BYTES + 1):
            if self._chance.getrandbits(1):
                begin, end = max(start, sector * SECTOR_BYTES), min(len(segment), (sector + 1) * SECTOR_BYTES)
                segment[begin:end] = bytes(end - begin)
