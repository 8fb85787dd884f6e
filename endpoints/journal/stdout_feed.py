"""Prints the journals' records and ordinary log lines on standard output, so that a collected log is a journal too.

For people it prints them in words instead, from the start of the process on; that output is no journal. One thread
writes everything that this process prints. It reads records from the segments, and only what is flushed. A slow reader
of standard output delays this thread alone. The file `stdout.place` beside a journal says up to where it was printed:
after a kill some lines are printed again, and none is lost.
"""

from __future__ import annotations

import os
import re
import select
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import msgspec

from endpoints.errors import UserError
from endpoints.journal.archived_segment import open_segment
from endpoints.journal.segments import segment_first, segment_path, segments
from endpoints.keys.private_files import FILE_MODE

PLACE = "stdout.place"
LINES_MAX: Final = 1_000
"""How many ordinary lines wait for a slow reader, some 300 kB. Further ones are dropped, and their number printed."""
GATHER_S: Final = 0.02
"""How long news waits for more: each time this thread wakes, it takes processor time from the exchange of frames."""
PAUSE_S: Final = 10.0
"""After so long without news, people are told how many lines were left out."""
_CHUNK_BYTES: Final = 1 << 18
_PLACE = re.compile(rb"(\d{16}) (\d{16}) (clean|going)\n")


class Flushed(Protocol):
    """Says how much of a journal is on disk, to any thread."""

    @property
    def flushed(self) -> tuple[int, int]:
        """The last segment's first number, and up to which byte that segment is on disk."""

    @property
    def ended(self) -> bool:
        """Nothing more is written to it."""


class Wording(Protocol):
    """Puts what a process prints into lines for people. Only the thread that prints calls it."""

    def records(self, lines: bytes) -> bytes:
        """Return the text for whole lines of a journal."""

    def line(self, line: bytes) -> bytes:
        """Return the text for an ordinary line, given without its newline."""

    def rest(self) -> bytes:
        """Return the text for what was left out, after a pause of `PAUSE_S`."""


class StdoutFeed:
    """Writes a process's standard output. A process that ends without `close` loses no record."""

    def __init__(self, descriptor: int | None = None, wording: Wording | None = None) -> None:
        """Prepare it; `start` begins to print.

        Args:
            descriptor: where to print; standard output if None.
            wording: puts everything into words for people; None prints the journal itself.
        """
        self._wording = wording
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._tails: dict[Path, _Tail] = {}
        self._lines: deque[bytes] = deque(maxlen=LINES_MAX)
        self._dropped = 0
        self._news = False
        self._paused = False
        self._closing = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="standard output", daemon=True)

    def follow(self, folder: Path, journal: Flushed) -> None:
        """Print the journal in `folder` too, from where printing ended, or from its beginning if that is not known.

        For people it is printed from now on.

        Args:
            folder: where its segments lie.
            journal: the journal, just opened; it replaces one that was followed in the same folder.
        """
        with self._condition:
            before = self._tails.get(folder)
            if before is None:
                tail = self._tails[folder] = _Tail(folder, journal, kept=self._wording is None)
                if self._thread.is_alive():
                    tail.begin()
            else:
                before.replace(journal)
        self.wake()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Print what has been added to the journals."""
        if self._news:
            # the thread clears this before it looks
            return
        with self._condition:
            self._news = True
            self._condition.notify()

    def write_line(self, line: bytes) -> bool:
        """Print an ordinary line, given without its newline. Never blocks.

        Returns False if it is dropped: `LINES_MAX` wait already, or standard output is closed.
        """
        with self._condition:
            kept = len(self._lines) < LINES_MAX and not self._closing
            if kept:
                self._lines.append(line)
            else:
                self._dropped += 1
            if not self._news:
                self._news = True
                self._condition.notify()
        return kept

    def close(self, timeout_s: float) -> bool:
        """Print the rest, for at most `timeout_s` seconds, and end the thread. Return whether all was printed."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            if self._wording is None and any(not tail.clean for tail in tuple(self._tails.values())):
                # a killed process may have left half a line
                self._write(b"\n")
            for tail in tuple(self._tails.values()):
                tail.begin()
            while self._wait():
                self._drain()
            self._drain()
            if self._wording is not None:
                self._write(self._wording.rest())
            for tail in tuple(self._tails.values()):
                tail.finish()
        except OSError:
            # standard output is closed: the next start prints the records that are left
            with self._condition:
                self._closing = True

    def _wait(self) -> bool:
        """Wait for something to print. Return False after `close`."""
        with self._condition:
            while not (self._news or self._closing):
                if not self._condition.wait(None if self._wording is None else PAUSE_S):
                    self._paused = True
                    break
            if self._news:
                self._condition.wait_for(lambda: self._closing, GATHER_S)
            self._news = False
            return not self._closing

    def _drain(self) -> None:
        """Print everything there is, one chunk of each journal in turn; news after a small round waits for more."""
        if self._paused and self._wording is not None:
            self._paused = False
            self._write(self._wording.rest())
        while True:
            lines = self._take_lines()
            if lines:
                self._write_lines(lines)
            printed = 0
            for tail in tuple(self._tails.values()):
                if chunk := self._chunk(tail):
                    self._write(chunk if self._wording is None else self._wording.records(chunk))
                    tail.printed(len(chunk))
                    printed += len(chunk)
            if not (lines or printed):
                return
            if printed < _CHUNK_BYTES // 2 and self._news and not self._closing:
                return

    def _chunk(self, tail: _Tail) -> bytes:
        """Return what `tail` has to print. If its disk fails, print an error instead, and print it no more."""
        # read before the chunk, which then holds everything that was written before the end
        ended = tail.ended
        try:
            chunk = tail.chunk()
        except (OSError, UserError) as error:
            with self._condition:
                if tail.replaced:
                    return b""
                del self._tails[tail.folder]
            tail.rest()
            lost = {"level": "error", "event": "journal not printed any more", "journal": str(tail.folder)}
            why = error.strerror if isinstance(error, OSError) else f"{error}"
            self._write_lines([msgspec.json.encode(lost | {"why": why})])
            return b""
        if ended and not chunk:
            tail.rest()
        return chunk

    def _take_lines(self) -> list[bytes]:
        with self._condition:
            lines = [*self._lines]
            self._lines.clear()
            if self._dropped:
                lost = {"level": "warning", "event": "ordinary log lines dropped", "count": self._dropped}
                lines.append(msgspec.json.encode(lost))
                self._dropped = 0
        return lines

    def _write_lines(self, lines: list[bytes]) -> None:
        """Print ordinary lines, given without their newlines."""
        word = self._wording
        self._write(b"".join(line + b"\n" if word is None else word.line(line) for line in lines))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])


class _Tail:
    """How far one journal has been printed.

    Attributes:
        folder: where its segments lie.
        clean: the last process that printed it left no line half printed.
    """

    def __init__(self, folder: Path, journal: Flushed, *, kept: bool) -> None:
        """Begin where printing ended, if `kept` says that the place is remembered; else at the journal's end."""
        self.folder = folder
        self._journal = journal
        self._kept = kept
        self._again: Flushed | None = None
        self._file: BinaryIO | None = None
        self._place = -1
        # if the place can't be kept, lines are printed again, but none is lost
        with suppress(OSError):
            if kept:
                self._place = os.open(folder / PLACE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        self._first, self._offset, self.clean = self._remembered() if kept else (*journal.flushed, True)

    def replace(self, journal: Flushed) -> None:
        """Continue with `journal`, which is the same one opened again. From any thread, before the next chunk."""
        self._again = journal

    @property
    def replaced(self) -> bool:
        """The next chunk is the first one of the journal opened again."""
        return self._again is not None

    @property
    def ended(self) -> bool:
        """Nothing more is written to this journal."""
        return self._again is None and self._journal.ended

    def chunk(self) -> bytes:
        """Return the next whole lines that are on disk, empty if there are none. Raises OSError."""
        if self._again is not None:
            # what is known of the file may be out of date: open it again
            self._journal, self._again = self._again, None
            self._close_file()
        while True:
            last, end = self._journal.flushed
            if not last or (self._first, self._offset) == (last, end):
                return b""
            if self._file is None and not self._open(last, end):
                return b""
            data = self._read(end if self._first == last else None)
            if data or self._first == last:
                return data
            self._close_file()
            self._first, self._offset = self._next(), 0

    def begin(self) -> None:
        """Note, before the first byte is printed, that a kill may leave half a line from now on."""
        self._remember("going")

    def printed(self, length: int) -> None:
        """Note that `length` more bytes are printed."""
        self._offset += length
        self._remember("going")

    def rest(self) -> None:
        """Close all files until there is more to print, so that the disk can be unmounted."""
        self._close_file()
        _close(self._place)
        self._place = -1

    def finish(self) -> None:
        """Note that no line is half printed, and close all files."""
        self._remember("clean")
        self.rest()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, last: int, end: int) -> bool:
        """Open the segment to print from; if the noted place can't be right, begin earlier: repeats are legal.

        Return False if there is no segment yet.
        """
        found = (segment_first(path) for path in segments(self.folder))
        known = [first for first in found if first is not None and first <= last]
        if not known:
            return False
        if self._first not in known:
            self._first, self._offset = known[0], 0
        self._file = open_segment(segment_path(self.folder, self._first))
        limit = end if self._first == last else os.fstat(self._file.fileno()).st_size
        if self._offset and (self._offset > limit or self._at(self._offset - 1, 1) != b"\n"):
            self._offset = 0
        return True

    def _read(self, limit: int | None) -> bytes:
        """Return the next whole lines, up to byte `limit`, or up to the zeros of a finished segment."""
        size = _CHUNK_BYTES
        while True:
            wanted = size if limit is None else min(size, limit - self._offset)
            data = self._at(self._offset, wanted)
            end = data.rfind(b"\n") + 1
            if limit is None and (zeros := data.find(b"\0")) >= 0:
                return data[:zeros]
            if end or len(data) < size:
                return data[:end]
            # a checkpoint may be longer than a chunk
            size *= 2

    def _at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of the segment from `offset` on."""
        assert self._file is not None, "a segment is open"
        # never buffered: records take the place of zeros
        return os.pread(self._file.fileno(), length, offset)

    def _next(self) -> int:
        """Return the first number of the segment after this one."""
        later = (segment_first(path) or 0 for path in segments(self.folder))
        return min(first for first in later if first > self._first)

    def _remembered(self) -> tuple[int, int, bool]:
        kept = b""
        with suppress(OSError):
            kept = os.pread(self._place, 100, 0)
        match = _PLACE.fullmatch(kept)
        return (int(match[1]), int(match[2]), match[3] == b"clean") if match else (0, 0, True)

    def _remember(self, state: str) -> None:
        if not self._kept:
            return
        # if it can't be noted, lines are printed again
        with suppress(OSError):
            if self._place < 0:
                self._place = os.open(self.folder / PLACE, os.O_RDWR | os.O_CLOEXEC)
            os.pwrite(self._place, b"%016d %016d %b\n" % (self._first, self._offset, state.encode()), 0)


def _close(descriptor: int) -> None:
    """Close `descriptor` if there is one. An error means nothing: it was only read, or held a place."""
    if descriptor >= 0:
        with suppress(OSError):
            os.close(descriptor)
