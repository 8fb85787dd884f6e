"""Verifies signatures and runs segments again in other processes, ahead of the one that reads a journal.

The reader decides everything, in the order of the journal, as if it were alone. What the others have found only spares
it work: a frame counts as verified if exactly its bytes were, under exactly the keys in force, and a segment counts as
run again if it has exactly the bytes that were run. Where they have found nothing, or something wrong, the reader makes
its own finding.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from endpoints.errors import UserError
from endpoints.journal.reader import LINE_MAX_BYTES, JournalReader
from endpoints.journal.segments import segment_first
from endpoints.journal.workers import Workers, processors
from protocol.errors import LinkError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.record.audit import Audit, SealedFrame
from protocol.record.journal import Checkpoint, Record
from protocol.record.replay import Replay, SegmentRun, segment_of
from protocol.record.trusted_files import TrustedFile
from protocol.wire import envelope
from protocol.wire.instants import Millis
from protocol.wire.keyring import Keyring
from protocol.wire.policy import EnrolledKey

PART_BYTES: Final = 1 << 20
"""A worker verifies the frames of this much of a segment at a time: some 0.1 s of work."""
AHEAD: Final = 3
"""How many parts are under way for each worker, finished or not: more would only take memory."""
_MARK_OF_FRAMES: Final = b',"frame'
"""Stands in every line with frames, and in few others, so that most lines without them need not be decoded."""


class Overtaken(Exception):  # noqa: N818 - named for what happened
    """What was run ahead is not what was read, or is not needed whole: the journal has to be run again alone."""


class Ahead:
    """What workers find ahead of the reader of one journal.

    Attributes:
        workers: the processes.
        frames: the frames that they have verified.
        segments: the segments that they have run again.
    """

    def __init__(self, files: Sequence[Path], workers: Workers) -> None:
        self.workers = workers
        self.frames = FramesAhead(files, workers)
        self.segments = SegmentsAhead(files, workers)


@contextmanager
def ahead_of(reader: JournalReader, count: int | None = None) -> Iterator[Ahead | None]:
    """Provide workers while a journal of several segments is read; None for any other, and with a single processor.

    Args:
        reader: reads the journal.
        count: how many workers; by default one for each processor that this process may use.

    Raises UserError if a worker ends before its time. What a worker raises passes through.
    """
    workers = processors() if count is None else count
    if workers == 1 or len(reader.files) <= 1:
        yield None
        return
    with Workers(workers) as started:
        try:
            yield Ahead(reader.files, started)
        except BrokenProcessPool:
            raise UserError(
                phrase("{name}: a process that helped to read it was ended; try again", name=reader.name), exit_code=1
            ) from None


def audit_of(ahead: Ahead | None, trusted: Sequence[TrustedFile] = ()) -> Audit:
    """Return a new audit under the link files that are trusted; it verifies no frame that workers have verified."""
    return Audit(trusted) if ahead is None else Audit(trusted, ahead.frames.proven)


# --- signatures ---------------------------------------------------------------------------------------------------


class _Part(Struct, frozen=True):
    """A part of a file: the lines that begin in it."""

    path: Path
    begin: int
    end: int


class FramesAhead:
    """Verifies the frames of a journal under the keys in force, part by part; forgets what the reader has passed."""

    def __init__(self, files: Sequence[Path], workers: Workers) -> None:
        self._parts = iter(_parts(files))
        self._workers = workers
        # no more, so that what waits and what was found stays small
        self._tasks: deque[tuple[_Part, Future[tuple[int, list[bytes]]]]] = deque(maxlen=AHEAD * workers.count)
        self._ring: Keyring | None = None
        # the number of the last record of the part that the reader is in, and what was verified there
        self._upto = 0
        self._verified: frozenset[bytes] = frozenset()

    def proven(self, n: int, ring: Keyring, sealed: SealedFrame) -> bool:
        """Return whether a frame of record `n` was found to open under `ring`: see `protocol.record.audit.Proven`.

        Waits for the part that the record is in.
        """
        if ring is not self._ring:
            self._begin(ring)
        while n > self._upto and self._tasks:
            _, task = self._tasks.popleft()
            last, verified = task.result()
            self._upto, self._verified = max(self._upto, last), frozenset(verified)
            self._fill(ring)
        return _digest(sealed.sender, sealed.payload_type, sealed.frame) in self._verified

    def _begin(self, ring: Keyring) -> None:
        """Verify what follows under other keys. In the part that the reader is in, nothing more is known."""
        self._ring, self._verified = ring, frozenset()
        again = [part for part, _ in self._tasks]
        for _, task in self._tasks:
            task.cancel()
        self._tasks.clear()
        for part in again:
            self._submit(part, ring)
        self._fill(ring)

    def _fill(self, ring: Keyring) -> None:
        while len(self._tasks) != self._tasks.maxlen and (part := next(self._parts, None)) is not None:
            self._submit(part, ring)

    def _submit(self, part: _Part, ring: Keyring) -> None:
        task = self._workers.submit(verified_in, part.path, part.begin, part.end, ring.keys, ring.suite)
        self._tasks.append((part, task))


def _parts(files: Sequence[Path]) -> Iterator[_Part]:
    for path in files:
        try:
            size = path.stat().st_size
        except OSError:
            # the reader reports it
            continue
        for begin in range(0, size, PART_BYTES):
            yield _Part(path, begin, begin + PART_BYTES)


class _FramesOfRecord(Struct):
    """What is read of a record, whose other fields and hash the reader checks."""

    n: int
    side: str
    sender: str | None = None
    frame: bytes | None = None
    frames: tuple[bytes, ...] = ()


def verified_in(
    path: Path, begin: int, end: int, keys: Mapping[str, Sequence[EnrolledKey]], suite: str
) -> tuple[int, list[bytes]]:
    """Return the number of the last record in a part of a segment, and which of its frames open under the keys."""
    ring, decoder = Keyring(keys, suite, complete=False), msgspec.json.Decoder(_FramesOfRecord)
    last, found, text = 0, [], b""
    for text in lines_in(path, begin, end):
        if _MARK_OF_FRAMES not in text:
            continue
        try:
            line = decoder.decode(text)
        except (ValueError, RecursionError):
            continue
        for frame in line.frames if line.frame is None else (line.frame,):
            sender = line.sender or line.side
            try:
                # of the type that it says itself: another one is asked for in vain
                payload_type = envelope.parse(frame).payload_type
                ring.open(sender, payload_type, frame)
            except RemoteProtocolError:
                continue
            found.append(_digest(sender, payload_type, frame))
    with suppress(ValueError, RecursionError):
        last = decoder.decode(text).n
    return last, found


def lines_in(path: Path, begin: int, end: int) -> Iterator[bytes]:
    """Yield the lines that begin in a part of a file; none if it can't be read, which the reader reports."""
    try:
        with path.open("rb") as file:
            file.seek(max(begin - 1, 0))
            if begin and not file.readline(end - begin + 1).endswith(b"\n"):
                # the line that is under way ends behind this part: none begins in it
                return
            while file.tell() < end and (line := file.readline(LINE_MAX_BYTES)):
                yield line
    except OSError:
        return


def _digest(sender: str, payload_type: str, frame: bytes) -> bytes:
    """Return what names a frame, its sender and its payload type."""
    digest = sha256(frame)
    digest.update(f"\0{sender}\0{payload_type}".encode())
    return digest.digest()


# --- segments -----------------------------------------------------------------------------------------------------


class SegmentsAhead:
    """Runs the segments of a journal again, one a task."""

    def __init__(self, files: Sequence[Path], workers: Workers) -> None:
        self._files = iter(files)
        self._workers = workers
        # no more, so that few states wait, and few parts queue behind them
        self._tasks: deque[tuple[int, Future[SegmentRun | None]]] = deque(maxlen=workers.count + 1)

    def begin(self) -> None:
        """Have the first segments run."""
        while len(self._tasks) != self._tasks.maxlen and (path := next(self._files, None)) is not None:
            self._tasks.append((segment_first(path) or 0, self._workers.submit(run_again, path)))

    def segment(self, first: int) -> SegmentRun | None:
        """Return the result of the segment that begins with record `first`, None if only the reader can say it.

        Waits for it. They are asked for in their order.
        """
        self.begin()
        while self._tasks and self._tasks[0][0] <= first:
            begins, task = self._tasks.popleft()
            self.begin()
            if begins == first:
                return task.result()
        return None


def run_again(path: Path) -> SegmentRun | None:
    """Run one segment again; return its result, None where the reader of the whole journal has to say what it is."""
    try:
        return segment_of(JournalReader(str(path)).whole_records())
    except LinkError:
        return None


class RunAhead(Protocol):
    """What `ReplayAhead` asks for segments."""

    def segment(self, first: int) -> SegmentRun | None:
        """Return the result of the segment that begins with record `first`, None to run it."""


class ReplayAhead:
    """A replay that takes over the segments that were run again ahead."""

    def __init__(self, ahead: RunAhead | None, until: Millis | None = None) -> None:
        """Begin.

        Args:
            ahead: the segments; None to run every record here.
            until: where the reader stops: the first record after this instant is not taken.
        """
        self.result = Replay()
        self._segment: Callable[[int], SegmentRun | None] = (lambda _first: None) if ahead is None else ahead.segment
        self._until = math.inf if until is None else until
        # the segment that the reader is in, if its result is taken over
        self._present: SegmentRun | None = None

    def take(self, record: Record) -> None:
        """Take the next record. Raises Overtaken."""
        present = self._present
        if present is not None:
            self.result.count(record)
            if record.n == present.last:
                if record.hash != present.head:
                    raise Overtaken
                self.result.adopt(present)
                self._present = None
            return
        found = self._found(record)
        if found is None:
            self.result.take(record)
            return
        if self.result.begin(record):
            self._present = found

    def _found(self, record: Record) -> SegmentRun | None:
        """Return the result of the segment that begins with a record, if it is there and can be taken over."""
        if (record.n > 1 and not isinstance(record.entry, Checkpoint)) or not self.result.identical:
            return None
        found = self._segment(record.n)
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
