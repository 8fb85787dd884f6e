"""Standard output, fed from the journals: the collected log is itself a journal.

One thread writes everything that this process prints: the journals' records, from the files and only what is on disk,
and the ordinary log lines. A reader that stalls stalls this thread alone. The place up to which a journal has been
printed stands beside it, in `stdout.place`: after a kill some lines are printed again, none is lost.
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
from typing import Final, Protocol

import msgspec

from endpoints.journal.segments import segment_first, segment_path, segments
from endpoints.keys.private_files import FILE_MODE

PLACE = "stdout.place"
LINES_MAX: Final = 1_000
"""Ordinary lines that wait for a slow reader: some 300 kB. More are counted, and the count is printed."""
_CHUNK_BYTES: Final = 1 << 18
_PLACE = re.compile(rb"(\d{16}) (\d{16}) (clean|going)\n")


class Flushed(Protocol):
    """A journal that is written elsewhere in this process."""

    folder: Path

    @property
    def flushed(self) -> tuple[int, int]:
        """The last segment's first number, and up to which byte of it everything is on disk. For any thread."""

    @property
    def ended(self) -> bool:
        """Nothing will be added to it. For any thread."""


class StdoutFeed:
    """The one writer of a process's standard output. `close` ends it; a process that just ends loses no record."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._tails: list[_Tail] = []
        self._lines: deque[bytes] = deque(maxlen=LINES_MAX)
        self._dropped = 0
        self._news = False
        self._closing = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="standard output", daemon=True)

    def follow(self, journal: Flushed) -> None:
        """Print this journal too, from where it was left, or from its beginning if nothing tells.

        One that was opened anew takes the place of the one before, in the same folder.
        """
        with self._condition:
            before = next((tail for tail in self._tails if tail.folder == journal.folder), None)
            if before is None:
                tail = _Tail(journal)
                self._tails.append(tail)
                if self._thread.is_alive():
                    tail.begin()
            else:
                before.anew = journal
        self.wake()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def wake(self) -> None:
        """Tell that a journal has grown."""
        with self._condition:
            self._news = True
            self._condition.notify()

    def write_line(self, line: bytes) -> None:
        """Print an ordinary line, without its newline; count it instead if too many wait already. Never blocks."""
        with self._condition:
            if len(self._lines) < LINES_MAX:
                self._lines.append(line)
            else:
                self._dropped += 1
            self._news = True
            self._condition.notify()

    def close(self, timeout_s: float) -> bool:
        """Print what is left, for at most `timeout_s` seconds; return whether all of it was printed."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            if any(not tail.clean for tail in self._tails):
                # a killed process may have left half a line
                self._write(b"\n")
            for tail in self._tails:
                tail.begin()
            while self._wait():
                self._drain()
            self._drain()
            for tail in self._tails:
                tail.finish()
        except OSError:
            # nobody reads any more: the records stay in the journals, for the next start
            with self._condition:
                self._closing = True

    def _wait(self) -> bool:
        """Wait for something to print; return False when it is the last time."""
        with self._condition:
            while not (self._news or self._closing):
                self._condition.wait()
            self._news = False
            return not self._closing

    def _drain(self) -> None:
        """Print all that there is, a chunk of each in turn."""
        while True:
            lines = self._take_lines()
            if lines:
                self._write(lines)
            printed = False
            for tail in tuple(self._tails):
                if chunk := self._chunk(tail):
                    self._write(chunk)
                    tail.printed(len(chunk))
                    printed = True
            if not (lines or printed):
                return

    def _chunk(self, tail: _Tail) -> bytes:
        """Return what `tail` has to print; give it up if its disk is gone: the others and the ordinary lines go on."""
        # asked first: what was added before the end is seen
        ended = tail.ended
        try:
            chunk = tail.chunk()
        except OSError as error:
            with self._condition:
                if tail.anew is not None:
                    return b""
                self._tails.remove(tail)
            tail.rest()
            lost = {"level": "error", "event": "journal not printed any more", "journal": str(tail.folder)}
            self._write(msgspec.json.encode(lost | {"why": error.strerror}) + b"\n")
            return b""
        if ended and not chunk:
            tail.rest()
        return chunk

    def _take_lines(self) -> bytes:
        with self._condition:
            lines = [*self._lines]
            self._lines.clear()
            if self._dropped:
                lost = {"level": "warning", "event": "ordinary log lines dropped", "count": self._dropped}
                lines.append(msgspec.json.encode(lost))
                self._dropped = 0
        return b"".join(line + b"\n" for line in lines)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])


class _Tail:
    """One journal's place on standard output."""

    def __init__(self, journal: Flushed) -> None:
        self._journal = journal
        self.anew: Flushed | None = None
        """The same journal, opened anew: to be gone on with."""
        self._file = -1
        self.folder = journal.folder
        self._place = -1
        # a disk that keeps no place costs repeats, never a line
        with suppress(OSError):
            self._place = os.open(journal.folder / PLACE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        self._first, self._offset, self.clean = self._remembered()

    @property
    def ended(self) -> bool:
        """Nothing will be added to what is printed from here."""
        return self.anew is None and self._journal.ended

    def chunk(self) -> bytes:
        """Return the next whole lines that are on disk, empty if there are none. Raises OSError."""
        if self.anew is not None:
            # all that was known of the file is looked at again
            self._journal, self.anew = self.anew, None
            self._close_file()
        while True:
            last, end = self._journal.flushed
            if not last:
                return b""
            if self._file < 0 and not self._open(last, end):
                return b""
            data = self._read(end if self._first == last else None)
            if data or self._first == last:
                return data
            self._close_file()
            self._first, self._offset = self._next(), 0

    def begin(self) -> None:
        """Remember, before the first byte, that a kill may leave half a line from now on."""
        self._remember("going")

    def printed(self, length: int) -> None:
        """Remember that `length` more bytes are printed."""
        self._offset += length
        self._remember("going")

    def rest(self) -> None:
        """Hold nothing open as long as there is nothing to print: somebody may want to take the disk away."""
        self._close_file()
        _close(self._place)
        self._place = -1

    def finish(self) -> None:
        """Remember that nothing was left half printed."""
        self._remember("clean")
        self.rest()

    def _close_file(self) -> None:
        _close(self._file)
        self._file = -1

    def _open(self, last: int, end: int) -> bool:
        """Open the segment of the place; if the place makes no sense, begin earlier: repeats are legal, gaps not."""
        folder = self._journal.folder
        known = [first for path in segments(folder) if (first := segment_first(path)) is not None and first <= last]
        if not known:
            return False
        if self._first not in known:
            self._first, self._offset = known[0], 0
        self._file = os.open(segment_path(folder, self._first), os.O_RDONLY | os.O_CLOEXEC)
        limit = end if self._first == last else os.fstat(self._file).st_size
        if self._offset and (self._offset > limit or os.pread(self._file, 1, self._offset - 1) != b"\n"):
            self._offset = 0
        return True

    def _read(self, limit: int | None) -> bytes:
        """Return whole lines from the place on, up to `limit`, or up to where a finished segment's zeros begin."""
        size = _CHUNK_BYTES
        while True:
            wanted = size if limit is None else min(size, limit - self._offset)
            data = os.pread(self._file, wanted, self._offset)
            end = data.rfind(b"\n") + 1
            if limit is None and (zeros := data.find(b"\0")) >= 0:
                return data[:zeros]
            if end or len(data) < size:
                return data[:end]
            # a checkpoint can be longer than any chunk
            size *= 2

    def _next(self) -> int:
        """Return the first number of the segment after this one."""
        later = (segment_first(path) or 0 for path in segments(self._journal.folder))
        return min(first for first in later if first > self._first)

    def _remembered(self) -> tuple[int, int, bool]:
        kept = b""
        with suppress(OSError):
            kept = os.pread(self._place, 100, 0)
        match = _PLACE.fullmatch(kept)
        return (int(match[1]), int(match[2]), match[3] == b"clean") if match else (0, 0, True)

    def _remember(self, state: str) -> None:
        # as above: what is not remembered is printed again
        with suppress(OSError):
            if self._place < 0:
                self._place = os.open(self.folder / PLACE, os.O_RDWR | os.O_CLOEXEC)
            os.pwrite(self._place, b"%016d %016d %b\n" % (self._first, self._offset, state.encode()), 0)


def _close(descriptor: int) -> None:
    """Close it, if it is one; a failing disk may have a last complaint, and loses nothing by it."""
    if descriptor >= 0:
        with suppress(OSError):
            os.close(descriptor)
