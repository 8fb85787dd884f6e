"""Follows the journal of a running sender, to see when receipts of the other side are written.

It reads only what is appended, without verifying it: integrity is counted afterwards, from whole journals. A receipt is
seen before its flush has ended.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

from endpoints.errors import UserError, os_reason
from endpoints.journal.segments import segment_first, segments
from load.driver import ClockNs
from protocol.phrases import phrase

LOOK_EVERY_S = 0.0005
_SETTLED = re.compile(rb'"effect":"Settle","upto":(\d+)')
_READ_BYTES = 1 << 18
_LOOKS = 20
_NOTHING = (b"", b"\0")
_FLAGS = os.O_RDONLY | os.O_CLOEXEC

Receipted = Callable[[str, int, int], None]
"""Takes a link, the number up to which its messages are receipted, and when that was seen."""


class JournalTail:
    """Follows one journal in a thread of its own, from its present end, until `stop`."""

    def __init__(self, link: str, folder: Path, clock_ns: ClockNs, receipted: Receipted) -> None:
        """Open the journal. Raises UserError if it can't be read."""
        self._link = link
        self._folder = folder
        self._clock_ns = clock_ns
        self._receipted = receipted
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        try:
            self._segment = segments(folder)[-1]
            self._file = os.open(self._segment, _FLAGS)
        except (OSError, IndexError) as error:
            reason = os_reason(error) if isinstance(error, OSError) else phrase("no journal there")
            raise UserError(phrase("{folder}: can't be followed: {reason}", folder=folder, reason=reason)) from None
        self._at, self._rest, self._looks = 0, b"", 0
        self._new()
        self._thread = threading.Thread(target=self._run, name=f"journal of {link}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._stopped.set()
        self._thread.join()
        os.close(self._file)

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            try:
                lines = self._new()
            except OSError:
                # what was in flight stays unfinished, and is reported as that
                return
            found = _SETTLED.findall(lines)
            if found:
                at_ns = self._clock_ns()
                self._loop.call_soon_threadsafe(self._receipted, self._link, max(map(int, found)), at_ns)
            if not lines and self._idle():
                self._next_segment()

    def _new(self) -> bytes:
        """Return the whole lines that were appended since the last call."""
        lines = bytearray()
        # most often there is nothing, or one of the zeros that are written ahead
        while os.pread(self._file, 1, self._at) not in _NOTHING:
            written = os.pread(self._file, _READ_BYTES, self._at).rstrip(b"\0")
            self._at += len(written)
            whole, newline, self._rest = (self._rest + written).rpartition(b"\n")
            lines += whole + newline
        return bytes(lines)

    def _idle(self) -> bool:
        """Return whether it is time to look for another segment: folders are not listed all the time."""
        self._looks = (self._looks + 1) % _LOOKS
        return not self._looks

    def _next_segment(self) -> None:
        last = segments(self._folder)[-1]
        if (segment_first(last) or 0) > (segment_first(self._segment) or 0):
            os.close(self._file)
            self._segment, self._file, self._at, self._rest = last, os.open(last, _FLAGS), 0, b""
