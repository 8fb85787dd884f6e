"""The journal on disk: segments, one write and one flush for each batch, nothing ever repaired.

A segment's zeros are written about a megabyte ahead, so that a flush need not touch the file's size. A new segment
gets its name only after its first batch is on disk. After any error of writing or flushing nobody goes on with the
file: the kernel may have dropped the pages. It is opened anew, and read from the disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET, Raw

from endpoints.errors import EXIT_USAGE, UserError
from endpoints.failpoints import failpoint
from endpoints.journal.segments import lock, segment_first, segment_path, segments
from endpoints.keys.private_files import FILE_MODE, FOLDER_MODE
from protocol.core.effects import AnyEffect
from protocol.core.events import BatchClosed, SpaceLow, SpaceOk
from protocol.errors import JournalError, LinkError
from protocol.record.journal import HEAD_TYPE, ORIGIN, Checkpoint, Closed, Entry, Record, encode, head_payload
from protocol.record.recovery import recover
from protocol.wire.instants import Millis

AHEAD_BYTES: Final = 1 << 20
"""How many zeros are written at a time beyond the last batch."""
ENOUGH_AHEAD_BYTES: Final = AHEAD_BYTES // 2
"""Zeros that an earlier life has left count if there are as many: else a link on a full disk would start with the last
of them, to stop again at its next word."""
SEGMENT_BYTES: Final = 8 << 20
"""A segment is followed by the next when its records, beside the checkpoint, take this much: some 10,000 records, which
start-up reads within a second."""
SPACE_LOW_BYTES: Final = 64 << 20
"""Below this, new alerts are refused: the rest is the reserve of receipts, acknowledgements and alarms, some 60,000
records, the next segment's zeros among them."""
SPACE_OK_BYTES: Final = 96 << 20
"""Above this there is room again; the distance keeps the alarm from flickering."""
EXIT_DAMAGED: Final = 4

Sign = Callable[[str, bytes], bytes]
"""Seals a payload of a payload type into a frame: `Signer.seal`."""
_NEW = ".new"


class JournalFailure(LinkError):  # noqa: N818 - the word that operators know it by: the alarm is journal_failure
    """A record could not be made durable. The link must stop at once; its journal takes nothing any more."""


class UnusableJournal(UserError):  # noqa: N818 - as UserError's other kinds: named for what is wrong
    """A journal can't be used: its link does not run, others may.

    Attributes:
        heals: it may be usable later without anybody having touched it: a disk that is full, gone, or only to be read.
    """

    def __init__(self, message: str, *, heals: bool, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message, exit_code=exit_code)
        self.heals = heals


class DamagedJournal(UnusableJournal):
    """A journal does not verify where no crash explains it: it is refused, never repaired."""

    def __init__(self, message: str) -> None:
        super().__init__(message, heals=False, exit_code=EXIT_DAMAGED)


class JournalWriter:
    """One side's journal of one link, held by this process alone.

    Attributes:
        folder: where it lies.
        link, side: whose it is.
        recovered: at `open`, the records since the last checkpoint; the service folds them, then lets go of them.
        cut_bytes: at `open`, how much of an unfinished batch was cut.
    """

    def __init__(self, folder: Path, link: str, side: str, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.recovered: tuple[Record, ...] = ()
        self.cut_bytes = 0
        self.link = link
        self.side = side
        self._segment_bytes = segment_bytes
        self._lock = -1
        self._file = -1
        # the segment's first number, and where the next batch goes: one value, for readers in other threads
        self._flushed = (0, 0)
        self._opening = 0  # bytes of the segment's checkpoint
        self._zeros = 0  # up to here zeros are written
        self._n = 0
        self._hash = ORIGIN
        self._known = (0, ORIGIN)  # the last record that was on disk in an earlier life
        self._failed = ""

    @classmethod
    def open(cls, folder: Path, link: str, side: str, *, segment_bytes: int = SEGMENT_BYTES) -> JournalWriter:
        """Lock and verify the journal in `folder`, and cut what a crash left of an unfinished batch.

        Raises UserError if another service has it; UnusableJournal if it can't be read or made; DamagedJournal, naming
        file and record, if it does not verify.
        """
        journal = cls(folder, link, side, segment_bytes)
        journal._open(create=True)
        return journal

    def reopen(self) -> JournalWriter:
        """Let go of this journal, failed or never opened, and open it anew, from what its disk holds and nothing else.

        Raises as `open` does; UnusableJournal also if the last record that was on disk is not there: a disk that is not
        mounted, or an older copy. Nothing is touched then.
        """
        anew = JournalWriter(self.folder, self.link, self.side, self._segment_bytes)
        anew._known = (self._n, self._hash)
        # after the first attempt, what was there and is gone is not begun anew
        create = not (self._n or self._failed)
        self._release()
        anew._open(create=create)
        return anew

    # --- writing --------------------------------------------------------------------------------------------------

    def append(self, batch: Sequence[tuple[Entry, tuple[AnyEffect, ...]]]) -> int:
        """Make a batch durable: one write, one flush. Return the number of its first record.

        The batch ends with its only `BatchClosed`. Raises JournalFailure; then nothing of it may be acted upon.
        """
        first = self._n + 1
        if [place for place, (entry, _) in enumerate(batch, 1) if isinstance(entry, BatchClosed)] != [len(batch)]:
            raise ValueError("a batch ends with its only BatchClosed")
        data, digest = self._encode(batch)
        if self._file < 0:
            self._open_segment(data)
        else:
            self._write(data)
        self._n += len(batch)
        self._hash = digest
        return first

    def rotate(self, state: Raw, rules: str, core: str, at: Millis, mono: Millis, sign: Sign | None) -> None:
        """Open the next segment with a checkpoint of `state`. Raises JournalFailure.

        Args:
            state: the core's state after the last record.
            rules: the version of the rules that produced it.
            core: the core's name.
            at: now.
            mono: now, by the clock that never steps.
            sign: signs the head; None for the watch, which has no key.
        """
        entry = Checkpoint(at=at, mono=mono, rules=rules, core=core, state=state, signed_head=self._signed_head(sign))
        data, digest = self._encode([(entry, ())])
        old, old_end = self._file, self._flushed[1]
        self._open_segment(data)
        self._n += 1
        self._hash = digest
        try:
            try:
                # the old segment's zeros are of no use any more
                os.ftruncate(old, old_end)
            finally:
                os.close(old)
        except OSError as error:
            raise self._fail(error) from error

    def close(self, at: Millis, mono: Millis, sign: Sign | None) -> None:
        """Record a clean stop with a signed head, and let go of the journal. Raises JournalFailure.

        After a failure, or before the first record, nothing is written.
        """
        try:
            if self._n and not self._failed and self._file >= 0:
                data, self._hash = self._encode([(Closed(at=at, mono=mono, signed_head=self._signed_head(sign)), ())])
                self._write(data)
                self._n += 1
        finally:
            self._release()

    def let_go(self) -> None:
        """Let go of the journal without a word in it: nobody goes on with it."""
        self._release()

    # --- asking ---------------------------------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """The last record's number, 0 for an empty journal."""
        return self._n

    @property
    def head(self) -> str:
        """The last record's hash."""
        return self._hash

    @property
    def flushed(self) -> tuple[int, int]:
        """The last segment's first number, and up to which byte it is on disk; (0, 0) before the first record.

        May be read from any thread.
        """
        return self._flushed

    @property
    def ended(self) -> bool:
        """It failed, or was let go of: nothing is added any more. May be read from any thread."""
        return bool(self._failed)

    @property
    def rotate_due(self) -> bool:
        """The segment is long enough: call `rotate` between two batches."""
        return self._flushed[1] - self._opening >= self._segment_bytes

    def free_bytes(self) -> int:
        """Return how much room the journal's disk has for this user. Raises JournalFailure if the disk can't say."""
        try:
            disk = os.statvfs(self.folder)
        except OSError as error:
            raise self._fail(error) from error
        return disk.f_bavail * disk.f_frsize

    # --- within ---------------------------------------------------------------------------------------------------

    def _open(self, *, create: bool) -> None:
        """Lock and recover. Raises as `open` does."""
        folder = self.folder
        try:
            if create:
                # Do not ask exists() first: from Python 3.14 on, it returns False after any error.
                with suppress(FileExistsError):
                    folder.mkdir(FOLDER_MODE, parents=True)
                    _flush_folder(folder.parent)
            self._lock = lock(folder)
            self._recover()
        except OSError as error:
            self._release()
            what = f"{error.filename or folder}: the journal can't be opened: {error.strerror}"
            raise UnusableJournal(what, heals=True) from None
        except UserError:
            self._release()
            raise

    def _recover(self) -> None:
        """Verify the last segment and cut an unfinished batch. Raises UnusableJournal, OSError."""
        # Do not use glob(): from Python 3.12 on, it finds nothing in a folder that it can't read, and raises nothing.
        for left in list(self.folder.iterdir()):
            if left.suffix == _NEW:
                left.unlink()
        existing = segments(self.folder)
        if not existing:
            self._recognise(())
            return
        path = existing[-1]
        first = segment_first(path)
        assert first is not None
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        size = os.fstat(self._file).st_size
        data = _read(self._file, size)
        try:
            found = recover(data, first, self.link, self.side)
        except JournalError as error:
            raise DamagedJournal(f"{path}: {error}") from error
        self._recognise(found.records)
        last = found.records[-1]
        if found.cut_bytes:
            os.ftruncate(self._file, found.keep)
        # The last batch may have been written and not flushed, or its flush may have failed and left clean pages that
        # the disk does not hold: it is acted upon only after it has been written and flushed once more.
        _write_at(self._file, data[found.last_batch : found.keep], found.last_batch)
        os.fdatasync(self._file)
        _flush_folder(self.folder)
        self.recovered, self.cut_bytes = found.records, found.cut_bytes
        self._flushed, self._n, self._hash = (first, found.keep), last.n, last.hash
        self._opening = data.find(b"\n") + 1 if isinstance(found.records[0].entry, Checkpoint) else 0
        ahead = 0 if found.cut_bytes else size - found.keep
        self._zeros = size if ahead >= ENOUGH_AHEAD_BYTES else found.keep

    def _recognise(self, records: Sequence[Record]) -> None:
        """Raise UnusableJournal if the last record that is known to have been on disk is not among `records`."""
        n, digest = self._known
        ends = {record.n: record.hash for record in records} | {record.n - 1: record.prev for record in records}
        if n and ends.get(n) != digest:
            what = f"{self.folder}: record {n}, which was on disk, is not there: is its disk mounted?"
            raise UnusableJournal(what, heals=True)

    def _encode(self, batch: Sequence[tuple[Entry, tuple[AnyEffect, ...]]]) -> tuple[bytes, str]:
        """Return the bytes of a batch and its last hash. Raises JournalFailure."""
        if self._failed:
            raise JournalFailure(self._failed)
        lines: list[bytes] = []
        digest = self._hash
        first = self._n + 1
        try:
            for n, (entry, effects) in enumerate(batch, first):
                line, digest = encode(n, self.link, self.side, first, entry, effects, digest)
                lines.append(line)
        except JournalError as error:
            raise self._fail(error) from error
        lines.append(b"")
        return b"\n".join(lines), digest

    def _write(self, data: bytes) -> None:
        """Write at the end, more zeros first if they run out, and flush. Raises JournalFailure."""
        first, start = self._flushed
        end = start + len(data)
        try:
            if end >= self._zeros:
                # before the batch: a full disk is to take nothing of it
                _write_at(self._file, bytes(end + AHEAD_BYTES - self._zeros), self._zeros)
                self._zeros = end + AHEAD_BYTES
            _write_at(self._file, data, start)
            failpoint("before_flush")
            os.fdatasync(self._file)
        except OSError as error:
            raise self._fail(error) from error
        self._flushed = (first, end)

    def _open_segment(self, data: bytes) -> None:
        """Make the next segment, which begins with the batch `data`. Raises JournalFailure."""
        first = self._n + 1
        path = segment_path(self.folder, first)
        new = path.with_suffix(_NEW)
        file = -1
        try:
            file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            _write_at(file, data + bytes(AHEAD_BYTES), 0)
            os.fsync(file)
            failpoint("before_named")
            new.rename(path)
            failpoint("after_named")
            _flush_folder(self.folder)
        except OSError as error:
            if file >= 0:
                with suppress(OSError):
                    os.close(file)
            raise self._fail(error) from error
        self._file = file
        self._opening = len(data) if first > 1 else 0
        self._flushed = (first, len(data))
        self._zeros = len(data) + AHEAD_BYTES

    def _signed_head(self, sign: Sign | None) -> Any:
        """Return the signed head over the last record, UNSET without a key."""
        if sign is None:
            return UNSET
        return sign(HEAD_TYPE, head_payload(self.link, self.side, self._n, self._hash)).decode()

    def _fail(self, error: OSError | JournalError) -> JournalFailure:
        """Return the failure to raise. From now on nothing is written any more, and the disk may be taken away."""
        what = error.strerror if isinstance(error, OSError) else str(error)
        self._failed = f"{self.folder}: the journal can't be written: {what}"
        self._release()
        return JournalFailure(self._failed)

    def _release(self) -> None:
        """Close the file and the lock; what had to be on disk is flushed, so an error of closing says nothing more."""
        held = (self._file, self._lock)
        self._file = self._lock = -1
        for descriptor in held:
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)
        self._failed = self._failed or f"{self.folder}: the journal is closed"


class SpaceWatch:
    """Says when the room on a journal's disk has become low, and when there is enough again.

    `low` is what the core believes at start-up.
    """

    def __init__(self, *, low: bool = False, low_bytes: int = SPACE_LOW_BYTES, ok_bytes: int = SPACE_OK_BYTES) -> None:
        self._low = low
        self._low_bytes = low_bytes
        self._ok_bytes = ok_bytes

    def judge(self, free_bytes: int, at: Millis, mono: Millis) -> SpaceLow | SpaceOk | None:
        """Return the event that `free_bytes` of room is, if it changes anything."""
        if not self._low and free_bytes < self._low_bytes:
            self._low = True
            return SpaceLow(at=at, mono=mono, free_bytes=free_bytes)
        if self._low and free_bytes >= self._ok_bytes:
            self._low = False
            return SpaceOk(at=at, mono=mono, free_bytes=free_bytes)
        return None


def _read(file: int, size: int) -> bytes:
    """Return the first `size` bytes of a file, fewer if it is shorter."""
    with os.fdopen(os.dup(file), "rb") as stream:
        stream.seek(0)
        return stream.read(size)


def _write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of `data`. Raises OSError, for a disk that takes only a part of it as well."""
    view = memoryview(data)
    while view:
        taken = os.pwrite(file, view, offset)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[taken:]
        offset += taken


def _flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
