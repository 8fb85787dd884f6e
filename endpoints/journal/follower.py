"""Follows a journal that a service on this machine writes: yields its records, then each new one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from endpoints.errors import UserError, os_reason
from endpoints.journal.batch_reader import BatchReader
from endpoints.journal.inotify import FolderWatch
from protocol.phrases import phrase
from protocol.record.journal import Record


def follow(folder: Path) -> Iterator[Record | None]:
    """Yield each record of the journal in `folder` once its batch is complete, and None whenever it waits for more.

    Never ends. Raises UserError if the folder can't be read, DamagedJournal at the first damage, ReplacedJournal if
    the journal was restored or moved.
    """
    try:
        with FolderWatch(folder) as watch:
            reader = BatchReader(folder)
            while True:
                for batch in reader.batches():
                    yield from batch
                yield None
                watch.wait()
    except OSError as error:
        raise UserError(
            phrase("{file}: can't be followed: {reason}", file=error.filename or folder, reason=os_reason(error))
        ) from None
