"""Keeps the ledger of one journal up to date by following its files, which are only ever read.

The files are read and decoded in a thread. The records are folded in the event loop, a few milliseconds at a time, so
that a view always sees a whole ledger and a long journal delays nobody. A journal that was restored is read anew.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Final

from msgspec import Struct

from endpoints.config.settings import LinkSettings
from endpoints.console.journal_verdict import JournalJudge
from endpoints.errors import UserError, os_reason
from endpoints.journal.archived_segment import segment_bytes
from endpoints.journal.batch_reader import BatchReader, ReplacedJournal
from endpoints.journal.segments import segments
from protocol.errors import JournalError
from protocol.phrases import phrase, worded
from protocol.record.happenings import Happening
from protocol.record.journal import Record
from protocol.record.ledger import Ledger
from protocol.wire.messages import Reference

FOLDED_AT_ONCE: Final = 50
"""Records that are folded before other work gets its turn: a few milliseconds, even where each has many messages."""
PATIENCE_S: Final = 1.0
"""How long a view waits for its record: a page that lacks the newest record is better than no page."""
MOST_BYTES: Final = 64 << 20
"""How much of a journal is read: of a longer one, the oldest segments are left out, so that memory is bounded."""
_NEW = frozenset({"queued", "received", "refused"})


class Meanwhile(Struct, frozen=True, kw_only=True):
    """How many messages, alerts and line tests among them, and alarms were recorded in an interval."""

    messages: int
    alerts: int
    tests: int
    alarms: int


class History:
    """The history of one link, as its journal on this machine has it.

    Attributes:
        ledger: what was folded so far.
        upto: the number of the last record that was folded, 0 before the first.
        head: the hash of the last record that was folded.
        begins: the number of the first one; more than 1 if earlier records are left out, or not there.
        generation: how often the journal was read anew, because it was replaced or had become too long.
        trouble: why the journal can't be read, or not beyond `upto`; empty if it can.
        catching_up: whether there are records that are not folded yet.
        judge: has the journal verified on demand.
    """

    def __init__(self, link: LinkSettings, side: str, *, most_bytes: int = MOST_BYTES) -> None:
        self.link = link
        self.side = side
        self.generation = 0
        self.trouble = ""
        self.judge = JournalJudge(link)
        self._most_bytes = most_bytes
        self._refreshing: asyncio.Task[None] | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.ledger = Ledger()
        self.upto = self.begins = 0
        self.head = ""
        self.catching_up = True
        self._reader: BatchReader | None = None

    async def bring_up_to(self, n: int) -> None:
        """Fold what the journal has, until record `n` is folded or the journal ends, for `PATIENCE_S` at most.

        Reading goes on in the background after that.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while self.upto < n or self.catching_up:
                    before = self.upto
                    # one that began earlier may have missed the record
                    joined = self._refreshing is not None
                    await asyncio.shield(self._refresh())
                    if not joined and self.upto == before:
                        return

    def _refresh(self) -> asyncio.Task[None]:
        """Return the task that reads on; all who wait share one."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._read_on())
            self._refreshing.add_done_callback(self._refreshed)
        return self._refreshing

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled():
            task.exception()

    async def _read_on(self) -> None:
        """Fold everything that the journal has by now."""
        while True:
            if self._reader is not None and self._reader.read_bytes > 2 * self._most_bytes:
                self._start_over()
            try:
                records = await asyncio.to_thread(self._next_records)
                self.trouble = ""
            except ReplacedJournal:
                self._start_over()
                continue
            except UserError as error:
                self.trouble = worded(error)
                return
            except OSError as error:
                file = error.filename or self.link.journal
                self.trouble = phrase("{file}: can't be read: {reason}", file=file, reason=os_reason(error))
                return
            self.catching_up = bool(records)
            if not records:
                return
            try:
                self._fold(records)
            except JournalError as error:
                self.trouble = phrase("{path}: {error}", path=self.link.journal, error=error)
                return
            await asyncio.sleep(0)

    def _start_over(self) -> None:
        self.generation += 1
        self._begin_anew()

    def _next_records(self) -> list[Record]:
        """Return the next whole batches; none if there are no more. Raises OSError, UserError."""
        if self._reader is None:
            self._reader = BatchReader(self.link.journal, _beginning(self.link.journal, self._most_bytes))
        found: list[Record] = []
        try:
            for batch in self._reader.batches():
                found += batch
                if len(found) >= FOLDED_AT_ONCE:
                    break
        except (OSError, UserError):
            # the reader is behind what it has given, and says the same at the next call
            if not found:
                raise
        return found

    def _fold(self, records: list[Record]) -> None:
        """Fold records. Raises JournalError for what no link could have written."""
        self.begins = self.begins or records[0].n
        for record in records:
            self.upto, self.head = record.n, record.hash
            self.ledger.take(record)

    def between(self, after: int, upto: int) -> Meanwhile:
        """Return what was recorded after record `after`, up to record `upto`."""
        listed = self.ledger.happenings.listed
        begin, end = (bisect_right(listed, n, key=attrgetter("record")) for n in (after, upto))
        kinds = [self._kind(each) for each in listed[begin:end] if each.what in _NEW]
        return Meanwhile(
            messages=len(kinds),
            alerts=kinds.count("alert"),
            tests=kinds.count("heartbeat"),
            alarms=sum(each.what == "alarm_raised" for each in listed[begin:end]),
        )

    def _kind(self, step: Happening) -> str:
        entry = self.ledger.entries.get(Reference.parse(step.subject))
        return "unknown" if entry is None else entry.kind


def _beginning(folder: Path, most_bytes: int) -> Path | None:
    """Return the segment to begin with, so that at most `most_bytes` are read; None for the first. Raises OSError."""
    left = most_bytes
    chosen: Path | None = None
    for path in _newest_first(folder):
        left -= segment_bytes(path)
        if left < 0 and chosen is not None:
            return chosen
        chosen = path
    return chosen


def _newest_first(folder: Path) -> Iterator[Path]:
    yield from reversed(segments(folder))
