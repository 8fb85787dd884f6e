"""Checks the lines of a journal in the order in which they stand, and goes on after damage to find it all.

A journal's own files hold nothing but records, each once. A collected log (a process's standard output, kept by
whatever collects logs) may repeat records, identically, after a kill; may hold what a killed process had printed of a
line, if the whole line follows; and may begin at any checkpoint.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from protocol.errors import JournalError
from protocol.record.journal import Chain, Checkpoint, Record, claimed_hash, decode
from protocol.record.recovery import require_beginning

PROBLEMS_MAX: Final = 1_000
"""Problems that are kept: a wholly strange file has as many as lines, and the first ones tell as much."""
_FRAGMENTS_MAX: Final = 64
# without link, side and event, which an endpoint's ordinary lines have too
_MARKS: Final = (
    b'{"n":',
    b',"batch":',
    b',"effects":',
    b',"prev":"',
    b',"hash":"',
)
_MARKS_ENOUGH: Final = 2
_BEGINNING: Final = re.compile(rb'\{"(n("(:|$)|$))')

NORMAL_AFTER_A_CRASH: Final = "normal after a crash; the next start cuts it"


class Problem(Struct, frozen=True):
    """What is wrong, and with which record: its number, or that of the one that should stand there."""

    record: int
    reason: str


def resembles_record(line: bytes) -> bool:
    """Tell whether `line` is a record, or what damage has made of one."""
    return bool(_BEGINNING.match(line)) or sum(mark in line for mark in _MARKS) >= _MARKS_ENOUGH


class Verification:
    """One journal's lines, taken one by one.

    Attributes:
        records: how many different whole records there were.
        problems: what is wrong, in the order of the records once `finish` was called.
        unlisted: how many more problems there were than are kept.
        damage: the first problem that is more than a batch which had no end when reading ended.
        others: other journals (link, side) whose records stood in a collected log.
        resembling: whether anything was a record, or damaged from one.
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
        # damaged lines since the last whole record, and what the last of them said its hash was
        self._damaged = 0
        self._claimed: str | None = None
        # collected: lines that may have been printed by half, by the record that they may begin
        self._fragments: list[tuple[Problem, bytes]] = []
        # collected: the hashes of all records from `_first` on, 32 bytes each
        self._seen = bytearray()
        self._first = 0
        self._segment: tuple[int, str] | None = None
        # the record before the first one of a folder or file, as far as a name tells
        self._base = 0

    @property
    def n(self) -> int:
        """The last whole record's number."""
        return self._chain.n

    @property
    def head(self) -> str:
        """The last whole record's hash."""
        return self._chain.hash

    @property
    def whose(self) -> tuple[str | None, str | None]:
        """Link and side of the journal, None before its first record."""
        return self._chain.link, self._chain.side

    def begin_segment(self, first: int, name: str, *, alone: bool = False) -> None:
        """A segment begins whose name says that `first` is its first record; `alone` if no others are read."""
        self._end_segment()
        self._segment = first, name
        if not self._chain.n and not self._damaged and first > 1:
            self._base = first - 1
            if not alone:
                self.note(1, f"records 1 to {first - 1} are missing")

    def take(self, line: bytes) -> Record | None:
        """Return the next record if `line`, without its newline, is one; None for a repeat and for damage."""
        try:
            record = decode(line, self._place)
        except JournalError as error:
            self._take_damaged(line, Problem(self._place, error.reason))
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
            # a gap holds zeros: no record's hash
            self._seen += bytes(32 * (record.n - self._first) - len(self._seen))
            self._seen += bytes.fromhex(record.hash)
        return record

    def cut(self, rest: bytes, *, final: bool = True, live: bool = False) -> None:
        """Take what stands after the last newline; `final` in the last segment, `live` if it may be in the writing."""
        rest = rest.rstrip(b"\0")
        if not rest or (final and live):
            return
        self.resembling = self.resembling or resembles_record(rest)
        reason, normal = "the last line is cut: it has no newline", False
        link, side = self.whose
        if final and not self._damaged and link is not None and side is not None:
            # what the next start would cut, and nothing else
            try:
                require_beginning(rest, self._chain, link, side)
                normal = True
            except JournalError as error:
                reason = error.reason
        self.note(self._place, reason, normal=normal)

    def finish(self, *, live: bool = False) -> None:
        """Say what is missing at the end. A live journal may end within a batch that is being written."""
        self._end_segment()
        self._settle_fragments()
        if self._chain.batch is not None and not live and not self._damaged:
            self.note(self._chain.n + 1, f"batch {self._chain.batch} has no end", normal=True)
        self.problems.sort(key=lambda problem: problem.record)

    def note(self, record: int, reason: str, *, normal: bool = False) -> None:
        """Note a problem, also one found elsewhere, in signatures; `normal` if a crash or a snapshot explains it."""
        if normal and not self._collected:
            reason = f"{reason} ({NORMAL_AFTER_A_CRASH})"
        problem = Problem(record, reason)
        if not normal:
            self.damage = self.damage or problem
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)
        else:
            self.unlisted += 1

    # --- within ---------------------------------------------------------------------------------------------------

    def _take_damaged(self, line: bytes, problem: Problem) -> None:
        self.resembling = self.resembling or resembles_record(line)
        if self._collected and len(self._fragments) < _FRAGMENTS_MAX:
            # forgiven if a line follows of which it is the beginning
            self._fragments.append((problem, line))
        else:
            self.note(problem.record, problem.reason)
        self._damaged += 1
        self._claimed = claimed_hash(line)
        self._segment = None

    def _is_another(self, record: Record) -> bool:
        """Tell whether, in a collected log, `record` belongs to another journal than the one that is read."""
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
                # a repeat begins the count of damaged lines anew: what was printed by half is printed again
                self._damaged = 0
                return
            known = "it is not the one that stood there before" if any(seen) else "it was missing before"
            self.note(record.n, f"record {record.n} stands after record {self._chain.n}: {known}")
            return
        self.note(record.n, f"record {record.n} stands here, after record {self._chain.n}: moved, doubled or inserted")

    def _check(self, record: Record) -> None:
        """Note what is wrong with the place of a whole record."""
        if self._segment is not None:
            first, name = self._segment
            if record.n != first:
                self.note(record.n, f"record {record.n} stands first in {name}, whose name says {first}")
            elif first > 1 and not isinstance(record.entry, Checkpoint):
                self.note(record.n, f"it opens {name}, and is not a checkpoint")
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
        """The number that the next record should have."""
        return (self._chain.n or self._base) + self._damaged + 1

    def _settle_fragments(self) -> None:
        """No line follows any more of which they could be the beginning."""
        for problem, _ in self._fragments:
            self.note(problem.record, problem.reason)
        self._fragments.clear()

    def _end_segment(self) -> None:
        if self._segment is not None:
            first, name = self._segment
            self.note(first, f"{name} holds no record")
            self._segment = None
