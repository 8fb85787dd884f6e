"""Recovers the last segment of a journal after a crash: cuts an unfinished batch, refuses any other damage.

A batch is written by one write into space filled with zeros in advance, and is flushed before the next batch is
written. A crash therefore leaves every flushed batch intact, and of the last batch one of the following:

- a prefix, followed by zeros (the process was killed during the write, or the end never reached the disk);
- some sectors, with other sectors still zeros (pages reach the disk in any order).

Both belong to a batch whose effects were never performed, so it is cut. All other damage happened after the data was
written: it is refused, never repaired.
"""

from __future__ import annotations

import re

from msgspec import Struct

from protocol.errors import JournalError
from protocol.phrases import phrase
from protocol.record.journal import Chain, Record, complete_record_in, decode
from protocol.record.newer_version import raise_if_newer

SECTOR_BYTES = 512
"""The smallest unit that a disk writes atomically: holes begin and end at its multiples."""

_HOLE = re.compile(rb"\0+")
_CONTROL = re.compile(rb"[\x01-\x09\x0b-\x1f]")


class Recovery(Struct, frozen=True):
    """The part of a segment to keep.

    Attributes:
        keep: number of bytes to keep; the bytes after them belong to an unfinished batch or are zeros.
        records: the records in the kept bytes.
        last_batch: offset of the last batch that is kept.
        cut_bytes: number of bytes of an unfinished batch after `keep`; 0 after a clean stop.
    """

    keep: int
    records: tuple[Record, ...]
    last_batch: int
    cut_bytes: int


def recover(data: bytes, first: int, link: str, side: str) -> Recovery:
    """Return the part to keep of the last segment in the journal of `side` on `link`.

    Args:
        data: all bytes of the segment.
        first: the number of its first record, from the segment's file name.
        link: the link that every record must name.
        side: the side that every record must name.

    Raises JournalError, with the record's number, for damage that a crash cannot explain, and NewerVersionError.
    """
    chain = Chain(link, side)
    records: list[Record] = []
    pending: list[Record] = []
    last_batch = keep = position = 0
    while (end := data.find(b"\n", position)) >= 0:
        line = data[position:end]
        if b"\0" in line:
            break
        try:
            record = chain.take(line)
        except JournalError:
            raise_if_newer(line, chain.rules, chain.n + 1)
            raise
        if not keep and not pending and record.n != first:
            raise JournalError(record.n, phrase("it stands first in a segment whose name says {first}", first=first))
        pending.append(record)
        position = end + 1
        if chain.batch is None:
            records += pending
            pending.clear()
            last_batch, keep = keep, position
    written = len(data.rstrip(b"\0"))
    if not keep:
        # a segment is given its name only after its first batch is on disk
        raise JournalError(first, phrase("the segment has no complete batch, which a crash can't have left"))
    if b"\0" in data[position:written]:
        _require_unfinished(data[:written], keep, position, chain)
    elif position < written:
        require_beginning(data[position:written], chain, link, side)
    return Recovery(keep, tuple(records), last_batch, written - keep)


def require_beginning(fragment: bytes, chain: Chain, link: str, side: str) -> None:
    """Raise JournalError unless a crash can have left `fragment`, without a newline, after the last complete line.

    A crash can leave the beginning of the next record, either in the open batch of `chain` or opening a new batch.
    """
    place = chain.n + 1
    opening = b'{"n":%d,"link":"%b","side":"%b","batch":%d,"at":"' % (
        place,
        link.encode(),
        side.encode(),
        chain.batch or place,
    )
    length = min(len(opening), len(fragment))
    if fragment[:length] != opening[:length] or _CONTROL.search(fragment):
        raise JournalError(place, phrase("the bytes after the last record are not the beginning of a record"))
    complete = complete_record_in(fragment)
    if complete and complete < len(fragment):
        raise JournalError(place, phrase("the byte after it is not a newline"))


def _require_unfinished(data: bytes, keep: int, position: int, chain: Chain) -> None:
    """Raise JournalError unless the bytes from `position` on are the last batch with whole sectors missing.

    Args:
        data: the segment without the zeros at its end.
        keep: offset of the end of the last complete batch.
        position: offset of the first line that contains a hole.
        chain: the hash chain up to the line before it.
    """
    place = chain.n + 1
    start, last = position, chain.n
    for hole in _HOLE.finditer(data, position):
        # a hole may begin within the sector in which the last complete batch ends: only the new batch is missing there
        if (hole.start() % SECTOR_BYTES and hole.start() != keep) or hole.end() % SECTOR_BYTES:
            raise JournalError(place, phrase("there is a hole of NUL bytes in it, which a crash can't have left"))
        last = _require_lines(data[start : hole.start()], chain, place, last)
        start = hole.end()
    if len(data) % SECTOR_BYTES and not data.endswith(b"\n"):
        raise JournalError(place, phrase("it ends within a sector of the disk, which a crash can't have left"))
    _require_lines(data[start:], chain, place, last)


def _require_lines(piece: bytes, chain: Chain, place: int, last: int) -> int:
    """Return the number of the last complete line in `piece`; raise JournalError unless all are of the last batch.

    Args:
        piece: bytes without holes.
        chain: the hash chain up to the last line before the first hole.
        place: the number of the first record that contains a hole.
        last: the number of the last complete line before `piece`.
    """
    if _CONTROL.search(piece):
        raise JournalError(place, phrase("bytes that cannot occur in a record stand next to a hole"))
    # the first line of a piece lost its beginning in a hole, the last one its end
    for line in piece.split(b"\n")[1:-1]:
        record = decode(line, place)
        if record.link != chain.link or record.side != chain.side or record.n <= last:
            raise JournalError(record.n, phrase("it stands after record {last}, behind a hole", last=last))
        if record.batch != (chain.batch or chain.n + 1):
            raise JournalError(
                place, phrase("there is a hole of NUL bytes in it, but batch {batch} follows", batch=record.batch)
            )
        last = record.n
    return last
