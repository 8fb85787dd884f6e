"""Runs a command on a terminal of 80 columns, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence

from tests.support.fork_server import ForkedProcess

COLUMNS = 80
ROWS = 50
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """`deconflict` on a terminal; a thread reads what it prints."""

    def __init__(self, *words: object, command: Sequence[str] = (), **environment: str) -> None:
        """Start `deconflict` with `words`, or another program if `command` names one."""
        self._end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._data = bytearray()
        self.popen: subprocess.Popen[bytes] | ForkedProcess
        environment = os.environ | {"TERM": "xterm", "COLUMNS": str(COLUMNS)} | environment
        if command:
            arguments = [*command, *map(str, words)]
            self.popen = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        else:
            self.popen = ForkedProcess([*map(str, words)], environment, [theirs] * 3)
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while piece := os.read(self._end, 65_536):
                self._data += piece
        except OSError:
            # Linux reports the end of a terminal's output as EIO
            pass

    @property
    def text(self) -> str:
        """What was printed so far, without colours."""
        return COLOUR.sub("", self._data.decode(errors="replace")).replace("\r\n", "\n")

    def type(self, text: str) -> None:
        """Type `text`, to whose lines the terminal answers as to a person's."""
        os.write(self._end, text.encode())

    def until(self, piece: str, within_s: float = 30) -> None:
        """Wait until `piece` has been printed."""
        deadline = time.monotonic() + within_s
        while piece not in self.text:
            assert self.popen.poll() is None or self._reader.is_alive(), self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.01)

    def end(self, number: signal.Signals | None = None, within_s: float = 30) -> int:
        """Wait for the end, after a signal if one is given; return the exit code."""
        try:
            if number is not None:
                self.popen.send_signal(number)
            return self.popen.wait(within_s)
        finally:
            self.popen.kill()
            self.popen.wait()
            self._reader.join()
            os.close(self._end)

    @property
    def lines(self) -> list[str]:
        """The lines without the blanks at their ends."""
        return [line.rstrip() for line in self.text.splitlines()]
