"""Reads the records of golden cases: journals, and collected standard output."""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

from protocol.errors import JournalError
from protocol.record.journal import Record, decode


def records_of(archive: Path) -> Iterator[tuple[bytes, Record]]:
    """Yield each record in the files of a golden case, as a line and decoded, without torn and other lines."""
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is None:
                continue
            for line in file.read().rstrip(b"\0").split(b"\n"):
                with contextlib.suppress(JournalError):
                    yield line, decode(line)
