"""Stores the segments of one journal: the interface that the writer uses, and the store on a file system.

The store knows bytes and files, and no records. The simulation has a store of its own (`scenario/simulation/disk.py`);
both pass the same tests (`tests/endpoints/journal/test_segment_store.py`).
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from broker.atomic_files import flush_folder
from endpoints.errors import UserError
from endpoints.failpoints import failpoint
from endpoints.journal.segments import is_archived, lock, segment_first, segment_path, segments
from endpoints.keys.private_files import FILE_MODE, FOLDER_MODE, make_folders
from protocol.phrases import phrase

AHEAD_MIN_BYTES: Final = 1 << 16
AHEAD_MAX_BYTES: Final = 1 << 20
"""How many zeros are written at a time after the last batch: as many as the segment has bytes, within these limits."""
_NEW = ".new"


class LastSegment(Struct, frozen=True):
    """What `SegmentStore.open` found.

    Attributes:
        name: the segment's name in error texts.
        first: the number of its first record.
        data: its bytes up to the last one that is not NUL.
    """

    name: str
    first: int
    data: bytes


class SegmentStore(Protocol):
    """The segments of one journal. One process at a time has it open and adds to the last segment.

    Every method but `close` raises OSError if the storage fails. What is on disk is then known only after `close` and
    `open`: the kernel may have dropped pages that it could not write.
    """

    @property
    def name(self) -> str:
        """Where the journal lies, for error texts."""

    def open(self, *, create: bool) -> LastSegment | None:
        """Take the store for this process and return the last segment, None if there is none.

        Nothing is written to a segment. Raises UserError if another process has the store open, or if the last segment
        can't be continued.

        Args:
            create: make the place where the journal lies if it is missing; else that is an OSError.
        """

    def resume(self, end: int, last_batch: bytes) -> None:
        """Continue the last segment after byte `end`: cut the rest, and flush `last_batch`, the bytes before `end`.

        They are written again first: an earlier run may have written them without a flush, or its flush has failed.
        """

    def append(self, data: bytes) -> None:
        """Write `data` at the end of the last segment and flush it. After a crash a part of it may be there."""

    def start_segment(self, first: int, data: bytes) -> None:
        """Make the next segment, which begins with record `first` and the bytes `data`, and flush it.

        After a crash it is there with all of `data`, or not at all.
        """

    def free_bytes(self) -> int:
        """Return how many bytes this user may still write."""

    def close(self) -> None:
        """Let another process open the store. Nothing may be written until `open` is called again. Never raises."""


_RESERVED = 2


class FolderStore:
    """The segments as files in a folder, locked while they are open.

    Zeros are written ahead of the batches, so that a flush does not change the file's size. A new segment gets its name
    only after its first batch is on disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = -1
        self._file = -1
        # held for the next segment: descriptors may have run out when it is due
        self._reserve: list[int] = []
        # up to here the file holds batches, and from there on zeros up to `_zeros_end`
        self._end = 0
        self._zeros_end = 0

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    def open(self, *, create: bool) -> LastSegment | None:
        """Lock the folder, remove an unfinished segment, and read the last one."""
        if create:
            # Do not ask exists() first: from Python 3.14 on, it returns False after any error.
            for made in make_folders(self._folder, FOLDER_MODE):
                flush_folder(made.parent)
        self._lock = lock(self._folder)
        # Do not use glob(): from Python 3.12 on, it finds nothing in a folder that it can't read, and raises nothing.
        for unfinished in list(self._folder.iterdir()):
            if unfinished.suffix == _NEW:
                unfinished.unlink()
        existing = segments(self._folder)
        if not existing:
            return None
        path = existing[-1]
        first = segment_first(path)
        assert first is not None, "only segments are listed"
        if is_archived(path):
            raise UserError(
                phrase(
                    "{path}: the last segment of this journal is archived, and what followed it is missing; put the "
                    "journal in its place with deconflict log restore",
                    path=path,
                )
            )
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        data = _read(self._file).rstrip(b"\0")
        self._end = len(data)
        return LastSegment(str(path), first, data)

    def resume(self, end: int, last_batch: bytes) -> None:
        """Truncate the file if it holds more than zeros after `end`; flush the last batch, and the folder."""
        self._hold()
        if end < self._end:
            os.ftruncate(self._file, end)
        size = os.fstat(self._file).st_size
        _write_at(self._file, last_batch, end - len(last_batch))
        os.fdatasync(self._file)
        flush_folder(self._folder)
        self._end = end
        # on a full disk, a link would start on the last zeros of an earlier run, and stop again at its next record
        self._zeros_end = size if size - end >= _ahead(end) // 2 else end

    def append(self, data: bytes) -> None:
        """Write `data` over the zeros, after writing more of them if they run out."""
        end = self._end + len(data)
        if end >= self._zeros_end:
            # before the batch: a full disk must take nothing of it
            zeros_end = end + _ahead(end)
            _write_at(self._file, bytes(zeros_end - self._zeros_end), self._zeros_end)
            self._zeros_end = zeros_end
        _write_at(self._file, data, self._end)
        failpoint("before_flush")
        os.fdatasync(self._file)
        self._end = end

    def start_segment(self, first: int, data: bytes) -> None:
        """Write the file under another name, flush it, rename it; then cut the zeros of the segment before."""
        if self._lock < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        path = segment_path(self._folder, first)
        new = path.with_suffix(_NEW)
        self._release()
        file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            _write_at(file, data + bytes(_ahead(len(data))), 0)
            os.fsync(file)
            failpoint("before_named")
            new.rename(path)
            failpoint("after_named")
            flush_folder(self._folder)
            if self._file >= 0:
                os.ftruncate(self._file, self._end)
        except OSError:
            _close(file)
            raise
        _close(self._file)
        self._file, self._end, self._zeros_end = file, len(data), len(data) + _ahead(len(data))
        self._hold()

    def free_bytes(self) -> int:
        """Return the free space of the folder's file system."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def close(self) -> None:
        """Close the file and the lock, so that the disk can be unmounted."""
        _close(self._file)
        _close(self._lock)
        self._file = self._lock = -1
        self._release()

    def _hold(self) -> None:
        """Hold the descriptors that the next segment needs, its file's and the folder's, as far as there are any."""
        with suppress(OSError):
            while len(self._reserve) < _RESERVED:
                self._reserve.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def _release(self) -> None:
        while self._reserve:
            _close(self._reserve.pop())


def _ahead(end: int) -> int:
    """Return how many zeros follow `end` bytes of batches."""
    return min(max(end, AHEAD_MIN_BYTES), AHEAD_MAX_BYTES)


def _close(descriptor: int) -> None:
    """Close `descriptor` if there is one. An error means nothing: what has to be on disk is flushed."""
    if descriptor >= 0:
        with suppress(OSError):
            os.close(descriptor)


def _read(file: int) -> bytes:
    """Return all bytes of a file."""
    with os.fdopen(os.dup(file), "rb") as stream:
        stream.seek(0)
        return stream.read()


def _write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of `data`. Raises OSError also if the disk takes only a part of it."""
    view = memoryview(data)
    while view:
        taken = os.pwrite(file, view, offset)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[taken:]
        offset += taken
