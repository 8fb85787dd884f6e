"""What a crash may have left at the end of a journal's last segment, and what it can't have left.

A batch reaches the disk by one write into zeros that were written ahead, and nothing is written after it before it is
flushed. So a crash leaves all complete batches whole, and of the last one any of this:

- it ends anywhere, the rest still zeros (the process was killed within the write, or the end never reached the disk);
- sectors of it are still zeros, later ones are there (pages reach the disk in any order).

That much belongs to a batch that was never acted upon, and is cut. Whatever else does not verify was changed after it
had been written: it is refused, never repaired.
"""

from __future__ import annotations

import re

from msgspec import Struct

from protocol.errors import JournalError
from protocol.record.journal import Chain, Record, complete_record_in, decode

SECTOR_BYTES = 512
"""The smallest unit that a disk writes whole: holes begin and end at its multiples."""

_HOLE = re.compile(rb"\0+")
_CONTROL = re.compile(rb"[\x01-\x09\x0b-\x1f]")


class Recovery(Struct, frozen=True):
    """What to keep of a segment.

    Attributes:
        keep: how many of its bytes; all after it belong to a batch that was never finished, or are zeros.
        records: the records in them.
        last_batch: where the last batch that is kept begins.
        cut_bytes: how many bytes of an unfinished batch stand after `keep`, 0 after a clean stop.
    """

    keep: int
    records: tuple[Record, ...]
    last_batch: int
    cut_bytes: int


def recover(data: bytes, first: int, link: str, side: str) -> Recovery:
    """Return what to keep of the last segment of the journal of `side` on `link`.

    Args:
        data: all bytes of the segment.
        first: the number of its first record, from its name.
        link: the link.
        side: the side.

    Raises JournalError, with the record's number, for everything that a crash can't have left.
    """
    chain = Chain(link, side)
    records: list[Record] = []
    pending: list[Record] = []
    last_batch = keep = position = 0
    while (end := data.find(b"\n", position)) >= 0:
        line = data[position:end]
        if b"\0" in line:
            break
        record = chain.take(line)
        if not keep and not pending and record.n != first:
            raise JournalError(record.n, f"it stands first in a segment whose name says {first}")
        pending.append(record)
        position = end + 1
        if chain.batch is None:
            records += pending
            pending.clear()
            last_batch, keep = keep, position
    written = len(data.rstrip(b"\0"))
    if not keep:
        # a segment gets its name after its first batch is on disk
        raise JournalError(first, "the segment has no complete batch, which a crash can't have left")
    if b"\0" in data[position:written]:
        _require_unfinished(data[:written], keep, position, chain)
    elif position < written:
        require_beginning(data[position:written], chain, link, side)
    return Recovery(keep, tuple(records), last_batch, written - keep)


def require_beginning(fragment: bytes, chain: Chain, link: str, side: str) -> None:
    """Raise JournalError unless a crash can have left `fragment`, without a newline, after the last whole line.

    It can, if it is the beginning of the next record of the batch that `chain` is in, or of the next batch.
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
        raise JournalError(place, "bytes that are no record stand after the last one")
    complete = complete_record_in(fragment)
    if complete and complete < len(fragment):
        raise JournalError(place, "the newline after it was changed")


def _require_unfinished(data: bytes, keep: int, position: int, chain: Chain) -> None:
    """Raise JournalError unless what stands from `position` on is the last batch with whole sectors missing.

    Args:
        data: the segment without the zeros at its end.
        keep: where the last complete batch ends.
        position: where the first line with a hole begins.
        chain: after the last line without one.
    """
    place = chain.n + 1
    start, last = position, chain.n
    for hole in _HOLE.finditer(data, position):
        # the sector in which the last complete batch ends keeps that batch when it misses the new one
        if (hole.start() % SECTOR_BYTES and hole.start() != keep) or hole.end() % SECTOR_BYTES:
            raise JournalError(place, "there is a hole of NUL bytes in it, which a crash can't have left")
        last = _require_lines(data[start : hole.start()], chain, place, last)
        start = hole.end()
    if len(data) % SECTOR_BYTES and not data.endswith(b"\n"):
        raise JournalError(place, "it ends within a sector of the disk, which a crash can't have left")
    _require_lines(data[start:], chain, place, last)


def _require_lines(piece: bytes, chain: Chain, place: int, last: int) -> int:
    """Raise JournalError unless the complete lines in `piece` are of the last batch; return the last one's number.

    Args:
        piece: bytes without holes.
        chain: after the last line before the first hole.
        place: the number of the first record with a hole.
        last: the last number found.
    """
    if _CONTROL.search(piece):
        raise JournalError(place, "bytes that no record holds stand near a hole")
    # the first line of a piece lost its beginning to the hole, the last one its end
    for line in piece.split(b"\n")[1:-1]:
        record = decode(line, place)
        if record.link != chain.link or record.side != chain.side or record.n <= last:
            raise JournalError(record.n, f"it stands after record {last}, behind a hole")
        if record.batch != (chain.batch or chain.n + 1):
            raise JournalError(place, f"there is a hole of NUL bytes in it, but batch {record.batch} follows")
        last = record.n
    return last
