"""Verifies the lines of a journal in order and continues after damage, to report all of it.

A journal's own files contain only records, each exactly once. A collected log is a process's standard output, as kept
by a log system. It may repeat records, identically, after a kill; it may contain the beginning of a line that a killed
process printed, if the complete line follows; and it may begin at any checkpoint.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from protocol.errors import JournalError
from protocol.record.journal import Chain, Checkpoint, Record, claimed_hash, decode
from protocol.record.recovery import require_beginning

PROBLEMS_MAX: Final = 1_000
"""Maximum number of problems kept. A file that is not a journal has one per line, and the first ones suffice."""
_FRAGMENTS_MAX: Final = 64
# parts of a record; link, side and event are left out, because an endpoint's ordinary log lines have them too
_MARKS: Final = (
    b'{"n":',
    b',"batch":',
    b',"effects":',
    b',"prev":"',
    b',"hash":"',
)
_MARKS_ENOUGH: Final = 2
_BEGINNING: Final = re.compile(rb'\{"(n("(:|$)|$))')

_NOT_A_RECORD: Final = "the line is not a record; give a log with other lines on standard input, as -"
NORMAL_AFTER_A_CRASH: Final = "normal after a crash; the next start cuts it"


class Problem(Struct, frozen=True):
    """A problem of a journal: the number of the record, or the number expected in its place, and what is wrong."""

    record: int
    reason: str


def resembles_record(line: bytes) -> bool:
    """Return whether `line` is a record or resembles a damaged one."""
    return bool(_BEGINNING.match(line)) or sum(mark in line for mark in _MARKS) >= _MARKS_ENOUGH


class Verification:
    """Verifies one journal, line by line.

    Attributes:
        records: number of distinct intact records.
        problems: the problems found; sorted by record once `finish` was called.
        unlisted: number of further problems, beyond those kept.
        damage: the first problem that a crash or a snapshot does not explain.
        others: other journals (link, side) whose records were found in a collected log.
        resembling: whether any line was a record or resembled a damaged one.
    """

    def __init__(self, *, collected: bool = False, link: str | None = None, side: str | None = None) -> None:
        self.records = 0
        self.problems: list[Problem] = []
        self.unlisted = 0
        self.damage: Problem | None = None
        self.others: set[tuple[str, str]] = set()
        self.resembling = False
        self._collected = collected
        self._chosen = (link, side)
        self._chain = Chain()
        # number of damaged lines since the last intact record, and the hash that the last of them contains
        self._damaged = 0
        self._claimed: str | None = None
        # collected log: lines that may be the beginning of a record, each with the problem to note if they are not
        self._fragments: list[tuple[Problem, bytes]] = []
        # collected log: the hashes of all records from `_first` on, 32 bytes each
        self._seen = bytearray()
        self._first = 0
        self._segment: tuple[int, str] | None = None
        # the number before the first record of a folder or file, if its name gives it
        self._base = 0

    @property
    def n(self) -> int:
        """The number of the last intact record."""
        return self._chain.n

    @property
    def head(self) -> str:
        """The hash of the last intact record."""
        return self._chain.hash

    @property
    def whose(self) -> tuple[str | None, str | None]:
        """The link and side of the journal; None before its first record."""
        return self._chain.link, self._chain.side

    def begin_segment(self, first: int, name: str, *, alone: bool = False) -> None:
        """Begin the segment `name`, whose first record is `first`; `alone` if it is the only segment that is read."""
        self._end_segment()
        self._segment = first, name
        if not self._chain.n and not self._damaged and first > 1:
            self._base = first - 1
            if not alone:
                self.note(1, f"records 1 to {first - 1} are missing")

    def take(self, line: bytes) -> Record | None:
        """Return the record in `line`, given without its newline; None for a repeat or a damaged line."""
        try:
            record = decode(line, self._place)
        except JournalError as error:
            reason = error.reason if self._collected or resembles_record(line) else _NOT_A_RECORD
            self._take_damaged(line, Problem(self._place, reason))
            return None
        self.resembling = True
        if self._is_another(record):
            return None
        if self._chain.n and (record.link, record.side) != self.whose:
            self.note(self._place, self._chain.objection(record))
            return None
        if self._fragments:
            kept = [each for each in self._fragments if not line.startswith(each[1])]
            self._damaged = max(0, self._damaged - len(self._fragments) + len(kept))
            self._fragments = kept
        if self._chain.n and record.n <= self._chain.n:
            self._take_earlier(record)
            return None
        self._check(record)
        self._segment = None
        self._chain.adopt(record)
        self._damaged = 0
        self.records += 1
        if self._collected:
            self._first = self._first or record.n
            # the hashes of missing records are zeros
            self._seen += bytes(32 * (record.n - self._first) - len(self._seen))
            self._seen += bytes.fromhex(record.hash)
        return record

    def cut(self, rest: bytes, *, final: bool = True, live: bool = False) -> None:
        """Take the bytes after the last newline; `final` in the last segment, `live` if it may still be written to."""
        rest = rest.rstrip(b"\0")
        if not rest or (final and live):
            return
        self.resembling = self.resembling or resembles_record(rest)
        reason, normal = "the last line is cut: it has no newline", False
        link, side = self.whose
        if final and not self._damaged and link is not None and side is not None:
            # normal exactly if the next start would cut it
            try:
                require_beginning(rest, self._chain, link, side)
                normal = True
            except JournalError as error:
                reason = error.reason
        self.note(self._place, reason, normal=normal)

    def finish(self, *, live: bool = False) -> None:
        """Note what is missing at the end; a `live` journal may end within a batch that is being written."""
        self._end_segment()
        self._settle_fragments()
        if self._chain.batch is not None and not live and not self._damaged:
            self.note(self._chain.n + 1, f"batch {self._chain.batch} has no end", normal=True)
        self.problems.sort(key=lambda problem: problem.record)

    def note(self, record: int, reason: str, *, normal: bool = False) -> None:
        """Note a problem, found here or by an audit of signatures; `normal` if a crash or a snapshot explains it."""
        if normal and not self._collected:
            reason = f"{reason} ({NORMAL_AFTER_A_CRASH})"
        problem = Problem(record, reason)
        if not normal:
            self.damage = self.damage or problem
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)
        else:
            self.unlisted += 1

    # --- internal -------------------------------------------------------------------------------------------------

    def _take_damaged(self, line: bytes, problem: Problem) -> None:
        self.resembling = self.resembling or resembles_record(line)
        if self._collected and len(self._fragments) < _FRAGMENTS_MAX:
            # not a problem if a line follows that begins with this one
            self._fragments.append((problem, line))
        else:
            self.note(problem.record, problem.reason)
        self._damaged += 1
        self._claimed = claimed_hash(line)
        self._segment = None

    def _is_another(self, record: Record) -> bool:
        """Return whether `record`, in a collected log, belongs to a journal other than the one being read."""
        if not self._collected:
            return False
        link, side = self._chosen if self._chosen != (None, None) else self.whose
        if (link is None or record.link == link) and (side is None or record.side == side):
            if self._chain.n and (record.link, record.side) != self.whose:
                self.others.add((record.link, record.side))
                return True
            return False
        if self._chosen == (None, None):
            self.others.add((record.link, record.side))
        return True

    def _take_earlier(self, record: Record) -> None:
        if self._collected:
            start = 32 * (record.n - self._first)
            seen = self._seen[start : start + 32] if start >= 0 else b""
            if seen == bytes.fromhex(record.hash):
                # a repeat resets the count of damaged lines: what was printed incompletely is printed again
                self._damaged = 0
                return
            known = "it is not the one that stood there before" if any(seen) else "it was missing before"
            self.note(record.n, f"record {record.n} stands after record {self._chain.n}: {known}")
            return
        self.note(record.n, f"record {record.n} stands here, after record {self._chain.n}: moved, doubled or inserted")

    def _check(self, record: Record) -> None:
        """Note what is wrong with the position of an intact record."""
        if self._segment is not None:
            first, name = self._segment
            if record.n != first:
                self.note(record.n, f"record {record.n} stands first in {name}, whose name says {first}")
            elif first > 1 and not isinstance(record.entry, Checkpoint):
                self.note(record.n, f"it is the first record of {name} but not a checkpoint")
        place, last = self._place, record.n - 1
        if record.n != self._chain.n + 1:
            self._settle_fragments()
        if not self._damaged or record.n == self._chain.n + 1:
            if wrong := self._chain.objection(record):
                self.note(place if self._chain.n else record.n, wrong)
        elif record.n > place and (self._chain.n or self._base):
            self.note(place, f"records {place} to {last} are missing" if last > place else f"record {last} is missing")
        elif record.n == place and self._claimed not in {None, record.prev}:
            self.note(record.n, f"it does not follow from record {last}: its prev is not that record's hash")

    @property
    def _place(self) -> int:
        """The number expected of the next record."""
        return (self._chain.n or self._base) + self._damaged + 1

    def _settle_fragments(self) -> None:
        """Note the problems of all fragments: no line can follow any more that begins with one of them."""
        for problem, _ in self._fragments:
            self.note(problem.record, problem.reason)
        self._fragments.clear()

    def _end_segment(self) -> None:
        if self._segment is not None:
            first, name = self._segment
            self.note(first, f"{name} contains no record")
            self._segment = None
