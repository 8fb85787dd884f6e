"""Reads the last segment of a journal: it leads to the present state, because each segment begins with a checkpoint."""

from __future__ import annotations

from pathlib import Path

from endpoints.errors import UserError
from endpoints.journal.archived_segment import open_segment
from endpoints.journal.segments import is_archived, segment_first, segments
from endpoints.keys.private_files import read_bytes
from protocol.errors import JournalError, NewerVersionError
from protocol.phrases import phrase
from protocol.record.journal import Record
from protocol.record.recovery import recover

_SEGMENT_MAX_BYTES = 1 << 30
"""Far more than a segment holds: another file is not read into memory."""


def last_segment(folder: Path, link: str, side: str) -> tuple[Record, ...]:
    """Return the records of the last segment in a journal's folder; none without one. Raises UserError."""
    paths = segments(folder) if folder.is_dir() else []
    return read_segment(paths[-1], link, side) if paths else ()


def read_segment(path: Path, link: str, side: str) -> tuple[Record, ...]:
    """Return the records of a segment, without a batch that was not finished. Raises UserError."""
    first = segment_first(path)
    assert first is not None, "only segments are listed"
    if is_archived(path):
        with open_segment(path) as file:
            data = file.read()
    else:
        data = read_bytes(path, what=phrase("segment of a journal"), max_bytes=_SEGMENT_MAX_BYTES)
    try:
        return tuple(recover(data.rstrip(b"\0"), first, link, side).records)
    except (JournalError, NewerVersionError) as error:
        raise UserError(phrase("{path}: {reason}", path=path, reason=error)) from None
