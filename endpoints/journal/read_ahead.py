"""Verifies a journal, and runs it again, in other processes ahead of the one that reads it.

The reader decides everything, in the order of the journal, as if it were alone. What the others have found only spares
it work: it passes over a span of records that they have verified if the span follows from what it has read, under
exactly the keys in force. Where they have found nothing, or something wrong, the reader makes its own finding.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from endpoints.errors import UserError
from endpoints.journal.archived_segment import segment_bytes
from endpoints.journal.reader import JournalReader
from endpoints.journal.segment_work import PartFound, run_again, spans_in
from endpoints.journal.segments import is_archived
from endpoints.journal.workers import Workers, processors
from protocol.phrases import phrase
from protocol.record.audit import Audit
from protocol.record.journal import Checkpoint, Record
from protocol.record.replay import Replay, SegmentRun
from protocol.record.spans import Span
from protocol.wire.instants import Millis
from protocol.wire.keyring import Keyring

PART_BYTES: Final = 1 << 20
"""A worker verifies this much of a segment at a time: some 0.1 s of work. What it runs again, it takes whole."""
AHEAD: Final = 3
"""How many parts are under way for each worker, finished or not: more would only take memory."""

Place = tuple[int, int]
"""A place in the journal: the index of the file, and an offset."""


class Overtaken(Exception):  # noqa: N818 - named for what happened
    """What was run ahead is not what was read, or is not needed whole: the journal has to be run again alone."""


class _Part(Struct, frozen=True):
    """The lines that begin in a part of a file."""

    path: Path
    begin: Place
    end: Place


class Ahead:
    """What workers find ahead of the reader of one journal; it forgets what the reader has passed."""

    def __init__(
        self,
        reader: JournalReader,
        workers: Workers,
        *,
        run: bool = False,
        apart: str | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """Begin. For `run` and `apart` see `ahead_of`; `part_bytes` is how much a worker verifies at a time."""
        self._reader = reader
        self.workers = workers
        self._files = reader.files
        self._index = {path: index for index, path in enumerate(self._files)}
        self._run = run
        self._apart = apart
        self._part_bytes = part_bytes
        self._ring: Keyring | None = None
        self._parts: Iterator[_Part] = iter(()) if not run else self._parts_from((0, 0))
        # no more, so that what waits and what was found stays small
        self._tasks: deque[tuple[_Part, Future[PartFound]]] = deque(maxlen=(1 if run else AHEAD) * workers.count + 1)
        # the end of the part that the reader is in, its spans by their offset, and what running it again has given
        self._upto: Place = 0, 0
        self._spans: dict[int, Span] = {}
        self._segment: SegmentRun | None = None

    def segment(self, first: int) -> SegmentRun | None:
        """Return the result of the segment that begins with record `first` and that the reader is in.

        None if only the reader can say it. Waits for it.
        """
        self._reach()
        found = self._segment
        return found if found is not None and found.first == first else None

    def pass_over(self, audit: Audit, replaying: ReplayAhead | None = None) -> int:
        """Pass over the spans that come next; return the number of their last record, 0 if there is none.

        Call it after the last record of a batch. Waits for the part that the reader is in. Raises Overtaken.
        """
        last = 0
        while (
            (ring := audit.ring) is not None
            and (span := self._span(ring)) is not None
            and self._reader.admits(span)
            and audit.admits(span)
            and (replaying is None or replaying.admits(span))
        ):
            self._reader.pass_over(span)
            audit.pass_over(span)
            if replaying is not None:
                replaying.pass_over(span)
            last = span.last
        return last

    def _span(self, ring: Keyring) -> Span | None:
        """Return the span at the reader's place, verified under these keys or, if they were run again, any."""
        if not self._run and ring is not self._ring:
            self._begin(ring)
        place = self._reach()
        return None if place is None else self._spans.get(place[1])

    def _begin(self, ring: Keyring) -> None:
        """Verify what follows under other keys."""
        self._ring = ring
        for _, task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._spans = {}
        if (place := self._place) is not None:
            self._upto, self._parts = place, self._parts_from(place)

    @property
    def _place(self) -> Place | None:
        place = self._reader.place
        index = None if place is None else self._index.get(place[0])
        return None if place is None or index is None else (index, place[1])

    def _reach(self) -> Place | None:
        """Take the results up to the reader's place, and return the place; None if it is in no file."""
        self._fill()
        place = self._place
        while place is not None and place >= self._upto and self._tasks:
            part, task = self._tasks.popleft()
            found = task.result()
            self._upto, self._segment = part.end, found.segment
            self._spans = {span.begin: span for span in found.spans}
            self._fill()
        return place

    def _fill(self) -> None:
        while len(self._tasks) != self._tasks.maxlen and (part := next(self._parts, None)) is not None:
            self._tasks.append((part, self._submit(part)))

    def _submit(self, part: _Part) -> Future[PartFound]:
        if self._run:
            return self.workers.submit(run_again, part.path, part.end[1])
        assert self._ring is not None, "parts follow from the keys"
        begin, end = part.begin[1], part.end[1]
        return self.workers.submit(
            spans_in, part.path, begin, end, self._ring.keys, self._ring.suite, apart=self._apart
        )

    def _parts_from(self, place: Place) -> Iterator[_Part]:
        first, offset = place
        for index, path in enumerate(self._files):
            if index < first:
                continue
            try:
                size = segment_bytes(path)
            except OSError:
                # the reader reports it
                continue
            # an archive is unpacked as a whole
            step = max(size, 1) if self._run or is_archived(path) else self._part_bytes
            for begin in range(offset if index == first else 0, size, step):
                yield _Part(path, (index, begin), (index, begin + step))


@contextmanager
def ahead_of(
    reader: JournalReader, count: int | None = None, *, run: bool = False, apart: str | None = None
) -> Iterator[Ahead | None]:
    """Provide workers while a journal of several segments is read; None for any other, and with a single processor.

    Args:
        reader: reads the journal.
        count: how many workers; by default one for each processor that this process may use.
        run: whether they run the segments again, under the keys that the journal itself enrols.
        apart: the hash of a record that the reader has to see itself.

    Raises UserError if a worker ends before its time. What a worker raises passes through.
    """
    workers = processors() if count is None else count
    if workers == 1 or len(reader.files) <= 1:
        yield None
        return
    with Workers(workers) as started:
        try:
            yield Ahead(reader, started, run=run, apart=apart)
        except BrokenProcessPool:
            raise UserError(
                phrase("{name}: a process that helped to read it was ended; try again", name=reader.name), exit_code=1
            ) from None


class ReplayAhead:
    """A replay that takes over the segments that were run again ahead."""

    def __init__(self, segment: Callable[[int], SegmentRun | None] | None, until: Millis | None = None) -> None:
        """Begin.

        Args:
            segment: returns the result of the segment that begins with a record, None to run it here.
            until: where the reader stops: the first record after this instant is not taken.
        """
        self.result = Replay()
        self._segment = segment
        self._until = math.inf if until is None else until
        # the segment that the reader is in, if its result is taken over
        self._present: SegmentRun | None = None

    def take(self, record: Record) -> None:
        """Take the next record. Raises Overtaken."""
        if self._present is not None:
            self.result.count(record)
            self._end_at(record.n, record.hash)
            return
        found = self._found(record)
        if found is None:
            self.result.take(record)
            return
        if self.result.begin(record):
            self._present = found

    def admits(self, span: Span) -> bool:
        """Return whether the records of a span, which come next, are only counted."""
        if span.at > self._until:
            return False
        return self.result.idle if self._present is None else span.last <= self._present.last

    def pass_over(self, span: Span) -> None:
        """Count the records of a span that is admitted. Raises Overtaken."""
        self.result.pass_over(span)
        self._end_at(span.last, span.head)

    def _end_at(self, n: int, digest: str) -> None:
        """Take over the result of the present segment if record `n` is its last one."""
        present = self._present
        if present is None or n != present.last:
            return
        if digest != present.head:
            raise Overtaken
        self.result.adopt(present)
        self._present = None

    def _found(self, record: Record) -> SegmentRun | None:
        """Return the result of the segment that begins with a record, if it is there and can be taken over."""
        if (record.n > 1 and not isinstance(record.entry, Checkpoint)) or not self.result.identical:
            return None
        found = None if self._segment is None else self._segment(record.n)
        return found if found is not None and found.last > record.n and found.at <= self._until else None

    def diverge(self, record: int, reason: str) -> None:
        """Note a difference found elsewhere. Raises Overtaken."""
        if self._present is not None:
            raise Overtaken
        self.result.diverge(record, reason)

    def finish(self) -> Replay:
        """Return the result after the last record. Raises Overtaken."""
        if self._present is not None:
            raise Overtaken
        return self.result
