"""Reads a journal that a command was given: a folder, one file, or `-` for a collected log on standard input.

A folder of segments, and a segment, hold nothing but records. Every other file is read as a collected log, as is a
folder of other files: see `collected_log`. Everything is read once, as a stream.
"""

from __future__ import annotations

import shlex
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from endpoints.errors import UserError, os_reason
from endpoints.journal.archived_mark import ArchivedMark, Moved
from endpoints.journal.archived_segment import DamagedArchive, open_regular, open_segment
from endpoints.journal.collected_log import in_order, opened, read_collected
from endpoints.journal.restored import Restored, RestoredMark
from endpoints.journal.segments import locked, segment_first, segments
from endpoints.journal.writer import DamagedJournal
from protocol.core.start_events import JournalRestored
from protocol.errors import JournalError, NewerVersionError, at_record
from protocol.phrases import phrase, worded
from protocol.record.collected import CollectedVerification
from protocol.record.journal import Checkpoint, Record
from protocol.record.recovery import recover
from protocol.record.spans import Span
from protocol.record.verification import Verification

STANDARD_INPUT: Final = "-"
LINE_MAX_BYTES: Final = 1 << 28
"""A checkpoint of a full outbox takes a third of this. Input without a newline for longer is not a log."""
EXIT_INCOMPLETE: Final = 3


class IncompleteLog(UserError):  # noqa: N818 - as DamagedJournal: named for what is wrong
    """Records are missing that have to be there. Nobody need have taken them out."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=EXIT_INCOMPLETE)


class JournalReader:
    """One journal that a command was given. `records` reads it; afterwards `verification` holds what is wrong with it.

    Attributes:
        name: the argument, or what stands for it, for error texts.
        live: a service was writing it when reading began.
        collected: it is a log that a log system has collected.
        founded: no record is missing between the last one yielded and record 1 or a checkpoint before it, so that it
            can be audited and run again.
        from_checkpoint: the checkpoint from which on records were founded first; None if that was record 1, or none.
        restored: what the mark of a restored journal says, the reason why it can't be read, or None without a mark.
        restorations: the restorations that the journal records itself, without repetitions.
        moved: what the mark of an archived journal says, if its oldest records are in an archive elsewhere.
        verification: what was found so far.
    """

    def __init__(
        self,
        where: str,
        *,
        link: str | None = None,
        side: str | None = None,
        stdin: BinaryIO | None = None,
        name: str | None = None,
    ) -> None:
        self.name: str = name or (phrase("standard input") if where == STANDARD_INPUT else where)
        self.live = False
        self.founded = False
        self.from_checkpoint: int | None = None
        self.restored: Restored | str | None = None
        self.restorations: list[JournalRestored] = []
        self.moved: Moved | None = None
        self._was_founded = False
        self._last = 0
        # the segment that is being read
        self._open: tuple[Path, BinaryIO] | None = None
        self._where = where
        self._link = link
        self._side = side
        self._stdin = stdin
        self.collected = where == STANDARD_INPUT or _is_collected(Path(where))
        self.verification: Verification | CollectedVerification = (
            CollectedVerification(link=link, side=side) if self.collected else Verification()
        )

    @property
    def files(self) -> list[Path]:
        """The segments in the order of the journal, as they are now; none of a collected log, or if they can't be read.

        `records` says what is wrong with them.
        """
        path = Path(self._where)
        try:
            return [] if self.collected else segments(path) if path.is_dir() else [path]
        except (OSError, ValueError):
            return []

    @property
    def place(self) -> tuple[Path, int] | None:
        """The segment that is being read, and the offset of the next line; None in a collected log."""
        return None if self._open is None else (self._open[0], self._open[1].tell())

    def admits(self, span: Span) -> bool:
        """Return whether the next records are those of a span, if they stand where it says, and nothing is wrong."""
        verification = self.verification
        return self.founded and isinstance(verification, Verification) and verification.admits(span)

    def pass_over(self, span: Span) -> None:
        """Continue behind a span that is admitted, after the last record of a batch was yielded."""
        assert isinstance(self.verification, Verification), "it admits the span"
        assert self._open is not None, "a segment is being read"
        self.verification.pass_over(span)
        self._last = span.last
        self._open[1].seek(span.end)

    def records(self) -> Iterator[Record]:
        """Yield every whole record once, in the order of the journal. Call it once, or a method that does.

        Raises UserError if the journal can't be read, holds no record, or is a collected log of several journals of
        which none was chosen.
        """
        try:
            for record in self._read():
                self._follow(record)
                yield record
        except NewerVersionError as error:
            raise UserError(phrase("{name}: {error}", name=self.name, error=error)) from None
        except OSError as error:
            raise UserError(
                phrase("{file}: can't be read: {reason}", file=error.filename or self.name, reason=os_reason(error))
            ) from None
        except ValueError as error:
            raise UserError(
                phrase("{name}: not the name of a file: {error}", name=repr(self.name[:200]), error=error)
            ) from None
        verification = self.verification
        if not verification.resembling:
            raise UserError(
                phrase(
                    "{name}: holds no journal record; name a journal's folder, one of its files, or - for a log",
                    name=self.name,
                )
            )
        if isinstance(verification, Verification):
            verification.finish(live=self.live)
        self._check_choice()
        if not verification.records and not verification.problems:
            raise UserError(
                phrase("{name}: holds no record of the journal chosen by --link and --side", name=self.name)
            )

    def whole_records(self) -> Iterator[Record]:
        """Yield the founded records of a journal that must be intact, up to its last finished batch.

        Raises DamagedJournal or IncompleteLog at the first damage, and UserError as `records` does. An unfinished
        batch at the end is not damage: it is left out, as the next start of the service would cut it.
        """
        batch: list[Record] = []
        for record in self.records():
            if not self.founded:
                continue
            batch.append(record)
            if record.ends_batch:
                self.require_whole()
                yield from batch
                batch.clear()
        self.require_whole()
        if not self.founded and self.verification.records:
            raise IncompleteLog(phrase("{name}: has neither record 1 nor a checkpoint to begin with", name=self.name))

    def require_whole(self) -> None:
        """Raise DamagedJournal or IncompleteLog if damage has been found."""
        damage = self.verification.damage
        if damage is not None:
            error = DamagedJournal if damage.kind == "changed" else IncompleteLog
            raise error(
                phrase(
                    "{name}: {problem}; see: {command}",
                    name=self.name,
                    problem=at_record(damage.record, damage.reason),
                    command=shlex.join(["deconflict", "log", "verify", self._where]),
                )
            )

    def _read(self) -> Iterator[Record]:
        if isinstance(self.verification, CollectedVerification):
            return self._collected(self.verification)
        return self._files(Path(self._where), self.verification)

    def _follow(self, record: Record) -> None:
        checkpoint = isinstance(record.entry, Checkpoint)
        if record.n == 1 or checkpoint:
            if checkpoint and not self._was_founded:
                self.from_checkpoint = record.n
            self.founded = self._was_founded = True
        elif self.collected and record.n != self._last + 1:
            self.founded = False
        self._last = record.n
        if isinstance(entry := record.entry, JournalRestored) and all(
            (each.records, each.head) != (entry.records, entry.head) for each in self.restorations
        ):
            self.restorations.append(entry)

    def _check_choice(self) -> None:
        others = self.verification.others if isinstance(self.verification, CollectedVerification) else None
        if not others:
            return
        there = ", ".join(sorted(f"--link {link} --side {side}" for link, side in {*others, self.verification.whose}))
        raise UserError(phrase("{name}: holds several journals; choose one: {there}", name=self.name, there=there))

    def _files(self, path: Path, verification: Verification) -> Iterator[Record]:
        if stat.S_ISDIR(path.stat().st_mode):
            files, folder, alone = segments(path), path, False
            self.restored = _mark_in(path)
        else:
            files, folder, alone = [path], path.parent, True
        if files and not alone:
            self.moved = _moved_before(folder, segment_first(files[0]) or 0)
        last = segments(folder)[-1:]
        self.live = files[-1:] == last and locked(folder)
        for file in files:
            first = segment_first(file) or 0
            verification.begin_segment(first, file.name, alone=alone or self.moved is not None)
            try:
                stream = open_segment(file)
            except DamagedArchive as error:
                verification.lost(worded(error), error.kind)
                self.founded = False
                continue
            with stream:
                self._open = file, stream
                yield from self._segment(stream, final=[file] == last, first=first)
        if self.moved is not None and verification.n <= self.moved.records:
            verification.note(
                verification.n + 1,
                phrase("the note of the archive names record {n}, which is not in this journal", n=self.moved.records),
            )

    def _segment(self, stream: BinaryIO, *, final: bool, first: int = 0) -> Iterator[Record]:
        assert isinstance(self.verification, Verification)
        verification, live = self.verification, final and self.live
        while line := stream.readline(LINE_MAX_BYTES):
            if not line.endswith(b"\n"):
                verification.cut(line, final=final, live=live)
                return
            if live and b"\0" in line:
                # the batch that is being written: its pages may become visible in any order
                return
            if final and b"\0" in line and _lost_sectors(stream, first, verification):
                return
            if (record := verification.take(line[:-1])) is not None:
                if (moved := self.moved) is not None and record.n == moved.records + 1 and record.prev != moved.head:
                    verification.note(
                        record.n, phrase("it does not follow from record {n}, which is archived", n=moved.records)
                    )
                yield record

    def _collected(self, verification: CollectedVerification) -> Iterator[Record]:
        chosen = self._link is not None and self._side is not None

        def check() -> None:
            if not chosen:
                self._check_choice()

        yield from read_collected(self.name, self._streams(), verification, check)

    def _streams(self) -> Iterator[BinaryIO]:
        """Yield the parts of a collected log, opened. Raises OSError, UserError."""
        if self._where == STANDARD_INPUT:
            yield self._stdin or sys.stdin.buffer
            return
        path = Path(self._where)
        files = [path]
        if path.is_dir():
            files = in_order(each for each in path.iterdir() if each.is_file())
            if not files:
                raise UserError(
                    phrase("{path}: no journal in this folder: it has no file like 0000000000000001.jsonl", path=path)
                )
        for file in files:
            with opened(file, open_regular(file)) as stream:
                yield stream


def _is_collected(path: Path) -> bool:
    """Return whether a file or folder is to be read as a collected log; False as well if there is none."""
    try:
        return not segments(path) if path.is_dir() else path.is_file() and segment_first(path) is None
    except (OSError, ValueError):
        # reading it says what is wrong
        return False


def _mark_in(folder: Path) -> Restored | str | None:
    """Return what the mark of a restored journal says, or why it can't be read; None without a mark."""
    try:
        return RestoredMark(folder).read()
    except UserError as error:
        return worded(error)


def _moved_before(folder: Path, first: int) -> Moved | None:
    """Return what the mark says, if the records before `first` lie in an archive elsewhere. Raises UserError."""
    if first <= 1:
        return None
    moved = ArchivedMark(folder).read()
    return moved if moved is not None and first <= moved.records + 1 else None


def _lost_sectors(stream: BinaryIO, first: int, verification: Verification) -> bool:
    """Return True, and note it, if a crash explains the hole in the last segment: the next start cuts it."""
    link, side = verification.whose
    if link is None or side is None:
        return False
    after_hole = stream.tell()
    stream.seek(0)
    try:
        recover(stream.read(), first, link, side)
    except JournalError:
        stream.seek(after_hole)
        return False
    verification.lost_sectors()
    return True
