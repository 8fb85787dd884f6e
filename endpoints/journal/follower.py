"""Follows a journal that a service on this machine writes: yields its records, then each new one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from endpoints.errors import UserError, os_reason
from endpoints.journal.inotify import FolderWatch
from endpoints.journal.segments import segment_first, segments
from endpoints.journal.writer import DamagedJournal
from protocol.errors import JournalError
from protocol.phrases import phrase
from protocol.record.journal import Chain, Record


def follow(folder: Path) -> Iterator[Record | None]:
    """Yield each record of the journal in `folder` once its batch is complete, and None whenever it waits for more.

    Never ends. Raises UserError if the folder can't be read, DamagedJournal at the first damage.
    """
    try:
        with FolderWatch(folder) as watch:
            reader = _Reader(folder)
            while True:
                yield from reader.new_records()
                yield None
                watch.wait()
    except OSError as error:
        raise UserError(
            phrase("{file}: can't be followed: {reason}", file=error.filename or folder, reason=os_reason(error))
        ) from None


class _Reader:
    """Reads a journal from where it stopped before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chain = Chain()
        self._batch: list[Record] = []
        self._segment: Path | None = None
        self._offset = 0

    def new_records(self) -> Iterator[Record]:
        """Yield the records of the batches that were completed since the last call."""
        while True:
            if self._segment is not None:
                yield from self._rest(self._segment)
            following = self._next()
            if following is None:
                return
            self._segment, self._offset = following, 0

    def _rest(self, path: Path) -> Iterator[Record]:
        with path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                # an unfinished line, or the zeros written ahead
                if b"\0" in line or not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                try:
                    record = self._chain.take(line[:-1])
                except JournalError as error:
                    raise DamagedJournal(phrase("{path}: {error}", path=path, error=error)) from error
                self._batch.append(record)
                if record.ends_batch:
                    yield from self._batch
                    self._batch.clear()

    def _next(self) -> Path | None:
        """Return the segment after the current one, None if there is none yet."""
        current = -1 if self._segment is None else segment_first(self._segment) or 0
        return next((path for path in segments(self._folder) if (segment_first(path) or 0) > current), None)
