"""What a worker does with a segment of a journal: finds the spans in it, and runs it again.

Nothing here reports a problem. Where a line is not a record, or a file can't be read, nothing is found, and the
reader of the journal says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from endpoints.errors import UserError
from endpoints.journal.archived_segment import open_segment
from endpoints.journal.reader import LINE_MAX_BYTES
from protocol.errors import EnrolmentError, JournalError
from protocol.record.journal import Chain, Record, decode
from protocol.record.replay import SegmentReplay, SegmentRun
from protocol.record.spans import Span, SpanFinder
from protocol.record.terms_history import TermsHistory
from protocol.wire.keyring import Keyring
from protocol.wire.policy import EnrolledKey


class PartFound(Struct, frozen=True):
    """What a worker found in a part of a segment.

    Attributes:
        spans: its spans.
        segment: the result of running it again, if it was a whole segment and nothing differed.
    """

    spans: list[Span]
    segment: SegmentRun | None = None


def spans_in(
    path: Path,
    begin: int,
    end: int,
    keys: Mapping[str, Sequence[EnrolledKey]],
    suite: str,
    *,
    apart: str | None = None,
) -> PartFound:
    """Return the spans among the lines that begin in a part of a file, verified under these keys.

    No span contains the record with the hash `apart`.
    """
    finder = SpanFinder(apart)
    finder.use(Keyring(keys, suite, complete=False))
    for offset, line in lines_in(path, begin, end):
        if (record := _record_in(line)) is None:
            finder.interrupt()
        else:
            finder.take(record, offset, offset + len(line))
    return PartFound(finder.finish())


def run_again(path: Path, end: int) -> PartFound:
    """Run a segment of `end` bytes again; return the result, and the spans that its own keys verify."""
    finder, replay, terms, chain = SpanFinder(), SegmentReplay(), _SegmentKeys(), Chain()
    for offset, line in lines_in(path, 0, end):
        record = _record_in(line)
        if record is None:
            finder.interrupt()
            replay.give_up()
            continue
        finder.use(terms.after(record))
        finder.take(record, offset, offset + len(line))
        if chain.objection(record):
            replay.give_up()
        chain.adopt(record)
        replay.take(record)
    return PartFound(finder.finish(), replay.result())


class _SegmentKeys:
    """The keys in force within one segment, as its own records name them."""

    def __init__(self) -> None:
        self._history = TermsHistory()
        self._ring: Keyring | None = None

    def after(self, record: Record) -> Keyring | None:
        """Return the keys after a record, None before it names any that can be used."""
        history = self._history
        if history.take(record):
            terms, keys = history.terms, history.keys
            self._ring = None
            if terms is not None and keys.agreed:
                try:
                    self._ring = Keyring(keys.accepted, terms.policy.suite, complete=False)
                except EnrolmentError:
                    # the reader reports it
                    return None
        return self._ring


def _record_in(line: bytes) -> Record | None:
    """Return the record in a line, None if it is none."""
    try:
        return decode(line[:-1])
    except JournalError:
        return None


def lines_in(path: Path, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield the whole lines that begin in a part of a file, each with its offset; none if it can't be read.

    What stands behind the last newline is left out: zeros that were written ahead, or a line that a crash has cut.
    """
    try:
        with open_segment(path) as file:
            file.seek(max(begin - 1, 0))
            if begin and not file.readline(end - begin + 1).endswith(b"\n"):
                # the line that is under way ends behind this part: none begins in it
                return
            offset = file.tell()
            while offset < end and (line := file.readline(LINE_MAX_BYTES)).endswith(b"\n"):
                yield offset, line
                offset += len(line)
    except (OSError, UserError):
        return
