"""Reads a journal that a command was given: a folder, one file, or `-` for a collected log on standard input.

Everything is read once, as a stream. A folder or a file holds nothing but records. A file may be one segment of several
and then begins with a checkpoint. A collected log may hold other lines between the records: see `record_in`.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from endpoints.errors import UserError
from endpoints.journal.segments import locked, segment_first, segments
from endpoints.journal.writer import DamagedJournal
from protocol.errors import JournalError
from protocol.record.journal import Record
from protocol.record.recovery import recover
from protocol.record.verification import Verification, resembles_record

STANDARD_INPUT: Final = "-"
_LINE_MAX_BYTES: Final = 1 << 28
"""A checkpoint of a full outbox takes a third of this. Input without a newline for longer is not a log."""
_COLOUR: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_BEGINNINGS: Final = (b'{"', b'{"n', b'{"n"')


def record_in(line: bytes) -> bytes | None:
    """Return the record in a line of a collected log, whole or damaged; None for an ordinary line.

    Log systems put colours and `eucom-1  | ` before a record, and carriage returns after it.
    """
    plain = _COLOUR.sub(b"", line).rstrip(b" \t\r\n")
    candidate = plain[max(plain.find(b"{"), 0) :]
    if candidate.startswith(b'{"n":') or candidate in _BEGINNINGS:
        return candidate
    return plain if resembles_record(plain) else None


class JournalReader:
    """One journal that a command was given. `records` reads it; afterwards `verification` holds what is wrong with it.

    Attributes:
        name: the argument, for error texts.
        live: a service was writing it when reading began.
        verification: what was found so far.
    """

    def __init__(
        self, where: str, *, link: str | None = None, side: str | None = None, stdin: BinaryIO | None = None
    ) -> None:
        self.name = "standard input" if where == STANDARD_INPUT else where
        self.live = False
        self.verification = Verification(collected=where == STANDARD_INPUT, link=link, side=side)
        self._where = where
        self._link = link
        self._side = side
        self._stdin = stdin

    def records(self) -> Iterator[Record]:
        """Yield every whole record once, in the order of the journal. Call it once.

        Raises UserError if the journal can't be read, holds no record, or is a collected log of several journals of
        which none was chosen.
        """
        try:
            if self._where == STANDARD_INPUT:
                yield from self._collected(self._stdin or sys.stdin.buffer)
            else:
                yield from self._files(Path(self._where))
        except OSError as error:
            raise UserError(f"{error.filename or self.name}: can't be read: {error.strerror}") from None
        except ValueError as error:
            raise UserError(f"{self.name[:200]!r}: not the name of a file: {error}") from None
        verification = self.verification
        if not verification.resembling:
            raise UserError(
                f"{self.name}: holds no journal record; name a journal's folder, one of its files, or - for a log"
            )
        verification.finish(live=self.live)
        self._check_choice()
        if not verification.records and not verification.problems:
            raise UserError(f"{self.name}: holds no record of the journal chosen by --link and --side")

    def whole_records(self) -> Iterator[Record]:
        """Yield the records of a journal that must be intact, up to its last finished batch.

        Raises DamagedJournal at the first damage, and UserError as `records` does. An unfinished batch at the end is
        not damage: it is left out, as the next start of the service would cut it.
        """
        batch: list[Record] = []
        for record in self.records():
            batch.append(record)
            if record.ends_batch:
                self.require_whole()
                yield from batch
                batch.clear()
        self.require_whole()

    def require_whole(self) -> None:
        """Raise DamagedJournal if damage has been found."""
        damage = self.verification.damage
        if damage is not None:
            raise DamagedJournal(
                f"{self.name}: record {damage.record}: {damage.reason}; see: deconflict log verify {self._where}"
            )

    def _check_choice(self) -> None:
        others = self.verification.others
        if not others:
            return
        there = ", ".join(sorted(f"--link {link} --side {side}" for link, side in {*others, self.verification.whose}))
        raise UserError(f"{self.name}: holds several journals; choose one: {there}")

    def _files(self, path: Path) -> Iterator[Record]:
        if stat.S_ISDIR(path.stat().st_mode):
            files, folder, alone = segments(path), path, False
            if not files:
                raise UserError(f"{path}: no journal in this folder: it has no file like 0000000000000001.jsonl")
        else:
            files, folder, alone = [path], path.parent, True
        named = not alone or segment_first(path) is not None
        last = segments(folder)[-1:] if named else files
        self.live = named and files[-1:] == last and locked(folder)
        for file in files:
            first = segment_first(file)
            if first is not None:
                self.verification.begin_segment(first, file.name, alone=alone)
            with open(_open(file), "rb") as stream:
                yield from self._segment(stream, final=[file] == last, first=first)

    def _segment(self, stream: BinaryIO, *, final: bool, first: int | None = None) -> Iterator[Record]:
        live = final and self.live
        while line := stream.readline(_LINE_MAX_BYTES):
            if not line.endswith(b"\n"):
                self.verification.cut(line, final=final, live=live)
                return
            if live and b"\0" in line:
                # the batch that is being written: its pages may become visible in any order
                return
            if final and b"\0" in line and first is not None and self._lost_sectors(stream, first):
                return
            if (record := self.verification.take(line[:-1])) is not None:
                yield record

    def _lost_sectors(self, stream: BinaryIO, first: int) -> bool:
        """Return True, and note it, if a crash explains the hole in the last segment: the next start cuts it."""
        link, side = self.verification.whose
        if link is None or side is None:
            return False
        after_hole = stream.tell()
        stream.seek(0)
        try:
            recover(stream.read(), first, link, side)
        except JournalError:
            stream.seek(after_hole)
            return False
        self.verification.note(self.verification.n + 1, "a part of the last batch never reached the disk", normal=True)
        return True

    def _collected(self, stream: BinaryIO) -> Iterator[Record]:
        chosen = self._link is not None and self._side is not None
        while line := stream.readline(_LINE_MAX_BYTES):
            if len(line) == _LINE_MAX_BYTES:
                raise UserError(
                    f"{self.name}: a line is longer than {_LINE_MAX_BYTES} bytes; give a log, one record on each line"
                )
            candidate = record_in(line)
            if candidate is None:
                continue
            if not line.endswith(b"\n") and not candidate.endswith(b'"}'):
                self.verification.cut(candidate)
            elif (record := self.verification.take(candidate)) is not None:
                yield record
            if not chosen:
                self._check_choice()


def _open(path: Path) -> int:
    """Open a regular file for reading, without waiting for the writer of a FIFO. Raises OSError, UserError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path}: neither a folder nor a regular file")
    return descriptor
