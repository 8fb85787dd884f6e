"""Tracks which records of a journal no signed head covers, and finds where one is missing.

A service signs the head when the first uncovered batch is 10 minutes old, directly behind the batch that is written
then. It also signs behind the first batch of a run if an earlier run has left uncovered ones. So behind a batch that is
15 minutes younger than an uncovered one, or that begins a run after an uncovered one, a signed head follows, or the
first batch of another run if the service was killed in between. Only the records' own times count, so that neither
a sleep nor a stall of the machine matters.
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from protocol.core.events import BatchClosed, ClockStepped, Started
from protocol.phrases import phrase
from protocol.record.journal import OWN_ENTRIES, Checkpoint, Closed, Entry, HeadSigned, Record
from protocol.record.spans import Batched, Span
from protocol.wire.instants import Millis

SIGN_AFTER_MS: Final = 600_000
"""The age of the first uncovered batch at which a service signs the head."""
SIGN_WITHIN_MS: Final = 900_000
"""The age at which an audit demands a signed head."""


def signed_head(entry: Entry) -> str | None:
    """Return the signed head that an entry carries, None if it has none."""
    if type(entry) not in OWN_ENTRIES:
        return None
    assert isinstance(entry, Checkpoint | HeadSigned | Closed)
    return None if entry.signed_head is UNSET else entry.signed_head


class Uncovered:
    """The first batch of a journal that no signed head covers, updated record by record.

    A checkpoint counts as one: the head that it carries covers only the records before it. The record of a signed head
    that has no other content does not count.

    Attributes:
        first: the batch, None if every batch is covered.
    """

    def __init__(self) -> None:
        self.first: Batched | None = None
        # how far the wall clock was set ahead since, less how far it was set back
        self._ahead_ms: Millis = 0
        # the time of the last batch, or of a step after it
        self._at: Millis = 0

    def take(self, record: int, entry: Entry, *, ends_batch: bool) -> None:
        """Take the next record, by its number and entry."""
        if isinstance(entry, ClockStepped):
            # a step that the times of the records do not show is none
            self._ahead_ms += min(entry.step_ms, max(entry.at - self._at, 0))
            self._at = entry.at
        covered = signed_head(entry) is not None
        if covered:
            self.first = None
        if ends_batch and self.first is None and not (covered and not isinstance(entry, Checkpoint)):
            self.first = Batched(record, entry.at, entry.mono)
            self._ahead_ms = 0
        if ends_batch:
            self._at = entry.at

    def age_ms(self, at: Millis, mono: Millis) -> Millis:
        """Return how old the first uncovered batch is at this time by either clock; 0 if there is none.

        A wall clock that was set ahead does not make it older.
        """
        if self.first is None:
            return 0
        return max(mono - self.first.mono, at - self.first.at - self._ahead_ms, 0)

    def age_upto_ms(self, span: Span) -> Millis:
        """Return the greatest age of the first uncovered batch while the records of `span` are taken."""
        at, mono = span.latest
        if self.first is None:
            return max(mono - span.opens.mono, at - span.opens.at, 0)
        return self.age_ms(at, mono)

    def pass_over(self, span: Span) -> None:
        """Continue behind the records of a span, which has no signed head and no step of the clock."""
        if self.first is None:
            self.first, self._ahead_ms = span.opens, 0
        self._at = span.closes.at


class MissingHeads:
    """Finds where a journal lacks a signed head, record by record."""

    def __init__(self) -> None:
        self._uncovered = Uncovered()
        self._last = 0
        # whether a record of the present batch starts a run
        self._starts = False
        # the batch that a signed head has to follow
        self._owed: Batched | None = None
        # whether this gap was reported
        self._reported = False

    def take(self, record: Record, *, demanded: bool) -> str:
        """Take the next record; return which records lack a signed head, or an empty string.

        Args:
            record: the record.
            demanded: whether who writes this journal signs its heads.
        """
        entry, wrong = record.entry, ""
        if self._last and record.n != self._last + 1:
            # what is missing may have been a signed head
            self._uncovered, self._owed, self._starts = Uncovered(), None, False
        self._last = record.n
        self._starts = self._starts or isinstance(entry, Started)
        if signed_head(entry) is not None:
            self._owed, self._reported = None, False
        elif isinstance(entry, BatchClosed):
            wrong = self._batch(record.n, entry, demanded=demanded)
        self._uncovered.take(record.n, entry, ends_batch=record.ends_batch)
        return wrong

    def _batch(self, n: int, entry: BatchClosed, *, demanded: bool) -> str:
        first, owed, starts = self._uncovered.first, self._owed, self._starts
        self._starts = False
        if first is None or not demanded:
            self._owed = None
            return ""
        if owed is None and (starts or self._uncovered.age_ms(entry.at, entry.mono) >= SIGN_WITHIN_MS):
            self._owed = Batched(n, entry.at, entry.mono)
        if owed is None or starts or self._reported:
            return ""
        self._reported = True
        return phrase(
            "no signed head covers records {first} to {last}: one has to follow within 15 minutes, "
            "and the start of a service",
            first=first.record,
            last=owed.record,
        )

    def admits(self, span: Span, *, demanded: bool) -> bool:
        """Return whether no signed head is missing up to the end of a span that comes next: neither owed nor due."""
        if span.first != self._last + 1 or self._owed is not None or self._starts:
            return False
        return not demanded or self._uncovered.age_upto_ms(span) < SIGN_WITHIN_MS

    def pass_over(self, span: Span) -> None:
        """Continue behind a span that is admitted."""
        self._last = span.last
        self._uncovered.pass_over(span)
