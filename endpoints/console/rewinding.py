"""Folds a journal to an instant of its past, from the nearest checkpoint before it. As a program, it prints the result.

    python -m endpoints.console.rewinding FOLDER LINK SIDE MILLISECONDS

One segment is read, and as much of the next as shows whether the service ran on, so the cost does not grow with the
age of the link. The records are verified by their chain; `log verify` judges signatures too.
"""

from __future__ import annotations

import re
import resource
import sys
import zlib
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from endpoints.errors import UserError, os_reason
from endpoints.journal.archived_segment import DamagedArchive
from endpoints.journal.batch_reader import BatchReader
from endpoints.journal.segments import archived_path, is_archived, segment_first, segments
from endpoints.journal.writer import DamagedJournal
from protocol.core.snapshot import Snapshot
from protocol.errors import JournalError
from protocol.phrases import Said, phrase, said, worded
from protocol.record.happenings import Happening, Happenings, at_work
from protocol.record.journal import Record
from protocol.record.replay import at_end
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Utc

CPU_S: Final = 20
"""How much processor time the program may take, also when nobody waits for it any more."""
_HEAD_BYTES: Final = 512
_PACKED_BYTES: Final = 4_096
_GZIP_BITS: Final = 31
_HEAD: Final = re.compile(rb'\{"n":\d{1,16},"link":"[^"]*","side":"[^"]*","batch":\d{1,16},"at":"([0-9TZ:.-]{20,30})"')


class Rewound(Struct, frozen=True, kw_only=True):
    """A link as its journal has it at one instant.

    Attributes:
        record, hash: the last record up to the instant.
        at: the time of that record.
        later: whether the journal has a record after the instant: then nothing can be added before it.
        absence: the absence of the service in which the instant lies; None if it was at work, as far as records show.
        stopped: when it had stopped in order before the instant; None if it had not.
        snapshot: the state.
    """

    record: int
    hash: str
    at: Utc
    later: bool
    absence: Happening | None
    stopped: Utc | None
    snapshot: Snapshot


class RewindOutcome(Struct, frozen=True, kw_only=True):
    """What the program prints: the result, or why there is none, with what that text was made from."""

    rewound: Rewound | None = None
    trouble: str = ""
    made_from: Said | None = None


def rewind(folder: Path, link: str, side: str, until: Millis) -> Rewound:
    """Return the state of a link after the last record before the first one that is later than `until`.

    Args:
        folder: of the journal.
        link: whose journal it must be.
        side: of which side.
        until: in milliseconds since 1970, by the journal's own clock.

    Raises UserError, with one sentence, for an instant of which the journal says nothing.
    """
    try:
        found = _Stretch(folder, until)
        found.read()
    except OSError as error:
        file = error.filename or folder
        raise UserError(phrase("{file}: can't be read: {reason}", file=file, reason=os_reason(error))) from error
    records = found.records
    if (records[0].link, records[0].side) != (link, side):
        whose = {"side": records[0].side, "link": records[0].link}
        raise UserError(phrase("{folder}: this is a journal of {side} on {link}", folder=folder, **whose))
    try:
        core = at_end(records)
    except JournalError as error:
        raise UserError(phrase("{path}: {error}", path=folder, error=error)) from error
    if core.terms is None:
        raise UserError(phrase("at this instant no epoch was open: nothing had been agreed yet"))
    last = records[-1]
    return Rewound(
        record=last.n,
        hash=last.hash,
        at=written(last.entry.at),
        later=found.later,
        absence=found.absence(),
        stopped=found.stopped(),
        snapshot=core.snapshot(),
    )


class _Stretch:
    """The records from a checkpoint up to an instant, and what the records after it say of an absence."""

    def __init__(self, folder: Path, until: Millis) -> None:
        self.records: list[Record] = []
        self.later = False
        self._until = until
        self._folder = folder
        self._happenings = Happenings()

    def read(self) -> None:
        """Read them. Raises OSError, UserError."""
        reader = BatchReader(self._folder, _segment_before(self._folder, self._until))
        try:
            for batch in reader.batches():
                for record in batch:
                    self.later = self.later or record.entry.at > self._until
                    if not self.later:
                        self.records.append(record)
                    self._happenings.take(record)
                if self.later and any(map(at_work, batch)):
                    break
        except (DamagedJournal, DamagedArchive) as error:
            if not self.later:
                last = self.records[-1] if self.records else None
                raise UserError(_damaged(last, error)) from error
        if not self.records:
            raise _too_early(self._folder)

    def absence(self) -> Happening | None:
        """Return the absence in which the instant lies, None if there is none."""
        for each in reversed(self._happenings.listed):
            since = each.since or each.at
            if each.what == "blind" and parsed(since) <= self._until < parsed(each.at):
                return each
        return None

    def stopped(self) -> Utc | None:
        """Return when the service had stopped in order before the instant, None if it had not."""
        upto = written(self._until)
        turns = [each for each in self._happenings.listed if each.what in {"started", "stopped"} and each.at <= upto]
        return turns[-1].at if turns and turns[-1].what == "stopped" else None


def _damaged(last: Record | None, error: UserError) -> str:
    if last is None:
        return phrase("the journal can't be read at this instant: {why}", why=error)
    return phrase(
        "the journal can't be read at this instant; its last intact record before it is {record}, of {at} UTC: {why}",
        record=last.n,
        at=_words(last.entry.at),
        why=error,
    )


def _segment_before(folder: Path, until: Millis) -> Path:
    """Return the last segment before the first that begins after an instant. Raises OSError, UserError."""
    found: Path | None = None
    for path in segments(folder):
        begins = begin_of(path)
        if begins is not None and begins > until:
            break
        found = path
    if found is None:
        raise _too_early(folder)
    return found


def begin_of(segment: Path) -> Millis | None:
    """Return the time of the first record of a segment, None if it can't be read there. Raises OSError."""
    match = _HEAD.match(_head(segment))
    try:
        return None if match is None else parsed(match[1].decode())
    except ValueError:
        return None


def _head(segment: Path) -> bytes:
    """Return the first bytes of a segment; of an archive, of what it contains, which is not unpacked whole."""
    path = segment if segment.exists() else archived_path(segment)
    with path.open("rb") as file:
        data = file.read(_PACKED_BYTES)
    if not is_archived(path):
        return data[:_HEAD_BYTES]
    try:
        return zlib.decompressobj(_GZIP_BITS).decompress(data, _HEAD_BYTES)
    except zlib.error:
        # the reader of the journal reports it
        return b""


def _too_early(folder: Path) -> UserError:
    """Return why there is nothing of an instant before the first record."""
    first = next(iter(segments(folder)), None)
    begins = None if first is None else begin_of(first)
    if first is None or begins is None:
        return UserError(phrase("{folder}: the journal has no record yet", folder=folder))
    n = segment_first(first)
    if n == 1:
        return UserError(phrase("the journal begins only at {at} UTC", at=_words(begins)))
    return UserError(
        phrase("the journal here begins at {at} UTC with record {n}: older ones are not here", at=_words(begins), n=n)
    )


def _words(at: Millis) -> str:
    text = written(at)
    return f"{text[:10]} {text[11:19]}"


def outcome(folder: Path, link: str, side: str, until: Millis) -> RewindOutcome:
    """Return the result of `rewind`, or why there is none."""
    try:
        return RewindOutcome(rewound=rewind(folder, link, side, until))
    except UserError as error:
        why = worded(error)
        return RewindOutcome(trouble=str(why), made_from=said(why))


def main(words: list[str]) -> None:
    """Print the outcome for the program's arguments, as JSON."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    folder, link, side, until = words
    sys.stdout.buffer.write(msgspec.json.encode(outcome(Path(folder), link, side, int(until))))


if __name__ == "__main__":
    main(sys.argv[1:])
