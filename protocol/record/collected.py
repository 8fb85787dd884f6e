"""Verifies a journal that a log system has collected: a process's standard output, as it was kept.

A log system repeats lines, cuts them, loses them, and mixes them with others. It never changes bytes within a line. So
what counts is which records are there, not where they stand: each record has a number, a hash of its own, and the hash
of the record before it. A record that is not whole is missing; it makes the log incomplete. The log was changed by
someone if

- a line is a JSON object from a record's beginning to its hash, stands alone on its line, does not give that hash, and
  the record before or after it confirms its place;
- a line gives its hash but is not written as a record;
- two records have one number;
- a record does not follow from the record before it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Raw, Struct

from protocol.errors import JournalError
from protocol.phrases import phrase
from protocol.record.findings import PROBLEMS_MAX, Findings
from protocol.record.journal import ORIGIN, Chain, Checkpoint, Record, decode
from protocol.record.newer_version import raise_if_newer

DAMAGED_MAX: Final = 1 << 16
"""Maximum number of damaged lines kept until the end of the log, when it is known which records are missing."""

START: Final = re.compile(rb'\{"n":(\d{1,16}),"link":"([a-z0-9-]{1,32})","side":"([a-z0-9-]{1,32})"')
"""The beginning of a record. It can't stand within a record: there, quotes within a string are escaped."""
_NUMBER: Final = re.compile(rb'\{"n":(\d{1,16})?(,)?')
_END: Final = re.compile(rb'(?:,"prev":"([0-9a-f]{64})")?,"hash":"([0-9a-f]{64})"\}')
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}".encode()

_CHANGED: Final = phrase("its bytes do not give its hash: something in it was changed")
_CUT: Final = phrase("its line is cut")
_HOLLOW: Final = phrase("its bytes do not give its hash: a part of its line may be missing")
_PIECE: Final = phrase("a piece of a line that could not be put together")
_LEFT_OUT: Final = phrase("journalctl left a long message out: give it --all")

Journal = tuple[str, str]


class Damaged(Struct, frozen=True):
    """A line, or a piece of one, that is not a whole record.

    Attributes:
        place: the number after the last record in front of it.
        reason: what is wrong.
        n: the number that it begins with.
        whose: the journal that it names, or that the lines around it belong to.
        prev, hash: the hashes that it ends with.
        alone: it is a whole JSON object, and the only thing on its line.
    """

    place: int
    reason: str
    n: int | None = None
    whose: Journal | None = None
    prev: bytes | None = None
    hash: bytes | None = None
    alone: bool = False

    def follows(self, before: bytes | None) -> bool:
        """Return whether it names `before` as the hash of the record before it."""
        return before is not None and self.prev == before


class _Index:
    """Finds damaged lines by their numbers; those without a number by the hashes that they end with.

    Attributes:
        ending, following: by their own hash, and by that of the record before them.
    """

    def __init__(self, damaged: Iterable[Damaged]) -> None:
        self.ending: dict[bytes, Damaged] = {}
        self.following: dict[bytes, Damaged] = {}
        self._by_number: dict[int, Damaged] = {}
        for each in damaged:
            if each.n is not None:
                if each.n not in self._by_number or each.alone:
                    self._by_number[each.n] = each
                continue
            if each.hash is not None:
                self.ending[each.hash] = each
            if each.prev is not None:
                self.following[each.prev] = each
        self._numbers = sorted(self._by_number)

    def numbered(self, first: int, last: int) -> dict[int, Damaged]:
        """Return the lines with numbers from `first` to `last`."""
        numbers = self._numbers[bisect_left(self._numbers, first) : bisect_right(self._numbers, last)]
        return {n: self._by_number[n] for n in numbers}


class CollectedVerification(Findings):
    """Verifies the lines of a collected log.

    Give each whole line to `take`, and each other one to `take_damaged`; `adopt` the records in order. At the end of
    the log, `adopt` the others, by number, and `finish`.

    Attributes:
        records: number of distinct intact records.
        begins: the number of the first record, 0 before it.
        missing: the ranges of records that are missing, first and last; as many as there are problems.
        others: other journals (link, side) whose records were found.
        resembling: whether any line was a record or resembled a damaged one.
    """

    def __init__(self, *, link: str | None = None, side: str | None = None) -> None:
        super().__init__()
        self.records = 0
        self.begins = 0
        self.missing: list[tuple[int, int]] = []
        self.others: set[Journal] = set()
        self.resembling = False
        self._chosen = (link, side)
        self._whose: Journal | None = None
        self._known: set[Journal] = set()
        self._chain = Chain()
        # from record 1 or from a checkpoint on, all records are there
        self._founded = False
        self._place = 1
        # the hashes of the records from 1 to the first gap, 32 bytes each, and of the others
        self._adopted = bytearray()
        self._beyond: dict[int, bytes] = {}
        self._damaged: list[Damaged] = []
        self._explained: set[int] = set()
        # the hashes of the records before gaps, and of the last records in them
        self._edges: set[bytes] = set()
        self._index: _Index | None = None

    @property
    def n(self) -> int:
        """The number of the last record."""
        return self._chain.n

    @property
    def head(self) -> str:
        """The hash of the last record."""
        return self._chain.hash

    @property
    def whose(self) -> tuple[str | None, str | None]:
        """The link and side of the journal; None before its first record."""
        return self._whose or (None, None)

    # --- reading --------------------------------------------------------------------------------------------------

    def take(self, line: bytes) -> Record | None:
        """Return the record in `line`, which gives its hash; None if it is known, or not of this journal.

        The record is to be adopted: at once if it `is_next`, otherwise at the end of the log. Raises NewerVersionError
        for a record of a newer version.
        """
        self.resembling = True
        try:
            record = decode(line, self._place)
        except JournalError as error:
            raise_if_newer(line, self._chain.rules, self._place)
            # someone has computed its hash
            self.note(self._place, error.reason)
            return None
        if self._is_another(record):
            return None
        self._place = record.n + 1
        known = self._hash_of(record.n)
        if known is None:
            if not self.is_next(record):
                self._beyond[record.n] = bytes.fromhex(record.hash)
            return record
        if known.hex() != record.hash:
            self.note(
                record.n,
                phrase(
                    "there are two records {n}, and they differ: changed, or an older journal was restored", n=record.n
                ),
            )
        return None

    def is_next(self, record: Record) -> bool:
        """Return whether all records before this one have been adopted."""
        return record.n == self._chain.n + 1

    def take_damaged(self, line: bytes, *, alone: bool, whose: Journal | None = None) -> None:
        """Take a line, or a piece of one, that is not a whole record.

        Args:
            line: its bytes, from the record's beginning on if they contain it.
            alone: it was one line of the log, and nothing had to be joined.
            whose: the journal that the lines around it belong to.
        """
        self.resembling = True
        start, end = START.match(line), _last_end(line)
        n, prev, digest = None, None, None
        if start is not None:
            n, whose = int(start[1]), (start[2].decode("utf-8", "replace"), start[3].decode("utf-8", "replace"))
        elif (number := _NUMBER.match(line)) is not None:
            # cut within the number, it can only be the next one
            n = int(number[1]) if number[1] and number[2] else self._place
        if end is not None:
            prev, digest = bytes.fromhex((end[1] or b"").decode()), bytes.fromhex(end[2].decode())
        whole = start is not None and end is not None
        edited = whole and alone and _REPLACED not in line and end is not None and _is_object(line[: end.end()])
        reason = _HOLLOW if whole else _PIECE if n is None and end is None else _CUT
        self._keep(Damaged(self._place, reason, n, whose, prev or None, digest, alone=bool(edited)))

    def left_out(self) -> None:
        """Take a message that journalctl has left out."""
        self._keep(Damaged(self._place, _LEFT_OUT, n=self._place, whose=self._whose))

    # --- in order -------------------------------------------------------------------------------------------------

    def adopt(self, record: Record) -> None:
        """Advance to a record that `take` has returned."""
        if not self.is_next(record):
            self._gap(record)
            self._chain.skip_to(record)
        if wrong := self._chain.objection(record):
            self.note(record.n, wrong)
        self._chain.adopt(record)
        self.begins = self.begins or record.n
        self._founded = self._founded or record.n == 1 or isinstance(record.entry, Checkpoint)
        self.records += 1
        if len(self._adopted) == 32 * (record.n - 1):
            self._adopted += bytes.fromhex(record.hash)
            self._beyond.pop(record.n, None)
        else:
            self._beyond[record.n] = bytes.fromhex(record.hash)

    @property
    def founded(self) -> bool:
        """Whether record 1 or a checkpoint was adopted: from there on, records can be audited and run again."""
        return self._founded

    def finish(self) -> None:
        """Note what is missing at the end, and the damaged lines of which no whole record is there."""
        ends = self._hashes_among({each.hash for each in self._damaged if each.hash})
        for each in sorted(self._damaged, key=lambda each: not each.alone):
            if not self._is_ours(each) or (each.n is not None and each.n in self._explained):
                continue
            known = None if each.n is None else self._hash_of(each.n)
            if each.n is not None and known is None:
                changed = each.alone and each.n == self.n + 1 and each.follows(self._hash_of(self.n))
                self._note_damaged(each, each.n, changed=changed)
            elif each.n is not None and each.alone and (each.hash == known or each.follows(self._hash_of(each.n - 1))):
                # the record is there, but someone has changed a copy of it
                self._note_damaged(each, each.n, changed=True)
            elif (each.n is None or each.hash) and not {each.hash, each.prev} & (ends | self._edges):
                # its end is that of a record which is nowhere
                self._note_damaged(
                    each, self.n + 1 if each.follows(self._hash_of(self.n)) else each.place, changed=False
                )
        if self._chain.batch is not None and self.n + 1 not in self._explained:
            self.note(self.n + 1, phrase("batch {batch} has no end", batch=self._chain.batch), kind="missing")
        self.missing.sort()
        self.sort()

    # --- internal -------------------------------------------------------------------------------------------------

    def _is_another(self, record: Record) -> bool:
        """Return whether `record` belongs to a journal other than the one being read."""
        journal = record.link, record.side
        self._known.add(journal)
        link, side = self._chosen
        if journal == self._whose:
            return False
        if self._whose is None and link in {None, record.link} and side in {None, record.side}:
            self._whose = journal
            return False
        if link in {None, record.link} and side in {None, record.side}:
            self.others.add(journal)
        return True

    def _is_ours(self, each: Damaged) -> bool:
        """Return whether a damaged line may belong to this journal: another one must be known to be in the log."""
        return each.whose in {None, self._whose} or each.whose not in self._known

    def _hash_of(self, n: int) -> bytes | None:
        """Return the hash of a whole record, None if it is not there."""
        if not n:
            return bytes.fromhex(ORIGIN)
        end = 32 * n
        return bytes(self._adopted[end - 32 : end]) if 0 < end <= len(self._adopted) else self._beyond.get(n)

    def _hashes_among(self, wanted: set[bytes]) -> set[bytes]:
        """Return those of the wanted hashes that whole records have."""
        if not wanted:
            return set()
        adopted = (bytes(self._adopted[start : start + 32]) for start in range(0, len(self._adopted), 32))
        return {*wanted.intersection(adopted), *wanted.intersection(self._beyond.values())}

    def _keep(self, damaged: Damaged) -> None:
        if len(self._damaged) < DAMAGED_MAX:
            self._damaged.append(damaged)
        else:
            self.note(damaged.place, damaged.reason, kind="missing")

    def _gap(self, record: Record) -> None:
        """Note that the records between the last one and `record` are missing, and which of them a line explains."""
        first, last, before = self.n + 1, record.n - 1, bytes.fromhex(record.prev)
        self._edges |= {bytes.fromhex(self.head), before}
        self._index = self._index or _Index(each for each in self._damaged if self._is_ours(each))
        found = self._index.numbered(first, last)
        if (each := self._index.ending.get(before)) is not None:
            found.setdefault(last, each)
        if self.n and (each := self._index.following.get(bytes.fromhex(self.head))) is not None:
            found.setdefault(first, each)
        for n, each in found.items():
            placed = (n == last and each.hash == before) or each.follows(self._hash_of(n - 1))
            self._note_damaged(each, n, changed=each.alone and placed, damage=self._founded)
        if not self.n and isinstance(record.entry, Checkpoint):
            return
        for start, end in _ranges(first, last, sorted(found)):
            words = (
                phrase("records {first} to {last} are missing", first=start, last=end)
                if end > start
                else phrase("record {n} is missing", n=start)
            )
            self._note_missing(start, end, words, damage=self._founded)

    def _note_damaged(self, each: Damaged, n: int, *, changed: bool, damage: bool = False) -> None:
        self._explained.add(n)
        if changed:
            self.note(n, _CHANGED)
        else:
            self._note_missing(n, n, each.reason, damage=damage)

    def _note_missing(self, first: int, last: int, reason: str, *, damage: bool) -> None:
        if len(self.missing) < PROBLEMS_MAX:
            self.missing.append((first, last))
        self.note(first, reason, kind="missing", damage=damage)


def parts(text: bytes) -> Iterator[bytes]:
    """Split a text in front of each beginning of a record; the first part has none, and may be empty."""
    at = 0
    for start in START.finditer(text):
        yield text[at : start.start()]
        at = start.start()
    yield text[at:]


def is_closed(text: bytes) -> bool:
    """Return whether a text ends as a record does, with its hash."""
    return re.search(rb',"hash":"[0-9a-f]{64}"\}[ \t]*\Z', text[-200:]) is not None


def _last_end(line: bytes) -> re.Match[bytes] | None:
    """Return the last end of a record in a line."""
    last = None
    for each in _END.finditer(line):
        last = each
    return last


def _is_object(line: bytes) -> bool:
    """Return whether a line is one JSON object, and so has lost no end."""
    try:
        _OBJECT.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def _ranges(first: int, last: int, without: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the ranges from `first` to `last` that are left without some numbers, which are sorted."""
    for n in [*without, last + 1]:
        if n > first:
            yield first, n - 1
        first = n + 1
