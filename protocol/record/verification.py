"""Verifies the lines of a journal in order and continues after damage, to report all of it.

A journal's own files contain only records, each exactly once. For a log system's copy of them see `collected`.
"""

from __future__ import annotations

import re
from typing import Final

from protocol.errors import JournalError
from protocol.phrases import phrase
from protocol.record.findings import Findings, Kind
from protocol.record.journal import Chain, Checkpoint, Record, claimed_hash, decode
from protocol.record.newer_version import raise_if_newer
from protocol.record.recovery import require_beginning
from protocol.record.spans import Span

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

_NOT_A_RECORD: Final = phrase("the line is not a record; a log that was collected must not be named like a segment")
NORMAL_AFTER_A_CRASH: Final = phrase("normal after a crash; the next start cuts it")


def resembles_record(line: bytes) -> bool:
    """Return whether `line` is a record or resembles a damaged one."""
    return bool(_BEGINNING.match(line)) or sum(mark in line for mark in _MARKS) >= _MARKS_ENOUGH


class Verification(Findings):
    """Verifies one journal, line by line.

    Attributes:
        records: number of distinct intact records.
        begins: the number of the first record, 0 before it.
        resembling: whether any line was a record or resembled a damaged one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records = 0
        self.begins = 0
        self.resembling = False
        self._chain = Chain()
        # number of damaged lines since the last intact record, and the hash that the last of them contains
        self._damaged = 0
        self._claimed: str | None = None
        self._segment: tuple[int, str] | None = None
        # a whole segment could not be read: nothing is known of the records before the next one
        self._lost = False
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
        """Begin the segment `name`, whose first record is `first`.

        `alone` says that records before the first segment are not expected: it alone is read, or they are archived.
        """
        self._end_segment()
        self._segment = first, name
        if not self._chain.n and not self._damaged and first > 1:
            self._base = first - 1
            if not alone and not self._lost:
                self.note(1, phrase("records {first} to {last} are missing", first=1, last=first - 1))

    def take(self, line: bytes) -> Record | None:
        """Return the record in `line`, given without its newline; None for a damaged line.

        Raises NewerVersionError for a record of a newer version.
        """
        try:
            record = decode(line, self._place)
        except JournalError as error:
            raise_if_newer(line, self._chain.rules, self._place)
            self._take_damaged(line, error.reason if resembles_record(line) else _NOT_A_RECORD)
            return None
        self.resembling = True
        if self._chain.n and (record.link, record.side) != self.whose:
            self.note(self._place, self._chain.objection(record))
            return None
        if self._chain.n and record.n <= self._chain.n:
            moved = phrase(
                "record {n} stands here, after record {before}: moved, doubled or inserted",
                n=record.n,
                before=self._chain.n,
            )
            self.note(record.n, moved)
            return None
        if self._lost:
            self._chain.skip_to(record)
        self._check(record)
        self._segment, self._lost = None, False
        self._chain.adopt(record)
        self.begins = self.begins or record.n
        self._damaged = 0
        self.records += 1
        return record

    def admits(self, span: Span) -> bool:
        """Return whether the records of a span follow from what was read, and would be taken without a problem."""
        chain = self._chain
        return (
            not self._damaged
            and not self._lost
            and self._segment is None
            and chain.batch is None
            and (span.link, span.side, span.first, span.prev) == (chain.link, chain.side, chain.n + 1, chain.hash)
        )

    def pass_over(self, span: Span) -> None:
        """Continue behind the records of a span that is admitted."""
        self._chain.pass_over(span.last, span.head)
        self.records += span.records

    def lost(self, reason: str, kind: Kind) -> None:
        """Note that nothing of the segment that has begun can be read, and why: its records are one problem."""
        assert self._segment is not None, "a segment has begun"
        self.resembling = True
        self.note(self._segment[0], reason, kind=kind, damage=True)
        self._segment, self._lost = None, True

    def cut(self, rest: bytes, *, final: bool = True, live: bool = False) -> None:
        """Take the bytes after the last newline; `final` in the last segment, `live` if it may still be written to."""
        rest = rest.rstrip(b"\0")
        if not rest or (final and live):
            return
        self.resembling = self.resembling or resembles_record(rest)
        reason: str = phrase("the last line is cut: it has no newline")
        normal = False
        link, side = self.whose
        if final and not self._damaged and link is not None and side is not None:
            # normal exactly if the next start would cut it
            try:
                require_beginning(rest, self._chain, link, side)
                normal = True
            except JournalError as error:
                reason = error.reason
        self._note(self._place, reason, normal=normal)

    def finish(self, *, live: bool = False) -> None:
        """Note what is missing at the end; a `live` journal may end within a batch that is being written."""
        self._end_segment()
        if self._chain.batch is not None and not live and not self._damaged:
            self._note(self._chain.n + 1, phrase("batch {batch} has no end", batch=self._chain.batch), normal=True)
        self.sort()

    def lost_sectors(self) -> None:
        """Note that a crash left a hole in the last batch."""
        self._note(self.n + 1, phrase("a part of the last batch never reached the disk"), normal=True)

    # --- internal -------------------------------------------------------------------------------------------------

    def _note(self, record: int, reason: str, *, normal: bool) -> None:
        """Note a problem; `normal` if a crash explains it."""
        if normal:
            self.note(record, phrase("{reason} ({remark})", reason=reason, remark=NORMAL_AFTER_A_CRASH), kind="missing")
        else:
            self.note(record, reason)

    def _take_damaged(self, line: bytes, reason: str) -> None:
        self.resembling = self.resembling or resembles_record(line)
        self.note(self._place, reason)
        self._damaged += 1
        self._claimed = claimed_hash(line)
        self._segment = None

    def _check(self, record: Record) -> None:
        """Note what is wrong with the position of an intact record."""
        if self._segment is not None:
            first, name = self._segment
            if record.n != first:
                self.note(
                    record.n,
                    phrase(
                        "record {n} stands first in {name}, whose name says {first}", n=record.n, name=name, first=first
                    ),
                )
            elif first > 1 and not isinstance(record.entry, Checkpoint):
                self.note(record.n, phrase("it is the first record of {name} but not a checkpoint", name=name))
        place, last = self._place, record.n - 1
        if not self._damaged or record.n == self._chain.n + 1:
            if wrong := self._chain.objection(record):
                self.note(place if self._chain.n else record.n, wrong)
        elif record.n > place and (self._chain.n or self._base):
            self.note(
                place,
                phrase("records {first} to {last} are missing", first=place, last=last)
                if last > place
                else phrase("record {n} is missing", n=last),
            )
        elif record.n == place and self._claimed not in {None, record.prev}:
            self.note(
                record.n, phrase("it does not follow from record {n}: its prev is not that record's hash", n=last)
            )

    @property
    def _place(self) -> int:
        """The number expected of the next record."""
        return (self._chain.n or self._base) + self._damaged + 1

    def _end_segment(self) -> None:
        if self._segment is not None:
            first, name = self._segment
            self.note(first, phrase("{name} contains no record", name=name))
            self._segment = None
