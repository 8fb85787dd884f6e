"""Reads a journal that a service writes, from where it stopped before, in whole batches."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import BinaryIO, Final

from endpoints.errors import UserError
from endpoints.journal.archived_segment import open_segment
from endpoints.journal.segments import segment_first, segments
from endpoints.journal.writer import DamagedJournal
from protocol.errors import JournalError, NewerVersionError
from protocol.phrases import phrase
from protocol.record.journal import Chain, Record
from protocol.record.newer_version import raise_if_newer

LINE_MAX_BYTES: Final = 1 << 27
"""A longer line is no record."""
_END_BYTES: Final = 80
"""Enough of the end of a line to contain its hash."""


class ReplacedJournal(UserError):  # noqa: N818 - named for what happened
    """Another journal lies where the one that was read before was: it was restored, or moved."""


class BatchReader:
    """Reads the batches of one journal in order, each once it is complete; a batch that was not finished never counts.

    Attributes:
        folder: of the journal.
        read_bytes: how much of it was read so far.
    """

    def __init__(self, folder: Path, begin: Path | None = None) -> None:
        """Begin at the segment `begin`, by default at the first one."""
        self.folder = folder
        self.read_bytes = 0
        self._begin = begin
        self._segment: Path | None = None
        # of the segment's file: a restored journal has other files
        self._identity: tuple[int, int] | None = None
        # as of the last whole batch; a crash may cut what follows it
        self._offset = 0
        self._chain = Chain()

    def batches(self) -> Iterator[list[Record]]:
        """Yield each batch that was completed since the last call.

        Raises OSError, DamagedJournal at the first damage, ReplacedJournal if this is another journal by now; then the
        next call begins after the last batch that was yielded.
        """
        while True:
            if self._segment is not None:
                yield from self._rest(self._segment)
            following = self._next()
            if following is None:
                return
            if self._segment is not None:
                # the service may have written to it before it began the next one
                yield from self._rest(self._segment)
            self._segment, self._identity, self._offset = following, None, 0

    def _rest(self, path: Path) -> Iterator[list[Record]]:
        try:
            file = open_segment(path)
        except FileNotFoundError:
            following = self._next()
            if following is not None and segment_first(following) == self._chain.n + 1:
                # archived elsewhere, after all of it was read
                return
            if segments(self.folder):
                raise _replaced(self.folder) from None
            raise
        with file:
            self._require_same(file)
            chain, batch, length = copy(self._chain), [], 0
            while line := file.readline(LINE_MAX_BYTES):
                # an unfinished line, or the zeros written ahead
                if b"\0" in line or not line.endswith(b"\n"):
                    return
                try:
                    record = chain.take(line[:-1])
                except JournalError as error:
                    require_known(path, line, chain)
                    raise DamagedJournal(phrase("{path}: {error}", path=path, error=error)) from error
                batch.append(record)
                length += len(line)
                if record.ends_batch:
                    self._chain = copy(chain)
                    self._offset += length
                    self.read_bytes += length
                    yield batch
                    batch, length = [], 0

    def _require_same(self, file: BinaryIO) -> None:
        """Go to the place where reading stopped. Raises ReplacedJournal if the file does not contain what was read."""
        if (identity := _identity(file)) is not None:
            if self._identity not in {None, identity}:
                raise _replaced(self.folder)
            self._identity = identity
        if self._offset:
            file.seek(max(0, self._offset - _END_BYTES))
            if self._chain.hash.encode() not in file.read(_END_BYTES):
                raise _replaced(self.folder)
        file.seek(self._offset)

    def _next(self) -> Path | None:
        """Return the segment after the current one, None if there is none yet."""
        if self._segment is None and self._begin is not None:
            return self._begin
        current = -1 if self._segment is None else segment_first(self._segment) or 0
        return next((path for path in segments(self.folder) if (segment_first(path) or 0) > current), None)


def require_known(path: Path, line: bytes, chain: Chain) -> None:
    """Raise UserError if a line of `path` that is not a record is one of a newer version."""
    try:
        raise_if_newer(line[:-1], chain.rules, chain.n + 1)
    except NewerVersionError as error:
        raise UserError(phrase("{path}: {error}", path=path, error=error)) from None


def _identity(file: BinaryIO) -> tuple[int, int] | None:
    """Return which file is read; None for what an archive contained: its hash says whether it is the same."""
    if not isinstance(file, io.BufferedReader):
        return None
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino


def _replaced(folder: Path) -> ReplacedJournal:
    return ReplacedJournal(phrase("{folder}: another journal lies here now: it was restored or moved", folder=folder))
