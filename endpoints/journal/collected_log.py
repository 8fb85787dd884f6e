"""Reads a collected log: from standard input, a file, or the files of a folder.

Records are yielded in the order of the journal, each once. One that comes ahead of its place is held back until the
end of the log, since files may be read in any order; so is everything in a log that does not begin with record 1.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from endpoints.errors import UserError
from endpoints.journal.held_back import HeldBack
from endpoints.journal.log_formats import entries
from endpoints.journal.log_joiner import Joiner
from protocol.phrases import phrase
from protocol.record.collected import CollectedVerification
from protocol.record.journal import Record, decode

LINE_MAX_BYTES: Final = 1 << 27
"""A checkpoint of a full outbox takes two thirds of this. Input without a newline for longer is not a log."""
_BEGINNING_BYTES: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_NUMBER: Final = re.compile(rb'\{\\*"n\\*":(\d{1,16}),\\*"link\\*":')


def read_collected(
    name: str, streams: Iterable[BinaryIO], verification: CollectedVerification, check: Callable[[], None]
) -> Iterator[Record]:
    """Yield the records of a log.

    Args:
        name: for error texts.
        streams: its parts.
        verification: it takes what was found.
        check: called after each line, to stop the reading.

    Raises UserError for a line that is too long, OSError.
    """
    joiner = Joiner(verification.take_damaged)
    with HeldBack() as held:
        for line in _lines(name, streams):
            joiner.effort.earn(len(line))
            for entry in entries(line):
                if entry.left_out:
                    verification.left_out()
                    continue
                for whole in joiner.take(entry):
                    yield from _taken(whole, verification, held)
            check()
        joiner.finish()
        for whole in held.rest():
            yield _adopted(whole, verification)
    verification.finish()


def _taken(line: bytes, verification: CollectedVerification, held: HeldBack) -> Iterator[Record]:
    """Yield a record if it is the next one, and those held back that follow it; else hold it back."""
    record = verification.take(line)
    if record is None:
        return
    if not verification.is_next(record):
        held.put(record.n, line)
        return
    verification.adopt(record)
    yield record
    while (following := held.pop(verification.n + 1)) is not None:
        yield _adopted(following, verification)


def _adopted(line: bytes, verification: CollectedVerification) -> Record:
    record = decode(line)
    verification.adopt(record)
    return record


def _lines(name: str, streams: Iterable[BinaryIO]) -> Iterator[bytes]:
    for stream in streams:
        while line := stream.readline(LINE_MAX_BYTES):
            if len(line) == LINE_MAX_BYTES:
                raise UserError(
                    phrase(
                        "{name}: a line is longer than {limit} bytes; give a log, one record a line",
                        name=name,
                        limit=LINE_MAX_BYTES,
                    )
                )
            yield line


@contextmanager
def opened(file: Path, descriptor: int) -> Iterator[BinaryIO]:
    """Open a file of a log for reading, unpacked if it is compressed, and close it. Raises OSError, UserError."""
    with open(descriptor, "rb") as stream:
        if not stream.peek(len(_GZIP)).startswith(_GZIP):
            yield stream
            return
        try:
            with gzip.open(stream) as unpacked:
                yield cast(BinaryIO, unpacked)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(
                phrase(
                    "{file}: can't be unpacked: {error}; give what can be as a file of its own", file=file, error=error
                )
            ) from None


def in_order(files: Iterable[Path]) -> list[Path]:
    """Return the files of a log by the first record in each, so that lines split between two of them are joined.

    Raises OSError.
    """
    return sorted(files, key=lambda file: (_first_number(file), file.name))


def _first_number(file: Path) -> int:
    with opened(file, os.open(file, os.O_RDONLY | os.O_CLOEXEC)) as stream:
        found = _NUMBER.search(stream.read(_BEGINNING_BYTES))
    return int(found[1]) if found else 0
